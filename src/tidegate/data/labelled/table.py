"""Texts and their classes from tables: CSV and TSV, JSON lines, Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.data.json_lines import read_objects
from tidegate.data.labelled.record import Label, Labelled, Layout
from tidegate.data.parquet import read_parquet
from tidegate.data.source import Source
from tidegate.data.table import read_table
from tidegate.errors import InputError, did_you_mean

TEXTS = ("text", "sentence", "name", "title", "content", "review", "tweet", "question", "message", "comment")
LABELS = ("label", "class", "category", "sentiment", "target", "intent", "topic", "language", "y")
LISTED = 20
FORM = '{"text": ..., "label": ...}'

Columns = dict[str, Sequence[Any]]


def read_csv(source: Source, layout: Layout) -> Labelled:
    """A comma, semicolon or tab separated file whose first line names the columns."""
    table = read_table(source)
    return _labelled(source, dict(table.cells), layout, "row {} below the header")


def read_json_lines(source: Source, layout: Layout) -> Labelled:
    """An object on each line, all with the same keys.

    Raises:
        InputError: a line holds something else.
    """
    placed = list(read_objects(source, FORM))
    keys = list(placed[0][1])
    for place, row in placed:
        absent = next((key for key in keys if key not in row), None)
        if absent is not None:
            raise InputError(
                "JSONL_KEY",
                f"{place} of {source.title} has no {absent!r}, which the first line has",
                fix="give every line the same keys",
            )
    return _labelled(source, {key: [row[key] for _, row in placed] for key in keys}, layout, "row {}")


def read_columns(source: Source, layout: Layout) -> Labelled:
    """A Parquet file."""
    frame = read_parquet(source)
    return _labelled(source, {name: frame[name].tolist() for name in frame.columns}, layout, "row {}")


def _labelled(source: Source, columns: Columns, layout: Layout, where: str) -> Labelled:
    text, label = _chosen(source, list(columns), layout)
    for index, cell in enumerate(columns[text]):
        if not isinstance(cell, str):
            place = where.format(index + 1)
            raise InputError(
                "LABELLED_TEXT",
                f"{text!r} in {place} of {source.title} must be a text, came {_shown(cell)}",
                fix="correct that row, or name another column with --text",
            )
    labels = (
        ()
        if label is None
        else tuple(_checked(source, cell, where.format(k + 1), label) for k, cell in enumerate(columns[label]))
    )
    return Labelled(tuple(columns[text]), labels)


def _checked(source: Source, cell: Any, place: str, column: str) -> Label:
    if isinstance(cell, (str, int, float, bool)) and str(cell).strip() and cell == cell:  # noqa: PLR0124  not NaN
        return cell.strip() if isinstance(cell, str) else cell
    raise InputError(
        "LABELLED_LABEL",
        f"{column!r} in {place} of {source.title} must be a class, came {_shown(cell)}",
        fix="give every row a class, or name another column with --label",
    )


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else repr(value)[:40]


def _chosen(source: Source, names: list[str], layout: Layout) -> tuple[str, str | None]:
    """The columns with the texts and with the classes."""
    if len(names) == 1 and not layout.labelled:
        return names[0], None
    asked = {"text": layout.text, "label": layout.label if layout.labelled else None}
    for option, name in asked.items():
        if name is not None and name not in names:
            raise InputError(
                "LABELLED_COLUMN",
                f"{source.title} has no column {name!r}{did_you_mean(name, names)}",
                fix=f"name one with --{option}: {_listed(names)}"
                if layout.labelled
                else f"call the one with the texts {name!r}, as in training: {_listed(names)}",
            )
    text = asked["text"] or _known(names, TEXTS, asked["label"])
    label = asked["label"] or (_known(names, LABELS, text) if layout.labelled else None)
    if len(names) == 2 and layout.labelled:  # one known, the other is what is left
        text = text or next((name for name in names if label and name != label), None)
        label = label or next((name for name in names if text and name != text), None)
    missing = "text" if text is None else "label"
    if text is None or (label is None and layout.labelled):
        raise InputError(
            "LABELLED_COLUMN",
            f"{source.title} does not say which column holds the {missing}",
            fix=f"name it with --{missing} COLUMN: {_listed(names)}",
        )
    if text == label:
        raise InputError(
            "LABELLED_COLUMN", f"{text!r} of {source.title} cannot be both text and label", fix="name two columns"
        )
    return text, label


def _known(names: list[str], known: Sequence[str], taken: str | None) -> str | None:
    folded = {name.strip().casefold(): name for name in names if name != taken}
    return next((folded[name] for name in known if name in folded), None)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(repr, names[:LISTED])) + more
