"""Texts and their classes from tables: CSV and TSV, JSON lines, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.data.column import absent, check_column, described, listed
from tidegate.data.json_lines import read_objects
from tidegate.data.labelled.record import KINDS, Label, Labelled, Layout, check_labels
from tidegate.data.owner import owners_of
from tidegate.data.parquet import read_parquet
from tidegate.data.source import Source
from tidegate.data.stream import Stream
from tidegate.data.table import read_table
from tidegate.data.text import blank_lines
from tidegate.errors import InputError

TEXTS = ("text", "sentence", "name", "title", "content", "review", "tweet", "question", "message", "comment")
LABELS = ("label", "class", "category", "sentiment", "target", "intent", "topic", "language", "y")
TABLES = (".csv", ".tsv")
FORM = '{"text": ..., "label": ...}'

Columns = Mapping[str, Sequence[Any]]
Place = Callable[[int], str]  # of the row with an index


def read_csv(source: Source, layout: Layout) -> Labelled:
    """A table as text, whose first line names the columns."""
    table = read_table(source, layout.separator)
    read = _labelled(source, dict(table.cells), layout, lambda row: f"row {row + 1} below the header")
    return replace(read, warnings=table.notes)


def read_json_lines(source: Source, layout: Layout) -> Labelled:
    """An object on each line, all with the same keys.

    Raises:
        InputError: a line is no such object.
    """
    placed = list(read_objects(source, FORM))
    keys = list(placed[0][1])
    for place, row in placed:
        _check_keys(source, place, row, keys)
    columns = {key: [row[key] for _, row in placed] for key in keys}
    return replace(_labelled(source, columns, layout, lambda row: placed[row][0]), warnings=blank_lines(source))


def each_row(source: Source, layout: Layout) -> Iterator[tuple[str, str, Label]]:
    """The place, the text and the class of each row of a large CSV or TSV file, or of large JSON lines.

    Raises:
        InputError: as ``read_csv`` and ``read_json_lines``.
    """
    names: tuple[str, str | None] | None = None
    for place, row, keys in _each(source, layout):
        names = names or _chosen(source, keys, layout)
        text, label = names
        _check_text(source, row[text], place, text)
        yield place, row[text], _checked(source, row[str(label)], place, str(label))


def _each(source: Source, layout: Layout) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """The place and the cells of each row, and the names of all columns."""
    if source.title.casefold().endswith(TABLES):
        table = Stream.of(source, layout.separator)
        for number, row in enumerate(table.rows(), 1):
            yield f"row {number} below the header", dict(zip(table.header, row.cells, strict=True)), table.header
        return
    keys: list[str] = []
    for place, record in read_objects(source, FORM):
        keys = keys or list(record)
        _check_keys(source, place, record, keys)
        yield place, record, keys


def read_columns(source: Source, layout: Layout) -> Labelled:
    """A Parquet file."""
    frame = read_parquet(source)
    columns = {name: frame[name].tolist() for name in frame.columns}
    return _labelled(source, columns, layout, lambda row: f"row {row + 1}")


def _labelled(source: Source, columns: Columns, layout: Layout, place: Place) -> Labelled:
    text, label = _chosen(source, list(columns), layout)
    for index, cell in enumerate(columns[text]):
        _check_text(source, cell, place(index), text)
    cells = [] if label is None else columns[label]
    labels = tuple(_checked(source, cell, place(index), str(label)) for index, cell in enumerate(cells))
    check_labels(source.title, labels, place)
    owners = () if layout.owner is None else owners_of(source.title, columns, layout.owner, place)
    return Labelled(tuple(columns[text]), labels, owners=owners)


def _check_keys(source: Source, place: str, row: Mapping[str, Any], keys: Sequence[str]) -> None:
    missing = next((key for key in keys if key not in row), None)
    if missing is not None:
        raise InputError(
            "JSONL_KEY",
            f"{place} of {source.title} has no {missing!r}, which the first line has",
            fix="give every line the same keys",
        )


def _check_text(source: Source, cell: Any, place: str, column: str) -> None:
    if not isinstance(cell, str):
        raise InputError(
            "LABELLED_TEXT",
            f"{column!r} in {place} of {source.title} must be a text, not {described(cell)}",
            fix="correct that row, or name another column with text=COLUMN",
        )


def _checked(source: Source, cell: Any, place: str, column: str) -> Label:
    if type(cell) in KINDS and not absent(cell) and str(cell).strip():
        return cell.strip() if isinstance(cell, str) else cell
    raise InputError(
        "LABELLED_LABEL",
        f"{column!r} in {place} of {source.title} must be a class, not {described(cell)}",
        fix="give every row a class, or name another column with label=COLUMN",
    )


def _chosen(source: Source, names: list[str], layout: Layout) -> tuple[str, str | None]:
    """The columns of the texts and of the classes."""
    if len(names) == 1 and not layout.labelled:
        return names[0], None
    named = {"text": layout.text, "label": layout.label if layout.labelled else None}
    for option, name in named.items():
        if name is not None:
            fix = f"name one with {option}=" if layout.labelled else f"name the texts {name!r}, as in training"
            check_column(source.title, name, names, fix=fix)
    text = named["text"] or _known(names, TEXTS, named["label"])
    label = named["label"] or (_known(names, LABELS, text) if layout.labelled else None)
    if len(names) == 2 and layout.labelled:  # the other column, if one is recognised
        text = text or next((name for name in names if label and name != label), None)
        label = label or next((name for name in names if text and name != text), None)
    missing = "text" if text is None else "label"
    if text is None or (label is None and layout.labelled):
        raise InputError(
            "LABELLED_COLUMN",
            f"{source.title} has no column with a common name for the {missing}s",
            fix=f"name it with {missing}=COLUMN; it has the columns {listed(names)}",
        )
    return text, label


def label_column(source: Source, names: Sequence[str], layout: Layout, taken: Sequence[str | None] = ()) -> str | None:
    """The column of the classes, where sequences must have some: the one that is named, or one with a common name.

    Args:
        source: the table, for errors.
        names: of its columns.
        layout: which column is what.
        taken: columns with another purpose.

    Raises:
        InputError: there is none.
    """
    if not layout.labelled:
        return None
    if layout.label is not None:
        check_column(source.title, layout.label, names, fix="name one with label=")
        return layout.label
    found = _known([name for name in names if name not in taken], LABELS, None)
    if found is None:
        raise InputError(
            "LABELLED_COLUMN",
            f"{source.title} has no column with a common name for the labels",
            fix=f"name it with label=COLUMN; it has the columns {listed(names)}",
        )
    return found


def _known(names: Sequence[str], known: Sequence[str], taken: str | None) -> str | None:
    folded = {name.strip().casefold(): name for name in names if name != taken}
    return next((folded[name] for name in known if name in folded), None)
