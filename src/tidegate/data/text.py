"""Bytes to text: UTF-8, or an error that says where the decoding failed."""

from __future__ import annotations

import io
from collections.abc import Iterator

from tidegate.data.block import blocks
from tidegate.data.source import Source
from tidegate.errors import InputError

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # .xlsx, which is a zip archive, and .xls


class Decoder:
    """Decodes a text block by block, without a byte order mark; line ends are unchanged.

    Args:
        name: of the text, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name, self._at, self._lines, self._blank = name, 0, 0, True

    def __call__(self, raw: bytes) -> str:
        """The text of the next block, which ends between two characters.

        Raises:
            InputError: the content is UTF-16, binary, or otherwise not UTF-8.
        """
        if not self._at:
            self._check_head(raw)
        if b"\0" in raw:
            position = self._at + raw.index(b"\0")
            raise InputError(
                "TEXT_BINARY",
                f"{self._name} is a binary file, not text: there is a zero byte at position {position}",
                fix="pass a text file in UTF-8",
            )
        text = self._utf8(raw)
        self._blank = self._blank and (not text or text.isspace())
        self._at, self._lines = self._at + len(raw), self._lines + raw.count(b"\n")
        return text

    def end(self) -> None:
        """Say that there are no more blocks.

        Raises:
            InputError: all of them are blank.
        """
        if self._blank:
            raise InputError("FILE_EMPTY", f"{self._name} is empty", fix="pass a file that holds data")

    def _check_head(self, raw: bytes) -> None:
        if raw.startswith(UTF16_MARKS):
            raise InputError(
                "TEXT_UTF16", f"{self._name} is UTF-16 text, but UTF-8 is expected", fix="save the file as UTF-8"
            )
        if raw.startswith(WORKBOOKS):
            raise InputError(
                "TEXT_BINARY",
                f"{self._name} is an Excel workbook or a zip archive, not text",
                fix="save or unpack it as CSV",
            )

    def _utf8(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            bad = error.start
            line = self._lines + raw.count(b"\n", 0, bad) + 1
            raise InputError(
                "TEXT_ENCODING",
                f"{self._name} is not UTF-8: byte 0x{raw[bad]:02x} at position {self._at + bad} (line {line}) cannot "
                "be decoded",
                fix="convert it, e.g. iconv -f cp1252 -t utf-8",
            ) from None
        return text if self._at else text.removeprefix("\ufeff")


def decode(source: Source) -> str:
    r"""The text of a source, without a byte order mark; line ends are unchanged.

    Raises:
        InputError: the content is UTF-16, binary, otherwise not UTF-8, or blank.

    Examples:
        >>> decode(Source("a.txt", "a.txt", b"caf\xe9"))
        Traceback (most recent call last):
        ...
        tidegate.errors.InputError: a.txt is not UTF-8: byte 0xe9 at position 3 (line 1) ...
    """
    decoder = Decoder(source.title)
    text = decoder(source.raw)
    decoder.end()
    return text


def split_lines(text: str) -> list[str]:
    r"""The lines of a text, which end with ``\n``, ``\r\n`` or ``\r``, as every editor shows them.

    ``str.splitlines`` ends a line at seven further characters, such as U+2028, which texts of the web contain.

    Examples:
        >>> split_lines("a\r\nb\u2028c\rd")
        ['a', 'b\u2028c', 'd']
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def file_lines(text: str) -> list[str]:
    r"""The lines of a whole file, of which the last may end with a line end or not.

    Examples:
        >>> file_lines("a\n\nb\n") == file_lines("a\n\nb") == ["a", "", "b"]
        True
    """
    every = split_lines(text)
    return every if every[-1] else every[:-1]


def ended_lines(source: Source) -> Iterator[str]:
    """The lines of a source with their ends, read block by block.

    Raises:
        InputError: as ``decode``.
    """
    decoder, rest = Decoder(source.title), ""
    for block in blocks(source, (0, source.size)):
        every = list(io.StringIO(rest + decoder(block), newline=""))
        rest = every.pop() if every and not every[-1].endswith("\n") else ""  # the next block may go on with it
        yield from every
    decoder.end()
    if rest:
        yield rest


def lines(source: Source) -> Iterator[tuple[str, str]]:
    """Each line that is not blank: its place, as errors name it, and its text.

    Raises:
        InputError: as ``decode``.
    """
    for number, line in enumerate(ended_lines(source), 1):
        if line.strip():
            yield f"line {number}", line.rstrip("\r\n")


def blank_lines(source: Source) -> tuple[str, ...]:
    """A note that counts the blank lines before the last row, which hold none; nothing if there are none."""
    last = first = count = waiting = 0  # those waiting count if a row follows
    for number, line in enumerate(ended_lines(source), 1):
        if line.strip():
            last, count, waiting = number, count + waiting, 0
        else:
            first, waiting = first or number, waiting + 1
    noun = f"{count:,} blank line{'s' * (count > 1)}"
    return (f"left out {noun}, the first is line {first}",) if count and first < last else ()
