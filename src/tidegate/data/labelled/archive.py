"""Series and their classes from ``.npz`` archives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.foreign import foreign
from tidegate.data.labelled.gap import observed
from tidegate.data.labelled.record import Label, Labelled, Layout, Values
from tidegate.data.labelled.ts import LARGEST
from tidegate.data.npz import read_npz
from tidegate.data.owner import check_no_column
from tidegate.data.source import Source
from tidegate.errors import InputError

FORMAT = "save arrays as x [N, T] or [N, T, C] and y [N]; for ragged ones x [all steps, C] and lengths [N]"
PARTS = ("train", "valid", "test")

Arrays = dict[str, NDArray[Any]]


def read_archive(source: Source, layout: Layout) -> dict[str, Labelled]:
    """Labelled series by part, from arrays ``x`` and ``y``, or ``train_x``, ``train_y``, ``test_x``, ... if split.

    Shapes:
        x: numbers [N, T] or [N, T, C]; or [all steps, C] with ``lengths`` [N]. y: [N].

    Raises:
        InputError: the archive is unreadable, has other arrays, or contains infinite values. NaN is a missing value.
    """
    with foreign("ARCHIVE", f"{source.title} is not a readable .npz archive", FORMAT):
        arrays = read_npz(source.raw)
    named = {part: _part(arrays, part) for part in PARTS}
    if "x" in arrays:
        named = {"train": arrays}
    check_no_column(source.title, layout.owner, "an archive of arrays")
    parts = {part: _labelled(source, own, layout) for part, own in named.items() if "x" in own}
    if "train" not in parts:
        names = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError("ARCHIVE_NAMES", f"{source.title} has {names}, but no 'x' or 'train_x'", fix=FORMAT)
    return parts


def _part(arrays: Arrays, part: str) -> Arrays:
    return {
        name: arrays[key]
        for name in ("x", "y", "lengths")
        for key in (f"{part}_{name}", f"{name}_{part}")
        if key in arrays
    }


def _labelled(source: Source, arrays: Arrays, layout: Layout) -> Labelled:
    items, warnings = observed(_series(source, arrays, layout))
    if not layout.labelled:
        return Labelled(items, (), warnings)
    if "y" not in arrays:
        raise InputError("ARCHIVE_NAMES", f"{source.title} has series, but no classes y", fix=FORMAT)
    labels = arrays["y"]
    if labels.ndim != 1 or labels.dtype.kind not in "iufbU" or len(labels) != len(items):
        raise InputError(
            "ARCHIVE_SHAPE",
            f"the classes of {source.title} are {labels.dtype} {list(labels.shape)}, not [{len(items)}]",
            fix=FORMAT,
        )
    return Labelled(items, _labels(source, labels), warnings)


def _labels(source: Source, labels: NDArray[Any]) -> tuple[Label, ...]:
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argmin(np.isfinite(labels)))
        raise InputError(
            "LABELLED_LABEL", f"the class in row {row + 1} of {source.title} is {labels[row]}", fix="give it a class"
        )
    if labels.dtype.kind == "f":
        labels = labels.astype(np.float64)  # what is wider than Python's numbers does not become one by itself
    return tuple(labels.tolist())


def _series(source: Source, arrays: Arrays, layout: Layout) -> list[Values]:
    x = arrays["x"]
    if x.dtype.kind not in "iufb" or x.ndim not in (2, 3) or not x.size:
        raise InputError("ARCHIVE_SHAPE", f"the series of {source.title} are {x.dtype} {list(x.shape)}", fix=FORMAT)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    largest = min(LARGEST, float(np.finfo(x.dtype).max)) if x.dtype.kind == "f" else LARGEST  # float16 ends at 65,504
    if x.dtype.kind == "f" and (np.abs(x) > largest).any():
        row = int(np.argwhere(np.abs(x) > largest)[0][0]) + 1
        raise InputError(
            "ARCHIVE_VALUE",
            f"row {row} of the series of {source.title} has an infinite or too large number",
            fix="correct it",
        )
    if "lengths" in arrays:
        return _ragged(source, x, arrays["lengths"])
    shape = (len(x), -1, 1) if layout.flat or x.ndim == 2 else x.shape
    return list(x.reshape(shape))


def _ragged(source: Source, x: NDArray[Any], lengths: NDArray[Any]) -> list[Values]:
    good = lengths.ndim == 1 and lengths.dtype.kind in "iu" and len(lengths) and lengths.min() > 0 and x.ndim == 2
    if not good or int(lengths.sum()) != len(x):
        raise InputError(
            "ARCHIVE_SHAPE",
            f"the lengths of {source.title} do not add up to the {len(x)} steps of its series",
            fix=FORMAT,
        )
    return np.split(x, np.cumsum(lengths)[:-1])
