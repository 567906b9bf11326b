"""Edits of sequences of units, such as characters or words: the few that raise a loss the most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

KINDS = SUBSTITUTE, INSERT, DELETE, EXCHANGE = range(4)
NEVER = -torch.inf

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Slope = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Rules:
    """What counts as one edit.

    Attributes:
        becomes: [units, K] int64 units that each unit may become, or [1, K] where all may become the same.
        inserted: [J] int64 units that may be put in, anywhere; none for no insertion.
        features: [units, E] what a model reads of each unit: its embedding.
        delete: whether a unit may be taken out, unless it is the last one.
        exchange: whether two neighbours may change places.
    """

    becomes: torch.Tensor
    inserted: torch.Tensor
    features: torch.Tensor
    delete: bool = True
    exchange: bool = True

    def options(self, units: torch.Tensor) -> torch.Tensor:
        """[T, B, K] what each of some units [T, B] may become."""
        alike = len(self.becomes) == 1
        return self.becomes[torch.zeros_like(units) if alike else units]

    def read(self, slope: torch.Tensor, options: torch.Tensor) -> torch.Tensor:
        """[T, B, K] the products of slopes [T, B, E] with the features of options."""
        if len(self.becomes) == 1:
            return slope @ self.features[self.becomes[0]].T
        return (slope[..., None, :] * self.features[options]).sum(-1)


class Edits(NamedTuple):
    """One edit of each of N sequences.

    Attributes:
        row: [N] the sequence.
        kind: [N] ``SUBSTITUTE``, ``INSERT``, ``DELETE`` or ``EXCHANGE``.
        place: [N] the step of the edit; what is inserted comes before it, and its right neighbour is exchanged with it.
        unit: [N] what stands there now; 0 for deletions and exchanges.
    """

    row: torch.Tensor
    kind: torch.Tensor
    place: torch.Tensor
    unit: torch.Tensor

    def taken(self, where: torch.Tensor) -> Edits:
        """Those at these places."""
        return Edits(*(part[where] for part in self))


def applied(units: torch.Tensor, lengths: torch.Tensor, edits: Edits) -> tuple[torch.Tensor, torch.Tensor]:
    """The edited sequences.

    Args:
        units: [T, B] int64.
        lengths: [B] the units of each sequence.
        edits: N edits of these sequences.

    Returns:
        [T + 1, N] int64, 0 behind the ends; and their lengths [N].
    """
    row, kind, place, unit = edits
    time = torch.arange(len(units) + 1)[:, None]
    source = time - ((kind == INSERT) & (time > place)).long() + ((kind == DELETE) & (time >= place)).long()
    swapped = kind == EXCHANGE
    source = source + (swapped & (time == place)).long() - (swapped & (time == place + 1)).long()
    edited = units[source.clamp(0, len(units) - 1), row]
    written = (kind <= INSERT) & (time == place)
    after = lengths[row] + (kind == INSERT).long() - (kind == DELETE).long()
    return torch.where(written, unit, edited).masked_fill(time >= after, 0), after


def estimates(
    units: torch.Tensor, lengths: torch.Tensor, slope: torch.Tensor, rules: Rules, most: int
) -> tuple[Edits, torch.Tensor]:
    """The edits of each kind that raise the loss the most, to first order.

    Equations:
        gain = Σ_t slope[t] . (e[x'[t]] - e[x[t]]),  x' the edited sequence, e the features, t up to the shorter end

    Args:
        units: [T, B] int64.
        lengths: [B] the units of each sequence.
        slope: [T, B, E] the gradient of the loss in the features.
        rules: what may be done.
        most: edits of each kind to return for each sequence.

    Returns:
        The edits, and their gains.

    References:
        Ebrahimi et al. 2018, arXiv 1712.06751 (HotFlip); insertions and deletions are counted here by all units that
        move, and not as one that changes.
    """
    gains = _gains(units, lengths, slope, rules)
    found = [_highest(gains[kind], kind, units, rules, most) for kind in KINDS if kind in gains]
    edits, values = zip(*found, strict=True)
    return Edits(*map(torch.cat, zip(*edits, strict=True))), torch.cat(values)


def _gains(units: torch.Tensor, lengths: torch.Tensor, slope: torch.Tensor, rules: Rules) -> dict[int, torch.Tensor]:
    """[places, B, choices] the gain of every edit of a kind, -inf where there is none."""
    steps, rows = units.shape
    features, time = rules.features, torch.arange(steps + 1)[:, None]
    there, end, outside = time[:-1] < lengths, time == lengths, time > lengths
    slope = slope.masked_fill(~there[..., None], 0.0)
    none = slope.new_zeros(1, rows)
    own = (slope * features[units]).sum(-1)
    last = lengths - 1, torch.arange(rows)
    right = (slope[:-1] * features[units[1:]]).sum(-1).masked_fill(~there[1:], 0.0)
    left = (slope[1:] * features[units[:-1]]).sum(-1).masked_fill(~there[1:], 0.0)
    back, forth = torch.cat([right, none]) - own, torch.cat([none, left]) - own  # as if moved by one step
    here = torch.cat([slope, slope.new_zeros(1, *slope.shape[1:])])
    written = torch.where(end[..., None], slope[last], here) @ features[rules.inserted].T
    behind = torch.cat([_after(forth)[1:], none, none]) - torch.cat([own, none])
    options = rules.options(units)
    found = {
        SUBSTITUTE: (rules.read(slope, options) - own[..., None]).masked_fill(
            ~there[..., None] | (options == units[..., None]), NEVER
        ),
        INSERT: (written + torch.where(end, -own[last], behind)[..., None]).masked_fill(outside[..., None], NEVER),
        DELETE: _after(back).masked_fill(~there | (lengths == 1), NEVER)[..., None],
        EXCHANGE: (back[:-1] + forth[1:]).masked_fill(~there[1:] | (units[1:] == units[:-1]), NEVER)[..., None],
    }
    left_out = {DELETE: not rules.delete, EXCHANGE: not rules.exchange}
    return {kind: gain for kind, gain in found.items() if not left_out.get(kind)}


def _highest(gain: torch.Tensor, kind: int, units: torch.Tensor, rules: Rules, most: int) -> tuple[Edits, torch.Tensor]:
    """The edits of one kind with the highest gains, at most so many of each row."""
    width = gain.shape[-1]
    values, at = gain.transpose(0, 1).flatten(1).topk(min(most, gain.shape[0] * width), dim=1)
    kept = values > NEVER
    row, at = kept.nonzero()[:, 0], at[kept]
    place, choice = at // max(1, width), at % max(1, width)
    unit = torch.zeros_like(place)
    if kind == SUBSTITUTE:
        unit = rules.options(units)[place, row, choice]
    elif kind == INSERT:
        unit = rules.inserted[choice]
    return Edits(row, torch.full_like(row, kind), place, unit), values[kept]


def worst_edits(
    loss: Loss,
    slope: Slope,
    units: torch.Tensor,
    lengths: torch.Tensor,
    rules: Rules,
    *,
    edits: torch.Tensor,
    tried: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences after some edits, each of which is the worst of a few that gradients point at.

    An edit that lowers the loss is made as well: the next one starts from there.

    Args:
        loss: [N] of sequences [T, N], their lengths [N] and the rows [N] that they come from.
        slope: [T, B, E] the gradient of the loss of each row in the features of its units.
        units: [T, B] int64.
        lengths: [B] the units of each sequence.
        rules: what may be done.
        edits: [B] of each sequence.
        tried: edits for which the loss is computed, of each sequence and each time.

    Returns:
        The edited sequences and their lengths; one without a possible edit stays as it is.
    """
    for made in range(int(edits.max())):
        found, gain = estimates(units, lengths, slope(units, lengths), rules, tried)
        found = found.taken(best(gain, found.row, tried))
        changed, after = applied(units, lengths, found)
        with torch.no_grad():
            first = best(loss(changed, after, found.row), found.row, 1)
        first = first[edits[found.row[first]] > made]
        rows = found.row[first]
        units = torch.nn.functional.pad(units, (0, 0, 0, 1))
        units[:, rows], lengths = changed[:, first], lengths.index_put((rows,), after[first])
        units = units[: int(lengths.max())]
    return units, lengths


def best(values: torch.Tensor, row: torch.Tensor, most: int) -> torch.Tensor:
    """The places of the highest values of each row [N], at most so many of each, in the order of rows."""
    order = values.argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    rank = torch.arange(len(order)) - torch.searchsorted(row[order], row[order])
    return order[rank < most]


def _after(values: torch.Tensor) -> torch.Tensor:
    """[T, B] the sum of values from each step on."""
    return values.flip(0).cumsum(0).flip(0)
