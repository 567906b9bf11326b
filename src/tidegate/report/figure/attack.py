"""What is left of a measure within each budget, how many examples are broken, and examples beside their originals."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.records import AttackRecord, TraceLine
from tidegate.report.figure.svg import drawing, to_svg, wrapped
from tidegate.report.palette import colour

HEIGHT, LINE_HEIGHT = 280, 200
POINTS = 600  # of a line; longer ones are drawn by their extremes


def curve_figure(record: AttackRecord, width: int, name: str) -> str:
    """The measure by budget with its interval."""
    budgets = [point.budget for point in record.curve]
    with drawing(width, HEIGHT) as (figure, axes):
        low, high = [point.low for point in record.curve], [point.high for point in record.curve]
        axes.fill_between(budgets, low, high, color=colour(0), alpha=0.2, linewidth=0)
        axes.plot(budgets, [point.value for point in record.curve], "o-", color=colour(0), linewidth=2.2, markersize=5)
        if record.measure == "accuracy":
            axes.set_ylim(-0.03, 1.03)
        _labelled(axes, record, record.measure)
        return to_svg(figure, name, f"{record.measure} by the largest change", hover=False)


def flip_figure(record: AttackRecord, width: int, name: str) -> str:
    """The share of examples that are broken by a change of at most so much."""
    found = sorted(budget for budget in record.flips.budgets if budget is not None)
    count = len(record.flips.budgets)
    with drawing(width, HEIGHT) as (figure, axes):
        at = [0.0, *found, record.flips.most]
        share = [0.0, *(k / count for k in range(1, len(found) + 1)), len(found) / count]
        axes.step(at, share, where="post", color=colour(1), linewidth=2.2)
        axes.set_ylim(-0.03, 1.03)
        _labelled(axes, record, "share of examples broken")
        return to_svg(figure, name, "share of examples broken by the smallest change that was found", hover=False)


def example_figure(line: TraceLine, width: int, name: str) -> str:
    """One channel, and the same when it is changed."""
    with drawing(width, LINE_HEIGHT) as (figure, axes):
        for k, (values, style) in enumerate(((line.original, "-"), (line.changed, "--"))):
            at, shown = thinned(np.array([np.nan if v is None else v for v in values], dtype=float))
            mark = "." if len(at) <= 40 else ""
            axes.plot(at, shown, style, marker=mark, color=colour(k), linewidth=1.8 - 0.3 * k, markersize=5)
        axes.set_xlabel("step")
        axes.set_ylabel(wrapped(line.name, LINE_HEIGHT - 60))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return to_svg(figure, name, f"{line.name}: original and changed", hover=False)


def thinned(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[list[float], list[float]]:
    """Places and values of a line: of long ones the least and the largest of each stretch."""
    if len(values) <= POINTS:
        return list(range(len(values))), values.tolist()
    places: list[int] = []
    for part in np.array_split(np.arange(len(values)), POINTS // 2):
        own = values[part]
        if not np.isnan(own).all():
            places += sorted({int(part[np.nanargmin(own)]), int(part[np.nanargmax(own)])})
    return [float(place) for place in places], values[places].tolist()


def _labelled(axes: Axes, record: AttackRecord, label: str) -> None:
    axes.set_xlabel(wrapped(f"largest change ({record.unit})", 300))
    axes.set_ylabel(wrapped(label, HEIGHT - 60))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=record.norm.startswith("edits")))
    if record.decibels:
        at = [point.budget for point in record.curve]
        axes.set_xticks(at, [record.budget(budget) if budget else "" for budget in at])
    axes.yaxis.set_major_locator(MaxNLocator(5))
