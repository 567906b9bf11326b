"""What a pulse at the first step leaves behind in a layer that has learnt nothing yet, as a figure."""

from __future__ import annotations

from typing import NamedTuple

import torch

import tidegate as tg
from tidegate.cell import Cell
from tidegate.runtime import eager_only

from .language import Language

STEPS, UNITS, SEED = 60, 16, 0
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 196, 66, 12, 30, 24
TICKS = (1, 20, 40, STEPS)
LEAST = 0.001  # smaller shares are not told
TITLE = "What a pulse at the first step leaves behind"
LITTLE = "less than 0.1 %"
LASTING = "At step {steps} {left} of it is left."
FADING = "From step {half} on less than half of it is left, at step {steps} {left}."
SENTENCES = (TITLE, LITTLE, LASTING, FADING)
GIVEN = {"1": (), "I": (UNITS,)}


class Pulse(NamedTuple):
    """The difference that a pulse makes.

    Attributes:
        lines: of the output, [T, units].
        left: the share of its largest norm that is left at the last step.
        half: the step, counted from 1, from which on less than half of it is left; none if more is left at the end.
    """

    lines: torch.Tensor
    left: float
    half: int | None


def pulse(cell: type[Cell]) -> Pulse:
    """Run a layer as it begins twice, once with ones at the first step in place of zeros."""
    with torch.random.fork_rng(), torch.no_grad(), eager_only():
        torch.manual_seed(SEED)
        layer = tg.nn.Recurrent(cell, UNITS, UNITS, dtype=torch.float64)
        x = torch.zeros(STEPS, 2, UNITS, dtype=torch.float64)
        x[0, 0] = 1
        given = {v.name: x.new_ones(STEPS, 2, *GIVEN[v.axis]) for v in layer.graph.given}
        y, _ = layer(x, given=given or None)
    lines = y[:, 0] - y[:, 1]
    norms = lines.norm(dim=1) / lines.norm(dim=1).max()
    above = (norms >= 0.5).nonzero().flatten().tolist()
    return Pulse(lines, float(norms[-1]), None if above[-1] == STEPS - 1 else above[-1] + 2)


def caption(found: Pulse, say: Language) -> str:
    """What the figure says, in a sentence."""
    left = say(LITTLE) if found.left < LEAST else f"{found.left:.1%}".replace("%", " %")
    if found.half is None:
        return say(LASTING, steps=STEPS, left=left)
    return say(FADING, half=found.half, steps=STEPS, left=left)


def svg(found: Pulse, say: Language) -> str:
    """The units as thin lines over time."""
    size = float(found.lines.abs().max())
    across, middle = (WIDTH - LEFT - RIGHT) / (STEPS - 1), TOP + (HEIGHT - TOP - BOTTOM) / 2
    scale = (HEIGHT - TOP - BOTTOM) / 2 / size
    lines = [
        "".join(f"{'L' if t else 'M'}{LEFT + t * across:.1f} {middle - value * scale:.1f}" for t, value in enumerate(y))
        for y in found.lines.T.tolist()
    ]
    ticks = [f'<text x="{LEFT + (t - 1) * across:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{t}</text>' for t in TICKS]
    marks = [
        f'<text x="{LEFT - 6}" y="{middle - value * scale + 4:.1f}" text-anchor="end">{text}</text>'
        for value, text in ((size, f"{size:.2g}"), (0, "0"), (-size, f"\N{MINUS SIGN}{size:.2g}"))
    ]
    paths = "".join(f'<path d="{line}"/>' for line in lines)
    return (
        f'<svg class="pulse" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{say(TITLE)}</title>'
        f'<g fill="none" stroke="#3b82c4" stroke-width="1.2" stroke-opacity="0.75" stroke-linejoin="round">{paths}</g>'
        f'<path d="M{LEFT} {middle}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity="0.35"/>'
        f'<g fill="currentColor" font-size="11">{"".join(ticks + marks)}</g></svg>'
    )
