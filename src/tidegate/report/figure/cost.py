"""Pareto plots: score against cost, a small panel for each kind of cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tidegate.language import local, say, translated
from tidegate.records import CellRecord, ComparisonRecord
from tidegate.report.figure.svg import LETTER, drawing, tag, to_svg, wrapped
from tidegate.report.group import ranking
from tidegate.report.number import known, plain, rounded
from tidegate.report.palette import INK, MUTED, SURFACE, colour, mark, short_names

WIDTH, HEIGHT = 470, 320
Box = tuple[float, ...]  # left, bottom, right, top in pixels
APART, TURNS, LEAST_SHARE = 9, 4, 0.6  # pixels between point and label; rounds of placing; share of the axis for points
NAMED = 6  # with more cells than this, points are labelled by their rank in the table of scores


@dataclass(frozen=True)
class Cost:
    """A kind of cost: the name and label of its panel, and its value."""

    name: str
    label: str
    of: Callable[[CellRecord], float]


COSTS = (
    Cost("parameters", say("parameters"), lambda cell: cell.parameters),
    Cost("latency", say("step latency, median (µs)"), lambda cell: cell.step_p50_us),
    Cost("flops", say("operations per step (FLOPs)"), lambda cell: cell.flops_per_step),
    Cost("training", say("training time (s)"), lambda cell: cell.train_seconds),
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
        texts = _texts(record, places)
        figure.draw_without_rendering()
        _make_room(axes, texts, points)
        figure.draw_without_rendering()
        for text, point, offer in zip(texts, points, _offers(axes, texts, points), strict=True):
            where: dict[str, Any] = {"xytext": (offer.x, offer.y), "textcoords": "offset points", "ha": offer.end}
            axes.annotate(text, point, **where, color=INK, fontsize=12, zorder=4)
        return to_svg(
            figure,
            f"cost-{cost.name}",
            local("Score against {cost}; the numbers are in the table of scores", cost=cost.label),
        )


def _scales(axes: Axes, record: ComparisonRecord, cost: Cost, values: list[float]) -> None:
    axes.set_xlabel(translated(cost.label))
    axes.set_ylabel(wrapped(local("test {metric}", metric=record.metric), 260))
    if min(values) > 0 and max(values) / min(values) > 8:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _at_least_a_tenth(axes, values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
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
    tag(
        dot,
        title=local(
            "{cell}: {score} at {cost} {value}",
            cell=cell.name,
            score=rounded(y, 5),
            cost=cost.label,
            value=rounded(x, 4),
        ),
    )
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


def _make_room(axes: Axes, texts: list[str], points: list[tuple[float, float]]) -> None:
    """Extend the axis to the right until a label fits there next to every point."""
    left, _, right, _ = axes.get_window_extent().extents
    places = axes.transData.transform(points)[:, 0]
    room = [right - APART - LETTER * len(text) - left for text in texts]
    share = min((fits / (x - left) for fits, x in zip(room, places.tolist(), strict=True) if x > left), default=1.0)
    if share < 1:
        end = axes.transData.inverted().transform((left + (right - left) / max(share, LEAST_SHARE), 0))[0]
        axes.set_xlim(right=float(end))


class Offer(NamedTuple):
    """A place for a label: its anchor, in pixels from the point, and which end of the text stands there."""

    x: float
    y: float
    end: str  # matplotlib's ha

    def box(self, point: tuple[float, float], wide: float) -> Box:
        """What a text of this width covers."""
        left = point[0] + self.x - {"left": 0.0, "center": wide / 2, "right": wide}[self.end]
        return left, point[1] + self.y - 2, left + wide, point[1] + self.y + 12


BESIDE = [Offer(x, y, end) for y in (-4, 8, -17, 20, -29) for x, end in ((APART, "left"), (-APART, "right"))]
OFFERS = [*BESIDE, *(Offer(0, y, "center") for y in (11, -22, 23, -34))]  # the best first


def _offers(axes: Axes, texts: list[str], points: list[tuple[float, float]]) -> list[Offer]:
    """Where every label stands relative to its point, so that it touches no mark, line or other label, if possible.

    Labels choose in turns, each with regard to all others.
    """
    frame, obstacles = tuple(axes.get_window_extent().extents), _obstacles(axes)
    places = axes.transData.transform(points).tolist()
    boxes = [
        [offer.box(place, LETTER * len(text)) for offer in OFFERS] for place, text in zip(places, texts, strict=True)
    ]
    alone = [[rank + _cost(box, obstacles, frame) for rank, box in enumerate(choices)] for choices in boxes]
    chosen = [cost.index(min(cost)) for cost in alone]
    for label in [*range(len(texts))] * TURNS:
        others = [boxes[other][chosen[other]] for other in range(len(texts)) if other != label]
        cost = [own + 3 * _cost(box, others, frame) for own, box in zip(alone[label], boxes[label], strict=True)]
        chosen[label] = cost.index(min(cost))
    return [OFFERS[choice] for choice in chosen]


def _cost(box: Box, taken: list[Box], frame: Box) -> float:
    """How much of what is taken a label would cover, and how far it would leave the frame."""
    return sum(_overlap(box, other) for other in taken) + 20 * _outside(box, frame)


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
