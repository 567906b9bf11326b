"""What a classifier learns from its training data besides weights: its classes, and a vocabulary or a scale."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.labelled import Columns, Gapped, Label, Labelled
from tidegate.errors import InputError
from tidegate.plain import typed
from tidegate.tasks.classification.ballot import SeriesVotes
from tidegate.tasks.classification.convolution import Convolution
from tidegate.tasks.classification.model import Classifier, UnitEmbedding
from tidegate.tasks.classification.ngram import NgramVotes
from tidegate.tasks.classification.reading import Reading
from tidegate.tasks.classification.scale import Observed, Scale
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.tfidf import END, FIRST, Ngrams
from tidegate.train.fitted import Fitted, is_private
from tidegate.train.task import Encoding, MakeLayer

UNKNOWN = 0
WORD = re.compile(r"\w+|[^\w\s]")
VOTING = {"word": 2, "character": 4}  # units of the longest n-grams, unless ngrams says
SPELLING = 20  # most letters of a word that are read
NAMES = 2.5  # words; texts that are shorter on average count as names and are read by character


@dataclass(frozen=True)
class Vocabulary(Reading):
    """The units of the training texts, most frequent first; unit 0 stands for all others."""

    unit: Literal["word", "character"]
    units: tuple[str, ...]
    longest: int

    @classmethod
    def of(cls, texts: Sequence[str], setting: ClassificationSetting) -> Self:
        """The vocabulary of the training texts."""
        unit = setting.unit if setting.unit != "auto" else "character" if _names(texts) else "word"
        count = Counter(part for text in texts for part in cut(text, unit)[: setting.longest])
        ranked = sorted(count, key=lambda part: (-count[part], part))
        return cls(unit, tuple(ranked[: setting.vocabulary]), setting.longest)

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise ValueError(f"a text has {self.longest} units")
        object.__setattr__(self, "_index", {unit: k for k, unit in enumerate(self.units, 1)})

    @property
    def size(self) -> int:
        """The number of units, including the unknown one."""
        return len(self.units) + 1

    def numbers(self, units: Sequence[str]) -> NDArray[np.int64]:
        """The places of units in the vocabulary, from 1; 0 for those that it lacks."""
        index: dict[str, int] = vars(self)["_index"]
        return np.fromiter(map(index.get, units, repeat(UNKNOWN)), np.int64, len(units))

    def encode(self, item: str) -> torch.Tensor:
        units = cut(item, self.unit)[: self.longest] or [""]
        numbers = torch.from_numpy(self.numbers(units))
        return numbers if self.unit == "character" else torch.cat([numbers[:, None].int(), letters_of(units)], dim=1)

    def encoder(self, setting: ClassificationSetting, layer: MakeLayer | None = None) -> tuple[torch.nn.Module, int]:
        del layer
        made = UnitEmbedding(self.size, setting.embedding_size, setting.unit_dropout, setting.dropout)
        return made, setting.embedding_size

    def fitted(self, setting: ClassificationSetting) -> tuple[Fitted, ...]:
        kind = Fitted("unit", f"that a step is a {self.unit}", f"unit={self.unit!r}")
        units = Fitted("vocabulary", f"the {len(self.units):,} most frequent {self.unit}s")
        return (units, kind) if setting.unit == "auto" else (units,)

    def voting(self, setting: ClassificationSetting) -> int:
        """Units of the longest n-grams that vote."""
        return setting.ngrams or VOTING[self.unit]


def cut(text: str, unit: str) -> list[str]:
    """The units of a text: characters as they are, or words and marks in lower case.

    Examples:
        >>> cut("Who's there?", "word")
        ['who', "'", 's', 'there', '?']
    """
    return list(text) if unit == "character" else WORD.findall(text.casefold())


def letters_of(words: list[str]) -> torch.Tensor:
    """[T, L] int32: the letters of each word between its ends, an unknown word's too."""
    symbols = [[END, *(ord(letter) + FIRST for letter in word[:SPELLING]), END] for word in words]
    width = max(map(len, symbols))
    return torch.tensor([row + [0] * (width - len(row)) for row in symbols], dtype=torch.int32)


def _names(texts: Sequence[str]) -> bool:
    return sum(len(text.split()) for text in texts) < NAMES * len(texts)


@dataclass(frozen=True)
class ClassificationEncoding(Encoding[ClassificationSetting]):
    """The classes in order, and the reading of sequences."""

    classes: tuple[Label, ...]
    shares: tuple[float, ...]  # of the classes in training; none in a private model
    reading: Vocabulary | Scale
    convolution: Convolution | None = None  # of the votes of series
    ngrams: Ngrams | None = None  # of the votes of texts
    columns: Columns | None = None  # of a table with a row for each step

    def __post_init__(self) -> None:
        if len(self.shares) not in (0, len(self.classes)) or not self.classes:
            raise ValueError(f"there are {len(self.shares)} shares of {len(self.classes)} classes")
        channels = self.reading.channels if isinstance(self.reading, Scale) else None
        if self.convolution is not None and self.convolution.channels != channels:
            raise ValueError("the convolutions do not fit the channels of the series")
        letters = isinstance(self.reading, Vocabulary) and self.reading.unit == "word"
        if self.ngrams is not None and (channels is not None or (self.ngrams.letters > 0 and not letters)):
            raise ValueError("the n-grams do not fit what is read")

    @classmethod
    def of(
        cls,
        items: Sequence[Any],
        labels: Collection[Label],
        setting: ClassificationSetting,
        columns: Columns | None = None,
    ) -> Self:
        """The encoding of the training part."""
        gaps = any(isinstance(item, Gapped) for item in items)
        kind: Any = Vocabulary if isinstance(items[0], str) else Observed if gaps else Scale
        same = {str(label): label for label in labels}
        count, classes = Counter(map(str, labels)), sorted_classes(same.values())
        shares = () if is_private(setting) else tuple(count[str(label)] / len(items) for label in classes)
        return cls(classes, shares, kind.of(items, setting), columns=columns)

    def indices(self, labels: Iterable[Label], name: str) -> NDArray[np.int64]:
        """The places of labels among the classes; 1 and "1" are the same.

        Raises:
            InputError: a label is none of them.
        """
        place = {str(label): index for index, label in enumerate(self.classes)}
        strange = next((label for label in labels if str(label) not in place), None)
        if strange is not None:
            raise InputError(
                "CLASSIFICATION_STRANGE",
                f"{name} has the class {strange!r}, which does not occur in training",
                fix=f"correct it; the classes are {', '.join(list(place)[:20])}",
            )
        return np.array([place[str(label)] for label in labels], dtype=np.int64)

    def model(self, layer: MakeLayer, setting: ClassificationSetting) -> Classifier:
        encoder, features = self.reading.encoder(setting, layer)
        votes: NgramVotes | SeriesVotes | None = None
        if self.convolution is not None:
            votes = SeriesVotes(self.convolution, len(self.classes))
        elif self.ngrams is not None:
            votes = NgramVotes(self.ngrams, len(self.classes))
        return Classifier(encoder, features, layer, setting, len(self.classes), votes)

    def check(self, rows: Labelled, name: str) -> None:
        """Refuse sequences that the model cannot read.

        Raises:
            InputError: texts for series, series for texts, or another number of channels.
        """
        channels = None if rows.textual else rows.items[0].shape[1]
        wanted = None if isinstance(self.reading, Vocabulary) else self.reading.channels
        if channels != wanted:
            got, want = ("texts" if n is None else f"series of {n} channels" for n in (channels, wanted))
            raise InputError(
                "CLASSIFICATION_KIND", f"{name} holds {got}, but the model was trained on {want}", fix=f"pass {want}"
            )
        timed = isinstance(self.reading, Observed) and self.reading.step > 0
        if wanted is not None and timed != any(isinstance(item, Gapped) and item.timed for item in rows.items):
            got, want = ("steps with times" if own else "steps without times" for own in (not timed, timed))
            raise InputError(
                "CLASSIFICATION_TIMES", f"{name} has {got}, but the model was trained on {want}", fix=f"pass {want}"
            )

    def to_json(self) -> dict[str, Any]:
        kind = next(name for name, own in READINGS.items() if type(self.reading) is own)
        name, plan = ("ngrams", self.ngrams) if kind == "vocabulary" else ("convolution", self.convolution)
        votes = {name: None if plan is None else dataclasses.asdict(plan)}
        reading = {kind: dataclasses.asdict(self.reading)}
        columns = {} if self.columns is None else {"columns": dataclasses.asdict(self.columns)}
        return {"classes": list(self.classes), "shares": list(self.shares), **reading, **votes, **columns}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        name, kind = next(((name, own) for name, own in READINGS.items() if name in data), ("scale", Scale))
        if kind is Vocabulary and "ngrams" not in data:
            raise ValueError("it is of an earlier build, in which layers learnt n-grams in tables")
        return cls(
            typed(data.get("classes"), tuple[Label, ...], "classes"),
            typed(data.get("shares"), tuple[float, ...], "shares"),
            typed(data.get(name), kind, name),
            typed(data.get("convolution"), Convolution | None, "convolution"),
            typed(data.get("ngrams"), Ngrams | None, "ngrams"),
            typed(data.get("columns"), Columns | None, "columns"),
        )


READINGS: Mapping[str, type[Vocabulary | Scale]] = {"vocabulary": Vocabulary, "scale": Scale, "observed": Observed}


def sorted_classes(labels: Collection[Label]) -> tuple[Label, ...]:
    """Classes in their order; as texts, if only some are."""
    alike = len({isinstance(label, str) for label in labels}) == 1
    return tuple(sorted(labels, key=None if alike else str))
