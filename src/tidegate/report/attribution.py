"""Which features and lags of an attribution are shown, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tidegate.records import AttributionRecord
from tidegate.report.number import percent, rounded

MOST_FEATURES, LEAST_LAGS = 12, 12
TAIL = 0.005  # of the absolute contributions, at the last lags, may be left out of the figure


def feature_sizes(attribution: AttributionRecord) -> list[float]:
    """For each feature the sum of its absolute contributions over all lags."""
    tables = attribution.sizes or attribution.values
    return [sum(abs(row[k] or 0.0) for row in tables) for k in range(len(attribution.features))]


def in_order(attribution: AttributionRecord) -> AttributionRecord:
    """The same with lags in order, the smallest first."""
    order = sorted(range(len(attribution.lags)), key=attribution.lags.__getitem__)
    return replace(
        attribution,
        lags=tuple(attribution.lags[k] for k in order),
        values=tuple(attribution.values[k] for k in order) if attribution.values else (),
        sizes=tuple(attribution.sizes[k] for k in order) if attribution.sizes else (),
    )


def shown_lags(attribution: AttributionRecord, season: int | None) -> int:
    """How many lags are drawn: those with all but 0.5 % of the absolute contributions, the season, and at least 12."""
    by_lag = [sum(abs(value or 0.0) for value in row) for row in attribution.sizes or attribution.values]
    total, held, needed = sum(by_lag), 0.0, len(by_lag)
    for count, size in enumerate(by_lag):
        if held >= (1 - TAIL) * total:
            needed = count
            break
        held += size
    return min(len(by_lag), max(LEAST_LAGS, needed, 0 if season is None else season + 2))


def ranked_features(attribution: AttributionRecord) -> list[int]:
    """The features that are drawn, the largest first; none if there is no attribution."""
    if attribution.abstained or not attribution.lags or not attribution.values:
        return []
    sizes = feature_sizes(attribution)
    return sorted(range(len(sizes)), key=lambda k: -sizes[k])[:MOST_FEATURES]


def feature_rows(attribution: AttributionRecord) -> list[dict[str, Any]]:
    """Rows of the table of features: share of all absolute contributions, sum, and the lag with the largest one."""
    sizes = feature_sizes(attribution)
    total = sum(sizes) or 1.0
    rows = []
    for k in ranked_features(attribution):
        column = [row[k] or 0.0 for row in attribution.values]
        sharp = [abs(row[k] or 0.0) for row in (attribution.sizes or attribution.values)]
        rows.append(
            {
                "feature": attribution.features[k],
                "share": percent(sizes[k] / total),
                "sum": rounded(sum(column)),
                "lag": attribution.lags[max(range(len(sharp)), key=sharp.__getitem__)],
            }
        )
    return rows
