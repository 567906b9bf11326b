"""Mutations of bytes and of lines of text, whatever is in them."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

Change = Callable[[Random, bytes], bytes]
ESCAPES = "\x1b]0;owned\x07\x1b[2J"
NUMBERS = [
    "0", "-1", "-0.0", "1e400", "-1e308", "5e-324", "nan", "inf", "1" + "0" * 5000, "9" * 19, "2147483648", "0x1f",
    "1_000", "1,5", "1.234,5", "١٢", "1e", "--1", "+1", " 1", "½", "1 000", "12%", "$5", "TRUE", "#N/A",
]  # fmt: skip
CELLS = [
    "", " ", ESCAPES, "\x00", "\x85", "\u2028", "\u202e", "\ufeff", '"', "'", '""', ",", ";", "\t", "|", "\r", "\n",
    "=1+1", "@SUM(A1)", "-", "null", "None", "a" * 200_000, "é" * 3, "\U0001f30a", "<script>alert(1)</script>", "[red]",
    "{0}", "%s", "../../etc/passwd", "/dev/zero", "#", "\\", "\x7f", "\x9b2J", "2021-02-30", "31/12/2020",
    "2021-13-01T25:61", *NUMBERS,
]  # fmt: skip
WORDS = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


@dataclass(frozen=True)
class Mutation:
    """One way to change a file.

    Attributes:
        keeps: whether the file still says the same, so that the answer must be the same, too.
        rows: by how many rows the file grows, where that is known.
        suffix: put after the file's name.
        stem: put before the file's name.
        special: what takes the place of the file: ``"fifo"``, ``"folder"``, or the target of a link.
    """

    name: str
    change: Change = lambda _, raw: raw
    keeps: bool = False
    rows: int | None = None
    suffix: str = ""
    stem: str = ""
    special: str = ""


def named(changes: Iterable[Change], **fields: object) -> list[Mutation]:
    return [Mutation(change.__name__, change, **fields) for change in changes]


def _span(rng: Random, raw: bytes, longest: int = 400) -> tuple[int, int]:
    start = rng.randrange(len(raw) + 1)
    return start, min(len(raw), start + rng.randrange(1, longest))


def flip(rng: Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 8, 40])):
        changed[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_early(rng: Random, raw: bytes) -> bytes:
    return flip(rng, raw[:64]) + raw[64:]


def truncate(rng: Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def cut(rng: Random, raw: bytes) -> bytes:
    start, end = _span(rng, raw)
    return raw[:start] + raw[end:]


def double(rng: Random, raw: bytes) -> bytes:
    start, end = _span(rng, raw)
    return raw[:end] + raw[start:end] * rng.choice([1, 1, 2, 50]) + raw[end:]


def swap(rng: Random, raw: bytes) -> bytes:
    first, second = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
    third = min(len(raw), second + rng.randrange(1, 400))
    return raw[:first] + raw[second:third] + raw[first:second] + raw[third:]


def noise(rng: Random, raw: bytes) -> bytes:
    start, end = _span(rng, raw, 40)
    return raw[:start] + rng.randbytes(rng.randrange(1, 40)) + raw[end:]


def controls(rng: Random, raw: bytes) -> bytes:
    start, _ = _span(rng, raw)
    return raw[:start] + ESCAPES.encode() + raw[start:]


def zeros(rng: Random, raw: bytes) -> bytes:
    start, end = _span(rng, raw, 64)
    return raw[:start] + bytes(end - start) + raw[end:]


def high(rng: Random, raw: bytes) -> bytes:
    start, _ = _span(rng, raw)
    return raw[:start] + b"\xff" * rng.choice([4, 100, 5000, 100_000]) + raw[start:]


def word(rng: Random, raw: bytes) -> bytes:
    """Another integer of 2 or 4 bytes, mostly near the start, where headers are."""
    start = rng.randrange(min(len(raw), rng.choice([64, 64, 256, len(raw)])))
    form = rng.choice(["<I", ">I", "<H", ">H"])
    put = struct.pack(form, rng.choice(WORDS) & (0xFFFFFFFF if form[1] == "I" else 0xFFFF))
    return raw[:start] + put + raw[start + len(put) :]


def repeated(rng: Random, raw: bytes) -> bytes:
    return raw * rng.choice([2, 3, 30])


def nothing(_: Random, raw: bytes) -> bytes:
    return raw[:0]


def zipped(_: Random, raw: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data", raw)
    return content.getvalue()


BYTES = named([flip, flip, flip_early, truncate, cut, double, swap, noise, controls, zeros, high, word, word, repeated])
BYTES += named([nothing, zipped])
PLACES = [
    Mutation("fifo", special="fifo"),
    Mutation("folder", special="folder"),
    Mutation("device", special="/dev/zero"),
    Mutation("loop", special="loop"),
]
NAMES = [
    Mutation(f"name {stem!r}", keeps=True, stem=stem) for stem in (ESCAPES, "a\nb ", "=1+1 ", "'\" ", "[b]é ", "-")
]


# --- lines of text ---


def _lines(raw: bytes) -> list[str]:
    return raw.decode("utf-8", "surrogateescape").split("\n")


def _joined(lines: Iterable[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def odd_text(rng: Random, raw: bytes) -> bytes:
    """Something odd at any place."""
    text = raw.decode("utf-8", "surrogateescape")
    start = rng.randrange(len(text) + 1)
    return (text[:start] + rng.choice(CELLS) + text[start:]).encode("utf-8", "surrogateescape")


def line_doubled(rng: Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    return _joined([*lines[: at + 1], *lines[at:]])


def line_moved(rng: Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))
    return _joined(lines)


def line_gone(rng: Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    del lines[rng.randrange(len(lines))]
    return _joined(lines)


def head_gone(_: Random, raw: bytes) -> bytes:
    return _joined(_lines(raw)[1:])


def head_again(rng: Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    lines.insert(rng.randrange(1, len(lines) + 1), lines[0])
    return _joined(lines)


def line_end(rng: Random, raw: bytes) -> bytes:
    """One line ends in another way than the others."""
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    lines[at] += rng.choice(["\r", "\r\r", "\v", "\f", "\x85", "\u2028", "\x1c"])
    return _joined(lines)


def endless_line(_: Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", b" ")


def utf16(rng: Random, raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-7"]))


def latin(rng: Random, raw: bytes) -> bytes:
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    lines[at] += "é"
    return "\n".join(lines).encode(rng.choice(["latin-1", "cp1252", "mac-roman", "utf-8"]), "replace")


def crlf(_: Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def cr(_: Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r")


def mark(_: Random, raw: bytes) -> bytes:
    """A byte order mark."""
    return b"\xef\xbb\xbf" + raw


def final_lines(rng: Random, raw: bytes) -> bytes:
    """Another number of line ends at the end."""
    return raw.rstrip(b"\n") + b"\n" * rng.choice([0, 2, 3])


TEXT = named([odd_text, odd_text, odd_text, line_doubled, line_moved, line_gone, head_gone, head_again, line_end])
TEXT += named([endless_line, utf16, latin])
KEPT = named([crlf, cr, mark, final_lines], keeps=True)
