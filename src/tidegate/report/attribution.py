"""Which features and lags of an attribution are shown, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tidegate.records import AttributionRecord
from tidegate.report.number import percent, plain, rounded

MOST_FEATURES, LEAST_LAGS = 12, 12
SEEN = 0.015  # of the largest bar: smaller ones are thinner than a third of a pixel


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
    """How many lags are drawn: up to the last bar that can be seen, at least 12, and the season."""
    size = largest(attribution)
    seen = [k for k, row in enumerate(attribution.values) if any(abs(v or 0.0) > SEEN * size for v in row)]
    least = sum(lag <= max(LEAST_LAGS, 0 if season is None else season + 1) for lag in attribution.lags)
    return min(len(attribution.lags), max(least, max(seen, default=0) + 1))


def largest(attribution: AttributionRecord) -> float:
    """The largest absolute contribution; 1 if there is none."""
    return max((abs(value or 0.0) for row in attribution.values for value in row), default=0.0) or 1.0


def share_beyond(attribution: AttributionRecord, count: int) -> float:
    """The share of all absolute contributions at the lags after the first ones."""
    by_lag = [sum(abs(value or 0.0) for value in row) for row in attribution.sizes or attribution.values]
    return sum(by_lag[count:]) / (sum(by_lag) or 1.0)


def ranked_features(attribution: AttributionRecord) -> list[int]:
    """The features that are drawn, the largest first; none if there is no attribution, and none that adds nothing."""
    if attribution.abstained or not attribution.lags or not attribution.values:
        return []
    sizes = feature_sizes(attribution)
    return [k for k in sorted(range(len(sizes)), key=lambda k: -sizes[k]) if sizes[k]][:MOST_FEATURES]


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
                "lag": plain(attribution.lags[max(range(len(sharp)), key=sharp.__getitem__)]),
            }
        )
    return rows
