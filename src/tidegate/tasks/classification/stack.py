"""Weights of several classifiers' logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray

LARGEST = 20.0  # a weight


def stacked(logits: Sequence[torch.Tensor], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """The weights, none below zero, of a sum of logits that has the least log loss on rows held out.

    Equations:
        minimise mean_n H(t_n, softmax(sum_m w_m z_m[n])), 0 <= w_m <= 20;  t_n = (1 - e) [class] + e / classes,
        e = 1 / (N + 2)

    Without e, weights would grow without end where all rows are right. The sum is convex in w.

    Args:
        logits: [N, classes] of each classifier, for rows that it has not learnt from.
        truth: [N] classes.

    References:
        Weights that are not negative: Breiman 1996, doi 10.1007/BF00117832. Targets: after Platt 1999.
    """
    every = torch.stack([one.double() for one in logits])
    rows, classes = every.shape[1:]
    share = 1 / (rows + 2)
    targets = torch.full((rows, classes), share / classes, dtype=torch.float64)
    targets[torch.arange(rows), torch.from_numpy(truth)] += 1 - share

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = torch.einsum("m,mnk->nk", torch.from_numpy(weights), every)
        error = mixed.softmax(1) - targets
        slope = torch.einsum("nk,mnk->m", error, every) / rows
        return float(-(targets * mixed.log_softmax(1)).sum(1).mean()), slope.numpy()

    begin, bounds = np.full(len(every), 1 / len(every)), [(0.0, LARGEST)] * len(every)
    found = scipy.optimize.minimize(loss, begin, jac=True, bounds=bounds, method="L-BFGS-B")
    weights = found.x.tolist()
    return tuple(weights)
