"""Which rows of each series are for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.data import Panel
from tidegate.errors import InputError
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train.task import Split

ROWS = 40
TRAIN = 28  # the least number of rows to learn from, beside those of one forecast


@dataclass(frozen=True)
class Span:
    """One series: rows start to end - 1 of the panel, those from ``first`` on validate, from ``second`` on test."""

    start: int
    first: int
    second: int
    end: int

    def moved(self, by: int) -> Span:
        """The same rows where the first of all stands so many rows later."""
        return Span(self.start + by, self.first + by, self.second + by, self.end + by)

    @property
    def local(self) -> Span:
        """The same counted from its first row."""
        return self.moved(-self.start)

    def bounds(self, split: Split) -> tuple[int, int]:
        """The first row of a split, and the one behind its last. The first row of all is never forecast."""
        return {
            "train": (self.start + 1, self.first),
            "valid": (self.first, self.second),
            "test": (self.second, self.end),
        }[split]


def least_rows(setting: ForecastSetting) -> int:
    """How many rows a series needs so that each split holds a forecast."""
    return max(ROWS, TRAIN + 3 * setting.horizon)


def in_time(panel: Panel, setting: ForecastSetting) -> list[Span]:
    """Each series cut in time: by shares, or as its files say.

    Raises:
        InputError: a file of its own for validation alone, or a series too short in one of the files.
    """
    parts = panel.parts if panel.parts is not None else np.zeros(len(panel.values), int)
    if 1 in parts and 2 not in parts:
        raise InputError("SPLIT", "there is a file for validation, but none for the test", fix="also pass test=")
    spans = []
    for start, end, name in _series(panel):
        own = parts[start:end]
        first, second = int(np.searchsorted(own, 1)), int(np.searchsorted(own, 2))
        if 1 not in parts:
            second, first = _shares(second, setting, with_test=2 not in parts)
        lengths = {"training": first, "validation": second - first, "the test": end - start - second}
        for what, rows in lengths.items():
            needed = setting.horizon + (setting.horizon + 1 if what == "training" else 0)
            if rows < needed or np.any(np.diff(own) < 0):
                of = f"the series {name!r}" if name else "the series"
                raise InputError(
                    "SPLIT_SHORT",
                    f"{of} has {rows} rows for {what}, but forecasts of {setting.horizon} rows need {needed}",
                    fix="use a longer series, or a smaller horizon=",
                )
        spans.append(Span(start, start + first, start + second, end))
    return spans


def _shares(rows: int, setting: ForecastSetting, *, with_test: bool) -> tuple[int, int]:
    """Where the test and validation begin in so many rows; each holds one forecast at least."""
    test, valid = setting.test_share, setting.valid_share
    if not with_test:
        return rows, min(_part(rows, 1 - valid / (1 - test)), rows - setting.horizon)
    second = min(_part(rows, 1 - test), rows - setting.horizon)
    return second, min(_part(rows, 1 - test - valid), second - setting.horizon)


def _part(rows: int, share: float) -> int:
    return int(round(share * rows, 6))  # 0.7 of 730 rows are 510.99999999999994 in binary


def all_test(panel: Panel, setting: ForecastSetting) -> list[Span]:
    """Each series as a test, behind rows that are history only: the context, or half of the rows."""
    spans = []
    for start, end, _ in _series(panel):
        lead = start + max(1, min(setting.context, (end - start) // 2, end - start - setting.horizon))
        spans.append(Span(start, lead, lead, end))
    return spans


def _series(panel: Panel) -> list[tuple[int, int, str]]:
    """Start, end without the future, and name of each series."""
    starts: Sequence[int] = panel.starts
    return [
        (start, end - future, name)
        for start, end, future, name in zip(starts[:-1], starts[1:], panel.future, panel.names, strict=True)
    ]
