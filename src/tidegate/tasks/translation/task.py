"""Translation of one sequence into another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import compress

import numpy as np
import torch
from torch.nn.functional import nll_loss

from tidegate.data import Pairs, Source, cut_by_group, group_of
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.phase import counted, phase
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.language.ngram import ngram
from tidegate.tasks.translation.encoding import TranslationEncoding
from tidegate.tasks.translation.example import CodedPairs
from tidegate.tasks.translation.model import PairBatch, SequenceToSequence
from tidegate.tasks.translation.pair import Coded, pairs_of
from tidegate.tasks.translation.score import nearest, symbol_sample, symbol_scores, text_sample, text_scores
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.tasks.translation.source import again, reader
from tidegate.tasks.translation.translate import Translated, translate
from tidegate.tasks.translation.vocabulary import UNKNOWN
from tidegate.train.batch import Measure
from tidegate.train.bucket import bucketed
from tidegate.train.fitted import ROW, Fitted, is_private, owner_of
from tidegate.train.protected import Protected, check_unit
from tidegate.train.sample import deciding
from tidegate.train.task import Split, Task

SHARES = {"valid": 0.05, "test": 0.10}
HELD: tuple[Split, ...] = ("valid", "test")
LEAST = 20  # the fewest different sources, so that each part has one
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
EMPTY = Pairs((), ())
NEAREST = "nearest source"


class TranslationTask(Task[TranslationSetting, TranslationEncoding]):
    """Translation of sentences, pronunciation of words, and other pairs of sequences.

    Equations:
        error = -log2 p(target[t] | source, target[0..t-1]), the end included
        loss = (1 - ε) error - ε mean over units of log2 p, ε the label smoothing

    Pairs whose sources differ only in capitals and punctuation fall into one part: 85 / 5 / 10 of the different
    sources, drawn by hash, unless validation or test have files of their own.

    Args:
        source: pairs as ``data.read_splits`` reads them.

    Shapes:
        inputs: [T, B] int64, the target one step late; targets [T, B]; sources [S, B].

    Raises:
        InputError: the source holds no pairs, or too few.

    References:
        Label smoothing: Szegedy et al. 2016, arXiv 1512.00567.
    """

    name = "translation"
    metric = say("bits per unit")
    unit = say("bits per unit of the target")
    setting_type = TranslationSetting
    encoding_type = TranslationEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: TranslationSetting | None = None,
        encoding: TranslationEncoding | None = None,
        given: TranslationEncoding | None = None,
    ) -> None:
        self.source, self.setting, self.given = source, setting or TranslationSetting(), given
        splits = source.read_by(again(self.setting) if encoding else reader(self.setting))
        phase("preparing")
        drawn = [] if encoding else [split for split in HELD if split not in splits]
        parts = {"test": splits.get("test", splits["train"])} if encoding else _cut(source, splits, drawn)
        self.pairs: dict[Split, Pairs] = {split: parts.get(split, EMPTY) for split in SPLITS}
        self.encoding = encoding or given or TranslationEncoding.learn(self.pairs["train"], self.setting)
        self.coded = {split: self._coded(pairs) for split, pairs in self.pairs.items()}
        warnings = [warning for part in splits.values() for warning in part.warnings]
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or self._description(),
            licence=source.licence,
            split=self._split(drawn),
            warnings=(*warnings, *self._leaks(), *self._lengths()),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[PairBatch]:
        """Batches of pairs of similar length; ``order`` shuffles both pairs and batches."""
        coded = self.coded[split]
        lengths = torch.tensor([len(source) + len(target) for source, target in coded])
        for group in bucketed(lengths, self.setting.batch_size, order):
            yield pairs_of([coded[index] for index in group])

    def measure(self, outputs: torch.Tensor, batch: PairBatch) -> Measure:  # type: ignore[override]
        chances = outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))
        error = nll_loss(chances, batch.targets[batch.scored()], reduction="sum") / math.log(2)
        smoothing = self.setting.label_smoothing
        everywhere = chances.sum() / (math.log(2) * chances.shape[-1])
        loss = (1 - smoothing) * error - smoothing * everywhere if smoothing else error
        return Measure(loss, error.item(), len(outputs))

    def losses(self, outputs: torch.Tensor, batch: PairBatch) -> torch.Tensor:  # type: ignore[override]
        chances = outputs.log_softmax(-1, dtype=torch.promote_types(outputs.dtype, torch.float32))
        scored, smoothing = batch.scored(), self.setting.label_smoothing
        terms = (1 - smoothing) * nll_loss(chances, batch.targets[scored], reduction="none")
        terms = (terms - smoothing * chances.mean(-1)) / math.log(2) if smoothing else terms / math.log(2)
        return terms.new_zeros(scored.shape[1]).index_add(0, scored.nonzero()[:, 1], terms)

    def protected(self, unit: str = ROW) -> Protected:
        check_unit(unit, self.setting)
        coded, owners = self.coded["train"], self.owners

        def make(rows: list[int]) -> PairBatch:
            return pairs_of([coded[row] for row in rows])

        if unit == ROW:
            return Protected.each(len(coded), make, "one pair of a source and its target")
        return Protected.of(owners, len(coded), make, f"all pairs that share a value of {unit!r}")

    @property
    def learns(self) -> tuple[Fitted, ...]:
        left, right = self.encoding.source, self.encoding.target
        sizes = f"{len(left.units):,} {left.unit}s of sources and {len(right.units):,} {right.unit}s of targets"
        return (Fitted("vocabulary", f"{sizes}, and whether texts have capitals"),)

    @property
    def examples(self) -> CodedPairs:
        return CodedPairs(self)

    def baselines(self) -> list[BaselineRecord]:
        """n-gram models of the target that ignore the source."""
        if is_private(self.setting):
            return []
        train, test = ([target for _, target in self.coded[split]] for split in ("train", "test"))
        if not train:
            return []
        units = torch.cat([*train, *test]).numpy().astype(np.int64)
        first = sum(map(len, train))
        how = "Witten-Bell interpolation of counts in the training targets; the source is not looked at"
        orders = counted("baselines: n-grams", (1, 3))
        guesses = [ngram(units, first, (first, len(units)), len(self.encoding.target), order) for order in orders]
        return [BaselineRecord(one.name, one.score, how) for one in guesses]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """The metric, then BLEU and chrF of beam search, or error rates if the targets are symbols."""
        assert isinstance(model, SequenceToSequence)
        references: dict[str, list[str]] = {}
        for source, target in zip(self.pairs["test"].sources, self.pairs["test"].targets, strict=True):
            references.setdefault(source, []).append(target)
        sources, right = list(references), list(references.values())
        symbols = self.encoding.target.unit == "symbol"
        judge, better, sample = (
            (symbol_scores, "lower", symbol_sample) if symbols else (text_scores, "higher", text_sample)
        )
        answers = [translated.text for translated in self.translate(model, sources)]
        records = [ScoreRecord(name, value, unit, better) for name, (value, unit) in judge(answers, right).items()]
        if self.pairs["train"].sources and not is_private(self.setting):
            phase("baseline: the nearest source")
            guesses = nearest(self.pairs["train"].sources, self.pairs["train"].targets, sources)
            rivals, decides = judge(guesses, right), "PER" if symbols else "chrF"
            records = [replace(record, baselines={NEAREST: rivals[record.name][0]}) for record in records]
            theirs = {NEAREST: sample(guesses, right)}
            records = [
                deciding(record, sample(answers, right), theirs, "sources") if record.name == decides else record
                for record in records
            ]
        return super().scores(model, metric) + records

    def translate(self, model: SequenceToSequence, texts: list[str]) -> list[Translated]:
        """Translate new texts by beam search, as the settings say."""
        setting = self.setting
        both = (self.encoding.source, self.encoding.target)
        return translate(
            model, both, texts, beam=setting.beam, longest=setting.longest, length_penalty=setting.length_penalty
        )

    def _coded(self, pairs: Pairs) -> list[Coded]:
        source, target = self.encoding.source, self.encoding.target
        sides = zip(pairs.sources, pairs.targets, strict=True)
        coded = [(source.encode(source.cut(left)), target.encode(target.cut(right))) for left, right in sides]
        if pairs is not self.pairs["train"]:
            return coded
        short = [max(map(len, pair)) <= self.setting.longest + 1 for pair in coded]
        short_enough = list(compress(coded, short))
        self.owners = list(compress(pairs.owners, short))
        if coded and not short_enough:
            raise InputError(
                "PAIR_LONGEST",
                f"all {len(coded)} training pairs of {self.source.title} are longer than {self.setting.longest} units",
                fix="raise longest=",
            )
        return short_enough

    def _description(self) -> str:
        source, target = self.encoding.source, self.encoding.target
        count = sum(len(pairs.sources) for pairs in self.pairs.values())
        return f"{count:,} pairs, {len(source.units):,} {source.unit}s to {len(target.units):,} {target.unit}s"

    def _split(self, drawn: list[Split]) -> str:
        sizes = ", ".join(
            f"{split} {len(pairs.sources):,} ({len(set(pairs.sources)):,})" for split, pairs in self.pairs.items()
        )
        by = owner_of(self.setting) or "source"
        how = f"{' and '.join(drawn)} drawn by {by}" if drawn else "as in the files"
        return f"{how}, pairs (different sources): {sizes}"

    def _leaks(self) -> Iterator[str]:
        learnt = set(map(group_of, self.pairs["train"].sources))
        for split in HELD:
            sources = self.pairs[split].sources
            count = sum(group_of(source) in learnt for source in sources)
            if count:
                yield f"{split}: {count} of {len(sources)} pairs have a source that also occurs in training"

    def _lengths(self) -> Iterator[str]:
        count, used = len(self.pairs["train"].sources), len(self.coded["train"])
        if used < count:
            yield f"{count - used} of {count} training pairs are left out: longer than {self.setting.longest} units"
        for split in HELD:
            targets = [target for _, target in self.coded[split]]
            unknown = sum(int((target == UNKNOWN).sum()) for target in targets)
            if unknown:
                total = sum(map(len, targets))
                yield f"{split}: {unknown} of {total:,} target units do not occur in training"


def _cut(source: Source, splits: dict[str, Pairs], drawn: list[Split]) -> dict[str, Pairs]:
    """Draw the parts without a file of their own from the training pairs."""
    whole = splits["train"]
    groups = list(whole.owners) or [group_of(text) for text in whole.sources]  # all pairs of an owner in one part
    count = len(set(groups))
    kind = "owner" if whole.owners else "source"
    if drawn and count < LEAST:
        raise InputError(
            "PAIR_SHORT",
            f"{source.title} has {count} different {kind}{'s' * (count > 1)}, but at least {LEAST} are needed: "
            f"5 % are kept for validation and 10 % for the test",
            fix="pass more pairs, or separate files with valid= and test=",
        )
    places = cut_by_group(groups, {split: SHARES[split] for split in drawn})
    return splits | {
        split: replace(
            whole,
            sources=tuple(whole.sources[place] for place in chosen),
            targets=tuple(whole.targets[place] for place in chosen),
            owners=tuple(whole.owners[place] for place in chosen) if whole.owners else (),
        )
        for split, chosen in places.items()
    }
