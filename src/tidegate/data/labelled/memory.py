"""Data in memory as a file, so that the same reader checks both."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.source import Source
from tidegate.errors import InputError

FORMS = "pass a list of texts, an array [N, T] or [N, T, C], or a list of arrays [T] or [T, C]"


def in_memory(items: Any, labels: Any = None) -> Source:
    """Texts as JSON lines, series as an ``.npz`` archive.

    Args:
        items: strings; an array [N, T] or [N, T, C]; or arrays [T] or [T, C] that may differ in T.
        labels: a class for each item, all strings or all numbers.

    Raises:
        InputError: data of another kind, or a different number of classes.
    """
    rows = _listed(items, "the data")
    answers = (
        None
        if labels is None
        else [one.item() if isinstance(one, np.generic) else one for one in _listed(labels, "the classes")]
    )
    if answers is not None and len(answers) != len(rows):
        raise InputError(
            "FIT_LABELS", f"{len(rows)} sequences have {len(answers)} classes", fix="pass a class for each sequence"
        )
    texts = sum(isinstance(row, str) for row in rows)
    if texts not in (0, len(rows)):
        raise InputError("FIT_DATA", f"{texts} of {len(rows)} sequences are texts, but the others are not", fix=FORMS)
    raw = _json_lines(rows, answers) if texts else _archive(rows, answers)
    return Source("memory", "data in memory", raw)


def _listed(values: Any, what: str) -> list[Any]:
    kind = type(values).__name__
    values = values.to_numpy() if hasattr(values, "to_numpy") else values  # of pandas
    try:
        rows = None if isinstance(values, (str, bytes, Mapping)) else list(values)
    except TypeError:
        rows = None
    if rows is None:
        raise InputError("FIT_DATA", f"{what} are of type {kind}", fix=FORMS)
    if not rows:
        raise InputError("FIT_DATA", f"{what} are empty", fix=FORMS)
    return rows


def _json_lines(texts: list[str], labels: list[Any] | None) -> bytes:
    rows = [{"text": text} for text in texts]
    if labels is not None:
        rows = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]
    try:
        return "\n".join(map(json.dumps, rows)).encode()
    except TypeError as error:
        raise InputError("FIT_LABELS", f"classes must be strings or numbers: {error}", fix="convert them") from None


def _archive(rows: Sequence[Any], labels: list[Any] | None) -> bytes:
    series = [_steps(row, index) for index, row in enumerate(rows)]
    widths = {one.shape[1] for one in series}
    if len(widths) > 1:
        raise InputError(
            "FIT_DATA", f"series have {min(widths)} to {max(widths)} channels", fix="pass the same number in each"
        )
    arrays = {"x": np.concatenate(series), "lengths": np.array([len(one) for one in series])}
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
