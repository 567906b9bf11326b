"""Classification of texts and series."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from tidegate.data import Source
from tidegate.language import say
from tidegate.phase import counted
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.classification.ballot import Ballot, rows_for
from tidegate.tasks.classification.baseline import (
    Chances,
    Part,
    Rival,
    majority,
    majority_of_test,
    series_rivals,
    text_rivals,
)
from tidegate.tasks.classification.batch import Batches, Beside, Sequences
from tidegate.tasks.classification.content import content_of
from tidegate.tasks.classification.content import length_notes as said_of
from tidegate.tasks.classification.edited import edited, edits_of
from tidegate.tasks.classification.encoding import ClassificationEncoding, Vocabulary, cut
from tidegate.tasks.classification.example import Labelled
from tidegate.tasks.classification.hold import Choice
from tidegate.tasks.classification.known import Known, ragged
from tidegate.tasks.classification.ngram import NgramBallot
from tidegate.tasks.classification.scale import Scale
from tidegate.tasks.classification.score import OF_ANSWERS, SCORES, log_loss, samples, scored
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.smoothed import answered, changed, check_smooth, pliable
from tidegate.tasks.classification.source import reader
from tidegate.tasks.classification.split import key_of, shared
from tidegate.tasks.classification.stored import StoredTexts
from tidegate.train.batch import Measure
from tidegate.train.bucket import BLOCK, WINDOW, Blocks, bucketed, by_length
from tidegate.train.fitted import ROW, Fitted, is_private
from tidegate.train.protected import Protected, check_unit
from tidegate.train.sample import deciding
from tidegate.train.task import Split, Task

STEPS = 24  # the least number of batches in an epoch: small sets are passed through several times
SCORED = 256  # sequences of a batch for scoring
FEW = 1_000  # series from which a tenth of them validates the layers; fewer are folded
READ = 1 << 26  # most characters times classes of texts that votes learn from; a minute or two for words
SPELT = 5_000_000  # most characters of texts whose n-grams within words are counted
LAYERS, VOTES = "layers alone", "votes alone"
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
    metric = say("NLL")
    unit = say("nats")
    setting_type = ClassificationSetting
    encoding_type = ClassificationEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: ClassificationSetting | None = None,
        encoding: ClassificationEncoding | None = None,
        given: ClassificationEncoding | None = None,
    ) -> None:
        self.setting, self.given = setting or ClassificationSetting(), given
        self.content = content = content_of(source, self.setting, encoding, given)
        self.source, self.encoding, parts = content.source, content.encoding, content.parts
        self.encoding.check(content.read["train"], source.title)
        if isinstance(self.encoding.reading, Vocabulary):
            edits_of(self.setting)
            check_smooth(self.setting)
        self.parts: dict[str, Part] = {
            split: Part(part.items, self.encoding.indices(part.labels, f"{source.title} ({split})"))
            for split, part in parts.items()
        }
        stored: dict[str, Sequence[torch.Tensor]] = {"train": content.stored} if content.stored else {}
        self.sequences: dict[str, Sequence[torch.Tensor]] = {
            split: stored.get(split) or [self.encoding.reading.encode(item) for item in part.items]
            for split, part in parts.items()
        }
        self._drawn = "valid" not in content.read
        self.data = DataRecord(
            name=source.title,
            hash=self.source.hash,
            description=source.description or self._description(),
            licence=source.licence,
            split=content.split,
            warnings=self._warnings(),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterable[Sequences]:
        """Batches of sequences of similar length; ``order`` shuffles training batches."""
        stored = self.content.stored if split == "train" else None
        classes = stored.classes if stored else self.parts[split].classes
        groups = self._groups(split, order if split == "train" else None)
        return Batches(self.sequences[split], classes, groups, self._beside(split))

    def _beside(self, split: Split) -> Beside | None:
        """What adds the logits of votes to batches; nothing unless the layers learn what votes leave over."""
        del split
        return None

    def _groups(self, split: Split, order: torch.Generator | None) -> Sequence[list[int]]:
        """The rows of each batch."""
        lengths = self._lengths(split)
        if order is None:
            return by_length(lengths.tolist(), SCORED)
        if len(lengths) > BLOCK * WINDOW:
            return Blocks(lengths, self.setting.batch_size, order, SPREAD)
        return passes(lengths.tolist(), self.setting.batch_size, order)

    def _lengths(self, split: str) -> NDArray[Any]:
        """[N] the number of steps of each sequence."""
        sequences = self.sequences[split]
        return sequences.lengths if isinstance(sequences, StoredTexts) else np.array(list(map(len, sequences)))

    def measure(self, outputs: torch.Tensor, batch: Any) -> Measure:
        logits = outputs.float() if batch.beside is None else outputs.float() + batch.beside.T
        loss = cross_entropy(logits, batch.targets, reduction="sum")
        return Measure(loss, loss.item(), len(batch.targets))

    def losses(self, outputs: torch.Tensor, batch: Any) -> torch.Tensor:
        logits = outputs.float() if batch.beside is None else outputs.float() + batch.beside.T
        return cross_entropy(logits, batch.targets, reduction="none")

    def protected(self, unit: str = ROW) -> Protected:
        check_unit(unit, self.setting)
        stored, owners = self.content.stored, self.content.parts["train"].owners
        classes = stored.classes if stored else self.parts["train"].classes
        sequences = self.sequences["train"]

        def make(rows: list[int]) -> Sequences:
            return Batches(sequences, classes, [rows])[0]

        if owners:
            return Protected.of(
                owners, len(sequences), make, f"all sequences with their classes that share a value of {unit!r}"
            )
        kind = "text" if isinstance(self.encoding.reading, Vocabulary) else "series"
        return Protected.each(len(sequences), make, f"one {kind} with its class")

    @property
    def examples(self) -> Labelled:
        return Labelled(self)

    @property
    def learns(self) -> tuple[Fitted, ...]:
        classes, columns = Fitted("classes", "the names of the classes"), self.encoding.columns
        read = Fitted("columns", "which columns hold numbers, and how these and times are written")
        return (classes, *[read] * (columns is not None), *self.encoding.reading.fitted(self.setting))

    @property
    def off(self) -> tuple[str, ...]:
        return ("votes beside the layers, and folds", "the shares of the classes", *super().off)

    def pliable(self, batch: Any) -> torch.Tensor:
        """The values of series, but for those that are missing and so follow from others."""
        reading = self.encoding.reading
        assert isinstance(reading, Scale)
        return pliable(reading, batch)

    def changed(self, batch: Any, change: torch.Tensor) -> Any:
        return changed(batch, change)

    def answers(self, outputs: torch.Tensor, batch: Any) -> list[int]:
        del batch
        return list(outputs.argmax(1).tolist())

    def truths(self, batch: Any) -> list[int]:
        return list(batch.targets.tolist())

    def worst(
        self, model: torch.nn.Module, batch: Any, generator: torch.Generator | None = None, share: float = 1.0
    ) -> Any:
        if isinstance(self.encoding.reading, Scale):
            return super().worst(model, batch, generator, share)
        return edited(model, batch, self.encoding.reading, self.setting, generator)

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
        chances = self._logits(model, "test").softmax(1).numpy()
        own, errors = scored(chances, truth), samples(chances, truth)
        parts = {name: scored(alone, truth) for name, alone in self._alone(model).items()}
        others = {rival.name: scored(rival.chances, truth) for rival in self._rivals}
        theirs = {rival.name: samples(rival.chances, truth) for rival in self._rivals}
        records = []
        for name, (unit, better) in SCORES.items():
            rivals = [rival.name for rival in self._rivals if rival.probable or name in OF_ANSWERS]
            alone = {part: values[name] for part, values in parts.items()}
            baselines = {rival: others[rival][name] for rival in rivals}
            record = ScoreRecord(name, own[name], unit, better, baselines, alone)
            if name in errors:
                record = deciding(record, errors[name], {rival: theirs[rival][name] for rival in rivals}, "rows")
            records.append(record)
        return records

    def _alone(self, model: torch.nn.Module) -> dict[str, Chances]:
        """The probabilities of the votes alone, and of layers that have not learnt what votes leave over."""
        if self.encoding.convolution is None and self.encoding.ngrams is None:
            return {}
        model.eval()
        with torch.inference_mode():
            parts = [torch.stack(model.parts(batch)).double() for batch in self.batches("test")]  # type: ignore[operator]
        layers, votes = self._in_order(torch.cat(parts, 1).softmax(2), "test", 1).numpy()
        return {VOTES: votes} if self.encoding.convolution is None else {LAYERS: layers, VOTES: votes}

    def _logits(self, model: torch.nn.Module, split: Split) -> torch.Tensor:
        """[N, classes] float64, in the order of the rows."""
        model.eval()
        with torch.inference_mode():
            batches = counted("scoring" if split == "test" else "calibrating", self.batches(split), self.count(split))
            logits = [answered(model, batch, self.encoding.reading, self.setting) for batch in batches]
        return self._in_order(torch.cat(logits), split, 0)

    def _in_order(self, answers: torch.Tensor, split: Split, axis: int) -> torch.Tensor:
        """Answers in the order of the rows, from those in the order of the batches."""
        order = torch.tensor([row for rows in self._groups(split, None) for row in rows])
        return answers.index_select(axis, order.argsort())

    @cached_property
    def known(self) -> Known:
        """The rows that may be learnt from."""
        items: list[Any] = [item for split in ("train", "valid") for item in self.parts[split].items]
        classes = np.concatenate([self.parts[split].classes for split in ("train", "valid")])
        kinds, seed = len(self.encoding.classes), self.setting.seed
        choice = Choice(list(map(key_of, items)), len(self.parts["train"].items), self._drawn, self.setting.split_seed)
        if isinstance(self.encoding.reading, Vocabulary):
            most = len(items) * READ // max(READ, kinds * sum(map(len, items)))
            return Known.of(items, classes, kinds, choice, few=0, most=most, seed=seed)
        series = [self._unframed(sequence) for split in ("train", "valid") for sequence in self.sequences[split]]
        most = rows_for(len(series), kinds, max(map(len, series)))
        return Known.of(series, classes, kinds, choice, few=FEW, most=most, seed=seed)

    @cached_property
    def ballot(self) -> Any:
        """The votes that the rows give: a ``Ballot`` of series, an ``NgramBallot`` of texts."""
        known, reading = self.known, self.encoding.reading
        if isinstance(reading, Vocabulary):
            return self._counted(reading)
        rows, holding = known.voting.compact()
        values, lengths = ragged([known.items[row] for row in rows])
        return Ballot.of(values, lengths, known.classes[rows], known.kinds, holding, known.seed)

    def _counted(self, reading: Vocabulary) -> NgramBallot:
        """Votes of texts, as this vocabulary reads them."""
        known, longest = self.known, reading.voting(self.setting)
        spelt = reading.unit == "word" and sum(map(len, known.items)) <= SPELT
        texts = map(reading.encode, known.items)
        return NgramBallot.of(texts, known.classes, known.kinds, known.voting, reading.unit, longest, letters=spelt)

    def _unframed(self, sequence: torch.Tensor) -> torch.Tensor:
        """The steps of a series that is read in frames."""
        reading = self.encoding.reading
        assert isinstance(reading, Scale)
        return reading.unframed(sequence)

    @cached_property
    def _rivals(self) -> list[Rival]:
        test = self.parts["test"]
        if is_private(self.setting):
            return [majority_of_test(test.classes, len(self.encoding.classes))]
        rivals = [majority(self.encoding.shares, len(test.classes))]
        reading = self.encoding.reading
        if "train" in self.parts and isinstance(reading, Vocabulary):
            known = [*self.known.items, *test.items]
            longest = max(len(cut(text, reading.unit)) for text in known)
            whole = dataclasses.replace(reading, longest=max(longest, reading.longest))
            ballot = self.ballot if whole == reading else self._counted(whole)
            rivals += text_rivals(ballot, map(whole.encode, test.items), len(self.known.holding.last))
        elif "train" in self.parts and len(test.items):
            rivals += series_rivals(self.ballot, self.known, list(map(self._unframed, self.sequences["test"])))
        return rivals

    def _description(self) -> str:
        reading, kinds = self.encoding.reading, len(self.encoding.classes)
        lengths = [self._lengths(split) for split in self.sequences if len(self.sequences[split])]
        count = sum(map(len, lengths))
        least, most = min(part.min() for part in lengths), max(part.max() for part in lengths)
        what = (
            f"texts read by {reading.unit}"
            if isinstance(reading, Vocabulary)
            else f"series of {reading.channels} channels"
        )
        span = f"{least} to {most}" if least < most else str(least)
        return f"{count:,} {what}, {span} steps, {kinds} classes"

    def _warnings(self) -> tuple[str, ...]:
        content = self.content
        warnings = [text for part in content.read.values() for text in part.warnings]
        if content.source.large:  # what was said of all rows when they were written
            return (*warnings, *content.notes)
        texts = [text for part in content.parts.values() for text in part.items]
        return (*warnings, *length_notes(texts, self.encoding.reading), *shared(content.parts))


def passes(lengths: Sequence[int], most: int, order: torch.Generator | None) -> list[list[int]]:
    """The rows of each batch of an epoch: of small sets, several passes with smaller batches.

    Args:
        lengths: of each sequence.
        most: sequences in a batch.
        order: draws the order; without it, the shortest sequences come first.
    """
    size = min(most, max(4, len(lengths) // 4))
    count = math.ceil(STEPS / math.ceil(len(lengths) / size))
    return [group for _ in range(count) for group in bucketed(torch.tensor(lengths), size, order, spread=SPREAD)]


def length_notes(texts: Sequence[Any], reading: Any) -> list[str]:
    """Notes that count the texts that are cut off, and those that are empty; none for series."""
    if not isinstance(reading, Vocabulary):
        return []
    lengths = [len(cut(text, reading.unit)) for text in texts]
    return said_of(sum(n > reading.longest for n in lengths), lengths.count(0), reading)
