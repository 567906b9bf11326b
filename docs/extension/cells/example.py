"""Four steps of a small layer with fixed numbers. The page of all cells shows ``example`` as it stands here."""

from __future__ import annotations

import inspect

import torch

import tidegate as tg
from tidegate.cell import Cell
from tidegate.emit.latex import NOTATION
from tidegate.runtime import eager_only

from .language import Language
from .markdown import table

STEPS = 4
WIDE = 1000  # numbers from here on are written with an exponent


def example(cell, units=2):  # noqa: ANN001, ANN201  shown to readers
    """Every gate and state of a cell in four steps."""
    layer = tg.nn.Recurrent(cell, 2, units, dtype=torch.float64)
    start = 0
    with torch.no_grad():
        for parameter in layer.parameters():  # -0.9, -0.8 ... 0.9, in an order without a pattern
            numbers = torch.arange(start, start + parameter.numel())
            parameter.copy_(((7 * numbers + 3) % 19 - 9).reshape(parameter.shape) / 10)
            start += parameter.numel()
        x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
        dt = torch.tensor([1.0, 0.5, 2.0, 1.0], dtype=torch.float64)
        m = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]], dtype=torch.bool)
        own = {value.name: {"dt": dt, "m": m}[value.name] for value in layer.graph.given}
        return {"x": x, **own, **layer.trace(x, given=own or None)}


def shown_code() -> str:
    """The source of ``example``."""
    return inspect.getsource(example).replace("  # noqa: ANN001, ANN201  shown to readers", "")


def values_of(cell: type[Cell]) -> dict[str, torch.Tensor]:
    """What ``example`` gives, by the names of equations: [4] or [4, width]."""
    with eager_only():  # to compile every cell takes longer than the rest of the site
        values = example(cell)
    return {name.removesuffix("_l0"): value for name, value in values.items()}


def steps_table(cell: type[Cell], say: Language) -> str:
    """A row for what a cell reads and for each gate and state; a column for each step."""
    rows = [[f"${NOTATION.now(name)}$", *_steps(value)] for name, value in values_of(cell).items()]
    return "{.steps}\n" + table(
        [say("step"), *(f"$t = {t}$" for t in range(1, STEPS + 1))], rows, align="l" + "r" * STEPS
    )


def _steps(value: torch.Tensor) -> list[str]:
    """For each step its units, one above the other."""
    return ["<br>".join(map(number, step)) for step in value.double().reshape(STEPS, -1).tolist()]


def number(value: float) -> str:
    """Four decimals; of what would be wider than its column, four digits; nothing behind whole numbers."""
    plain = f"{int(value)}" if value == int(value) else f"{value:.4f}"
    text = plain if abs(value) < WIDE else f"{value:.3e}"
    return text.replace("-", "\N{MINUS SIGN}")
