"""How far are outputs in half precision from those in float64?

    python -m benchmarks.half.error
    python -m benchmarks.half.error --output benchmarks/results/half

Layers with the weights that they begin with read 100 steps of 32 sequences of normal numbers. The error is
``|y - e| / |e|`` over all outputs, e being those of the same layer in float64. For layers both include the rounding of
the parameters and of the results; sessions round weights, and in half precision factors, and give float32.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from benchmarks.engine import processor

import tidegate as tg

STEPS, BATCH = 100, 32
CELLS = ("lstm", "gru", "peepholelstm", "mgu")
UNITS = (128, 256, 512)


def contestants(layer: tg.nn.Recurrent) -> Iterator[tuple[str, Callable[[torch.Tensor], torch.Tensor]]]:
    """What is compared with float64: a name, and outputs [T, B, H] of an input."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        own = tg.nn.Recurrent(layer.graph, layer.input_size, layer.hidden_size, dtype=dtype)
        own.load_state_dict(layer.state_dict())
        yield f"layer, {str(dtype).removeprefix('torch.')}", lambda x, own=own, dtype=dtype: own(x.to(dtype))[0]
    for weights in ("float16", "bfloat16", "int8"):
        single = tg.nn.Recurrent(layer.graph, layer.input_size, layer.hidden_size)
        single.load_state_dict(layer.state_dict())
        session = tg.Session(single, BATCH, weights=weights)
        yield f"session, {weights}", lambda x, session=session: session.run(x.float())


@torch.no_grad()
def row(cell: str, units: int) -> tuple[list[str], list[float]]:
    """Names and errors of all contestants."""
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(cell, units, units, dtype=torch.float64)
    x = torch.randn(STEPS, BATCH, units, dtype=torch.float64)
    exact = layer(x)[0]
    found = [(name, float((run(x).double() - exact).norm() / exact.norm())) for name, run in contestants(layer)]
    return [name for name, _ in found], [error for _, error in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    lines: list[str] = []
    for cell in CELLS:
        for units in UNITS:
            names, errors = row(cell, units)
            if not lines:
                lines = [f"| cell | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
            lines.append(f"| {cell} {units} | {' | '.join(f'{error:.1e}' for error in errors)} |")
            print(lines[-1], flush=True)
    if asked.output:
        command = shlex.join(["python", "-m", "benchmarks.half.error", *sys.argv[1:]])
        head = [f"`{command}`, {processor()}, torch {torch.__version__}", ""]
        path = asked.output / f"{processor().slug}-error.md"
        path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
