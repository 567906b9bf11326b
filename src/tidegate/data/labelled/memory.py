"""Data in memory as a file, which the reader of files checks."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.column import listed
from tidegate.data.frame import csv_of
from tidegate.data.labelled.record import KINDS, check_labels
from tidegate.data.source import Source
from tidegate.errors import InputError

OWN = "data in memory"  # whose columns we name; those of a frame are the user's
FORMS = "pass a list of texts, an array [N, T] or [N, T, C], or a list of arrays [T] or [T, C]"


def in_memory(items: Any, labels: Any = None, *, long: bool = False) -> Source:
    """Write texts as JSON lines, and series as an ``.npz`` archive.

    Args:
        items: strings; an array [N, T] or [N, T, C]; arrays [T] or [T, C] that may differ in T; or a frame of pandas:
            one of numbers is an array [N, T], one with texts is a table, as a file of this content.
        labels: a class for each item, all strings or all numbers.
        long: whether a frame has a row for each step of each series, and a column that names these.

    Raises:
        InputError: the data have another form, or the number of classes differs.
    """
    if long:
        return _of_steps(items, labels)
    if isinstance(items, pd.DataFrame) and not all(map(pd.api.types.is_numeric_dtype, items.dtypes)):
        return _of_frame(items, labels)
    rows = _filled(items, "the data")
    answers = (
        None
        if labels is None
        else [label.item() if isinstance(label, np.generic) else label for label in _filled(labels, "the classes")]
    )
    if answers is not None and len(answers) != len(rows):
        raise InputError(
            "FIT_LABELS", f"{len(rows)} sequences have {len(answers)} classes", fix="pass a class for each sequence"
        )
    if answers is not None and all(type(answer) in KINDS for answer in answers):  # others are refused below
        check_labels("the data in memory", answers, lambda index: f"place {index}")
    texts = sum(isinstance(row, str) for row in rows)
    if texts not in (0, len(rows)):
        raise InputError("FIT_DATA", f"{texts} of {len(rows)} sequences are texts, but the others are not", fix=FORMS)
    raw = _json_lines(rows, answers) if texts else _archive(rows, answers)
    return Source("memory", OWN, raw)


def _of_steps(frame: Any, labels: Any) -> Source:
    """A frame with a row for each step."""
    if not isinstance(frame, pd.DataFrame) or labels is not None:
        got = "classes beside a frame" if isinstance(frame, pd.DataFrame) else type(frame).__name__
        raise InputError(
            "FIT_DATA",
            f"series= names a column of a frame with a row for each step, but got {got}",
            fix="pass such a frame with a column of classes and label=, or leave out series=",
        )
    return Source("memory", "the frame", csv_of(frame))


def _of_frame(frame: pd.DataFrame, labels: Any) -> Source:
    """A frame with texts: a table with its classes, or one column of texts beside classes that are given."""
    if labels is None:
        lines = frame.to_json(orient="records", lines=True, force_ascii=False)
        return Source("memory", "the frame", str(lines).encode())
    if len(frame.columns) > 1:
        raise InputError(
            "FIT_DATA",
            f"classes are given beside a frame with the columns {listed([str(name) for name in frame.columns])}",
            fix="pass the column of texts alone, or a frame with texts and classes and text= and label=",
        )
    return in_memory(frame.iloc[:, 0], labels)


def as_list(values: Any, what: str, fix: str) -> list[Any]:
    """The items of a sequence, an array or a pandas object.

    Args:
        values: the sequence.
        what: its name in errors.
        fix: what the caller can pass instead.

    Raises:
        InputError: ``values`` is a text, a mapping, or not iterable.
    """
    kind = type(values).__name__
    values = values.to_numpy() if hasattr(values, "to_numpy") else values  # pandas
    try:
        rows = None if isinstance(values, (str, bytes, Mapping)) else list(values)
    except TypeError:
        rows = None
    if rows is None:
        raise InputError("FIT_DATA", f"got {kind} for {what}", fix=fix)
    return rows


def _filled(values: Any, what: str) -> list[Any]:
    rows = as_list(values, what, FORMS)
    if not rows:
        raise InputError("FIT_DATA", f"{what} are empty", fix=FORMS)
    return rows


def _json_lines(texts: list[str], labels: list[Any] | None) -> bytes:
    rows = [{"text": text} for text in texts]
    if labels is not None:
        rows = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]
    try:
        return "\n".join(map(json.dumps, rows)).encode()
    except (TypeError, ValueError) as error:  # ValueError: an integer of thousands of digits
        raise InputError("FIT_LABELS", f"classes must be strings or numbers: {error}", fix="convert them") from None


def _archive(rows: Sequence[Any], labels: list[Any] | None) -> bytes:
    series = [_steps(row, index) for index, row in enumerate(rows)]
    widths = {steps.shape[1] for steps in series}
    if len(widths) > 1:
        raise InputError(
            "FIT_DATA", f"series have {min(widths)} to {max(widths)} channels", fix="pass the same number in each"
        )
    arrays = {"x": np.concatenate(series), "lengths": np.array([len(steps) for steps in series])}
    if labels is not None:
        arrays["y"] = np.array(labels)
    if arrays["x"].dtype.kind not in "iufb" or arrays.get("y", arrays["x"]).dtype.kind not in "iufbU":
        raise InputError("FIT_DATA", "series must be numbers, and classes strings or numbers", fix=FORMS)
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # allow_pickle is no array
    return content.getvalue()


def _steps(row: Any, index: int) -> NDArray[Any]:
    try:
        values = np.asarray(row)
    except ValueError:  # lists of lists of different lengths
        values = np.zeros(0)
    if values.ndim not in (1, 2) or not values.size:
        raise InputError("FIT_DATA", f"series {index} is not an array [T] or [T, C] with at least one step", fix=FORMS)
    return values.reshape(len(values), -1)
