"""Polyphonic music: which of the 88 keys sound at the next step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tidegate import setting as settings
from tidegate.data import KEYS, Source, read_music, shared_passages
from tidegate.records import BaselineRecord, DataRecord
from tidegate.tasks.keywise import key_frequency, key_persistence
from tidegate.tasks.task import Batch, Encoding, MakeLayer, Measure, Recipe, SequenceModel, Split, Task

SPREAD = 8  # steps of length by which pieces of one training batch may differ more than they must


@dataclass(frozen=True)
class MusicEncoding(Encoding[settings.Music]):
    """Nothing is learnt from the data: the keys of a piano are always 88."""

    def model(self, layer: MakeLayer, setting: settings.Music) -> SequenceModel:
        return SequenceModel(torch.nn.Identity(), KEYS, layer, setting.dropout, KEYS)

    def to_json(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


class Music(Task[settings.Music, MusicEncoding]):
    """Next-step prediction of piano rolls.

    Equations:
        error = -Σ_k x[t+1,k] log p[t,k] + (1 - x[t+1,k]) log(1 - p[t,k]), p[t] from x[0..t]

    The score is the mean over all steps of all pieces of a split, in nats; the first step of a piece
    is given, not scored.

    Args:
        source: piano rolls as ``data.read_music`` reads them, with their own split.

    Shapes:
        inputs: [T, B, 88] float; targets [T, B, 88] float, the inputs one step later.

    Raises:
        InputError: the source holds no piano rolls.

    References:
        Boulanger-Lewandowski et al. 2012, arXiv 1206.6392; metric as in Bai et al. 2018,
        arXiv 1803.01271, Table 1.
    """

    name = "music"
    metric = "NLL"
    unit = "nats per step"
    recipe = Recipe(parameters=85_000, learning_rate=1.2e-2, dropout=0.1, epochs=60, patience=8)

    setting_type = settings.Music
    encoding_type = MusicEncoding

    def __init__(
        self, source: Source, setting: settings.Music | None = None, encoding: MusicEncoding | None = None
    ) -> None:
        self.source, self.setting = source, setting or settings.Music()
        self.encoding = encoding or MusicEncoding()
        rolls = read_music(source)
        self.pieces: dict[Split, list[torch.Tensor]] = {
            "train": [torch.from_numpy(roll).float() for roll in rolls.train],
            "valid": [torch.from_numpy(roll).float() for roll in rolls.valid],
            "test": [torch.from_numpy(roll).float() for roll in rolls.test],
        }
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or "piano rolls, 88 keys",
            licence=source.licence,
            split="as in the file: " + ", ".join(f"{split} {_size(pieces)}" for split, pieces in self.pieces.items()),
            warnings=rolls.warnings + shared_passages(rolls),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """Batches of pieces of similar length; with ``order``, both are shuffled."""
        pieces = self.pieces[split]
        lengths = torch.tensor([len(piece) for piece in pieces])
        jitter = torch.zeros(len(pieces)) if order is None else SPREAD * torch.rand(len(pieces), generator=order)
        ranking = torch.argsort(lengths + jitter, stable=True).tolist()
        size = self.setting.batch_size
        groups = [ranking[at : at + size] for at in range(0, len(ranking), size)]
        turns = range(len(groups)) if order is None else torch.randperm(len(groups), generator=order).tolist()
        for turn in turns:
            yield _batch([pieces[index] for index in groups[turn]])

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        terms = binary_cross_entropy_with_logits(outputs, batch.targets, reduction="none").sum(-1)  # [T, B]
        scored = batch.scored()
        loss = terms[scored].sum()
        return Measure(loss, loss.item(), int(scored.sum()))

    def baselines(self) -> list[BaselineRecord]:
        train, test = self.pieces["train"], self.pieces["test"]
        return [key_frequency(train, test), key_persistence(train, test)]


def _batch(pieces: list[torch.Tensor]) -> Batch:
    padded = torch.nn.utils.rnn.pad_sequence(pieces)  # [T + 1, B, 88]
    lengths = torch.tensor([len(piece) - 1 for piece in pieces])
    return Batch(padded[:-1], padded[1:], lengths)


def _size(pieces: list[torch.Tensor]) -> str:
    return f"{len(pieces)} pieces ({sum(map(len, pieces)):,} steps)"
