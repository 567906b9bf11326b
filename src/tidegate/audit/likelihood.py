"""The likelihood ratio attack: what a row's loss is in models that have learnt from it, and in others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

EACH = 16  # shadows with and without a row, from which on each row has a spread of its own
LEAST = 1e-6  # a spread; fewer shadows may agree by chance


def confidence(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logit of the probability that a model gives to the truth, which is nearly normal over models.

    Equations:
        φ = log(p / (1 - p)) = -loss - log(1 - exp(-loss)), loss in nats

    Args:
        losses: of any shape, not negative.

    Example:
        >>> import numpy as np, tidegate as tg
        >>> tg.audit.confidence(np.array([np.log(2.0)]))  # a probability of 1/2
        array([0.])
    """
    losses = np.maximum(losses, 1e-12)
    found: NDArray[np.float64] = -losses - np.log(-np.expm1(-losses))
    return found


def ratio(
    own: NDArray[np.float64], shadows: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], str]:
    """The score of each row: the logarithm of how much likelier its confidence is if it was learnt from.

    Equations:
        score = log N(φ; μ_in, σ_in²) - log N(φ; μ_out, σ_out²)

    Means are those of each row; with fewer than 16 shadows on either side, spreads are those of all rows
    together. A row that every shadow has learnt from, or none, gets no score (NaN).

    Args:
        own: [n] confidences of the model that is audited.
        shadows: [models, n] those of the shadow models.
        inside: [models, n] which of them have learnt from which rows.

    Returns:
        [n] scores, and which spread was used, in words.

    References:
        Carlini et al. 2022, arXiv 2112.03570, Algorithm 1 and section VI-B (one spread for few shadows).

    Example:
        >>> import numpy as np, tidegate as tg
        >>> inside = np.array([[True, False], [False, True], [True, False], [False, True]])
        >>> shadows = np.where(inside, 2.0, -2.0) + np.array([[0.1], [0.2], [0.3], [0.4]])
        >>> scores, spread = tg.audit.ratio(np.array([2.0, -2.0]), shadows, inside)
        >>> scores > 0
        array([ True, False])
    """
    counts = np.minimum(inside.sum(0), (~inside).sum(0))
    means, rest = {}, {}
    for side, mask in ((True, inside), (False, ~inside)):
        known = np.where(mask, shadows, 0.0)
        means[side] = known.sum(0) / np.maximum(mask.sum(0), 1)
        rest[side] = np.where(mask, shadows - means[side], 0.0) ** 2, mask.sum(0)
    single = bool(len(counts)) and int(np.median(counts)) >= EACH
    spreads = {side: _spread(*parts, single=single) for side, parts in rest.items()}
    log = {side: stats.norm.logpdf(own, means[side], spreads[side]) for side in (True, False)}
    scores = np.where(counts > 0, log[True] - log[False], np.nan)
    return scores, "one for each row" if single else "one for all rows"


def _spread(squares: NDArray[np.float64], counts: NDArray[np.int64], *, single: bool) -> NDArray[np.float64]:
    """[n] standard deviations."""
    if single:
        each: NDArray[np.float64] = np.maximum(np.sqrt(squares.sum(0) / np.maximum(counts - 1, 1)), LEAST)
        return each
    freedom = max(1, int(np.maximum(counts - 1, 0).sum()))
    return np.full(len(counts), max(float(np.sqrt(squares.sum() / freedom)), LEAST))
