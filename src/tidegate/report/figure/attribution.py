"""Attributions: a row for each feature, by lag, above the line what raises the answer and below it what lowers it."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from tidegate.language import local, translated
from tidegate.records import AttributionRecord, ExplanationRecord
from tidegate.report.attribution import SEEN, largest, ranked_features, shown_lags
from tidegate.report.figure.lag import gapped, mark_at
from tidegate.report.figure.svg import NARROW, drawing, to_svg
from tidegate.report.palette import GRID, INK, colour, short_names

ROW, LOW_ROW, FOOT = 52, 38, 60
MOST_SEASONS, FEW = 4, 4
REACH = 0.46  # of a row: the largest bar
NAME = 0.12  # of the axis: the name of a mark


def attribution_figure(record: ExplanationRecord, attribution: AttributionRecord, width: int, name: str) -> str:
    """The figure; nothing if there is no attribution."""
    chosen = ranked_features(attribution)
    if not chosen:
        return ""
    size = largest(attribution)
    shown = shown_lags(attribution, record.seasonality)
    attribution = replace(attribution, lags=attribution.lags[:shown], values=attribution.values[:shown])
    high = ROW if len(chosen) <= FEW else LOW_ROW
    with drawing(width, high * len(chosen) + FOOT) as (figure, axes):
        for row, feature in enumerate(chosen):
            _row(axes, attribution, feature, len(chosen) - 1 - row, size)
        texts = short_names(
            [translated(attribution.features[feature]) for feature in chosen], 16 if width == NARROW else 30
        )
        axes.set_yticks(range(len(chosen) - 1, -1, -1), texts, color=INK)
        axes.set_ylim(-0.6, len(chosen) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(local("lag (steps back from the answer)"))
        axes.xaxis.set_major_locator(MaxNLocator(width // 80, integer=True))
        axes.set_xlim(min(attribution.lags) - 0.5, max(attribution.lags) + 0.5)
        if record.seasonality:
            _seasons(axes, record.seasonality)
        return to_svg(
            figure, name, local("Attribution of {target} by lag and feature", target=attribution.target), hover=False
        )


def _row(axes: Axes, attribution: AttributionRecord, feature: int, level: int, size: float) -> None:
    axes.axhline(level, color=GRID, linewidth=1)
    shares = [value / size for value in gapped(by_lag[feature] for by_lag in attribution.values)]
    for kind, sign in ((0, 1), (1, -1)):
        bars = [(lag, share) for lag, share in zip(attribution.lags, shares, strict=True) if sign * share > SEEN]
        if bars:
            path = Path.make_compound_path(*(_bar(lag, level, REACH * share) for lag, share in bars))
            axes.add_patch(PathPatch(path, color=colour(kind), linewidth=0, zorder=2))


def _bar(lag: int, level: float, height: float) -> Path:
    left, right = lag - 0.5, lag + 0.5
    return Path([(left, level), (left, level + height), (right, level + height), (right, level), (left, level)])


def _seasons(axes: Axes, season: int) -> None:
    """Marks at the season and its multiples, with names where there is room."""
    left, right = axes.get_xlim()
    named = max(1, round(NAME * (right - left) / season + 0.5))
    for k in range(1, MOST_SEASONS + 1):
        text = local("season") if k == 1 else f"{k}×"  # noqa: RUF001  times
        mark_at(axes, k * season, text if (k - 1) % named == 0 else "")
