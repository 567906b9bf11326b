"""What the cells of a comparison remember: gradients by lag, and half-lives of units, of all cells in one figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from tidegate.language import local
from tidegate.records import CellRecord, ComparisonRecord
from tidegate.report.figure.lag import gapped, known, mark_at, whole_steps
from tidegate.report.figure.svg import drawing, tag, to_svg
from tidegate.report.number import percent, plain
from tidegate.report.palette import GRID, INK, SURFACE, colour, dash, mark

WIDTH, HEIGHT = 500, 360
LEAST_LAGS = 20
POINTS, MARKS = 16, 2  # on each line


def lag_of(record: ComparisonRecord) -> int:
    """The lag at which gradients are compared; 0 if nothing was measured."""
    return next((cell.recall.lag for cell in record.cells if cell.recall and not cell.recall.problem), 0)


def recall_figure(record: ComparisonRecord) -> str:
    """Gradients by lag up to three times the lag; nothing if none was measured."""
    lag = lag_of(record)
    flows = [_near(cell, max(LEAST_LAGS, 3 * lag)) for cell in record.cells]
    if not any(flows):
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        axes.axhline(0, color=GRID, linewidth=1.6)
        for index, points in enumerate(flows):
            _line(axes, index, [x for x, _ in points], [y for _, y in points])
        whole_steps(axes, [x for points in flows for x, _ in points], local("lag (steps back from the loss)"), WIDTH)
        axes.set_ylabel(local("log10 of the gradient, relative to lag 1"))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        mark_at(axes, lag, local("lag {lag}", lag=lag), strong=True)
        return to_svg(figure, "recall", local("Gradient by lag of each cell; the numbers are in the table below"))


def _near(cell: CellRecord, last: int) -> list[tuple[int, float]]:
    """The medians of a cell up to a lag."""
    flow = cell.recall.flow if cell.recall else None
    if flow is None or not known(flow.median):
        return []
    return [(lag, value) for lag, value in zip(flow.lags, gapped(flow.median), strict=True) if lag <= last]


def half_life_figure(record: ComparisonRecord) -> str:
    """Half-lives of the units of each cell, the longest first; nothing if no cell has any."""
    lives = [_lives(cell) for cell in record.cells]
    finite = known(*lives)
    if not finite:
        return ""
    lag, top = lag_of(record), 3 * max(*finite, lag_of(record))
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        for index, own in enumerate(lives):
            ordered = [top] * own.count(None) + sorted(known(own), reverse=True)
            _line(axes, index, [(k + 0.5) / len(ordered) for k in range(len(ordered))], ordered)
        axes.set_yscale("log")
        axes.set_ylim(min(*finite, lag) / 2, top)
        axes.set_xlim(0, 1)
        axes.axhline(lag, color=INK, linewidth=1.2)
        axes.annotate(
            local("lag {lag}", lag=lag), (1, lag), (-5, 5), ("axes fraction", "data"), "offset points", ha="right",
            color=INK, fontsize=12,
        )  # fmt: skip
        axes.set_xlabel(local("units, the longest first"))
        axes.set_ylabel(local("half-life (steps)"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, 0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return to_svg(figure, "half-life", local("Half-lives of the units of each cell"))


def _lives(cell: CellRecord) -> list[float | None]:
    """The half-lives of all units of a cell; None for a unit that never halves."""
    memory = cell.recall.memory if cell.recall else ()
    return [life if life is None else max(life, 1e-3) for own in memory for life in own.units]


def _line(axes: Axes, index: int, x: list[int] | list[float], y: list[float]) -> None:
    if not x:
        return
    kept = [round(k * (len(x) - 1) / (POINTS - 1)) for k in range(POINTS)] if len(x) > POINTS else range(len(x))
    x, y = [x[k] for k in kept], [y[k] for k in kept]
    (line,) = axes.plot(x, y, color=colour(index), linewidth=2.2, linestyle=dash(index))
    first = (1 + index) % 8 * len(x) // (8 * MARKS)  # so that marks of neighbours do not cover each other
    places = sorted({first + k * len(x) // MARKS for k in range(MARKS)} & {*range(len(x))})
    line.set(marker=mark(index), markevery=places, markersize=7, markeredgecolor=SURFACE, markeredgewidth=0.8)
    tag(line, series=index)
