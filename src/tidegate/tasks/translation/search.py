"""The most probable targets of a batch of sources, by beam search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.tasks.translation.vocabulary import BEGIN, END


class Found(NamedTuple):
    """The best target of each source.

    Shapes:
        units [T, B] int64, ``END`` from the end on; lengths [B], the end not counted; scores [B] as they competed.
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
) -> Found:
    """Follow the ``beam`` best targets of each source, step by step.

    Equations:
        score(y) = log p(y | source) / |y| ** length_penalty, the end counted in |y|

    Targets that have ended stay in the beam and compete with those that go on; the search ends when all have ended
    or have ``longest`` units. A beam of 1 is greedy, one that holds all targets is exhaustive.

    Args:
        model: in evaluation mode.
        sources: [S, B] numbers of units.
        lengths: [B] how many of them count.
        beam: how many targets are followed.
        longest: units at which a target is cut.
        length_penalty: 0 compares probabilities, 1 those of a unit.
    """
    memory, state = model.read(sources, lengths)
    memory, state = memory.repeated(beam), _map(state, partial(torch.Tensor.repeat_interleave, repeats=beam, dim=1))
    size = sources.shape[1]
    units = torch.full((1, size, beam), BEGIN)
    totals = torch.full((size, beam), -torch.inf)
    totals[:, 0] = 0  # all rows begin alike: one of them goes on
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
        state = _map(state, partial(torch.Tensor.index_select, dim=1, index=_rows(origin)))
        if (ended | totals.isneginf()).all():
            break
    best = units[1:, :, 0]
    return Found(best, counts[:, 0] - ended[:, 0].long(), scores[:, 0])


def _allowed(chances: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the next units: nothing begins twice, and what has ended can only stay so, at no cost."""
    chances[..., BEGIN] = -torch.inf
    stays = torch.full_like(chances[0, 0], -torch.inf)
    stays[END] = 0
    return torch.where(ended[..., None], stays, chances)


def _rows(origin: torch.Tensor) -> torch.Tensor:
    """Rows of a beam [B, K] as rows of all beams together."""
    return (origin + origin.shape[1] * torch.arange(len(origin))[:, None]).flatten()


def _map(state: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return tuple(_map(part, change) for part in state) if isinstance(state, tuple) else change(state)
