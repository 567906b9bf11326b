"""Learning curves: thin lines for seeds, thick lines for means, a mark at the best epoch of each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.language import local, word
from tidegate.records import ComparisonRecord, RunRecord
from tidegate.report.curve import Curve, limits, mean_curve, run_curve, thinned
from tidegate.report.figure.svg import drawing, tag, to_svg, wrapped
from tidegate.report.group import all_runs
from tidegate.report.palette import SURFACE, colour, dash, mark

WIDTH, HEIGHT = 500, 380
AXES = ("epoch", "second")


@dataclass(frozen=True)
class Panel:
    """A figure, and the numbers from which a script reads the values under the pointer."""

    axis: str
    svg: str
    data: dict[str, Any]


def curve_figures(record: ComparisonRecord) -> list[Panel]:
    """A panel by epoch and one by second; none if no run has a curve."""
    if not any(len(run_curve(run, "epoch").x) for run in record.runs):
        return []
    return [_panel(record, axis) for axis in AXES]


def _panel(record: ComparisonRecord, axis: str) -> Panel:
    runs = all_runs(record)
    curves = [thinned(run_curve(run, axis), len(runs)) for run in runs]
    means = [mean_curve(record, cell.name, axis) for cell in record.cells]
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        places = {cell.name: index for index, cell in enumerate(record.cells)}
        for run, curve in zip(runs, curves, strict=True):
            _thin(axes, run, curve, places.get(run.cell, 0), _opacity(len(places)))
        for index, mean in enumerate(means):
            _thick(axes, mean, index)
        _frame(
            axes,
            record,
            axis,
            limits([c for r, c in zip(runs, curves, strict=True) if r.status == "finished"] or curves),
        )
        label = local(
            "Validation {metric} by {axis} of {count} runs, with the mean of each cell",
            metric=record.metric,
            axis=word(axis),
            count=len(runs),
        )
        svg = to_svg(figure, f"curves-{axis}", label)
        return Panel(axis, svg, _hover(record, axes, means))


def _opacity(cells: int) -> float:
    """The opacity of thin lines, lower if there are many."""
    return 0.45 if cells <= 4 else 0.25 if cells <= 8 else 0.14


def _thin(axes: Axes, run: RunRecord, curve: Curve, index: int, alpha: float) -> None:
    diverged = run.status != "finished"
    (line,) = axes.plot(curve.x, curve.y, color=colour(index), alpha=alpha, linewidth=1)
    tag(line, series=index)
    ends = [(len(curve.x) - 1, "x", 7)] if diverged and len(curve.x) else [(curve.best, "o", 3.6)]
    for place, sign, points in ends:
        if place >= 0:
            (end,) = axes.plot(curve.x[place], curve.y[place], sign, color=colour(index), markersize=points, alpha=0.85)
            what = (
                local("last finite epoch before it diverged")
                if diverged
                else local("best epoch {best_epoch}", best_epoch=run.best_epoch)
            )
            tag(end, series=index, title=local("{cell}, seed {seed}: {what}", cell=run.cell, seed=run.seed, what=what))


def _thick(axes: Axes, mean: Curve, index: int) -> None:
    (line,) = axes.plot(mean.x, mean.y, color=colour(index), linewidth=2.6, linestyle=dash(index))
    line.set(marker=mark(index), markevery=[-1], markersize=8, markeredgecolor=SURFACE, markeredgewidth=0.8)
    tag(line, series=index, part="mean")


def _frame(axes: Axes, record: ComparisonRecord, axis: str, drawn: tuple[float, float]) -> None:
    axes.set_xlabel(local("epoch") if axis == "epoch" else local("training time (s)"))
    axes.set_ylabel(wrapped(local("validation {metric}", metric=record.metric), 310))
    axes.set_ylim(drawn)
    low, high = axes.dataLim.intervalx
    if axis == "epoch" and low == high:
        axes.set_xlim(low - 1, high + 1)  # a single epoch has no fractions
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=axis == "epoch"))
    axes.grid(axis="x", visible=False)


def _hover(record: ComparisonRecord, axes: Axes, means: list[Curve]) -> dict[str, Any]:
    box = axes.get_window_extent()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    series = [
        {"series": index, "name": record.cells[index].name, "x": _short(mean.x), "y": _short(mean.y)}
        for index, mean in enumerate(means)
        if len(mean.x)
    ]
    edges = [box.x0, HEIGHT - box.y1, box.x1, HEIGHT - box.y0]
    return {"box": _short(edges), "limits": _short([left, low, right, high]), "series": series}


def _short(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
