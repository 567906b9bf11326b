"""Print the worst error against torch.nn over every option: ``python -m tests.reference.worst_torch``.

The float64 column is the worst relative difference. The float32 column is our worst error against a
float64 run as a share of what is allowed: twice torch's own error plus 4 eps max|ref|.
"""

from __future__ import annotations

import itertools
import sys
import warnings

import torch
from torch import Tensor

from tests.reference import tolerance
from tests.reference.compare import errors, relative_error
from tests.reference.test_torch import KINDS, SWITCHES, B, draw_input, draw_state, pair, parts, results


def float64(kind: str) -> float:
    """Worst relative difference of outputs, states and gradients."""
    found = 0.0
    for layers, switches in itertools.product((1, 3), SWITCHES):
        mine, theirs = pair(kind, num_layers=layers, **switches)
        for size in (B, None):
            x = draw_input(mine, torch.float64, batched=size is not None)
            for state in (None, draw_state(mine, torch.float64, size=size)):
                found = max(found, *errors(results(mine, x, state), results(theirs, x, state)).values())
    return found


def float32(kind: str) -> float:
    """Worst share of the allowed error."""
    found = 0.0
    for layers, switches in itertools.product((1, 3), SWITCHES):
        mine, theirs = pair(kind, torch.float32, num_layers=layers, **switches)
        exact = pair(kind, num_layers=layers, **switches)[1]
        exact.load_state_dict(theirs.state_dict())
        x, state = draw_input(mine, torch.float32), draw_state(mine, torch.float32)
        wide = tuple(s.double() for s in parts(state))
        truth = results(exact, x.double(), wide[0] if isinstance(state, Tensor) else wide)
        one, other = results(mine, x, state), results(theirs, x, state)
        for name, value in truth.items():
            error, torchs = (relative_error(side[name].double(), value) for side in (one, other))
            found = max(found, error / (tolerance.FLOAT32_FACTOR * torchs + tolerance.FLOAT32_EPS))
    return found


def main() -> int:
    """Print the table; 1 if anything is outside of its tolerance."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
    sys.stdout.write(f"{'module':<16} float64  float32 (share of what is allowed)\n")
    kept = True
    for kind in KINDS:
        wide, narrow = float64(kind), float32(kind)
        kept &= wide <= tolerance.FLOAT64 and narrow <= 1
        sys.stdout.write(f"{kind:<16} {wide:7.1e}  {narrow:.2f}\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
