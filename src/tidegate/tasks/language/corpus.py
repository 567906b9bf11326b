"""A text as symbols, in memory or in a cache on the disk; both hold the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.data import Source, shared_text
from tidegate.data.block import Range
from tidegate.data.cache import Cache, Draft, Facts
from tidegate.data.piecewise import Text
from tidegate.phase import phase
from tidegate.plain import typed
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.source import CHARACTERS, SPLITS, check_long, reader, surveyed, with_hashes
from tidegate.train.fitted import check_in_memory
from tidegate.train.task import Split

LEARNT = 32 << 20  # bytes of a large file that symbols are learnt from, and that copies are looked for in
SCORED = 1 << 20  # bytes of a large file that validate, and that test
SYMBOLS = "symbols"
SPARE = 1.2  # times the size of a cache as its beginning suggests

Symbols = NDArray[Any]  # the smallest unsigned type that fits
Parts = dict[Split, "_Part"]


@dataclass(frozen=True)
class Corpus:
    """The symbols of a text, first those for training, then those for validation and test.

    Attributes:
        source: where the text comes from.
        encoding: of the symbols.
        symbols: [symbols] all of them; on the disk if they are cached.
        sizes: the number of symbols by split.
        begun: the number of characters that these symbols begin, by split.
        characters: the number of characters of all files.
        copies: warnings of passages of validation and test that training has, too.
        notes: what is a sample of a large file.
    """

    source: Source
    encoding: LanguageEncoding
    symbols: Symbols
    sizes: dict[str, int]
    begun: dict[str, int]
    characters: int
    copies: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """Some ranges of a text."""

    text: Text
    ranges: tuple[Range, ...]

    def pieces(self) -> Iterator[str]:
        return self.text.pieces(*self.ranges)

    def sample(self, most: int) -> _Part:
        """At most so many bytes of the only range, if the file is large; all of it otherwise."""
        if not self.text.source.large:
            return self
        (within,) = self.ranges
        return _Part(self.text, self.text.sample(within, most))

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(last - first for first, last in self.ranges)


class _Sink(Protocol):
    """Where symbols go."""

    def reserve(self, size: int) -> None: ...

    def append(self, name: str, part: Symbols) -> None: ...


@dataclass
class _Memory:
    arrays: list[Symbols] = field(default_factory=list)
    size: int = 0

    def reserve(self, size: int) -> None:
        self.size = size

    def append(self, name: str, part: Symbols) -> None:
        del name  # there is only one array
        self.arrays.append(part)
        phase("preparing", sum(array.nbytes for array in self.arrays), self.size)


def read_corpus(
    source: Source,
    setting: LanguageSetting,
    encoding: LanguageEncoding | None,
    given: LanguageEncoding | None = None,
) -> Corpus:
    """The symbols of a source.

    Of a large file, the symbols are learnt from a sample of the training part, and validation and test are samples:
    stretches from 64 places, evenly spread.

    Args:
        source: text in UTF-8.
        setting: what a symbol is.
        encoding: of a trained model, which reads all of the text as the test split.
        given: learnt from public data; unless given, it is learnt from the training part.

    Raises:
        InputError: the source is not text, is too short, or its cache cannot be written.
    """
    cache = Cache(source) if source.cached and encoding is None else None
    check_in_memory(source, given)
    if encoding:
        texts: dict[Split, Text] = {"train": Text.surveyed(source)}
        check_long(texts["train"], 2)
    else:
        texts = _remembered(source, cache) if cache else source.read_by(reader(setting))
    source = texts["train"].source
    parts = _all_test(texts) if encoding else _cut(texts)
    if cache is None:
        memory = _Memory()
        encoding, facts = _encode(parts, setting, encoding or given, memory)
        symbols = np.concatenate(memory.arrays)
    else:
        stored = cache.stored(
            source.hash,
            {"unit": setting.unit, "pieces": setting.pieces},
            lambda draft: _with_encoding(parts, setting, draft),
        )
        facts, symbols = stored.facts, stored.array(SYMBOLS)
        encoding = LanguageEncoding.from_json(typed(facts.get("encoding"), dict[str, Any], "encoding"))
    return Corpus(
        source=source,
        encoding=encoding,
        symbols=symbols,
        sizes=typed(facts.get("sizes"), dict[str, int], "sizes"),
        begun=typed(facts.get("begun"), dict[str, int], "begun"),
        characters=sum(text.characters for text in texts.values()),
        copies=typed(facts.get("copies"), tuple[str, ...], "copies"),
        notes=tuple(_notes(parts)),
    )


def _remembered(source: Source, cache: Cache) -> dict[Split, Text]:
    """What the first pass over each file found, whenever that was."""
    found = cache.remembered("text", lambda: {split: text.to_json() for split, text in surveyed(source).items()})
    files: dict[Split, Source | None] = {"train": source, "valid": source.valid, "test": source.test}
    texts = {split: Text.from_json(file, found[split]) for split, file in files.items() if file is not None}
    texts["train"] = replace(texts["train"], source=with_hashes(texts["train"].source, texts))
    return texts


def _cut(texts: dict[Split, Text]) -> Parts:
    """The ranges of each split: a file of its own, or a last twentieth of the training file."""
    text = texts["train"]
    missing = [split for split in SPLITS[1:] if split not in texts]
    count = [int((1 - 0.05 * count) * text.characters) for count in range(len(missing), -1, -1)]
    edges = [text.place(character) for character in count[:-1]] + [text.source.size]
    parts: Parts = {"train": _Part(text, ((0, edges[0]),))}
    for split, first, last in zip(missing, edges, edges[1:], strict=False):
        parts[split] = _Part(text, ((first, last),))
    for split in SPLITS[1:]:
        if split in texts:
            parts[split] = _Part(texts[split], ((0, texts[split].source.size),))
    return {split: parts[split] if split == "train" else parts[split].sample(SCORED) for split in SPLITS}


def _all_test(texts: dict[Split, Text]) -> Parts:
    text = texts["train"]
    nothing = _Part(text, ())
    return {"train": nothing, "valid": nothing, "test": _Part(text, ((0, text.source.size),))}


def _with_encoding(parts: Parts, setting: LanguageSetting, draft: Draft) -> Facts:
    encoding, facts = _encode(parts, setting, None, draft)
    return {**facts, "encoding": encoding.to_json()}


def _encode(
    parts: Parts, setting: LanguageSetting, encoding: LanguageEncoding | None, sink: _Sink
) -> tuple[LanguageEncoding, Facts]:
    """Write the symbols of all parts; returns their encoding and counts."""
    phase("learning the symbols")
    train = "" if encoding else "".join(parts["train"].sample(LEARNT).pieces())
    encoding = encoding or LanguageEncoding.learn(train, setting)
    unit, kind = encoding.unit, np.min_scalar_type(encoding.vocabulary - 1)
    density = max(1, len(unit.encode(train[:CHARACTERS]))) / max(1, len(train[:CHARACTERS].encode()))
    sink.reserve(int(SPARE * density * kind.itemsize * sum(part.size for part in parts.values())))
    sizes, begun = (dict.fromkeys(SPLITS, 0) for _ in range(2))
    for split, part in parts.items():
        for piece in part.pieces():
            symbols = unit.encode(piece)
            sizes[split] += len(symbols)
            begun[split] += int(unit.begun[symbols].sum())
            sink.append(SYMBOLS, symbols.astype(kind))
    copies = [
        text for split in SPLITS[1:] for text in shared_text(train, "".join(parts[split].pieces()), split) if train
    ]
    return encoding, {"sizes": sizes, "begun": begun, "copies": copies}


def _notes(parts: Parts) -> Iterator[str]:
    """What is a sample."""
    train = parts["train"].sample(LEARNT)
    if len(train.ranges) > 1:
        yield (
            f"train: the symbols are those of {_places(train)}, of {parts['train'].size / 1e6:,.0f} MB; copies are "
            "looked for in these, too"
        )
    for split in SPLITS[1:]:
        if len(parts[split].ranges) > 1:
            yield f"{split}: {_places(parts[split])}, evenly spread"


def _places(part: _Part) -> str:
    return f"{part.size / 1e6:,.1f} MB from {len(part.ranges)} places"
