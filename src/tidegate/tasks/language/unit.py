"""The symbols of a text: characters, or pieces of words."""

from __future__ import annotations

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from tidegate.data.piece import BLANK, learn_pieces
from tidegate.plain import typed

UNKNOWN = 0
LINE = 4000  # largest number of characters in a line that sentencepiece learns from; it skips longer ones
BYTE = re.compile("<0x([0-9A-F]{2})>")


class Unit(ABC):
    """The symbols of a text, numbered from 1; 0 is the unknown one."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def content(self) -> tuple[bytes, ...]:
        """The UTF-8 of each symbol, or a part of it; nothing for the unknown one."""

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int64]:
        """The symbols of a text."""

    @abstractmethod
    def to_json(self) -> str:
        """The unit as a string, for ``from_json``."""

    @cached_property
    def begun(self) -> NDArray[np.int64]:
        """[vocabulary] the number of characters that begin in each symbol, so that sums count characters exactly."""
        counts = [sum(byte & 0xC0 != 0x80 for byte in content) for content in self.content]
        counts[UNKNOWN] = 1
        return np.array(counts)

    def decode(self, symbols: NDArray[np.int64]) -> str:
        """The text of symbols; invalid UTF-8 becomes the replacement character U+FFFD."""
        content = ("\ufffd".encode(), *self.content[1:])
        return b"".join(content[symbol] for symbol in symbols.tolist()).decode("utf-8", "replace")


class Characters(Unit):
    """The characters of a training text, sorted.

    Args:
        alphabet: the characters.
    """

    name = "character"

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        points = [ord(character) for character in alphabet]
        self._symbols = np.full(max(points, default=0) + 2, UNKNOWN)  # of each code point; the last is for larger ones
        self._symbols[points] = np.arange(1, len(points) + 1)

    @classmethod
    def learn(cls, text: str) -> Self:
        """The characters of a text."""
        return cls("".join(sorted(set(text))))

    @cached_property
    def content(self) -> tuple[bytes, ...]:
        return (b"", *(character.encode() for character in self.alphabet))

    def encode(self, text: str) -> NDArray[np.int64]:
        points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        symbols: NDArray[np.int64] = self._symbols[np.minimum(points, len(self._symbols) - 1)]
        return symbols

    def to_json(self) -> str:
        return self.alphabet


class Pieces(Unit):
    """Byte-pair pieces, and the 256 bytes for what the pieces cannot spell.

    A piece never crosses the end of a line. Decoding restores every text, except for the character U+2581, which
    sentencepiece takes for a space.

    Args:
        model: a serialized sentencepiece model.

    References:
        Sennrich et al. 2016, arXiv 1508.07909; Kudo and Richardson 2018, arXiv 1808.06226.
    """

    name = "piece"

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def learn(cls, text: str, pieces: int) -> Self:
        """Learn pieces from a text: as many as asked for, or fewer if the text has fewer.

        Raises:
            InputError: ``pieces`` is too small for the characters of the text, or the text has only line ends.
        """
        return cls(
            learn_pieces(
                _sentences(text),
                pieces,
                "change pieces=, or choose unit='character'",
                model_type="bpe",
                byte_fallback=True,
                character_coverage=0.9995,
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                max_sentence_length=4 * LINE,
                bos_id=-1,
                eos_id=-1,
            )
        )

    @cached_property
    def content(self) -> tuple[bytes, ...]:
        names = [self._processor.id_to_piece(symbol) for symbol in range(self._processor.get_piece_size())]
        return (b"", *(_content(name) for name in names[1:]))

    def encode(self, text: str) -> NDArray[np.int64]:
        lines = self._processor.encode(text.splitlines(keepends=True))
        return np.array([symbol for line in lines for symbol in line], dtype=np.int64)

    def to_json(self) -> str:
        return base64.b64encode(self.model).decode("ascii")


def learnt(unit: str, text: str, pieces: int) -> Unit:
    """The symbols of a training text."""
    return Characters.learn(text) if unit == Characters.name else Pieces.learn(text, pieces)


def from_json(data: Any) -> Unit:
    """The unit that ``{name: to_json()}`` describes.

    Raises:
        InputError, RuntimeError, ValueError: ``data`` does not describe a unit.
    """
    texts: dict[str, str] = typed(data, dict[str, str], "unit")
    if Characters.name in texts:
        return Characters(texts[Characters.name])
    if Pieces.name not in texts:
        raise ValueError(f"unit is neither {Characters.name} nor {Pieces.name}")
    return Pieces(base64.b64decode(texts[Pieces.name], validate=True))


def _sentences(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from (line[at : at + LINE] for at in range(0, len(line), LINE))


def _content(name: str) -> bytes:
    byte = BYTE.fullmatch(name)
    return bytes([int(byte[1], 16)]) if byte else name.replace(BLANK, " ").encode()
