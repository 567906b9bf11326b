"""Pareto plots: score against cost, a small panel for each kind of cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tidegate.records import CellRecord, ComparisonRecord
from tidegate.report.figure.svg import drawing, tag, to_svg, wrapped
from tidegate.report.group import ranking
from tidegate.report.number import known, plain, rounded, size
from tidegate.report.palette import INK, MUTED, SURFACE, colour, mark, short_names

WIDTH, HEIGHT = 470, 320
Box = tuple[float, ...]  # left, bottom, right, top in pixels
NAMED = 6  # with more cells than this, points are labelled by their rank in the table of scores


@dataclass(frozen=True)
class Cost:
    """A kind of cost: the name and label of its panel, its value and the format of ticks."""

    name: str
    label: str
    of: Callable[[CellRecord], float]
    tick: Callable[[float], str]


COSTS = (
    Cost("parameters", "parameters", lambda cell: cell.parameters, plain),
    Cost("latency", "step latency, median (µs)", lambda cell: cell.step_p50_us, plain),
    Cost("training", "training time (s)", lambda cell: cell.train_seconds, plain),
    Cost("bytes", "exported size", lambda cell: cell.exported_bytes, size),
)


def cost_figures(record: ComparisonRecord) -> list[str]:
    """One figure for each cost, unless it is empty."""
    return [figure for cost in COSTS if (figure := _panel(record, cost))]


def points_are_ranks(record: ComparisonRecord) -> bool:
    """Whether points are labelled by rank because the names would not fit."""
    return len(record.cells) > NAMED or max((len(cell.name) for cell in record.cells), default=0) > 16


def _panel(record: ComparisonRecord, cost: Cost) -> str:
    places = [i for i in ranking(record) if known(record.cells[i].mean) and known(cost.of(record.cells[i]))]
    if not places:
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        values = [cost.of(record.cells[i]) for i in places]
        _scales(axes, record, cost, values)
        points = [_point(axes, record.cells[i], i, cost) for i in places]
        _front(axes, points)
        figure.draw_without_rendering()
        _labels(axes, _texts(record, places), points, _obstacles(axes))
        return to_svg(
            figure, f"cost-{cost.name}", f"Score against {cost.label}; the numbers are in the table of scores"
        )


def _scales(axes: Axes, record: ComparisonRecord, cost: Cost, values: list[float]) -> None:
    axes.set_xlabel(cost.label)
    axes.set_ylabel(wrapped(f"test {record.metric}", 260))
    if min(values) > 0 and max(values) / min(values) > 8:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _at_least_a_tenth(axes, values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cost.tick(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.14, y=0.1)


def _at_least_a_tenth(axes: Axes, values: list[float]) -> None:
    """Let the axis span at least a tenth of the largest cost, so that nearly equal costs look nearly equal."""
    low, high = min(values), max(values)
    pad = 0.1 * (high - low)
    missing = max(0.0, 0.1 * abs(high) - (high - low)) / 2
    if high > low or missing:
        axes.set_xlim(low - pad - missing, high + 2 * pad + missing)


def _point(axes: Axes, cell: CellRecord, index: int, cost: Cost) -> tuple[float, float]:
    assert cell.mean is not None
    x, y = cost.of(cell), cell.mean
    if cell.low is not None and cell.high is not None and known(cell.low) and known(cell.high):
        axes.plot([x, x], [cell.low, cell.high], color=colour(index), linewidth=1.6, alpha=0.6)
    (dot,) = axes.plot(x, y, mark(index), color=colour(index), markersize=10, markeredgecolor=SURFACE, zorder=3)
    tag(dot, title=f"{cell.name}: {rounded(y, 5)} at {cost.label} {rounded(x, 4)}")
    return x, y


def _front(axes: Axes, points: list[tuple[float, float]]) -> None:
    """Steps through the cells that no other cell beats in both score and cost."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not front or y < front[-1][1]:
            front.append((x, y))
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color=MUTED, linewidth=1.2, dashes=(4, 3), zorder=1)


def _texts(record: ComparisonRecord, places: list[int]) -> list[str]:
    if points_are_ranks(record):
        return [str(rank + 1) for rank in range(len(places))]
    names = short_names([cell.name for cell in record.cells], 16)
    return [names[index] for index in places]


def _labels(axes: Axes, texts: list[str], points: list[tuple[float, float]], taken: list[Box]) -> None:
    """Place every label where it touches no mark, line or other label, if possible."""
    frame = tuple(axes.get_window_extent().extents)
    for text, point in zip(texts, points, strict=True):
        x, y = axes.transData.transform(point)
        wide = 8.2 * len(text)
        offers = [(9, -4), (-9 - wide, -4), (8, 8), (8, -17), (-8 - wide, 8), (-8 - wide, -17), (-wide / 2, 11)]
        boxes = [(x + dx, y + dy, x + dx + wide, y + dy + 11) for dx, dy in offers]
        cost = [sum(_overlap(box, other) for other in taken) + 20 * _outside(box, frame) for box in boxes]
        best = cost.index(min(cost))
        taken.append(boxes[best])
        axes.annotate(text, point, offers[best], textcoords="offset points", color=INK, fontsize=12, zorder=4)


def _obstacles(axes: Axes) -> list[Box]:
    """Small boxes along everything that is drawn."""
    boxes: list[Box] = []
    for line in axes.lines:
        points = np.asarray(line.get_transform().transform_path(line.get_path()).interpolated(24).vertices)
        reach = 6 if len(points) == 1 else 2
        boxes += [(x - reach, y - reach, x + reach, y + reach) for x, y in points.tolist()]
    return boxes


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return float(wide * high) if wide > 0 and high > 0 else 0.0


def _outside(box: Box, frame: Box) -> float:
    """How far a box extends beyond a frame."""
    return float(max(0, frame[0] - box[0]) + max(0, box[2] - frame[2]) + max(0, frame[1] - box[1]))
