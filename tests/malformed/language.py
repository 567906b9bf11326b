"""Texts that a language model cannot learn."""

from tests.malformed.case import Case

PROSE = b"the tide comes in, the tide goes out.\n" * 40
LETTERS = "".join(chr(0x4E00 + k) for k in range(2000)).encode()


def case(name: str, content: bytes, *says: str, options: list[str] | None = None, **others: bytes) -> Case:
    files = {"a.txt": content} | {f"{part}.txt": text for part, text in others.items()}
    return Case(name, "language", files, "a.txt", list(says), options or [])


CASES = [
    case("empty", b"", "a.txt", "empty"),
    case("blanks", b" \n\t \n", "a.txt", "empty"),
    case("byte-order-mark-alone", b"\xef\xbb\xbf\n", "a.txt", "empty"),
    case("utf-16", PROSE.decode().encode("utf-16"), "a.txt", "UTF-16", "UTF-8"),
    case("latin-1", PROSE + "café".encode("latin-1"), "a.txt", "0xe9", "line 41", "iconv"),
    case("cut-in-a-character", PROSE + "é".encode()[:1], "a.txt", "0xc3", "position 1520"),
    case("surrogate", PROSE + b"\xed\xa0\x80", "a.txt", "0xed"),
    case("binary", PROSE + b"\0", "a.txt", "binary", "position 1520"),
    case("short", b"a" * 999, "a.txt", "999 characters", "1,000"),
    case("one-character", b"a", "a.txt", "1 characters"),
    case("valid-missing", PROSE, "b.txt", "no file", options=["--valid", "b.txt"]),
    case("valid-of-one-character", PROSE, "b.txt", "1 characters", options=["--valid", "b.txt"], b=b"t"),
    case("test-latin-1", PROSE, "b.txt", "0xe9", options=["--test", "b.txt"], b="é".encode("latin-1")),
    case("test-empty", PROSE, "b.txt", "empty", options=["--test", "b.txt"], b=b"\n"),
    case("few-pieces", PROSE, "--pieces 10 ", "at least 300", options=["--unit", "piece", "--pieces", "10"]),
    case("pieces-for-many-letters", LETTERS, "300 pieces", "--pieces", options=["--unit", "piece", "--pieces", "300"]),
    case("no-word-for-pieces", b"\n" * 5000 + b"tide", "nothing to learn pieces", options=["--unit", "piece"]),
    case("valid-of-one-piece", PROSE, "one symbol", options=["--unit", "piece", "--valid", "b.txt"], b=b" tide"),
    case("no-window", PROSE, "--window 0 ", "at least 1", options=["--window", "0"]),
    case("no-epoch", PROSE, "--epoch-size 0 ", "at least 1", options=["--epoch-size", "0"]),
    Case("missing", "language", {"novel.txt": PROSE}, "navel.txt", ["navel.txt", "did you mean 'novel.txt'"]),
    Case("folder", "language", {"d/a.txt": PROSE}, "d", ["is a folder"]),
]
