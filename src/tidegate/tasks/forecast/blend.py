"""How much of a forecast comes from the layers, and how far its quantiles lie from the median."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray

from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel, Window
from tidegate.tasks.forecast.origin import answered
from tidegate.tasks.forecast.ridge import ahead_of
from tidegate.tasks.forecast.score import Forecasts
from tidegate.tasks.forecast.setting import ForecastSetting

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
SHARES = np.linspace(0.0, 1.0, 21)
LEVEL = 0.84  # of a standard error above the mean
PRIOR = 4  # blocks: with as many in validation, at most half of a forecast comes from the layers
BLOCKS = 5  # fewest blocks in time; with fewer, those of each series count by themselves
NAMES = {"linear": "ridge", "last": "persistence", "season": "seasonal naive"}
ROUNDING = 1e-12
UNSEEN = 2  # blocks, beyond all that were seen
ENOUGH = 100  # origins for which each step has a correction of its own


@dataclass(frozen=True)
class Blend:
    """A share of the layers.

    Attributes:
        share: the share; 0 leaves the plain forecast alone.
        gain: how much lower the mean error is in validation than that of the plain forecast, at the share where it is
            lowest.
        plain: the mean absolute error of the plain forecast alone.
        mixed: that of the blend.
    """

    share: float
    gain: float
    plain: float
    mixed: float


def blend_of(model: DirectModel | RecursiveModel, grid: Grid, batches: Iterable[Window]) -> Blend:
    """How much of a model's forecasts should come from its layers, as validation says.

    Args:
        model: the model, whose share becomes 1.
        grid: the rows.
        batches: those of validation.
    """
    model.eval()
    model.share.fill_(1.0)

    def ask(batch: Window) -> torch.Tensor:
        outputs: torch.Tensor = model(batch)[0]
        middle = outputs.shape[-1] // 2
        return outputs[..., middle : middle + 1]

    made = answered(ask, grid, batches, (0.5,))
    steps = made.point.shape[1]
    levels = grid.plainly(torch.from_numpy(made.origin), steps).numpy()
    plain = grid.of_levels(levels, made.series, made.origin)
    truth = ahead_of(grid.truth, made.origin, steps)
    net, simple, wanted = (grid.standard(part, made.series) for part in (made.point, plain, truth))
    starts = np.array([span.start for span in grid.spans])
    return blended(net, simple, wanted, made.series, made.origin - starts[made.series])


def remarks(blend: Blend, encoding: ForecastEncoding, setting: ForecastSetting) -> tuple[str, ...]:
    """How the forecast is made, and what the layers add to the plain forecast in validation."""
    name, cell = NAMES[encoding.plain], setting.cell
    first = [
        *(["the logarithm of the target is forecast"] if encoding.logs else []),
        *(["the linear effect of what is known ahead is taken out of the target"] if encoding.effect else []),
    ]
    if setting.adversarial is not None:
        return *first, f"the {cell} answers alone: the {name} beside it has not learnt to bear an attack"
    if not blend.share:
        return *first, f"this is the {name}: in validation the layers added nothing to its {blend.plain:.4g}"
    part = f"{100 * blend.share:.0f} % of the forecast come from the layers"
    return *first, f"in validation {name} alone {blend.plain:.4g}, with the {cell} {blend.mixed:.4g}; {part}"


def correct(model: DirectModel | RecursiveModel, grid: Grid, made: Forecasts) -> None:
    """Correct the quantiles of a model by these forecasts of validation."""
    truth = grid.to_answers(ahead_of(grid.truth, made.origin, made.point.shape[1])[..., None], made.series, made.origin)
    starts = np.array([span.start for span in grid.spans])
    blocks = len(np.unique(_blocks(made.series, made.origin - starts[made.series], made.point.shape[1])))
    miss = truth - grid.to_answers(made.quantiles, made.series, made.origin)
    model.shift.copy_(torch.from_numpy(corrections(miss, made.levels, blocks)))


def blended(net: Values, plain: Values, truth: Values, series: Rows, origin: Rows) -> Blend:
    """The share of the layers that validates best, one standard error on the safe side.

    Equations:
        f = share * net + (1 - share) * plain,  d(share) = |truth - f| - |truth - plain|, the mean over steps
        minimise mean d + t se(d) over shares of at most B / (B + 4)

    The standard error is that of the means of B blocks as long as the horizon; t is the quantile of Student's
    distribution that corresponds to one standard error of many blocks.

    Args:
        net: [N, steps] forecasts of the layers, in standard deviations.
        plain: the same of the plain forecast.
        truth: the same of the true values.
        series: [N] the series of each.
        origin: [N] the row of each, counted from the first of its series.
    """
    errors = np.stack([np.abs(truth - share * net - (1 - share) * plain).mean(1) for share in SHARES], axis=1)
    excess = errors - errors[:, :1]
    block = _blocks(series, origin, plain.shape[1])
    _, place, counts = np.unique(block, return_inverse=True, return_counts=True)
    count = len(counts)
    if count < 2 or not np.isfinite(excess).all():
        return Blend(0.0, 0.0, float(errors[:, 0].mean()), float(errors[:, 0].mean()))
    means = np.stack([np.bincount(place, column) / counts for column in excess.T], axis=1)
    doubt = scipy.stats.t.ppf(LEVEL, count - 1) * means.std(0, ddof=1) / np.sqrt(count)
    risk = np.where(count / (count + PRIOR) >= SHARES, excess.mean(0) + doubt, np.inf)
    best = int(np.argmax(risk <= risk.min() + ROUNDING))  # the least of equal shares
    mean = errors.mean(0)
    gain = mean[0] - mean[np.isfinite(risk)].min()
    return Blend(float(SHARES[best]), float(gain), float(mean[0]), float(mean[best]))


def _blocks(series: Rows, origin: Rows, steps: int) -> Rows:
    """[N] a number for each stretch of as many rows as are forecast; in each series, where there are few."""
    block: Rows = (origin - origin.min()) // steps
    return block if len(np.unique(block)) >= BLOCKS else block + (block.max() + 1) * series


def corrections(miss: Values, levels: tuple[float, ...], blocks: int) -> Values:
    """What to add to the quantiles of each step so that as many true values of validation lie below them as should.

    Equations:
        c[k, q] = the ceil(n p)-th smallest of miss[i, k, q], i = 1, ..., n,  p = (B q + 2) / (B + 2)
        for q above 1/2, the mirror image of that for q below 1/2, and 0 for the median

    This is the asymmetric form of conformalised quantile regression, with B independent blocks in place of n
    independent rows, and two more beyond all others: one for the forecast to come, as there, and one because these
    rows also chose the model. With fewer than 100 origins all steps share one correction.

    Args:
        miss: [n, steps, quantiles] true values less the quantiles, in units of the change of each step.
        levels: the levels of the quantiles.
        blocks: the number of blocks as long as the horizon.

    References:
        Romano, Patterson and Candès 2019, arXiv 1905.03222, theorem 2.
    """
    steps = miss.shape[1]
    if len(miss) < ENOUGH:
        miss = miss.reshape(-1, 1, len(levels))
    count = len(miss)
    found = np.zeros((miss.shape[1], len(levels)))
    for place, level in enumerate(levels):
        sign = 1 if level > 0.5 else -1
        far = (blocks * max(level, 1 - level) + UNSEEN) / (blocks + UNSEEN)
        if level != 0.5:
            found[:, place] = sign * np.sort(sign * miss[..., place], axis=0)[int(np.ceil(far * count)) - 1]
    return np.repeat(found, steps // len(found), axis=0)
