"""Beam search for the most probable targets of a batch of sources."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch

from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.tasks.translation.vocabulary import BEGIN, END
from tidegate.train.carry import mapped


class Translations(NamedTuple):
    """The best target of each source.

    Shapes:
        units [T, B] int64, ``END`` from the end on; lengths [B] without ``END``; scores [B], by which the beam ranks.
    """

    units: torch.Tensor
    lengths: torch.Tensor
    scores: torch.Tensor


@torch.inference_mode()
def beam_search(
    model: SequenceToSequence,
    sources: torch.Tensor,
    lengths: torch.Tensor,
    *,
    beam: int,
    longest: int,
    length_penalty: float = 1.0,
) -> Translations:
    """Extend the ``beam`` best targets of each source step by step.

    Equations:
        score(y) = log p(y | source) / |y| ** length_penalty, where |y| includes the end

    Targets that have ended stay in the beam and compete with the others; the search ends when all have ended or
    have ``longest`` units. A beam of 1 is greedy search; a beam that holds all targets is exhaustive.

    Args:
        model: in evaluation mode.
        sources: [S, B] unit numbers.
        lengths: [B] number of units in each source.
        beam: the number of targets to keep.
        longest: the largest number of units in a target.
        length_penalty: 0 ranks by probability, 1 by the mean log-probability per unit.
    """
    memory, state = model.read(sources, lengths)
    memory, state = memory.repeated(beam), mapped(state, partial(torch.Tensor.repeat_interleave, repeats=beam, dim=1))
    size = sources.shape[1]
    units = torch.full((1, size, beam), BEGIN)
    totals = torch.full((size, beam), -torch.inf)
    totals[:, 0] = 0  # all rows begin alike: extend only the first
    counts = torch.zeros(size, beam, dtype=torch.int64)
    ended = torch.zeros(size, beam, dtype=torch.bool)
    scores = totals
    for _ in range(longest):
        logits, _, state = model.write(units[-1].view(1, -1), memory, state)
        sums = totals[..., None] + _allowed(logits[0].log_softmax(-1).view(size, beam, -1), ended)
        counts = counts + ~ended
        ranked = sums / counts[..., None] ** length_penalty
        scores, place = ranked.flatten(1).topk(beam)
        origin, unit = place // ranked.shape[-1], place % ranked.shape[-1]
        totals = sums.flatten(1).gather(1, place)
        counts, ended = counts.gather(1, origin), ended.gather(1, origin) | (unit == END)
        units = torch.cat([units.gather(2, origin.expand_as(units)), unit[None]])
        state = mapped(state, partial(torch.Tensor.index_select, dim=1, index=_flat_rows(origin)))
        if (ended | totals.isneginf()).all():
            break
    best = units[1:, :, 0]
    return Translations(best, counts[:, 0] - ended[:, 0].long(), scores[:, 0])


def _allowed(chances: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the next units: never ``BEGIN``, and only ``END``, at no cost, after a target has ended."""
    chances[..., BEGIN] = -torch.inf
    stays = torch.full_like(chances[0, 0], -torch.inf)
    stays[END] = 0
    return torch.where(ended[..., None], stays, chances)


def _flat_rows(origin: torch.Tensor) -> torch.Tensor:
    """Rows within each beam [B, K] as rows of the flat batch [B * K]."""
    return (origin + origin.shape[1] * torch.arange(len(origin))[:, None]).flatten()
