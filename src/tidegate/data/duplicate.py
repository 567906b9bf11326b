"""Leak checks: passages of the validation and test data that also occur in the training data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tidegate.data.midi import Roll
from tidegate.data.music import PianoRolls

STEPS = 16
ROWS = 24
CHARACTERS = 50
DISTINCT = 8  # different characters; ruled lines and runs of blanks are not copies


def shared_passages(rolls: PianoRolls) -> tuple[str, ...]:
    """Warnings about validation and test pieces that repeat 16 steps of a training piece note for note.

    A shorter piece counts if all of it is repeated. A single held chord does not count.
    """
    warnings: list[str] = []
    seen = {passage for roll in rolls.train for _, passage in _passages(roll)}
    for split, pieces in (("valid", rolls.valid), ("test", rolls.test)):
        shared = [count for count in (_covered(roll, seen) for roll in pieces) if count]
        if shared:
            total = sum(len(roll) for roll in pieces)
            warnings.append(
                f"{split}: {len(shared)} of {len(pieces)} pieces ({sum(shared)} of {total} steps) repeat "
                f"a passage of at least {STEPS} steps of a training piece, note for note"
            )
    return tuple(warnings)


def _passages(roll: Roll) -> Iterator[tuple[int, bytes]]:
    length = min(STEPS, len(roll))
    packed = np.packbits(roll, axis=1)
    changes = np.concatenate([[0], np.cumsum(np.any(packed[1:] != packed[:-1], axis=1))])
    for start in range(len(roll) - length + 1):
        if changes[start + length - 1] > changes[start]:
            yield start, packed[start : start + length].tobytes()


def _covered(roll: Roll, seen: set[bytes]) -> int:
    covered = np.zeros(len(roll), bool)
    for start, passage in _passages(roll):
        covered[start : start + STEPS] |= passage in seen
    return int(covered.sum())


def shared_rows(values: NDArray[np.float64], first: int) -> tuple[str, ...]:
    """A warning if 24 consecutive values from row ``first`` on also occur in earlier rows.

    Args:
        values: [rows] the target.
        first: the first row after the training rows.
    """
    if min(first, len(values) - first) < ROWS:
        return ()
    windows = np.lib.stride_tricks.sliding_window_view(np.ascontiguousarray(values), ROWS)
    moving = np.ptp(windows, axis=1) > 0
    seen = {windows[row].tobytes() for row in range(first - ROWS + 1) if moving[row]}
    covered = np.zeros(len(values), bool)
    for row in range(first, len(windows)):
        covered[row : row + ROWS] |= bool(moving[row]) and windows[row].tobytes() in seen
    count, total = int(covered.sum()), len(values) - first
    text = f"{count} of {total} rows of validation and test repeat {ROWS} or more consecutive training values exactly"
    return (text,) if count else ()


def shared_text(train: str, other: str, split: str) -> tuple[str, ...]:
    """A warning if a passage of ``other`` is a copy from ``train``.

    Every copy of at least 99 characters is detected, and some of those from 50 on: only every 50th position of
    ``train`` is indexed.
    """
    blocks = {train[at : at + CHARACTERS] for at in range(0, len(train) - CHARACTERS + 1, CHARACTERS)}
    covered = np.zeros(len(other), bool)
    for at in range(len(other) - CHARACTERS + 1):
        block = other[at : at + CHARACTERS]
        if block in blocks and len(set(block)) >= DISTINCT:
            covered[at : at + CHARACTERS] = True
    count = int(covered.sum())
    text = f"{split}: {count} of {len(other)} characters are in passages of {CHARACTERS} or more copied from training"
    return (text,) if count else ()
