"""The task of a language model: the next symbol of a text."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import cross_entropy

from tidegate.data import Source
from tidegate.data.owner import check_no_column
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.language.corpus import Corpus, read_corpus
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.example import Phrases
from tidegate.tasks.language.ngram import LEARNT, Guesses, ngram, strongest, uniform
from tidegate.tasks.language.passage import StreamBatch, Windows, drawn, passage_batch, whole
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.source import SPLITS, reader
from tidegate.tasks.language.unit import UNKNOWN
from tidegate.train.batch import Measure
from tidegate.train.fitted import ROW, Fitted, is_private
from tidegate.train.protected import Protected
from tidegate.train.sample import Sample, deciding
from tidegate.train.task import Split, Task

STREAMS, STEPS = 32, 64  # for scoring; 32 streams are fast, and all symbols are scored whatever the number
STRETCH = 256  # symbols; what one stretch of a text is about makes it easy or hard
UPDATES = 200  # the smallest number of updates in an epoch, about


class LanguageTask(Task[LanguageSetting, LanguageEncoding]):
    """Prediction of the next symbol over one text, cut 90 / 5 / 5 in order.

    Equations:
        error = -log2 p(symbol[t+1] | symbol[0..t]) * symbols / characters

    The symbols are those of the training part; one more stands for all characters that training lacks. A text is read
    as ``batch_size`` parallel streams in windows of ``window`` steps, and each window continues from the state of the
    one before. An epoch trains on one contiguous passage from each of ``batch_size`` equal parts, at a place that
    ``order`` draws; unless its size is given, it reads a short text several times. Validation and test score each
    symbol once. The error is in bits per character for every kind of symbol, so that models of characters and of
    pieces can be compared.

    Args:
        source: UTF-8 text of at least 1,000 characters; validation and test may have files of their own.
        setting: how the text is read and modelled; the defaults unless given.

    Shapes:
        inputs: [T, B] int64 symbols; targets [T, B] the symbols one step later.

    Raises:
        InputError: the source is not text, or too short.
    """

    name = "language"
    metric = say("bits per character")
    unit = say("bits per character")
    items = "symbols"
    setting_type = LanguageSetting
    encoding_type = LanguageEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: LanguageSetting | None = None,
        encoding: LanguageEncoding | None = None,
        given: LanguageEncoding | None = None,
    ) -> None:
        self.setting, self.given = setting or LanguageSetting(), given
        self.corpus = read_corpus(source, self.setting, encoding, given)
        self.source, self.encoding = self.corpus.source, self.corpus.encoding
        self.take(self.corpus)
        self._check_bounds()
        kinds = f"{self.encoding.vocabulary - 1:,} different {self._plural}"
        self.data = DataRecord(
            name=source.title,
            hash=self.source.hash,
            description=source.description or f"{self.corpus.characters:,} characters, {kinds}",
            licence=source.licence,
            split=self._split(),
            warnings=self._warnings(),
        )

    def take(self, corpus: Corpus) -> None:
        """Read these symbols."""
        self.corpus, self.symbols = corpus, corpus.symbols
        self.bounds = self._bounds()
        self.characters = {split: self._characters(split) for split in SPLITS}

    def batches(self, split: Split, order: torch.Generator | None = None) -> Windows:
        """Windows of parallel streams; with ``order``, over passages of the training text that it draws."""
        first, last = self.bounds[split]
        if order is None or split != "train":
            return Windows(self.symbols, [whole(first, last, STREAMS, STEPS)], STEPS, self._density(split))
        setting, size = self.setting, self._epoch_size
        passages = [drawn(first, last, setting.batch_size, setting.window, size, order) for _ in range(self._passes())]
        return Windows(self.symbols, passages, setting.window, self._density(split))

    def measure(self, outputs: torch.Tensor, batch: StreamBatch) -> Measure:  # type: ignore[override]
        """The loss is in bits per symbol, the error in bits per character."""
        scored = batch.scored()
        loss = cross_entropy(outputs[scored], batch.targets[scored], reduction="sum") / math.log(2)
        return Measure(loss, loss.item() * batch.density, int(scored.sum()))

    def losses(self, outputs: torch.Tensor, batch: StreamBatch) -> torch.Tensor:  # type: ignore[override]
        terms = cross_entropy(outputs.movedim(-1, 1), batch.targets, reduction="none")
        return terms.masked_fill(~batch.scored(), 0).sum(0) / math.log(2)

    def protected(self, unit: str = ROW) -> Protected:
        """Passages of ``window`` symbols that do not overlap, each with a state of its own; its first one is given."""
        check_no_column(self.source.title, None if unit == ROW else unit, "a text")
        (first, last), window = self.bounds["train"], self.setting.window
        if window < 2:
            raise InputError("PRIVATE_WINDOW", "a passage of one symbol has nothing to learn", fix="raise window=")
        density = self._density("train")

        def make(rows: list[int]) -> StreamBatch:
            starts = first + window * torch.tensor(rows)
            passages = starts + 1, (last - starts).clamp(max=window) - 1
            return passage_batch(self.symbols, passages, density)

        count = (last - first - 2) // window + 1  # the last one has at least two symbols
        what = f"one passage of {window:,} {self._plural}, as the text is cut from its beginning"
        return Protected.each(count, make, what)

    @property
    def learns(self) -> tuple[Fitted, ...]:
        return (Fitted("vocabulary", f"{self.encoding.vocabulary - 1:,} {self._plural}, and what precedes a text"),)

    @property
    def off(self) -> tuple[str, ...]:
        return ("the state of the text from passage to passage in training", *super().off)

    @property
    def examples(self) -> Phrases:
        return Phrases(self)

    def baselines(self) -> list[BaselineRecord]:
        """n-gram models of the same symbols; for new data without a training part, a uniform guess."""
        return [guesses.record for guesses in self._guesses]

    @cached_property
    def _guesses(self) -> list[Guesses]:
        density, vocabulary = self._density("test"), self.encoding.vocabulary
        train, test = self.bounds["train"][1], self.bounds["test"]
        if train < 2 or is_private(self.setting):
            return [uniform(vocabulary, test[1] - test[0], density)]
        begin = max(0, train - LEARNT)  # of what n-grams learn from
        symbols = self.symbols[begin:].astype(np.int64)
        valid, test = ((first - begin, last - begin) for first, last in (self.bounds["valid"], test))
        train -= begin
        simple = [ngram(symbols, train, test, vocabulary, order, density) for order in (1, 3, 5)]
        return [*simple, strongest(symbols, train, valid, test, vocabulary, density)]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """Bits per character, and the equivalent perplexities per symbol and per word between blanks."""
        first, last = self.bounds["test"]
        words = max(1, len(self.encoding.unit.decode(self.symbols[first:last]).split()))
        bits = {line.name: line.score for line in self.baselines()}
        theirs = {guesses.name: self._sample(guesses.bits) for guesses in self._guesses}
        record = ScoreRecord(self.metric, metric, self.unit, "lower", bits)
        return [
            deciding(record, self._sample(self._bits(model)), theirs, f"stretches of {self._plural}"),
            _perplexity(f"perplexity per {self.setting.unit}", metric, bits, 1 / self._density("test")),
            _perplexity("perplexity per word", metric, bits, self.characters["test"] / words),
        ]

    def _bits(self, model: torch.nn.Module) -> torch.Tensor:
        """-log2 p of each symbol of the test, in their order."""
        first, last = self.bounds["test"]
        count = last - first
        places = Windows(np.arange(count), [whole(0, count, STREAMS, STEPS)], STEPS, 1.0)
        bits, state = torch.zeros(count, dtype=torch.float64), None
        with torch.inference_mode():
            for batch, place in zip(self.batches("test"), places, strict=True):
                outputs, state = model(batch, None if batch.starts else state)
                scored = batch.scored()
                loss = cross_entropy(outputs[scored], batch.targets[scored], reduction="none") / math.log(2)
                bits[place.targets[scored]] = loss.double()
        return bits

    def _sample(self, bits: ArrayLike) -> Sample:
        """Errors in bits per character, over stretches of the test."""
        return Sample.blocks(self._density("test") * np.asarray(bits), STRETCH)

    @property
    def _plural(self) -> str:
        return f"{self.setting.unit}s"

    @property
    def _epoch_size(self) -> int | None:
        """The largest number of symbols in an epoch, if there is one."""
        setting = self.setting
        most = None if setting.steps is None else setting.steps * setting.batch_size * setting.window
        return min((size for size in (most, setting.epoch_size) if size is not None), default=None)

    def _passes(self) -> int:
        """How often an epoch reads the training text, so that epochs of short texts have enough updates."""
        first, last = self.bounds["train"]
        steps = (last - first) // (self.setting.batch_size * self.setting.window)
        return 1 if self._epoch_size is not None else max(1, UPDATES // max(1, steps))

    def _bounds(self) -> dict[Split, tuple[int, int]]:
        """The range of symbols that are targets in each split; the first symbol of a file is given.

        In private the first one of each split is, since the one before it may be of training.
        """
        files = {"train": True, "valid": self.source.valid is not None, "test": self.source.test is not None}
        own = {split: file or is_private(self.setting) for split, file in files.items()}
        bounds: dict[Split, tuple[int, int]] = {}
        at = 0
        for split in SPLITS:
            begin, end = at, at + self.corpus.sizes[split]
            given = own[split] or not begin
            most = None if split == "train" else self.setting.scored_size
            first = begin + given if end > begin else begin
            bounds[split] = (first, end if most is None else min(end, first + most))
            at = end
        return bounds

    def _check_bounds(self) -> None:
        """Check that each split has a symbol to predict after the given one."""
        for split, (first, last) in self.bounds.items():
            if self.corpus.sizes[split] and first >= last:
                raise InputError(
                    "LANGUAGE_SHORT",
                    f"the {split} text of {self.source.title} has one symbol, but at least two are needed",
                    fix="pass a longer text",
                )

    def _characters(self, split: Split) -> int:
        """The number of characters in the targets of a split."""
        first, last = self.bounds[split]
        if split == "train":  # too many to count them again
            return self.corpus.begun[split] - int(self.encoding.unit.begun[self.symbols[:first]].sum())
        return int(self.encoding.unit.begun[self.symbols[first:last]].sum())

    def _density(self, split: Split) -> float:
        """Symbols per character."""
        first, last = self.bounds[split]
        return (last - first) / max(1, self.characters[split])

    def _split(self) -> str:
        parts = ", ".join(f"{split} {last - first:,}" for split, (first, last) in self.bounds.items() if last > first)
        if is_private(self.setting):
            return f"in order, {self._plural}: {parts}"
        first, last = self.bounds["train"]
        size, streams = self._epoch_size, self.setting.batch_size
        passages = f"{streams} passages of {size // streams:,} {self._plural}" if size else ""
        drawn = f"; each epoch learns from {passages} at places drawn anew"
        return f"in order, {self._plural}: {parts}" + (drawn if size and last - first + 1 > size else "")

    def _warnings(self) -> tuple[str, ...]:
        unknown: list[str] = []
        for split in SPLITS[1:]:
            first, last = self.bounds[split]
            count = int((self.symbols[first:last] == UNKNOWN).sum())
            if count:
                unknown.append(f"{split}: {count} characters do not occur in training and count as one unknown symbol")
        return (*self.corpus.notes, *unknown, *self.corpus.copies)


def _perplexity(name: str, bits: float, baselines: dict[str, float], characters: float) -> ScoreRecord:
    """The perplexity: 2 to the power of the bits of ``characters`` characters."""
    return ScoreRecord(
        name, _power(bits * characters), "", "lower", {k: _power(v * characters) for k, v in baselines.items()}
    )


def _power(bits: float) -> float:
    return float(np.exp2(min(bits, 1023.0)))
