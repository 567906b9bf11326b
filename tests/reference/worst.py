"""Print the worst error of every cell over the whole grid: ``python -m tests.reference.worst [cell ...]``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import torch

from tests.reference import measure, tolerance
from tests.reference.compare import by_layer, by_reference, errors
from tests.reference.equations import REFERENCES


def worst(cell: str) -> tuple[float, float]:
    """Worst relative error of outputs and last states, and of gradients."""
    forward = backward = 0.0
    for size in measure.sizes():
        floors = [(case, 0.0) for case in (*measure.plain(cell, *size), measure.not_contiguous(cell, *size))]
        for case, floor in [*floors, (measure.saturated(cell, *size), tolerance.SATURATED_FLOOR)]:
            for name, error in errors(by_layer(case), by_reference(case), floor).items():
                forward, backward = (
                    (forward, max(backward, error)) if name.startswith("d ") else (max(forward, error), backward)
                )
    return forward, backward


def rows(cells: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """For each cell whether it keeps the tolerance, and its line of the table."""
    for cell in cells:
        forward, backward = worst(cell)
        passes = measure.gradients_check(cell)
        how = "by hand" if REFERENCES[cell].back else "autograd"
        line = f"{cell:<18} {forward:9.1e} {backward:9.1e}  {how:<10} {'ok' if passes else 'FAILED'}"
        yield max(forward, backward) <= tolerance.FLOAT64 and passes, line


def main(cells: list[str]) -> int:
    """Print the table; 1 if any cell is outside of the tolerance."""
    torch.set_num_threads(1)
    say = sys.stdout.write
    say(f"{'cell':<18} {'forward':>9} {'gradient':>9}  {'reference':<10} gradcheck\n")
    kept = True
    for keeps, line in rows(cells or REFERENCES):
        kept &= keeps
        say(line + "\n")
    say(f"allowed {tolerance.FLOAT64:.0e}: {'kept by all' if kept else 'exceeded'}\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
