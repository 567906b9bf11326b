"""Batches of sequences of similar length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def bucketed(
    lengths: torch.Tensor, size: int, order: torch.Generator | None = None, *, spread: float = 2.0
) -> Iterator[list[int]]:
    """Groups of up to ``size`` indices of similar lengths; each index comes once.

    Args:
        lengths: [N] of the sequences.
        size: of a group.
        order: draws who meets whom and the order of the groups; without it shorter ones come first.
        spread: lengths by which members of a drawn group may differ more than they must.
    """
    jitter = torch.zeros(len(lengths)) if order is None else spread * torch.rand(len(lengths), generator=order)
    ranking = torch.argsort(lengths + jitter, stable=True)
    groups = ranking.split(size)
    turns = range(len(groups)) if order is None else torch.randperm(len(groups), generator=order).tolist()
    for turn in turns:
        yield groups[turn].tolist()
