"""What figures over lags, steps and horizons share: gaps in a series, and a mark at a lag with its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.report.palette import INK, MUTED

HEIGHT = 280


def gapped(series: Iterable[float | None]) -> list[float]:
    """A series as numbers, with NaN where it has none, so that a line has a gap there."""
    return [math.nan if value is None else float(value) for value in series]


def known(*series: Iterable[float | None]) -> list[float]:
    """All finite numbers of some series."""
    return [value for one in series for value in one if value is not None and math.isfinite(value)]


def mark_at(axes: Axes, x: float, text: str, *, strong: bool = False, raised: bool = False) -> None:
    """A vertical line with a name above the frame; higher if raised, where another one is near."""
    left, right = axes.get_xlim()
    if not min(left, right) <= x <= max(left, right):
        return
    pixel = axes.transData.transform((x, axes.get_ylim()[0]))
    share = float(axes.transAxes.inverted().transform(pixel)[0])
    style = {"color": INK, "linewidth": 1.2} if strong else {"color": MUTED, "linewidth": 1, "dashes": (2, 3)}
    axes.axvline(x, **style)  # type: ignore[arg-type]
    side = "left" if share < 0.08 else "right" if share > 0.92 else "center"
    axes.annotate(
        text, (x, 1), (0, 20 if raised else 4), ("data", "axes fraction"), "offset points",
        ha=side, va="bottom", color=INK if strong else MUTED, fontsize=12,
    )  # fmt: skip


def whole_steps(axes: Axes, steps: Sequence[int], label: str, width: int) -> None:
    """An axis of whole steps."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(width // 80, integer=True))
    if len(set(steps)) > 1:
        axes.set_xlim(min(steps), max(steps))
