"""Encoded texts in flat arrays on the disk, of which a batch reads its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.cache import Draft, Stored
from tidegate.tasks.classification.encoding import SPELLING, UNKNOWN, Vocabulary, cut, letters_of
from tidegate.tasks.classification.tfidf import END, FIRST

ROWS = 4096  # texts that are written at a time


class StoredTexts(Sequence[torch.Tensor]):
    """Texts as ``Vocabulary.encode`` gives them, from arrays that ``write_texts`` wrote.

    Args:
        stored: the arrays.
        reading: the vocabulary.

    Attributes:
        lengths: [N] units of each text.
        classes: [N] the class of each text.
    """

    def __init__(self, stored: Stored, reading: Vocabulary) -> None:
        self._units, self._ends = stored.array("units"), stored.array("ends")
        self._letters, self._letter_ends = stored.array("letters"), stored.array("letter_ends")
        self._rare_ends = stored.array("rare_ends")
        self.lengths, self.classes = stored.array("lengths"), stored.array("classes")
        self._spelt: NDArray[np.int32] | None = None  # the letters of each unit
        if reading.unit == "word":
            spelt = letters_of(["", *reading.units]).numpy()
            self._spelt = np.pad(spelt, ((0, 0), (0, SPELLING + 2 - spelt.shape[1])))

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, row: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, row: slice) -> list[torch.Tensor]: ...

    def __getitem__(self, row: int | slice) -> torch.Tensor | list[torch.Tensor]:
        if isinstance(row, slice):
            return [self[at] for at in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(row)
        units = self._units[int(self._ends[row]) - int(self.lengths[row]) : int(self._ends[row])].astype(np.int64)
        if self._spelt is None:
            return torch.from_numpy(units)
        spelt = self._spelt[units]
        spelt[units == UNKNOWN] = self._spelling(*self._rare(row))
        width = int((spelt != 0).any(0).sum())
        return torch.from_numpy(np.concatenate([units[:, None].astype(np.int32), spelt[:, :width]], axis=1))

    def _rare(self, row: int) -> tuple[int, int]:
        """The words of a text that are not in the vocabulary, among all such words."""
        return (int(self._rare_ends[row - 1]) if row else 0), int(self._rare_ends[row])

    def _spelling(self, first: int, last: int) -> NDArray[np.int32]:
        """[words, SPELLING + 2] the letters of words that are not in the vocabulary."""
        spelt = np.zeros((last - first, SPELLING + 2), np.int32)
        if last == first:
            return spelt
        begin = int(self._letter_ends[first - 1]) if first else 0
        ends = self._letter_ends[first:last] - begin
        letters = self._letters[begin : begin + int(ends[-1])]
        sizes = np.diff(ends, prepend=0)
        place = np.arange(len(letters)) - np.repeat(ends - sizes, sizes)
        spelt[np.repeat(np.arange(last - first), sizes), place + 1] = letters
        spelt[:, 0] = END
        spelt[np.arange(last - first), sizes + 1] = END
        return spelt


def write_texts(rows: Iterable[tuple[str, int]], reading: Vocabulary, draft: Draft) -> tuple[int, int]:
    """Write texts and their classes for ``StoredTexts``.

    Args:
        rows: texts with the numbers of their classes.
        reading: the vocabulary.
        draft: where they go.

    Returns:
        How many texts are cut off, and how many are empty.
    """
    long = empty = 0
    kind, at = np.min_scalar_type(reading.size - 1), _Ends()
    for part in _parts(rows):
        whole = [cut(text, reading.unit) for text, _ in part]
        long += sum(len(text) > reading.longest for text in whole)
        empty += sum(not text for text in whole)
        texts = [text[: reading.longest] or [""] for text in whole]
        units = list(chain.from_iterable(texts))
        numbers, lengths = reading.numbers(units), np.array(list(map(len, texts)), np.int32)
        rare = np.flatnonzero(numbers == UNKNOWN) if reading.unit == "word" else np.zeros(0, np.int64)
        rows = np.searchsorted(np.cumsum(lengths), rare, side="right")  # of each word that the vocabulary lacks
        words = [units[place][:SPELLING] for place in rare.tolist()]
        letters = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), "<u4")
        draft.append("units", numbers.astype(kind))
        draft.append("lengths", lengths)
        draft.append("ends", at.ends("ends", lengths))
        draft.append("classes", np.array([label for _, label in part], np.int32))
        draft.append("letters", letters.astype(np.int32) + np.int32(FIRST))
        draft.append("letter_ends", at.ends("letter_ends", np.array(list(map(len, words)), np.int64)))
        draft.append("rare_ends", at.ends("rare_ends", np.bincount(rows, minlength=len(texts))))
    return long, empty


class _Ends:
    """Where the parts of flat arrays end."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def ends(self, name: str, sizes: NDArray[Any]) -> NDArray[np.int64]:
        """The ends of further parts of these sizes."""
        ends = self._last.get(name, 0) + np.cumsum(sizes, dtype=np.int64)
        self._last[name] = int(ends[-1]) if len(ends) else self._last.get(name, 0)
        return ends


def _parts(rows: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    part: list[tuple[str, int]] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS:
            yield part
            part = []
    if part:
        yield part
