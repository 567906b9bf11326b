"""Scores: a dot for each seed, mean and interval of each cell, baselines as vertical lines."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.language import local, translated
from tidegate.records import BaselineRecord, ComparisonRecord
from tidegate.report.figure.svg import LINE, NARROW, WIDE, drawing, tag, to_svg, wrapped
from tidegate.report.group import ranking, scores_of
from tidegate.report.number import known, rounded
from tidegate.report.palette import INK, MUTED, SURFACE, colour, mark, short_names

HEAD, FOOT = 18, 60
BESIDE = {WIDE: 190, NARROW: 110}  # pixels to the left of the axes, about
REACH = 0.75  # baselines are drawn up to this share of the range of scores away


def score_figure(record: ComparisonRecord, width: int = WIDE) -> str:
    """The figure, or nothing if no run finished; ``width`` is ``WIDE`` or ``NARROW``."""
    span = _span(record)
    if span is None:
        return ""
    order, drawn, pixels = ranking(record), near_baselines(record), _row_height(record)
    height = HEAD + pixels * len(order) + HEAD * len(drawn) + FOOT + LINE * _label(record, width).count("\n")
    with drawing(width, height) as (figure, axes):
        for row, index in enumerate(order):
            _row(axes, record, index, row)
        for level, baseline in enumerate(drawn):
            _baseline(axes, baseline, -0.75 - level * HEAD / pixels)
        _frame(axes, record, order, len(drawn) * HEAD / pixels)
        axes.set_xlabel(_label(record, width))
        axes.xaxis.set_major_locator(MaxNLocator(width // 80))
        label = local(
            "Test scores of {count} cells, one dot per seed, with mean and 95 % interval; see the table below",
            count=len(order),
        )
        return to_svg(figure, f"scores-{width}", label, hover=width == WIDE)


def _row_height(record: ComparisonRecord) -> int:
    return 46 if len(record.cells) <= 6 else 36


def near_baselines(record: ComparisonRecord) -> list[BaselineRecord]:
    """Baselines that can be drawn without squeezing the cells, best first."""
    span = _span(record)
    if span is None:
        return []
    low, high = span
    reach = REACH * (high - low) or 0.05 * abs(low) or 1.0
    near = [baseline for baseline in record.baselines if low - reach <= baseline.score <= high + reach]
    return sorted(near, key=lambda baseline: baseline.score)


def _span(record: ComparisonRecord) -> tuple[float, float] | None:
    """Lowest and highest score or end of an interval."""
    values = [value for cell in record.cells for value in scores_of(record, cell.name).values()]
    values += [v for cell in record.cells for v in (cell.low, cell.mean, cell.high) if v is not None and known(v)]
    return (min(values), max(values)) if values else None


def _row(axes: Axes, record: ComparisonRecord, index: int, row: int) -> None:
    cell = record.cells[index]
    for seed, score in scores_of(record, cell.name).items():
        (dot,) = axes.plot(score, row + 0.2, "o", color=colour(index), alpha=0.7, markersize=6, markeredgewidth=0)
        tag(dot, title=local("{cell}, seed {seed}: {score}", cell=cell.name, seed=seed, score=rounded(score, 5)))
    if cell.mean is None or not known(cell.mean):
        axes.text(0.01, row, local("no run finished"), transform=axes.get_yaxis_transform(), va="center", color=MUTED)
        return
    mean = rounded(cell.mean, 5)
    title = local("{cell}: mean {mean}", cell=cell.name, mean=mean)
    if cell.low is not None and cell.high is not None and known(cell.low) and known(cell.high):
        (line,) = axes.plot([cell.low, cell.high], [row - 0.12] * 2, color=colour(index), linewidth=3)
        title = local(
            "{cell}: mean {mean}, 95 % interval {low} to {high}",
            cell=cell.name,
            mean=mean,
            low=rounded(cell.low, 5),
            high=rounded(cell.high, 5),
        )
        tag(line, title=title)
    (large,) = axes.plot(
        cell.mean, row - 0.12, mark(index), color=colour(index), markersize=10, markeredgecolor=SURFACE
    )
    tag(large, title=title)


def _baseline(axes: Axes, baseline: BaselineRecord, level: float) -> None:
    axes.plot([baseline.score] * 2, [level, 99], color=INK, linewidth=1.1, dashes=(3, 2.5), solid_capstyle="butt")
    low, high = axes.get_xlim()
    right = baseline.score > (low + high) / 2
    text = f" {short_names([translated(baseline.name)])[0]} {rounded(baseline.score, 4)} "
    axes.text(baseline.score, level, text, ha="right" if right else "left", va="center", color=INK, fontsize=11)


def _frame(axes: Axes, record: ComparisonRecord, order: list[int], head: float) -> None:
    names = short_names([cell.name for cell in record.cells])
    axes.set_yticks(range(len(order)), [names[index] for index in order], color=INK, fontsize=12.5)
    axes.set_ylim(len(order) - 0.4, -0.5 - head)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.03)


def _label(record: ComparisonRecord, width: int) -> str:
    return wrapped(
        local("test {metric} ({unit}), lower is better", metric=record.metric, unit=record.unit), width - BESIDE[width]
    )
