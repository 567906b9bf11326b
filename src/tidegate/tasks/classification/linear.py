"""Linear classifiers whose penalty is chosen on rows held out, and whose answers are logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tidegate.tasks.classification.hold import Holding, Rows
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.stack import weighed

RIDGE = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 7))  # of the penalty, in mean squares of a row
LOGISTIC = (0.001, 0.01, 0.1, 1.0, 10.0)  # C of logistic regression
ITERATIONS = 300
CONSTANT = 1e-9  # the largest deviation, relative to the mean, of a feature that only rounding changes

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Linear:
    """A linear map of features to logits.

    Attributes:
        weight: [classes, P] float64.
        bias: [classes] float64.
        held: [N, classes] logits of the rows held out, in the order of ``Holding.held``, from maps that have not
            learnt from them.
        how: the penalty, in words.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    held: torch.Tensor
    how: str

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """[N, P] features to [N, classes] float64 logits."""
        return features.double() @ self.weight.T + self.bias


def ridge(features: torch.Tensor, truth: Classes, kinds: int, holding: Holding) -> Linear:
    """Ridge regression on the classes.

    Equations:
        W, b minimise sum_n |y_n - W z_n - b|^2 + strength mean_n |z_n|^2 |W|^2;  logits = scale (W z + b)

    z are features in standard deviations from their mean; y is 1 for the class and -1 for all others. The scale is
    that of ``stack.weighed``.

    Args:
        features: [N, P].
        truth: [N] classes.
        kinds: the number of classes.
        holding: the rows to choose by and to learn from.
    """

    def fit(scores: torch.Tensor, rows: Rows) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return ridges(scores[rows], torch.from_numpy(2.0 * np.eye(kinds)[truth[rows]] - 1), RIDGE)

    return _chosen(features, truth, holding, fit, [f"strength {strength:.2g}" for strength in RIDGE], scaled=True)


def ridges(
    scores: torch.Tensor, targets: torch.Tensor, strengths: Sequence[float]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights [K, P] and biases [K] of ridge regressions, one for each strength, by one decomposition.

    Args:
        scores: [N, P] float64.
        targets: [N, K] float64.
        strengths: of the penalty, in mean squared lengths of the rows of ``scores`` less their mean.
    """
    centre, level = scores.mean(0), targets.mean(0)
    inputs, errors = scores - centre, targets - level
    wide = len(inputs) <= inputs.shape[1]
    squares, axes = torch.linalg.eigh(inputs @ inputs.T if wide else inputs.T @ inputs)
    seen = axes.T @ (errors if wide else inputs.T @ errors)
    unit = (inputs.square().sum() / len(inputs)).clamp(min=1e-30)
    maps = []
    for strength in strengths:
        found = axes @ (seen / (squares.clamp(min=0) + strength * unit)[:, None])
        weight = ((inputs.T @ found) if wide else found).T
        maps.append((weight, level - weight @ centre))
    return maps


def logistic(features: torch.Tensor, truth: Classes, kinds: int, holding: Holding) -> Linear:
    """Logistic regression on features in standard deviations from their mean.

    Args:
        features: [N, P].
        truth: [N] classes.
        kinds: the number of classes.
        holding: the rows to choose by and to learn from.
    """

    def fit(scores: torch.Tensor, rows: Rows) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [regression(scores[rows].numpy(), truth[rows], kinds, strength) for strength in LOGISTIC]

    return _chosen(features, truth, holding, fit, [f"C = {strength:g}" for strength in LOGISTIC], scaled=False)


def regression(scores: Any, truth: Classes, kinds: int, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [classes, P] and biases [classes] of a logistic regression.

    A class without rows is half as likely as one row would make it.

    Args:
        scores: [N, P], dense or sparse.
        truth: [N] classes.
        kinds: the number of classes.
        strength: C.
    """
    weight, bias = np.zeros((kinds, scores.shape[1])), np.full(kinds, -np.log(2.0 * len(truth)))
    there = np.unique(truth)
    if len(there) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # rows held out judge where it stopped
            made = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(scores, truth)
        both = len(there) == 2
        weight[there] = np.concatenate([-made.coef_ / 2, made.coef_ / 2]) if both else made.coef_
        bias[there] = np.concatenate([-made.intercept_ / 2, made.intercept_ / 2]) if both else made.intercept_
    else:
        bias[there] = 0.0
    return torch.from_numpy(weight), torch.from_numpy(bias)


def _chosen(
    features: torch.Tensor,
    truth: Classes,
    holding: Holding,
    fit: Callable[[torch.Tensor, Rows], list[tuple[torch.Tensor, torch.Tensor]]],
    names: Sequence[str],
    *,
    scaled: bool,
) -> Linear:
    """The map whose penalty has the least log loss on the rows held out, as a map of the features as they are."""
    deviation, mean = torch.std_mean(features.double(), 0, correction=0)
    level = torch.where(deviation > CONSTANT * mean.abs(), 1 / deviation, 0)
    scores = (features - mean) * level
    answers = [
        [scores[pair.held] @ weight.T + bias for weight, bias in fit(scores, pair.fit)] for pair in holding.pairs
    ]
    held, known = [torch.cat(parts) for parts in zip(*answers, strict=True)], truth[holding.held]
    scales = [weighed([logits], known)[0][0] if scaled else 1.0 for logits in held]
    losses = [log_loss((scale * logits).softmax(1).numpy(), known) for scale, logits in zip(scales, held, strict=True)]
    best = int(np.argmin(losses))
    weight, bias = fit(scores, holding.last)[best]
    weight = scales[best] * weight * level
    return Linear(weight, scales[best] * bias - weight @ mean, scales[best] * held[best], names[best])
