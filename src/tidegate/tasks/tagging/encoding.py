"""What a tagger learns from its training data besides weights: its words, their ends, and its tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch

from tidegate.tasks.tagging.model import WordEncoder
from tidegate.tasks.tagging.record import Sentence
from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.train.fitted import is_private
from tidegate.train.task import Encoding, MakeLayer, SequenceModel

UNKNOWN = 0
LETTERS = 4  # length of the longest beginning and end of a word
ENDS = 50_000  # the largest number of them
STRANGE = -1  # target of a word whose tag training lacks, and of padding: neither is scored
SHAPES = ("lower", "Title", "UPPER", "miXed", "digits", "digits and more", "no letters")


def shape(word: str) -> int:
    """Which of ``SHAPES`` a word has.

    Examples:
        >>> [SHAPES[shape(word)] for word in ("tide", "Tide", "USA", "iPad", "1984", "747s", "...")]
        ['lower', 'Title', 'UPPER', 'miXed', 'digits', 'digits and more', 'no letters']
    """
    if any(letter.isdigit() for letter in word):
        return 4 if all(letter.isdigit() for letter in word) else 5
    if not any(letter.isalpha() for letter in word):
        return 6
    if word == word.lower():
        return 0
    if word[0].isupper() and word[1:] == word[1:].lower():
        return 1
    return 2 if word == word.upper() else 3


def ends(word: str) -> Iterator[str]:
    """The first and the last 1 to 4 letters of a word, without case; any digit is 0.

    Examples:
        >>> list(ends("Tide"))
        ['t-', '-e', 'ti-', '-de', 'tid-', '-ide', 'tide-', '-tide']
    """
    plain = "".join("0" if letter.isdigit() else letter for letter in word.casefold())
    for count in range(1, min(LETTERS, len(plain)) + 1):
        yield f"{plain[:count]}-"
        yield f"-{plain[-count:]}"


@dataclass(frozen=True)
class TaggingEncoding(Encoding[TaggingSetting]):
    """Words without case, the most frequent first, their ends, and the tags.

    Attributes:
        words: the known words; number 0 stands for all others.
        ends: beginnings and ends that at least two words share.
        tags: the tags, sorted.
        shares: the share of each tag in training; none in a private model.
        scheme: how tags mark spans, or ``"plain"``.
    """

    words: tuple[str, ...]
    ends: tuple[str, ...]
    tags: tuple[str, ...]
    shares: tuple[float, ...]
    scheme: str

    def __post_init__(self) -> None:
        if len(self.shares) not in (0, len(self.tags)) or not self.tags:
            raise ValueError(f"there are {len(self.shares)} shares of {len(self.tags)} tags")
        for name in ("words", "ends", "tags"):
            first = 0 if name == "tags" else 1
            object.__setattr__(self, f"_{name}", {text: k for k, text in enumerate(getattr(self, name), first)})

    @classmethod
    def of(cls, sentences: Sequence[Sentence], scheme: str, setting: TaggingSetting) -> Self:
        """The encoding of the training part."""
        words = Counter(word.casefold() for sentence in sentences for word in sentence.words)
        tags = Counter(tag for sentence in sentences for tag in sentence.tags)
        pieces = Counter(end for word in words for end in set(ends(word))) if setting.ends_size else Counter[str]()
        known = _ranked(words, setting.min_count)[: setting.vocabulary]
        order = tuple(sorted(tags))
        shares = () if is_private(setting) else tuple(tags[tag] / tags.total() for tag in order)
        return cls(known, _ranked(pieces, 2)[:ENDS], order, shares, scheme)

    def knows(self, word: str) -> bool:
        """Whether training has seen the word often enough to know it."""
        return word.casefold() in vars(self)["_words"]

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[torch.Tensor]:
        """[T, 2 + 8] int64 for each sentence: word, shape, beginnings and ends; 0 for unknown or missing ones."""
        distinct = {word: k for k, word in enumerate({word: None for words in sentences for word in words})}
        table = torch.tensor([self._row(word) for word in distinct], dtype=torch.int64).reshape(
            len(distinct), 2 + 2 * LETTERS
        )
        return [table[[distinct[word] for word in words]] for words in sentences]

    def _row(self, word: str) -> list[int]:
        index, pieces = vars(self)["_words"], vars(self)["_ends"]
        letters = [pieces.get(end, UNKNOWN) for end in ends(word)]
        return [index.get(word.casefold(), UNKNOWN), shape(word), *letters, *[UNKNOWN] * (2 * LETTERS - len(letters))]

    def targets(self, tags: Iterable[str]) -> torch.Tensor:
        """[T] int64 places of tags; -1 for a tag that training lacks."""
        place = vars(self)["_tags"]
        return torch.tensor([place.get(tag, STRANGE) for tag in tags], dtype=torch.int64)

    def model(self, layer: MakeLayer, setting: TaggingSetting) -> SequenceModel:
        encoder = WordEncoder(len(self.words) + 1, len(self.ends) + 1, len(SHAPES), setting)
        both = partial(layer, bidirectional=setting.bidirectional)
        return SequenceModel(encoder, encoder.features, both, setting.dropout, len(self.tags))

    def to_json(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("words", "ends", "tags", "shares")}
        return {**lists, "scheme": self.scheme}


def _ranked(count: Counter[str], least: int) -> tuple[str, ...]:
    frequent = (text for text in count if count[text] >= least)
    return tuple(sorted(frequent, key=lambda text: (-count[text], text)))
