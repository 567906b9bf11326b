"""Split rows into training, validation and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data import Source
from tidegate.data.labelled import Labelled
from tidegate.errors import InputError
from tidegate.tasks.classification.setting import ClassificationSetting

ROWS = 10

Rows = NDArray[np.int64]


def stratified(keys: Sequence[Hashable], classes: Sequence[int], shares: Sequence[float], seed: int) -> list[Rows]:
    """Draw rows in the given shares, each class in proportion; the last part gets all other rows.

    Rows with the same key stay together, so that no part holds a copy of another part's row. A class with a single
    key falls into the last part, which is for training.

    Args:
        keys: the key of each row.
        classes: the class of each row.
        shares: the share of each part but the last; at most 1/2 in total.
        seed: seed of the draw.

    Examples:
        >>> parts = stratified("aabcdefghi", [0] * 10, [0.2], seed=0)
        >>> sorted(map(len, parts)), sorted(np.concatenate(parts).tolist()) == list(range(10))
        ([2, 8], True)
    """
    groups: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    members = list(groups.values())
    place = _places(np.array([classes[rows[0]] for rows in members]), np.random.default_rng(seed))
    order = np.argsort(place, kind="stable")
    before = np.cumsum([0, *(len(members[group]) for group in order)])[:-1]  # rows that come first
    edges = np.cumsum(shares) * len(keys) - 0.5
    part = np.where(place[order] < 1, np.searchsorted(edges, before, side="right"), len(shares))
    return [
        np.sort([row for group in order[part == k] for row in members[group]]).astype(np.int64)
        for k in range(len(shares) + 1)
    ]


def _places(classes: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """A number in [0, 1) for each group, evenly spread within each class; 1 for a class's only group."""
    place = np.ones(len(classes))
    for kind in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == kind))
        if len(rows) > 1:
            place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return place


def key_of(item: Any) -> Any:
    """A key that equal sequences share: the text without case and spacing, or all values."""
    return " ".join(item.split()).casefold() if isinstance(item, str) else (item.shape, item.tobytes())


def parted(source: Source, read: dict[str, Labelled], setting: ClassificationSetting) -> dict[str, Labelled]:
    """Split the data; parts without a file of their own are drawn.

    Raises:
        InputError: too few rows, or too few or too many classes.
    """
    rows = read["train"]
    check_classes(source, Counter(map(str, rows.labels)))
    shares = {"test": setting.test_share, "valid": setting.valid_share}
    shares = {part: share for part, share in shares.items() if part not in read}
    names = {label: index for index, label in enumerate(dict.fromkeys(rows.labels))}
    classes = [names[label] for label in rows.labels]
    keys = rows.owners or [key_of(item) for item in rows.items]  # all rows of an owner stay in one part
    drawn_rows = stratified(keys, classes, list(shares.values()), setting.split_seed)
    own = {part: _taken(rows, taken) for part, taken in zip((*shares, "train"), drawn_rows, strict=True)}
    parts = {**read, **own}
    empty = next((part for part in ("train", "valid") if not parts[part].items), None)
    if empty:
        kinds = len(set(map(key_of, rows.items)))
        raise InputError(
            "CLASSIFICATION_SPLIT",
            f"{source.title} leaves no rows for {empty}: only {kinds} of its {len(rows.items)} rows differ",
            fix="pass more data, or larger shares",
        )
    return {part: parts[part] for part in ("train", "valid", "test")}


def _taken(rows: Labelled, taken: Rows) -> Labelled:
    items, labels, owners = (
        tuple(own[row] for row in taken) if own else () for own in (rows.items, rows.labels, rows.owners)
    )
    return Labelled(items, labels, owners=owners)


def check_classes(source: Source, count: Counter[str]) -> None:
    """Refuse too few rows, and too few or too many classes.

    Args:
        source: where the rows come from.
        count: the rows of each class.

    Raises:
        InputError: they are.
    """
    rows = count.total()
    if len(count) < 2:
        raise InputError(
            "CLASSIFICATION_ONE",
            f"every row of {source.title} has the class {next(iter(count))!r}",
            fix="pass two or more classes",
        )
    if rows < ROWS:
        raise InputError(
            "CLASSIFICATION_SHORT",
            f"{source.title} has {rows} rows, but at least {ROWS} are needed, since some are for validation",
            fix="pass more data",
        )
    if len(count) > rows // 2:
        raise InputError(
            "CLASSIFICATION_CLASSES",
            f"{source.title} has {len(count)} different classes in {rows} rows",
            fix="name the column with the classes with label=, or cut them off with label_end=",
        )


def described(read: dict[str, Labelled], parts: dict[str, Labelled], setting: ClassificationSetting) -> str:
    sizes = ", ".join(f"{part} {len(rows.items):,}" for part, rows in parts.items())
    own = " and ".join(part for part in ("valid", "test") if part in read)
    how = f"drawn class by class (seed {setting.split_seed})" if "train" in parts else "all rows"
    return f"{how}: {sizes}" + (f"; {own} as given" if own else "")


def shared(parts: dict[str, Labelled]) -> Iterator[str]:
    train = set(map(key_of, parts["train"].items)) if "train" in parts else set()
    for split in ("valid", "test"):
        rows = parts[split].items if split in parts else ()
        shared = sum(key_of(item) in train for item in rows) if train else 0
        if shared:
            yield f"{split}: {shared} of {len(rows)} rows also occur in training"
