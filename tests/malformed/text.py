"""Text that is none."""

from tests.malformed.case import Case

PROSE = ("It was the best of times, it was the worst of times. " * 40).encode()


def case(name: str, content: bytes, *says: str) -> Case:
    return Case(name, "language", {"a.txt": content}, "a.txt", ["a.txt", *says])


CASES = [
    case("empty", b"", "empty"),
    case("blank", b" \n\t\r\n" * 500, "empty"),
    case("mark-alone", b"\xef\xbb\xbf", "empty"),
    case("mark-and-blanks", b"\xef\xbb\xbf" + b"\n" * 2000, "empty"),
    case("one-letter", b"a"),
    case("short", PROSE[:999]),
    case("latin1", PROSE + "café".encode("latin-1") + PROSE, "UTF-8", "0xe9", "line 1"),
    case("latin1-line-3", b"a\nb\n\xe9" + PROSE, "UTF-8", "line 3"),
    case("cut-in-a-letter", PROSE + "é".encode()[:1], "UTF-8", "0xc3"),
    case("surrogate", PROSE + b"\xed\xa0\x80", "UTF-8", "0xed"),
    case("overlong", PROSE + b"\xc0\xaf", "UTF-8", "0xc0"),
    case("utf16-le", PROSE.decode().encode("utf-16"), "UTF-16"),
    case("utf16-be", b"\xfe\xff" + PROSE.decode().encode("utf-16-be"), "UTF-16"),
    case("utf32", PROSE.decode().encode("utf-32"), "UTF-16"),
    case("utf16-without-mark", PROSE.decode().encode("utf-16-le"), "binary", "position 1"),
    case("zeros", b"\0" * 5000, "binary", "position 0"),
    case("a-zero-inside", PROSE + b"\0" + PROSE, "binary", str(len(PROSE))),
    case("png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "binary"),
    case("gzip", b"\x1f\x8b\x08" + bytes(range(1, 256)) * 20, "unpacked as gzip"),
    Case("missing", "language", {"book.txt": PROSE}, "bok.txt", ["bok.txt", "did you mean 'book.txt'"]),
    Case("missing-folder", "language", {}, "none/bok.txt", ["none", "does not exist"]),
    Case("a-folder", "language", {"books/a.txt": PROSE}, "books", ["books", "folder"]),
    Case("wrong-set", "language", {}, "jsb", ["JSB", "for the task music"]),
    Case("set-misspelt", "language", {}, "shakespear", ["shakespear", "did you mean 'shakespeare'"]),
]
