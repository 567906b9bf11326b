"""Which features of an attribution are shown, and in which order."""

from __future__ import annotations

from typing import Any

from tidegate.records import AttributionRecord
from tidegate.report.number import percent, rounded

MOST_FEATURES = 12


def feature_sizes(attribution: AttributionRecord) -> list[float]:
    """For each feature the sum of its absolute contributions over all lags."""
    tables = attribution.sizes or attribution.values
    return [sum(abs(row[k] or 0.0) for row in tables) for k in range(len(attribution.features))]


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
