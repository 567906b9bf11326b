"""Tagging of the words of sentences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tidegate.data import Source
from tidegate.data.column import listed
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.phase import phase
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.tagging.baseline import Rival, majority, majority_of_test, rivals
from tidegate.tasks.tagging.batch import ROWS, Words, padded, pieces, probabilities
from tidegate.tasks.tagging.encoding import STRANGE, TaggingEncoding
from tidegate.tasks.tagging.example import Sentences
from tidegate.tasks.tagging.reader import merged
from tidegate.tasks.tagging.record import Sentence, Tagged
from tidegate.tasks.tagging.scheme import ABOUT, PLAIN, broken, scheme_of
from tidegate.tasks.tagging.score import SCORES, Truth, log_loss, samples, scored
from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.tasks.tagging.source import again, reader
from tidegate.tasks.tagging.split import described, filled, parted, shared
from tidegate.train.batch import Measure
from tidegate.train.bucket import bucketed
from tidegate.train.fitted import ROW, Fitted, is_private
from tidegate.train.protected import Protected, check_unit
from tidegate.train.sample import deciding
from tidegate.train.task import Split, Task

STEPS = 24  # the least number of batches in an epoch: small sets are passed through several times
TAGS = 10  # most tags that a message lists
SPREAD = 8  # how far shuffling may mix lengths, in words


class TaggingTask(Task[TaggingSetting, TaggingEncoding]):
    """The tag of each word, from the whole sentence.

    Equations:
        error = -log p(tag[t] | word[0..T-1])

    Validation and test are the parts that the data name, files of their own, or drawn by sentence. A tag that training
    lacks cannot be predicted: the error leaves such words out, accuracy and span F1 count them as wrong. An
    epoch has at least 24 batches.

    Args:
        source: what ``reader.read_parts`` reads.

    Shapes:
        inputs: [T, B, 2 + 8] int64, as ``TaggingEncoding.encode`` gives them; targets [T, B] int64.

    Raises:
        InputError: the source holds no sentences with tags, fewer than 10 of them, one tag only, or mixed schemes.
    """

    name = "tagging"
    metric = say("NLL")
    unit = say("nats per word")
    items = "words"
    setting_type = TaggingSetting
    encoding_type = TaggingEncoding
    reader = staticmethod(reader)

    def __init__(
        self,
        source: Source,
        setting: TaggingSetting | None = None,
        encoding: TaggingEncoding | None = None,
        given: TaggingEncoding | None = None,
    ) -> None:
        self.source, self.setting, self.given = source, setting or TaggingSetting(), given
        how = again(self.setting) if encoding else reader(self.setting)
        read = {part: filled(own) for part, own in source.read_by(how).items()}
        phase("preparing")
        if encoding is None:
            parts = parted(source, read, self.setting)
            scheme = PLAIN if self.setting.plain else scheme_of(merged(parts), source.title)
            encoding = given or TaggingEncoding.of(parts["train"].sentences, scheme, self.setting)
        else:
            parts = {"test": Tagged(tuple(merged(read)), read["train"].notes)}
        self.encoding, self.parts = encoding, parts
        self.inputs = {
            part: encoding.encode([sentence.words for sentence in own.sentences]) for part, own in parts.items()
        }
        self.targets = {
            part: [encoding.targets(sentence.tags) for sentence in own.sentences] for part, own in parts.items()
        }
        self._check_known()
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or self._description(),
            licence=source.licence,
            split=described(parts, read, self.setting),
            warnings=tuple(self._warnings(read)),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Words]:
        """Batches of sentences of similar length; ``order`` shuffles training batches."""
        inputs, targets = self.inputs[split], self.targets[split]
        cut = pieces([len(words) for words in inputs], self.setting.longest)
        lengths = torch.tensor([piece.last - piece.first for piece in cut])
        drawn = order if split == "train" else None
        size = ROWS if drawn is None else self.setting.batch_size
        passes = 1 if drawn is None else math.ceil(STEPS / math.ceil(len(cut) / size))
        for _ in range(passes if cut else 0):
            for rows in bucketed(lengths, size, drawn, spread=SPREAD):
                own = [cut[row] for row in rows]
                batch = padded(*([whole[k][a:b] for k, a, b in own] for whole in (inputs, targets)))
                if batch.scored().any():
                    yield batch

    def measure(self, outputs: torch.Tensor, batch: Words) -> Measure:  # type: ignore[override]
        known = batch.scored()
        loss = cross_entropy(outputs.float()[known], batch.targets[known], reduction="sum")
        return Measure(loss, loss.item(), int(known.sum()))

    def losses(self, outputs: torch.Tensor, batch: Words) -> torch.Tensor:  # type: ignore[override]
        terms = cross_entropy(outputs.float().movedim(-1, 1), batch.targets, ignore_index=STRANGE, reduction="none")
        return terms.sum(0)

    def protected(self, unit: str = ROW) -> Protected:
        check_unit(unit, self.setting)
        inputs, targets = self.inputs["train"], self.targets["train"]
        cut = pieces([len(words) for words in inputs], self.setting.longest)

        def make(rows: list[int]) -> Words:
            own = [cut[row] for row in rows]
            return padded(*([whole[k][a:b] for k, a, b in own] for whole in (inputs, targets)))

        if unit == ROW:
            return Protected.of([piece.sentence for piece in cut], len(cut), make, "one sentence with its tags")
        owners: list[Hashable] = [sentence.owner for sentence in self.parts["train"].sentences]
        owners += range(len(owners), len(inputs))  # planted ones
        what = f"all sentences with their tags that share a value of {unit!r}"
        return Protected.of([owners[piece.sentence] for piece in cut], len(cut), make, what)

    @property
    def learns(self) -> tuple[Fitted, ...]:
        words = Fitted(
            "vocabulary", f"{len(self.encoding.words):,} words, and {len(self.encoding.ends):,} of their ends"
        )
        scheme = Fitted("scheme", f"that tags mark spans as {self.encoding.scheme}", "plain=True, that they mark none")
        return (Fitted("tags", "the names of the tags"), words, *(() if self.setting.plain else (scheme,)))

    @property
    def off(self) -> tuple[str, ...]:
        return ("the shares of the tags", *super().off)

    @property
    def examples(self) -> Sentences:
        return Sentences(self)

    def baselines(self) -> list[BaselineRecord]:
        targets = self._truth.targets
        return [BaselineRecord(rival.name, log_loss(rival.chances, targets), rival.how) for rival in self._rivals]

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        del metric  # among those below
        chances = np.concatenate(probabilities(model, self.inputs["test"], self.setting.longest))
        own, errors = scored(chances, self._truth), samples(chances, self._truth)
        others = {rival.name: scored(rival.chances, self._truth) for rival in self._rivals}
        theirs = {rival.name: samples(rival.chances, self._truth) for rival in self._rivals}
        records = []
        for name, (unit, better) in SCORES.items():
            if name in own:
                values = {rival: values[name] for rival, values in others.items()}
                record = ScoreRecord(name, own[name], unit, better, values)
                if name in errors:
                    rivals = {rival: sums[name] for rival, sums in theirs.items()}
                    record = deciding(record, errors[name], rivals, "sentences")
                records.append(record)
        return records

    @cached_property
    def _truth(self) -> Truth:
        test, encoding = self.parts["test"].sentences, self.encoding
        unknown = [not encoding.knows(word) for sentence in test for word in sentence.words]
        tags = [sentence.tags for sentence in test]
        targets = torch.cat(self.targets["test"]).numpy()
        return Truth(tags, targets, np.array(unknown), encoding.tags, encoding.scheme != PLAIN)

    @cached_property
    def _rivals(self) -> list[Rival]:
        if is_private(self.setting):
            return [majority_of_test(self._truth.targets, len(self.encoding.tags))]
        if "train" not in self.parts:
            return [majority(self.encoding, len(self._truth.targets))]
        return rivals(self.encoding, *(self.parts[part].sentences for part in ("train", "valid", "test")))

    def _check_known(self) -> None:
        """Check that each part has at least one tag of training, since others are not scored."""
        for part, targets in self.targets.items():
            if targets and not any((numbers != STRANGE).any() for numbers in targets):
                tags = sorted({tag for sentence in self.parts[part].sentences for tag in sentence.tags})
                file = getattr(self.source, part, None) or self.source
                raise InputError(
                    "TAGGING_STRANGE",
                    f"{file.title} ({part}) has the tags {listed(tags, most=TAGS)}, none of which training has",
                    fix=f"correct them; the tags are {listed(self.encoding.tags, most=TAGS)}",
                )

    def _description(self) -> str:
        sentences = merged(self.parts)
        words, scheme = sum(len(sentence.words) for sentence in sentences), self.encoding.scheme
        kinds = {tag.partition("-")[2] for tag in self.encoding.tags if tag != "O"}
        tags = (
            f"{len(self.encoding.tags)} tags"
            if scheme == PLAIN
            else f"spans of {len(kinds)} type{'s' * (len(kinds) != 1)} in {scheme} ({ABOUT[scheme]})"
        )
        return f"{len(sentences):,} sentences of {words:,} words, {tags}"

    def _warnings(self, read: Mapping[str, Tagged]) -> Iterator[str]:
        yield from (note for part in read.values() for note in part.notes)
        scheme, sentences = self.encoding.scheme, merged(self.parts)
        breaks = 0 if scheme == PLAIN else broken(sentences, scheme)
        if breaks:
            yield f"{breaks} tags break the scheme {scheme}; their spans are counted as conlleval counts them"
        long = sum(len(sentence.words) > self.setting.longest for sentence in sentences)
        if long:
            yield f"{long} sentences have more than {self.setting.longest} words and are read in pieces (longest=)"
        for part in ("valid", "test"):
            strange = _strange(self.parts[part].sentences, self.encoding) if part in self.parts else []
            if strange:
                tags = listed(sorted(set(strange)), most=TAGS)
                yield f"{part}: {len(strange)} words have a tag that training lacks ({tags})"
        yield from shared(self.parts)


def _strange(sentences: Sequence[Sentence], encoding: TaggingEncoding) -> list[str]:
    return [tag for sentence in sentences for tag in sentence.tags if tag not in encoding.tags]
