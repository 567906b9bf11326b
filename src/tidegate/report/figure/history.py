"""The score with a shortened history, and by horizon with and without the true past."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tidegate.language import local, translated
from tidegate.records import ContextRecord, ExplanationRecord, ForcingRecord
from tidegate.report.figure.lag import HEIGHT, gapped, known, mark_at, whole_steps
from tidegate.report.figure.svg import NARROW, drawing, to_svg, wrapped
from tidegate.report.number import plain
from tidegate.report.palette import colour

WIDTH = NARROW + 60
DASH = (5, 3)


def context_figure(record: ExplanationRecord, context: ContextRecord, name: str) -> str:
    """The figure; nothing if there is no score."""
    if not known(context.scores):
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        if context.low and context.high:
            low, high = gapped(context.low), gapped(context.high)
            axes.fill_between(context.lengths, low, high, color=colour(0), alpha=0.2, linewidth=0)
        axes.plot(context.lengths, gapped(context.scores), "o-", color=colour(0), linewidth=2.2, markersize=5)
        _steps(axes, context.lengths)
        if record.seasonality:
            mark_at(axes, record.seasonality, local("season {season}", season=record.seasonality))
        if context.reach:
            mark_at(
                axes,
                context.reach,
                local("enough {reach}", reach=context.reach),
                strong=True,
                raised=bool(record.seasonality),
            )
        _score(axes, context.metric, context.unit)
        return to_svg(figure, name, local("{metric} by the length of the history", metric=context.metric), hover=False)


def forcing_figure(forcing: ForcingRecord, name: str) -> str:
    """The figure; nothing if there is no score."""
    if not known(forcing.forced, forcing.free):
        return ""
    with drawing(WIDTH, HEIGHT) as (figure, axes):
        axes.plot(forcing.horizons, gapped(forcing.forced), "o-", color=colour(0), linewidth=2.2, markersize=5)
        free = gapped(forcing.free)
        axes.plot(
            forcing.horizons, free, "s", color=colour(1), linewidth=2.2, markersize=5, dashes=DASH, linestyle="--"
        )
        whole_steps(axes, forcing.horizons, local("horizon (steps ahead)"), WIDTH)
        _score(axes, forcing.metric, forcing.unit)
        label = local("{metric} by horizon, with the true past and free-running", metric=forcing.metric)
        return to_svg(figure, name, label, hover=False)


def _steps(axes: Axes, lengths: tuple[int, ...]) -> None:
    axes.set_xlabel(local("history (steps)"))
    if min(lengths) > 0 and max(lengths) > 8 * min(lengths):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _score(axes: Axes, metric: str, unit: str) -> None:
    axes.set_ylabel(
        wrapped(local("{metric} ({unit})", metric=metric, unit=unit) if unit else translated(metric), HEIGHT - 60)
    )
    axes.yaxis.set_major_locator(MaxNLocator(5))
