"""Mutations that know the form of a text: tables, JSON, TOML, packed files."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from random import Random
from typing import Any

from .mutation import BYTES, CELLS, ESCAPES, Change, Mutation, named

MARK = "@@odd@@"
VALUES = [
    "null",
    "true",
    "-1",
    "0",
    "0.5",
    "2147483648",
    "9223372036854775808",
    "1" + "0" * 5000,
    "1e999",
    "-0.0",
    "NaN",
    "-Infinity",
    '""',
    '"\\u001b]0;owned\\u0007\\u001b[2J"',
    '"=1+1"',
    "[]",
    "{}",
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
    '"' + "a" * 200_000 + '"',
    '"\\ud800"',
    '"\\u0000"',
    '"\\u202e"',
    "[[], []]",
    '"1"',
    "1e-320",
    '{"": null}',
    "[1, 2, 3]",
    '"\\u2028"',
    "-2147483649",
    "1000000",
    "1.0",
]
PACKED = [
    Mutation("gz", lambda _, raw: gzip.compress(raw), keeps=True, suffix=".gz"),
    Mutation("bz2", lambda _, raw: bz2.compress(raw), keeps=True, suffix=".bz2"),
    Mutation("xz", lambda _, raw: lzma.compress(raw), keeps=True, suffix=".xz"),
    Mutation(
        "gz in two parts", lambda _, raw: gzip.compress(raw[:99]) + gzip.compress(raw[99:]), keeps=True, suffix=".gz"
    ),
    Mutation("gz without a suffix", lambda _, raw: gzip.compress(raw), keeps=True),
    Mutation("damaged gz", lambda rng, raw: rng.choice(BYTES).change(rng, gzip.compress(raw)), suffix=".gz"),
    Mutation("damaged bz2", lambda rng, raw: rng.choice(BYTES).change(rng, bz2.compress(raw)), suffix=".bz2"),
    Mutation("damaged xz", lambda rng, raw: rng.choice(BYTES).change(rng, lzma.compress(raw)), suffix=".xz"),
    Mutation("gz bomb", lambda _, raw: gzip.compress(raw) + gzip.compress(bytes(1 << 20)) * 300, suffix=".gz"),
]


# --- tables ---


def tables(separator: str) -> list[Mutation]:
    """Mutations of a table whose cells this separates; row 0 is the header."""

    def rows_of(raw: bytes) -> list[list[str]]:
        return list(csv.reader(io.StringIO(raw.decode()), delimiter=separator))

    def written(rows: list[list[str]], to: str = separator, quoting: Any = csv.QUOTE_MINIMAL) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=to, quoting=quoting, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "surrogatepass")

    def changed(edit: Callable[[Random, list[list[str]]], None]) -> Change:
        def change(rng: Random, raw: bytes) -> bytes:
            edit(rng, rows := rows_of(raw))
            return written(rows)

        change.__name__ = edit.__name__
        return change

    def kept(to: str = separator, quoting: Any = csv.QUOTE_MINIMAL) -> Change:
        return lambda _, raw: written(rows_of(raw), to, quoting)

    kept_ones = [
        Mutation("every cell quoted", kept(quoting=csv.QUOTE_ALL), keeps=True, rows=0),
        *(Mutation(f"separated by {mark!r}", kept(mark), keeps=True, rows=0) for mark in ",;\t|" if mark != separator),
    ]
    edits = [
        odd_cell,
        odd_cell,
        odd_head,
        cells_swapped,
        cell_gone,
        cell_more,
        column_gone,
        column_odd,
        columns_swapped,
    ]
    counted = {row_gone: -1, row_more: 1, wrapped_cell: 0, separated_cell: 0, line_separator: 0, quoted_cell: 0}
    return [
        *named(map(changed, edits)),
        *kept_ones,
        *(Mutation(edit.__name__, changed(edit), rows=rows) for edit, rows in counted.items()),
    ]


Cells = list[list[str]]


def _place(rng: Random, rows: Cells) -> tuple[list[str], int]:
    row = rows[rng.randrange(1, len(rows))]
    return row, rng.randrange(len(row))


def odd_cell(rng: Random, rows: Cells) -> None:
    row, at = _place(rng, rows)
    row[at] = rng.choice(CELLS)


def odd_head(rng: Random, rows: Cells) -> None:
    rows[0][rng.randrange(len(rows[0]))] = rng.choice([*CELLS, rows[0][0], "time", "label", "date"])


def cells_swapped(rng: Random, rows: Cells) -> None:
    row, at = _place(rng, rows)
    row[at], row[0] = row[0], row[at]


def cell_gone(rng: Random, rows: Cells) -> None:
    row, at = _place(rng, rows)
    del row[at]


def cell_more(rng: Random, rows: Cells) -> None:
    row, at = _place(rng, rows)
    row.insert(at, rng.choice(CELLS))


def column_gone(rng: Random, rows: Cells) -> None:
    at = rng.randrange(len(rows[0]))
    for row in rows:
        del row[at]


def column_odd(rng: Random, rows: Cells) -> None:
    at, odd = rng.randrange(len(rows[0])), rng.choice(CELLS)
    for row in rows[1:]:
        row[at] = odd


def columns_swapped(_: Random, rows: Cells) -> None:
    for row in rows:
        row[0], row[-1] = row[-1], row[0]


def row_gone(_: Random, rows: Cells) -> None:
    """Without the last row, so that the rest stays in order."""
    del rows[-1]


def row_more(_: Random, rows: Cells) -> None:
    rows.append([cell + "1" for cell in rows[-1]])


def wrapped_cell(rng: Random, rows: Cells) -> None:
    rows[rng.randrange(1, len(rows))][0] += "\nand more"


def separated_cell(rng: Random, rows: Cells) -> None:
    rows[rng.randrange(1, len(rows))][0] += ", and; more\tor | less"


def line_separator(rng: Random, rows: Cells) -> None:
    rows[rng.randrange(1, len(rows))][0] += rng.choice("\u2028\u2029\x85\x0b\x0c\x1c") + "and more"


def quoted_cell(rng: Random, rows: Cells) -> None:
    rows[rng.randrange(1, len(rows))][0] += ' "so" it is"'


# --- JSON ---


def _nodes(value: Any, path: tuple = ()) -> list[tuple]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(node for key, part in inside for node in _nodes(part, (*path, key)))]


def _parent(value: Any, path: tuple) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


def edited(rng: Random, text: str) -> str:
    """JSON with one odd value, one key more, less or renamed, or two values swapped."""
    value = json.loads(text)
    paths = [path for path in _nodes(value) if path] or [()]
    path = rng.choice([rng.choice(paths), min(rng.sample(paths, min(5, len(paths))), key=len)])
    if not path:
        return rng.choice(VALUES)
    parent, odd = _parent(value, path), json.dumps(MARK)
    how = rng.randrange(8)
    if how == 0:
        del parent[path[-1]]
    elif how == 1 and isinstance(parent, dict):
        parent[rng.choice([ESCAPES, "", "odd", "__class__", "a" * 5000, "=1"])] = parent.pop(path[-1])
    elif how == 2 and isinstance(parent, dict):
        parent[rng.choice([ESCAPES, "", "odd", "a.b"])] = MARK
    elif how == 3:
        other = rng.choice(paths)
        _parent(value, other)[other[-1]], parent[path[-1]] = parent[path[-1]], _parent(value, other)[other[-1]]
    elif how == 4 and isinstance(parent, list):
        parent += [parent[path[-1]]] * rng.choice([1, 1000])
    else:
        parent[path[-1]] = MARK
    return _dumped(value).replace(odd, rng.choice(VALUES))


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):  # swapped with a part of itself
        return "[" * 50


def odd_json(rng: Random, raw: bytes) -> bytes:
    return edited(rng, raw.decode()).encode("utf-8", "surrogatepass")


def odd_line(rng: Random, raw: bytes) -> bytes:
    lines = raw.decode().splitlines()
    at = rng.randrange(len(lines))
    lines[at] = edited(rng, lines[at])
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def odd_lines(rng: Random, raw: bytes) -> bytes:
    """The same key odd in every line."""
    lines = [json.loads(line) for line in raw.decode().splitlines()]
    key, odd = rng.choice(list(lines[0])), rng.choice(VALUES[:16] + VALUES[20:])
    text = "\n".join(json.dumps({**line, key: MARK}) for line in lines)
    return text.replace(json.dumps(MARK), odd).encode("utf-8", "surrogatepass")


def _lines_kept(**options: Any) -> Change:
    return lambda _, raw: "\n".join(json.dumps(json.loads(line), **options) for line in raw.splitlines()).encode()


JSON = [
    *named([odd_json] * 12),
    Mutation("indented", lambda _, raw: json.dumps(json.loads(raw), indent=2).encode(), keeps=True),
    Mutation("dense", lambda _, raw: json.dumps(json.loads(raw), separators=(",", ":")).encode(), keeps=True),
    Mutation("keys turned", lambda _, raw: json.dumps(dict(reversed(json.loads(raw).items()))).encode(), keeps=True),
]
JSON_LINES = [
    *named([odd_line] * 8 + [odd_lines] * 4),
    Mutation("dense", _lines_kept(separators=(",", ":")), keeps=True, rows=0),
    Mutation("sorted keys", _lines_kept(sort_keys=True), keeps=True, rows=0),
    Mutation("row gone", lambda _, raw: b"\n".join(raw.splitlines()[:-1]), rows=-1),
    Mutation("blank lines", lambda _, raw: raw.replace(b"\n", b"\n\n"), keeps=True, rows=0),
]


# --- TOML ---


def odd_setting(rng: Random, raw: bytes) -> bytes:
    lines = raw.decode().splitlines()
    at = rng.randrange(len(lines))
    key = lines[at].partition("=")[0]
    odd = rng.choice([*VALUES, "nan", "-inf", "1979-05-27", "'''a'''", "[[1]]", "{a = 1}", '"../x"', '"my.py:Cell"'])
    lines[at] = rng.choice([f"{key}= {odd}", f"{key.strip()}.a = 1", f'"{key.strip()}\\u001b" = 1', f"[{key.strip()}]"])
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def dotted(rng: Random, raw: bytes) -> bytes:
    return b".".join([b"a"] * rng.choice([100, 200_000])) + b" = 1\n" + raw


TOML = [
    *named([odd_setting] * 8 + [dotted]),
    Mutation("comments", lambda _, raw: raw.replace(b"\n", b"  # why\n"), keeps=True),
    Mutation("order", lambda _, raw: b"\n".join(sorted(raw.splitlines())), keeps=True),
]
