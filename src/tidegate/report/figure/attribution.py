"""Attributions: a row for each feature, by lag, above the line what raises the answer and below it what lowers it."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tidegate.records import AttributionRecord, ExplanationRecord
from tidegate.report.attribution import ranked_features, shown_lags
from tidegate.report.figure.lag import gapped, known, mark_at
from tidegate.report.figure.svg import drawing, to_svg
from tidegate.report.palette import GRID, INK, colour, short_names

ROW, LOW_ROW, FOOT = 52, 38, 60
MOST_SEASONS, FEW = 4, 4


def attribution_figure(record: ExplanationRecord, attribution: AttributionRecord, width: int, name: str) -> str:
    """The figure; nothing if there is no attribution."""
    chosen = ranked_features(attribution)
    if not chosen:
        return ""
    size = max((abs(value) for value in known(*attribution.values)), default=0.0) or 1.0
    shown = shown_lags(attribution, record.seasonality)
    attribution = replace(attribution, lags=attribution.lags[:shown], values=attribution.values[:shown])
    high = ROW if len(chosen) <= FEW else LOW_ROW
    with drawing(width, high * len(chosen) + FOOT) as (figure, axes):
        for row, feature in enumerate(chosen):
            _row(axes, attribution, feature, len(chosen) - 1 - row, size)
        texts = short_names([attribution.features[feature] for feature in chosen], 16 if width < 600 else 28)
        axes.set_yticks(range(len(chosen) - 1, -1, -1), texts, color=INK)
        axes.set_ylim(-0.6, len(chosen) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("lag (steps back from the answer)")
        axes.xaxis.set_major_locator(MaxNLocator(width // 80, integer=True))
        axes.set_xlim(min(attribution.lags) - 0.5, max(attribution.lags) + 0.5)
        for k in range(1, MOST_SEASONS + 1):
            if record.seasonality:
                mark_at(axes, k * record.seasonality, "season" if k == 1 else f"{k}×")  # noqa: RUF001  times
        return to_svg(figure, name, f"Attribution of {attribution.target} by lag and feature", hover=False)


def _row(axes: Axes, attribution: AttributionRecord, feature: int, level: int, size: float) -> None:
    heights = [0.46 * value / size for value in gapped(by_lag[feature] for by_lag in attribution.values)]
    axes.axhline(level, color=GRID, linewidth=1)
    for kind, sign in ((0, 1), (1, -1)):
        shown = [level + (height if sign * height > 0 else 0.0) for height in heights]
        edges = [*(lag - 0.5 for lag in attribution.lags), attribution.lags[-1] + 0.5]
        axes.stairs(shown, edges, baseline=level, fill=True, color=colour(kind), linewidth=0)
