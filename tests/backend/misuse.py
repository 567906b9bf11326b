"""Drawn misuses of layers and of the registered operations: ``python -m tests.backend.misuse --count 2000``.

Each seed draws a layer and a call, and spoils one thing: the shape, type or device of a tensor, batch sizes, lengths,
widths of the operation. It must end in an error that says so, or in the numbers of the definition. Run with the engine
built for a sanitizer, nothing may be read or written beyond its end; see ``tests/backend/sanitize.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

import tidegate as tg
from tidegate.errors import TidegateError
from tidegate.runtime import eager_only

KINDS = ("LSTM", "GRU", "RNN", "PeepholeLSTM")
# Of torch too; a KeyError or an AssertionError is a finding.
ERRORS = (TidegateError, ValueError, TypeError, RuntimeError, IndexError)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.bool, torch.complex64)
LIMIT = 1e-4
Call = Callable[[], Any]


def layer_of(random: Random, kinds: Sequence[str]) -> tg.nn.Recurrent:
    sizes = random.randint(1, 9), random.randint(1, 20)
    return getattr(tg.nn, random.choice(kinds))(
        *sizes, random.randint(1, 2), bias=random.random() < 0.8, bidirectional=random.random() < 0.4
    )


def spoilt(random: Random, right: torch.Tensor) -> torch.Tensor:
    """A tensor of another shape, type or device; sometimes the same one."""
    shape = [*right.shape]
    at = random.randrange(len(shape)) if shape else 0
    match random.randrange(9):
        case 0 if shape:
            shape[at] = max(0, shape[at] + random.choice((-2, -1, 1, 2, 7)))
        case 1 if shape:
            shape[at] = random.choice((0, 1, 4096))
        case 2 if shape:
            shape.pop(at)
        case 3:
            shape.insert(at, random.randint(0, 3))
        case 4:
            return right.T if right.dim() == 2 else right.flatten()
        case 5:
            return right.to(random.choice(DTYPES))
        case 6:
            return right.to("meta")
        case 7:
            return right[..., :1].expand(right.shape) if right.dim() else right
        case _:
            return right
    return torch.randn(shape).to(right.dtype)


def called(layer: tg.nn.Recurrent, random: Random) -> tuple[str, Call]:
    """A call of a layer with one thing spoilt."""
    T, B = random.randint(1, 6), random.randint(1, 5)
    x: Any = torch.randn(T, B, layer.input_size)
    rows = layer.num_layers * (1 + layer.bidirectional)
    hx: Any = tuple(torch.randn(rows, B, width) for width in layer.cells[0].state_widths)
    options: dict[str, Any] = {}
    what = random.choice(("parameter", "input", "state", "lengths", "reset", "packed", "session"))
    match what:
        case "parameter":
            name = random.choice([name for name, _ in layer.named_parameters()])
            setattr(layer, name, torch.nn.Parameter(_floating(spoilt(random, getattr(layer, name).detach()))))
        case "input":
            x = spoilt(random, x)
        case "state":
            k = random.randrange(len(hx))
            hx = (*hx[:k], spoilt(random, hx[k]), *hx[k + 1 :])
        case "lengths":
            lengths = torch.tensor([random.randint(-1, T + 1) for _ in range(max(0, B + random.choice((0, 0, -1, 1))))])
            options["lengths"] = random.choice((lengths, lengths.tolist(), lengths.double(), spoilt(random, lengths)))
        case "reset":
            options["reset"] = spoilt(random, torch.rand(T, B) < 0.3)
        case "packed":
            sizes = torch.tensor([random.randint(-1, 5) for _ in range(random.randint(0, 4))], dtype=torch.int64)
            data = torch.randn(max(0, int(sizes.sum()) + random.choice((0, 0, 0, -1, 1))), layer.input_size)
            order = torch.tensor([random.randint(0, 5) for _ in range(random.randint(0, 5))], dtype=torch.int64)
            x, hx = PackedSequence(data, sizes, *((order, order) if random.random() < 0.3 else ())), None
        case "session":
            row = spoilt(random, x[0])
            return what, lambda: tg.Session(layer, batch_size=B).step(row)
    states = None if hx is None or random.random() < 0.2 else hx if len(hx) > 1 else hx[0]
    return what, lambda: layer(x, states, **options)


def _floating(value: torch.Tensor) -> torch.Tensor:
    return value if value.is_floating_point() or value.is_complex() else value.float()


def operated(layer: tg.nn.Recurrent, random: Random) -> tuple[str, Call]:
    """A call of a registered operation with one argument spoilt."""
    cell = layer.cells[0]
    T, B = random.randint(1, 6), random.randint(1, 5)
    directions = 1 + layer.bidirectional
    given: dict[str, Any] = {
        "x": torch.randn(T, B, layer.input_size),
        "first": [torch.randn(directions, B, width) for width in cell.state_widths],
        "parameters": [parameter.detach() for parameter in layer.layer_parameters(0)],
        "masks": [],
        "lengths": torch.randint(0, T + 1, (B,)) if random.random() < 0.5 else None,
        "resets": torch.rand(T, B) < 0.3 if random.random() < 0.5 else None,
        "cell": cell.text,
    }
    backward = random.random() < 0.4
    own: dict[str, Any] = {}
    if backward:
        output, *_, saved = torch.ops.tidegate.layer(*given.values(), backward)
        d_last = [torch.randn(directions, B, width) for width in cell.state_widths]
        own = {"output": output, "saved": saved, "d_output": torch.randn_like(output), "d_last": d_last}
    name = random.choice([*own] if own else [*given])  # what a forward run saved is right for its own arguments only
    both = given | own
    value = both[name]
    if name == "cell":
        data = json.loads(value)
        widths = data["widths"] | {
            random.choice([*data["widths"]]): random.choice((-1, 0, 1, 4096, 1 << 40, "4", None))
        }
        value = random.choice((json.dumps(data | {"widths": widths}), value[: random.randrange(len(value))]))
    elif isinstance(value, list):
        k = random.randrange(len(value) + 1)
        value = [
            *value[:k],
            *([spoilt(random, value[k])] if k < len(value) and random.random() < 0.7 else []),
            *value[k + 1 :],
        ]
    elif value is not None:
        other = spoilt(random, value)
        alike = other.shape == value.shape and other.dtype == value.dtype and other.device == value.device
        value = (
            value if alike and name in ("output", "saved") else other
        )  # other numbers nobody could tell from right ones
    both[name] = value
    operation = torch.ops.tidegate.layer_backward if backward else torch.ops.tidegate.layer
    arguments = [*both.values(), *([] if backward else [False])]
    return f"operation: {name}", lambda: operation(*arguments)


def outcome(seed: int, kinds: Sequence[str] = KINDS) -> tuple[str, str]:
    """What was spoilt, and how it ended: ``"error"``, ``"right"``, or what is wrong."""
    random = Random(seed)
    torch.manual_seed(seed)
    layer = layer_of(random, kinds)
    what, call = (called if random.random() < 0.6 else operated)(layer, random)
    try:
        found = flat(call())
    except ERRORS:
        return what, "error"
    except Exception as error:  # noqa: BLE001  any other is a finding
        return what, f"{type(error).__name__}: {error}"
    with eager_only():
        wanted = flat(call())
    far = [float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True) if a.numel() and not a.is_meta]
    return what, "right" if all(distance < LIMIT for distance in far) else f"off by {max(far)}"


def flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value.detach()]
    parts = [value.data] if isinstance(value, PackedSequence) else [] if value is None else value
    return [tensor for part in parts for tensor in flat(part)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        what, ended = outcome(seed)
        counts[ended if ended in ("error", "right") else "wrong"] += 1
        if ended not in ("error", "right"):
            sys.stdout.write(f"seed {seed}, {what}: {ended}\n")
            sys.stdout.flush()
    sys.stdout.write(
        f"{options.count} misuses: {counts['error']} errors, {counts['right']} right, {counts['wrong']} wrong\n"
    )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
