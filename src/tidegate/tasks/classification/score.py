"""Scores of classifiers from the probabilities that they give."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score
from torch.nn.functional import cross_entropy

from tidegate.train.sample import Sample

BINS = 15
LEAST = 1e-12  # a probability of 0 would cost infinitely much
HOTTEST = 20.0

Chances = NDArray[np.float64]
Classes = NDArray[np.int64]

OF_ANSWERS = ("accuracy", "macro F1")  # scores that need no probabilities
# name: (unit, which is better)
SCORES = {
    "accuracy": ("", "higher"),
    "macro F1": ("", "higher"),
    "NLL": ("nats", "lower"),
    "ECE": ("", "lower"),
    "Brier": ("", "lower"),
}


def scored(chances: Chances, truth: Classes) -> dict[str, float]:
    """Every score of ``SCORES``.

    Args:
        chances: [N, classes] probabilities.
        truth: [N] classes.
    """
    answers = chances.argmax(1)
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "macro F1": float(f1_score(truth, answers, average="macro", zero_division=0)),
        "NLL": log_loss(chances, truth),
        "ECE": calibration_error(chances, truth),
        "Brier": brier(chances, truth),
    }


def log_loss(chances: Chances, truth: Classes) -> float:
    """Mean of -log p(class), in nats; probabilities below 1e-12 count as that."""
    return float(row_losses(chances, truth).mean())


def row_losses(chances: Chances, truth: Classes) -> NDArray[np.float64]:
    """[N] -log p(class) of each row."""
    losses: NDArray[np.float64] = -np.log(np.maximum(chances[np.arange(len(truth)), truth], LEAST))
    return losses


def samples(chances: Chances, truth: Classes) -> dict[str, Sample]:
    """The errors of each row, by the scores that decide whether a model is better."""
    return {"accuracy": Sample.of(chances.argmax(1) != truth), "NLL": Sample.of(row_losses(chances, truth))}


def brier(chances: Chances, truth: Classes) -> float:
    """Mean over sequences of the sum over classes of (p - [class])^2: from 0 to 2."""
    hit = np.eye(chances.shape[1])[truth]
    return float(((chances - hit) ** 2).sum(1).mean())


def calibration_error(chances: Chances, truth: Classes) -> float:
    """Expected calibration error over 15 equally wide bins of the largest probability.

    Equations:
        ECE = sum_m |B_m| / N |accuracy(B_m) - confidence(B_m)|, B_m = {n: m/15 < max p_n <= (m+1)/15}

    References:
        Guo et al. 2017, arXiv 1706.04599.
    """
    confidence, right = chances.max(1), chances.argmax(1) == truth
    bins = np.ceil(confidence * BINS).astype(int).clip(1, BINS) - 1
    gap = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(truth))


def temperature(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """The temperature between 1/20 and 20 at which the logits have the least cross-entropy.

    Args:
        logits: [N, classes].
        truth: [N] int64 classes.

    References:
        Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    logits, low, high = logits.double(), -math.log(HOTTEST), math.log(HOTTEST)
    ratio = (math.sqrt(5) - 1) / 2

    def loss(log: float) -> float:  # convex in 1 / temperature, so it has one minimum
        return float(cross_entropy(logits / math.exp(log), truth))

    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)
