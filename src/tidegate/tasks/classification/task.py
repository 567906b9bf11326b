"""Classification of texts and series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tidegate.data import Source
from tidegate.data.labelled import Labelled
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.classification.baseline import Part, Rival, majority, series_rivals, text_rivals
from tidegate.tasks.classification.batch import Sequences, padded
from tidegate.tasks.classification.encoding import ClassificationEncoding, Vocabulary, cut
from tidegate.tasks.classification.score import OF_ANSWERS, SCORES, log_loss, scored, temperature
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.source import reader
from tidegate.tasks.classification.split import described, parted, shared
from tidegate.train.bucket import bucketed, by_length
from tidegate.train.task import Measure, Split, Task

STEPS = 24  # the least number of batches in an epoch: small sets are passed through several times
SCORED = 256  # sequences of a batch for scoring
SPREAD = 8  # how far shuffling may mix lengths, in steps


class ClassificationTask(Task[ClassificationSetting, ClassificationEncoding]):
    """The class of each sequence: of texts by character or word, or of series of one or more channels.

    Equations:
        error = -log p(class | x[0..T-1])

    Validation and test are drawn from the data unless they have files of their own. Each class is split in the same
    proportions; rows with the same content stay in one part. An epoch has at least 24 batches.

    Args:
        source: what ``data.labelled.read_labelled`` reads.

    Shapes:
        inputs: [T, B] int64 units or [T, B, C] float; targets [B] int64.

    Raises:
        InputError: the source holds no sequences with classes, fewer than 10 of them, one class only, or one that
            training lacks.
    """

    name = "classification"
    metric = "NLL"
    unit = "nats"
    setting_type = ClassificationSetting
    encoding_type = ClassificationEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: ClassificationSetting | None = None,
        encoding: ClassificationEncoding | None = None,
    ) -> None:
        self.source, self.setting = source, setting or ClassificationSetting()
        read = source.read_by(reader(self.setting))
        parts = {"test": read["train"]} if encoding else parted(source, read, self.setting)
        if encoding is None:
            train = parts["train"]
            encoding = ClassificationEncoding.of(train.items, train.labels, self.setting)
        encoding.check(read["train"], source.title)
        self.encoding = encoding
        self.parts: dict[str, Part] = {
            split: Part(part.items, encoding.indices(part.labels, f"{source.title} ({split})"))
            for split, part in parts.items()
        }
        self.sequences = {
            split: [encoding.reading.encode(item) for item in part.items] for split, part in parts.items()
        }
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or self._description(),
            licence=source.licence,
            split=described(read, parts, self.setting),
            warnings=self._warnings(read, parts),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Sequences]:
        """Batches of sequences of similar length; ``order`` shuffles training batches."""
        sequences, targets = self.sequences[split], torch.from_numpy(self.parts[split].classes)
        for rows in self._groups(split, order if split == "train" else None):
            yield padded([sequences[row] for row in rows], targets[rows])

    def _groups(self, split: Split, order: torch.Generator | None) -> list[list[int]]:
        """The rows of each batch."""
        lengths = [len(sequence) for sequence in self.sequences[split]]
        if order is None:
            return by_length(lengths, SCORED)
        size = min(self.setting.batch_size, max(4, len(lengths) // 4))
        passes = math.ceil(STEPS / math.ceil(len(lengths) / size))
        return [group for _ in range(passes) for group in bucketed(torch.tensor(lengths), size, order, spread=SPREAD)]

    def measure(self, outputs: torch.Tensor, batch: Any) -> Measure:
        loss = cross_entropy(outputs.float(), batch.targets, reduction="sum")
        return Measure(loss, loss.item(), len(batch.targets))

    def baselines(self) -> list[BaselineRecord]:
        truth = self.parts["test"].classes
        return [
            BaselineRecord(rival.name, log_loss(rival.chances, truth), rival.how)
            for rival in self._rivals
            if rival.probable
        ]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        del metric  # among those below
        truth = self.parts["test"].classes
        own = scored(self._logits(model, "test").softmax(1).numpy(), truth)
        others = {rival.name: scored(rival.chances, truth) for rival in self._rivals}
        sure = {rival.name for rival in self._rivals if not rival.probable}
        return [
            ScoreRecord(
                name,
                own[name],
                unit,
                better,
                {rival: values[name] for rival, values in others.items() if rival not in sure or name in OF_ANSWERS},
            )
            for name, (unit, better) in SCORES.items()
        ]

    def settle(self, model: torch.nn.Module) -> None:
        if self.setting.calibrate:
            with torch.no_grad():
                truth = torch.from_numpy(self.parts["valid"].classes)
                model.temperature.fill_(temperature(self._logits(model, "valid"), truth))  # type: ignore[operator]

    def _logits(self, model: torch.nn.Module, split: Split) -> torch.Tensor:
        """[N, classes] float64, in the order of the rows."""
        model.eval()
        with torch.inference_mode():
            logits = [model(batch)[0].double() for batch in self.batches(split)]
        order = torch.tensor([row for rows in self._groups(split, None) for row in rows])
        return torch.cat(logits)[order.argsort()]

    @cached_property
    def _rivals(self) -> list[Rival]:
        test = self.parts["test"]
        rivals = [majority(self.encoding.shares, len(test.classes))]
        if "train" in self.parts:
            reading = self.encoding.reading
            trained: Any = text_rivals if isinstance(reading, Vocabulary) else series_rivals
            rivals += trained(reading, self.parts["train"], self.parts["valid"], test)
        return rivals

    def _description(self) -> str:
        reading, kinds = self.encoding.reading, len(self.encoding.classes)
        lengths = [len(sequence) for sequences in self.sequences.values() for sequence in sequences]
        what = (
            f"texts read by {reading.unit}"
            if isinstance(reading, Vocabulary)
            else f"series of {reading.channels} channels"
        )
        span = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(min(lengths))
        return f"{len(lengths):,} {what}, {span} steps, {kinds} classes"

    def _warnings(self, read: dict[str, Labelled], parts: dict[str, Labelled]) -> tuple[str, ...]:
        warnings = [text for part in read.values() for text in part.warnings]
        texts = [text for part in parts.values() for text in part.items]
        return (*warnings, *length_notes(texts, self.encoding.reading), *shared(parts))


def length_notes(texts: Sequence[Any], reading: Any) -> list[str]:
    """Notes that count the texts that are cut off, and those that are empty; none for series."""
    if not isinstance(reading, Vocabulary):
        return []
    lengths = [len(cut(text, reading.unit)) for text in texts]
    long, empty = sum(n > reading.longest for n in lengths), lengths.count(0)
    notes = [f"{long} texts were cut off after {reading.longest} {reading.unit}s (longest={reading.longest})"]
    unknown = [f"{empty} texts are empty; each counts as one unknown {reading.unit}"]
    return notes * bool(long) + unknown * bool(empty)
