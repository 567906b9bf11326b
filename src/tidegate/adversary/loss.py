"""Losses of single rows that an adversary raises."""

from __future__ import annotations

import torch


def margin(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[B] by how much the best wrong class leads the right one; above 0 the answer is wrong.

    Equations:
        max_{j != y} z_j - z_y

    Unlike the cross-entropy, it has a gradient however sure the model is, so logits of large scale do not hide it.

    Args:
        logits: [B, classes], two classes at least.
        targets: [B] int64.

    References:
        Carlini and Wagner 2017, arXiv 1608.04644, f6.
    """
    right = logits.gather(1, targets[:, None])[:, 0]
    wrong = logits.scatter(1, targets[:, None], float("-inf")).amax(1)
    return wrong - right


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[B] -log softmax(z)_y, in nats.

    Args:
        logits: [B, classes].
        targets: [B] int64.
    """
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")
