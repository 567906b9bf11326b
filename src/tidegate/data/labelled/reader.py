"""Labelled sequences from a source, by the reader for its format."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath

from tidegate.data.labelled.archive import read_archive
from tidegate.data.labelled.line import in_utf8, read_folder, read_lines
from tidegate.data.labelled.long import read_long
from tidegate.data.labelled.memory import OWN
from tidegate.data.labelled.record import Label, Labelled, Layout, check_labels
from tidegate.data.labelled.table import LABELS, TEXTS, read_columns, read_csv, read_json_lines
from tidegate.data.labelled.ts import read_ts
from tidegate.data.owner import check_no_column
from tidegate.data.row import checked
from tidegate.data.source import Source
from tidegate.data.text import split_lines
from tidegate.errors import InputError

HEAD = 1 << 16
NO_TABLES = (".ts", ".jsonl", ".ndjson", ".json", ".txt")


def read_labelled(source: Source, layout: Layout) -> dict[str, Labelled]:
    """Sequences and their classes by part: ``"train"``, and ``"valid"`` and ``"test"`` if the source has them.

    The format is detected from the content: an ``.npz`` archive of series; a Parquet file; a ``.ts`` file of series;
    JSON lines; a CSV or TSV file whose first line names the columns; lines that begin with the class; or a folder with
    a file or a folder for each class.

    Raises:
        InputError: another format, or unusable content.
    """
    if source.title == OWN and source.address == "memory":  # its columns are ours
        layout = replace(layout, text=None, label=None)
    archive = source.raw.startswith(b"PK\3\4")
    _check_table(source, layout, archive=archive)
    parts = read_archive(source, layout) if archive else {"train": _read(source, layout)}
    layout = replace(layout, columns=layout.columns or parts["train"].columns)  # those of all parts
    for part, own in (("valid", source.valid), ("test", source.test)):
        if own is not None:
            parts[part] = read_labelled(replace(own, valid=None, test=None), replace(layout, owner=None))["train"]
    kinds = {
        (part.textual, None if isinstance(part.items[0], str) else part.items[0].shape[1]) for part in parts.values()
    }
    if len(kinds) > 1:
        raise InputError(
            "LABELLED_PARTS",
            f"{source.title} and its files for validation and test hold different kinds of sequences",
            fix="pass files of one kind, with the same number of channels",
        )
    for read in parts.values():
        check_labels(source.title, read.labels, lambda index: f"sequence {index + 1}")
    return {part: _shortened(own, layout.label_end) for part, own in parts.items()}


def _check_table(source: Source, layout: Layout, *, archive: bool) -> None:
    """Refuse columns of series and times for what is no table."""
    named = next((f"{role}={name!r}" for role, name in _roles(layout) if name is not None), None)
    if named and (archive or source.members or PurePath(source.title).suffix.casefold() in NO_TABLES):
        raise InputError(
            "LONG_TABLE",
            f"{named} names a column, but {source.title} is no table",
            fix="leave it out, or pass CSV, TSV or Parquet with a row for each step",
        )


def _roles(layout: Layout) -> tuple[tuple[str, str | None], ...]:
    return ("series", layout.series), ("time", layout.time)


def _read(source: Source, layout: Layout) -> Labelled:
    if source.members:
        check_no_column(source.title, layout.owner, "a folder of texts")
        return read_folder(source, layout)
    if layout.series is not None or layout.time is not None:
        return read_long(in_utf8(source, layout.encoding), layout)
    if source.raw.startswith(b"PAR1"):
        return read_columns(source, layout)
    source = in_utf8(source, layout.encoding)
    suffix, head = PurePath(source.title).suffix.casefold(), source.raw[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if suffix == ".ts" or head.startswith(b"@") or (head.startswith(b"#") and b"\n@" in head):
        check_no_column(source.title, layout.owner, "a .ts file")
        return read_ts(source, layout)
    if suffix in (".jsonl", ".ndjson", ".json") or head.startswith(b"{"):
        return read_json_lines(source, layout)
    if _is_table(suffix, head, layout):
        return read_csv(source, layout)
    check_no_column(source.title, layout.owner, "a file of lines")
    return read_lines(source, layout)


def _is_table(suffix: str, head: bytes, layout: Layout) -> bool:
    first = split_lines(head.decode("utf-8", errors="replace"))[0].strip().casefold()
    own = re.escape(checked(layout.separator)) if layout.separator else ""
    cells = [name.strip(' "') for name in re.split(rf"[\t,;|{own}]", first)]
    names = [name.strip(' "') for name in first.split("\t")]
    named = len(names) > 1 and any(name in TEXTS or name in LABELS for name in names)
    columns = [name for name in (layout.text, layout.label) if name is not None]
    if not layout.labelled:  # a trained model names columns that a file with a text on each line lacks
        columns = [name for name in columns if name.strip().casefold() in cells]
    asked = layout.labelled and layout.separator is not None
    return suffix in (".csv", ".tsv") or named or bool(columns) or asked


def _shortened(part: Labelled, end: str | None) -> Labelled:
    """The part with each class cut off before ``end``."""
    if not end:
        return part
    labels: tuple[Label, ...] = tuple(l.split(end, 1)[0] if isinstance(l, str) else l for l in part.labels)
    return replace(part, labels=labels)
