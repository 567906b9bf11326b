"""Models of symbols: the next one of a text, the tag of a word, the translation of a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tidegate.errors import InputError
from tidegate.explain.kind.base import LONGEST, Aim, Kind
from tidegate.language import say
from tidegate.tasks.language.passage import StreamBatch, Windows
from tidegate.tasks.tagging.batch import Words, padded
from tidegate.tasks.tagging.encoding import STRANGE

STEPS = 256  # of a passage of a text
PARTS = 4  # fewest passages of a short text; more than fit into it overlap


class LanguageKind(Kind):
    """The next symbol of a text; a sequence is a passage."""

    each, unit, answers_in = True, "bits", "bits"
    says = say("log-probability of the next symbol")

    def draw(self, count: int) -> StreamBatch:
        first, last = self.task.bounds[self.split]
        steps = min(STEPS, max(1, (last - first) // PARTS))
        starts = torch.linspace(first, last - steps, min(count, last - first - steps + 1)).long()
        (batch,) = Windows(self.task.symbols, [(starts, torch.full_like(starts, steps))], steps, 1.0)[:1]
        return batch

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(steps))
        return cross_entropy(outputs[steps, rows], batch.targets[steps, rows], reduction="none") / math.log(2)

    def labels(self, batch: Any, row: int) -> list[str]:
        content = self.task.encoding.unit.content
        return [content[symbol].decode(errors="replace") or "\ufffd" for symbol in batch.inputs[:, row].tolist()]


@dataclass(frozen=True)
class Placed(Words):
    """Sentences that know which of their part of the data they are, [B]."""

    place: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))


class TaggingKind(Kind):
    """The tag of a word."""

    default, each = "all", True
    says = say("log-probability of the right tag")

    def draw(self, count: int) -> Placed:
        inputs, targets = self.task.inputs[self.split], self.task.targets[self.split]
        known = [k for k, tags in enumerate(targets) if (tags[:LONGEST] != STRANGE).any()]
        places = torch.linspace(0, len(known) - 1, min(count, len(known))).round().long().tolist()
        chosen = [known[place] for place in places]
        batch = padded(*([whole[k][:LONGEST] for k in chosen] for whole in (inputs, targets)))
        return Placed(batch.inputs, batch.targets, batch.lengths, place=torch.tensor(chosen))

    def steps(self, batch: Any, target: str) -> torch.Tensor:
        """The target steps; the nearest word before them whose tag training knows, or else the first behind them."""
        return nearest(batch.scored(), super().steps(batch, target))

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(steps))
        return cross_entropy(outputs[steps, rows], batch.targets[steps, rows], reduction="none")

    def labels(self, batch: Any, row: int) -> list[str]:
        sentence = self.task.parts[self.split].sentences[int(batch.place[row])]
        return list(sentence.words[: int(self.lengths(batch)[row])])


class TranslationKind(Kind):
    """The next unit of a translation; the steps are those of the decoder."""

    each, unit, answers_in = True, "bits", "bits"
    says = say("log-probability of the next unit")
    beside = ("source",)

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        """In bits; the model answers for all scored steps in one row after the other."""
        scored, rows = batch.scored(), torch.arange(len(steps))
        place = (scored.flatten().cumsum(0) - 1).view_as(scored)[steps, rows]
        return cross_entropy(outputs[place], batch.targets[steps, rows], reduction="none") / math.log(2)

    def labels(self, batch: Any, row: int) -> list[str]:
        """What the decoder reads: the beginning, and then the units of the target."""
        vocabulary, length = self.task.encoding.target, int(self.lengths(batch)[row])
        return ["<begin>", *(_unit(vocabulary, number) for number in batch.inputs[1:length, row].tolist())]

    def sources(self, batch: Any, row: int) -> list[str]:
        """What the encoder reads."""
        numbers = batch.sources[: int(batch.source_lengths[row]), row].tolist()
        return [_unit(self.task.encoding.source, number) for number in numbers]

    def shortened(self, aim: Aim, context: int) -> None:
        """A decoder begins with its source: a translation without its beginning is not what it has learnt."""


def nearest(allowed: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """[B] for each sequence the last allowed step up to the given one, or else the first one behind it.

    Raises:
        InputError: a sequence has none.
    """
    if not allowed.any(0).all():
        raise InputError(
            "TARGET",
            "a sequence has no step with a label that the model knows",
            fix="pass data that resemble those of training",
        )
    time = torch.arange(len(allowed))[:, None]
    before = torch.where(allowed & (time <= steps), time, -1).amax(0)
    behind = torch.where(allowed, time, len(allowed)).amin(0)
    return torch.where(before >= 0, before, behind)


def _unit(vocabulary: Any, number: int) -> str:
    special = ("<unknown>", "<begin>", "<end>")
    return special[number] if number < len(special) else vocabulary.unit_of(number)
