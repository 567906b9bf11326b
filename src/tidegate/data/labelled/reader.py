"""Which reader a source of labelled sequences needs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath

from tidegate.data.labelled.archive import read_archive
from tidegate.data.labelled.line import in_utf8, read_folder, read_lines
from tidegate.data.labelled.record import Label, Labelled, Layout
from tidegate.data.labelled.table import LABELS, TEXTS, read_columns, read_csv, read_json_lines
from tidegate.data.labelled.ts import read_ts
from tidegate.data.source import Source
from tidegate.errors import InputError

HEAD = 1 << 16


def read_labelled(source: Source, layout: Layout) -> dict[str, Labelled]:
    """Sequences and their classes, by part: ``"train"``, and what the source has apart for ``"valid"`` and ``"test"``.

    The content says what is read: an ``.npz`` archive of series; a Parquet file; a ``.ts`` file of series; JSON
    lines; a CSV or TSV file whose first line names the columns; lines that begin with the class; a folder
    of files or of folders, one for each class.

    Raises:
        InputError: it is none of these, or a part of it cannot be used.
    """
    if source.address == "memory":  # whose columns the user did not name
        layout = replace(layout, text=None, label=None)
    archive = source.raw.startswith(b"PK\3\4")
    found = read_archive(source, layout) if archive else {"train": _read(source, layout)}
    for part, own in (("valid", source.valid), ("test", source.test)):
        if own is not None:
            found[part] = read_labelled(replace(own, valid=None, test=None), layout)["train"]
    kinds = {
        (part.textual, None if isinstance(part.items[0], str) else part.items[0].shape[1]) for part in found.values()
    }
    if len(kinds) > 1:
        raise InputError(
            "LABELLED_PARTS",
            f"{source.title} and its files for validation and test hold different things",
            fix="pass files of one kind, with equally many channels",
        )
    return {part: _shortened(own, layout.label_end) for part, own in found.items()}


def _read(source: Source, layout: Layout) -> Labelled:
    if source.members:
        return read_folder(source, layout)
    if source.raw.startswith(b"PAR1"):
        return read_columns(source, layout)
    source = in_utf8(source, layout.encoding)
    suffix, head = PurePath(source.title).suffix.casefold(), source.raw[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if suffix == ".ts" or head.startswith(b"@") or (head.startswith(b"#") and b"\n@" in head):
        return read_ts(source, layout)
    if suffix in (".jsonl", ".ndjson", ".json") or head.startswith(b"{"):
        return read_json_lines(source, layout)
    return read_csv(source, layout) if _is_table(suffix, head, layout) else read_lines(source, layout)


def _is_table(suffix: str, head: bytes, layout: Layout) -> bool:
    first = head.split(b"\n", 1)[0].decode("utf-8", errors="replace").strip().casefold()
    names = [name.strip() for name in first.split("\t")]
    named = len(names) > 1 and any(name in TEXTS or name in LABELS for name in names)
    told = [name for name in (layout.text, layout.label) if name is not None]
    if not layout.labelled:  # a trained model's, which a file with a text on each line lacks
        told = [name for name in told if name.strip().casefold() in map(str.strip, re.split(r"[\t,;]", first))]
    return suffix in (".csv", ".tsv") or named or bool(told)


def _shortened(part: Labelled, end: str | None) -> Labelled:
    """Classes up to where they end."""
    if not end:
        return part
    labels: tuple[Label, ...] = tuple(l.split(end, 1)[0] if isinstance(l, str) else l for l in part.labels)
    return replace(part, labels=labels)
