"""Weights of several classifiers' logits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray

LARGEST = 20.0  # a weight


def stacked(logits: Sequence[torch.Tensor], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """The weights of a sum of logits, chosen on rows held out; 0 for what adds too little.

    Of all choices of classifiers, weighed by ``weighed``, the one with the least sum over rows of the loss, plus 1 for
    each classifier: a part that lowers it by less than 1 nat may do so by chance.

    Args:
        logits: [N, classes] of each classifier, for rows that it has not learnt from.
        truth: [N] classes.

    References:
        Akaike 1974, doi 10.1109/TAC.1974.1100705.
    """
    places = range(len(logits))
    choices = [choice for size in range(1, len(logits) + 1) for choice in itertools.combinations(places, size)]
    found = [weighed([logits[place] for place in choice], truth) for choice in choices]
    best = min(range(len(choices)), key=lambda k: len(truth) * found[k][1] + len(choices[k]))
    weight = dict(zip(choices[best], found[best][0], strict=True))
    return tuple(weight.get(place, 0.0) for place in places)


def weighed(logits: Sequence[torch.Tensor], truth: NDArray[np.int64]) -> tuple[tuple[float, ...], float]:
    """The weights, none below zero, of a sum of logits that has the least log loss on rows held out, and the loss.

    Equations:
        minimise mean_n H(t_n, softmax(sum_m w_m z_m[n])), 0 <= w_m <= 20;  t_n = (1 - e) [class] + e / classes,
        e = 1 / (N + 2)

    Without e, weights would grow without end where all rows are right. The loss is convex in w.

    Args:
        logits: [N, classes] of each classifier.
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
    return tuple(found.x.tolist()), float(found.fun)
