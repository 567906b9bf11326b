"""Learning curves as numbers: thinned curves of runs, and the mean over the seeds of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.records import ComparisonRecord, RunRecord
from tidegate.report.group import runs_of

Array = NDArray[np.float64]
POINTS = 5000  # in all thin curves of a figure together, to keep the page small
GRID_POINTS = 60


@dataclass(frozen=True)
class Curve:
    """Points of one line; ``best`` is the index of the best epoch, or -1."""

    x: Array
    y: Array
    best: int = -1


def run_curve(run: RunRecord, axis: str) -> Curve:
    """The validation score of a run by ``"epoch"`` or ``"second"``, without values that are not finite."""
    x = np.array([epoch.epoch for epoch in run.curve], dtype=float)
    if axis == "second":
        x = np.cumsum(np.nan_to_num(np.array([epoch.seconds for epoch in run.curve], dtype=float), posinf=0))
    y = np.array([epoch.valid for epoch in run.curve], dtype=float)
    keep = np.isfinite(x) & np.isfinite(y)
    at_best = np.flatnonzero(np.array([epoch.epoch == run.best_epoch for epoch in run.curve], dtype=bool)[keep])
    return Curve(x[keep], y[keep], int(at_best[0]) if len(at_best) else -1)


def _points_per_run(runs: int) -> int:
    return max(8, POINTS // max(1, runs))


def needs_thinning(record: ComparisonRecord) -> bool:
    """Whether some run has more epochs than are drawn; the page says so."""
    return any(len(run.curve) > _points_per_run(len(record.runs)) for run in record.runs)


def thinned(curve: Curve, runs: int) -> Curve:
    """The curve with at most the number of points that each of ``runs`` runs may have; ends and best epoch remain."""
    points = _points_per_run(runs)
    if len(curve.x) <= points:
        return curve
    keep = np.unique(np.append(np.linspace(0, len(curve.x) - 1, points).round().astype(int), max(curve.best, 0)))
    return Curve(curve.x[keep], curve.y[keep], int(np.searchsorted(keep, curve.best)) if curve.best >= 0 else -1)


def mean_curve(record: ComparisonRecord, cell: str, axis: str) -> Curve:
    """The mean over finished seeds up to the first that ended, since later means would favour the survivors."""
    curves = [run_curve(run, axis) for run in runs_of(record, cell) if run.status == "finished"]
    curves = [curve for curve in curves if len(curve.x)]
    if not curves:
        return Curve(np.empty(0), np.empty(0))
    x = _common_epochs(curves) if axis == "epoch" else _common_seconds(curves)
    values = [np.interp(x, curve.x, curve.y) for curve in curves]
    return Curve(x, np.mean(values, axis=0) if len(x) else np.empty(0))


def _common_epochs(curves: list[Curve]) -> Array:
    return np.array(sorted(set.intersection(*(set(curve.x.tolist()) for curve in curves))), dtype=float)


def _common_seconds(curves: list[Curve]) -> Array:
    start, end = max(curve.x[0] for curve in curves), min(curve.x[-1] for curve in curves)
    return np.linspace(start, end, GRID_POINTS) if end > start else np.array([end] if end == start else [])


def limits(curves: list[Curve]) -> tuple[float, float]:
    """The range of scores to draw: all of them, unless a few outliers would flatten the rest."""
    values = np.concatenate([curve.y for curve in curves]) if curves else np.empty(0)
    if not len(values):
        return 0.0, 1.0
    low, middle, high = float(values.min()), float(np.median(values)), float(values.max())
    if high - low > 8 * (middle - low):
        high = max(float(np.quantile(values, 0.94)), low + 4 * (middle - low))
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad
