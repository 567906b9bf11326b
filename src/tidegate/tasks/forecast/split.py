"""Split the rows of each series into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tidegate.data import Panel
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.tasks.forecast.setting import ForecastSetting

if TYPE_CHECKING:
    from tidegate.train.task import Split

ROWS = 40
TRAIN = 28  # fewest training rows, not counting those of one forecast


@dataclass(frozen=True)
class Span:
    """The rows ``start`` to ``end - 1`` of a series; validation begins at ``first``, the test at ``second``."""

    start: int
    first: int
    second: int
    end: int

    def moved(self, by: int) -> Span:
        """The same span, ``by`` rows later."""
        return Span(self.start + by, self.first + by, self.second + by, self.end + by)

    @property
    def local(self) -> Span:
        """The same span, counted from its first row."""
        return self.moved(-self.start)

    def bounds(self, split: Split) -> tuple[int, int]:
        """The first row of a split, and one past its last. The first row of a series is never forecast."""
        return {
            "train": (self.start + 1, self.first),
            "valid": (self.first, self.second),
            "test": (self.second, self.end),
        }[split]


def least_rows(setting: ForecastSetting) -> int:
    """The number of rows that a series needs for a forecast in each split."""
    return max(ROWS, TRAIN + 3 * setting.horizon)


def in_time(panel: Panel, setting: ForecastSetting) -> list[Span]:
    """Split each series in time, by shares or by its files.

    Raises:
        InputError: there is a file for validation but none for the test, or a series is too short in some part.
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
    """The first rows of test and validation; each holds at least one forecast."""
    test, valid = setting.test_share, setting.valid_share
    if not with_test:
        return rows, min(_part(rows, 1 - valid / (1 - test)), rows - setting.horizon)
    second = min(_part(rows, 1 - test), rows - setting.horizon)
    return second, min(_part(rows, 1 - test - valid), second - setting.horizon)


def _part(rows: int, share: float) -> int:
    return int(round(share * rows, 6))  # 0.7 of 730 rows are 510.99999999999994 in binary


def all_test(panel: Panel, setting: ForecastSetting) -> list[Span]:
    """Each series as a test, after rows that serve as history only: the context, or half of the rows."""
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


def scored(stride: int) -> str:
    """At which rows forecasts are scored, in words; nothing for all of them."""
    return say("scored at every {stride}th row", stride=stride) if stride > 1 else ""


def told(spans: Sequence[Span], *, fitted: bool) -> str:
    """The split in words."""
    if not fitted:
        return say("all rows are the test, except the first ones, which are history")
    rows = {
        "train": sum(span.first - span.start for span in spans),
        "valid": sum(span.second - span.first for span in spans),
        "test": sum(span.end - span.second for span in spans),
    }
    if len(spans) == 1:
        (span,) = spans
        return say(
            "in time: train rows 1 to {train}, valid to {valid}, test to {test}",
            train=span.first,
            valid=span.second,
            test=span.end,
        )
    return say("each series in time: train {train:,} rows, valid {valid:,} rows, test {test:,} rows", **rows)
