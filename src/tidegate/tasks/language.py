"""Language: the next character of a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tidegate import setting as settings
from tidegate.data import Source, decode, shared_text
from tidegate.errors import InputError
from tidegate.records import BaselineRecord, DataRecord
from tidegate.tasks.ngram import ngram
from tidegate.tasks.task import Batch, Encoding, MakeLayer, Measure, Recipe, SequenceModel, Split, Task

CHARACTERS = 1000
SHARES = (0.90, 0.95)
STEPS = 64
STREAMS = 32
LEARNT = 16  # streams in training: fewer than in scoring, for twice the updates
EPOCH = 131_072  # characters learnt from in an epoch: a few seconds on two cores
SCORED = 100_000  # characters scored of a split, for the same reason
UNKNOWN = 0
EMBEDDING = settings.Language.embedding_size


@dataclass(frozen=True)
class LanguageEncoding(Encoding[settings.Language]):
    """The characters of the training part, sorted; symbol 0 stands for all others."""

    alphabet: tuple[str, ...]

    @property
    def vocabulary(self) -> int:
        """How many symbols there are, the unknown one included."""
        return len(self.alphabet) + 1

    def encode(self, text: str) -> torch.Tensor:
        """The symbols of a text, [characters] int64."""
        return torch.from_numpy(_encode(text, self.alphabet))

    def model(self, layer: MakeLayer, setting: settings.Language) -> SequenceModel:
        encoder = torch.nn.Embedding(self.vocabulary, setting.embedding_size)
        return SequenceModel(encoder, setting.embedding_size, layer, setting.dropout, self.vocabulary)

    def to_json(self) -> dict[str, Any]:
        return {"alphabet": "".join(self.alphabet)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(tuple(data["alphabet"]))


class Language(Task[settings.Language, LanguageEncoding]):
    """Next-character prediction over one text, cut 90 / 5 / 5 in order.

    Equations:
        error = -log2 p(character[t+1] | character[0..t])

    The vocabulary is that of the training part; one more symbol stands for every character that only
    occurs later. A text is read as parallel streams in chunks of 64 steps, and the state is carried from
    chunk to chunk. An epoch learns from at most 131,072 characters: one contiguous passage in each of 16
    equal parts, at a place that ``order`` draws anew. Of the validation and test parts at most the first
    100,000 characters are scored, each once.

    Args:
        source: UTF-8 text of at least 1,000 characters.

    Shapes:
        inputs: [T, B] int64 symbols, at most 32 streams B; targets [T, B] the symbols one step later.

    Raises:
        InputError: the source is not text, or too short.
    """

    name = "language"
    metric = "bits per character"
    unit = "bits per character"
    items = "characters"
    setting_type = settings.Language
    encoding_type = LanguageEncoding

    def __init__(
        self,
        source: Source,
        setting: settings.Language | None = None,
        encoding: LanguageEncoding | None = None,
    ) -> None:
        self.source, self.setting = source, setting or settings.Language()
        text = decode(source)
        if len(text) < CHARACTERS:
            raise InputError(
                "LANGUAGE_SHORT",
                f"{source.title} has {len(text)} characters, but at least {CHARACTERS:,} are needed: "
                "5 % are kept for validation and 5 % for the test",
                fix="pass a longer text",
            )
        first, second = (int(share * len(text)) for share in SHARES) if encoding is None else (1, 1)
        self.encoding = encoding or LanguageEncoding(tuple(sorted(set(text[:first]))))
        self.symbols = self.encoding.encode(text)
        self.bounds: dict[Split, tuple[int, int]] = {
            "train": (1, first),
            "valid": (first, min(second, first + SCORED)),
            "test": (second, min(len(text), second + SCORED)),
        }
        self.recipe = Recipe(
            parameters=80_000 + self.encoding.vocabulary * (EMBEDDING + 129),
            trials=1,
            learning_rate=8e-3,
            epochs=30,
            patience=5,
        )
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description
            or f"{len(text):,} characters, {self.encoding.vocabulary - 1} different ones",
            licence=source.licence,
            split=self._split(),
            warnings=self._warnings(text),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """Chunks of parallel streams; with ``order``, over passages of the training text that it draws."""
        first, last = self.bounds[split]
        passages = _whole(first, last) if order is None or split != "train" else _drawn(first, last, order)
        yield from _chunks(self.symbols, *passages)

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        scored = batch.scored()
        loss = cross_entropy(outputs[scored], batch.targets[scored], reduction="sum") / math.log(2)
        return Measure(loss, loss.item(), int(scored.sum()))

    def baselines(self) -> list[BaselineRecord]:
        symbols = self.symbols.numpy()
        return [
            ngram(symbols, self.bounds["train"][1], self.bounds["test"], self.encoding.vocabulary, order)
            for order in (1, 3, 5)
        ]

    def _split(self) -> str:
        parts = ", ".join(f"{split} {last - first:,}" for split, (first, last) in self.bounds.items())
        drawn = f"; each epoch learns from {LEARNT} passages of {EPOCH // LEARNT:,} characters at places drawn anew"
        return f"in order, characters: {parts}" + (drawn if self.bounds["train"][1] > EPOCH else "")

    def _warnings(self, text: str) -> tuple[str, ...]:
        warnings: list[str] = []
        train = text[: self.bounds["train"][1]]
        for split in ("valid", "test"):
            first, last = self.bounds[split]
            unknown = int((self.symbols[first:last] == UNKNOWN).sum())
            if unknown:
                warnings.append(
                    f"{split}: {unknown} characters never occur in training and count as one unknown symbol"
                )
            warnings += shared_text(train, text[first:last], split)
        return tuple(warnings)


def _encode(text: str, alphabet: tuple[str, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    known = np.array([ord(character) for character in alphabet], dtype=np.uint32)
    place = np.searchsorted(known, points).clip(max=len(known) - 1)
    return np.where(known[place] == points, place + 1, UNKNOWN)


def _rows(characters: int, most: int) -> int:
    return min(most, max(1, characters // (4 * STEPS)))


def _drawn(first: int, last: int, order: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Starts and lengths of passages, one at a drawn place in each of as many equal parts."""
    rows = _rows(last - first, LEARNT)
    part = (last - first) // rows
    length = min(EPOCH // rows, part - min(STEPS, part // 8))  # always some room, so that no two epochs are alike
    offsets = torch.randint(part - length + 1, (rows,), generator=order)
    return first + part * torch.arange(rows) + offsets, torch.full((rows,), length)


def _whole(first: int, last: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Starts and lengths of passages that hold every symbol once; the longer ones come first."""
    rows = _rows(last - first, STREAMS)
    length, longer = divmod(last - first, rows)
    lengths = torch.tensor([length + (row < longer) for row in range(rows)])
    return first + lengths.cumsum(0) - lengths, lengths


def _chunks(symbols: torch.Tensor, starts: torch.Tensor, lengths: torch.Tensor) -> Iterator[Batch]:
    """Parallel streams over passages whose lengths differ by at most one, in chunks of 64 steps."""
    short, longest = int(lengths.min()), int(lengths.max())
    edges = [*range(0, short, STEPS), longest]  # an odd last step joins the last chunk, so that no row is ever empty
    for begin, end in pairwise(edges):
        time = (starts + torch.arange(begin, end)[:, None]).clamp(max=len(symbols) - 1)  # [T, B]
        rest = (lengths - begin).clamp(max=end - begin) if end > short else None
        yield Batch(symbols[time - 1], symbols[time], rest, starts=begin == 0)
