"""Private forecasting: each series belongs to one part, and what layers read is not learnt from those of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tidegate.data import Panel, cut_by_group
from tidegate.errors import InputError
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import make_grid
from tidegate.tasks.forecast.learn import calendar, categories, changes, first_choice, pace_of, taking, written
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.split import Span
from tidegate.train.fitted import Fitted
from tidegate.train.promise import public_parts

LEAST = 10  # owners, some of which validate and test
CHANGES = Fitted("changes", "how much series change from row to row, and beyond the base of forecasts")
CALENDAR = Fitted("calendar", "which cycles of the calendar occur twice in the longest series")
USED = (CHANGES, CALENDAR)  # what a private model does without unless it is public


def by_owner(panel: Panel, setting: ForecastSetting) -> tuple[list[Span], list[int]]:
    """Draw owners for training, validation and test, each with all rows of its series.

    A split in time would score a series with a history, and in a unit, that come from its training rows.

    Returns:
        The rows of each series, those of validation and test after some that are history only; and the series of
        training.

    Raises:
        InputError: there are files for validation or test, or too few owners.
    """
    if panel.parts is not None and panel.parts.any():
        raise InputError(
            "PRIVATE_FILES",
            "private training draws the series of validation and test, but files of their own are given",
            fix="leave them out, and evaluate the model on them afterwards",
        )
    owners = len(set(panel.owners))
    if owners < LEAST:
        raise InputError(
            "PRIVATE_SERIES",
            f"the column {setting.protect!r} has {owners} values, but at least {LEAST} are needed",
            fix="pass more series, some of which are for validation and the test",
        )
    parts = cut_by_group(panel.owners, {"valid": setting.valid_share, "test": setting.test_share})
    spans = {place: _span(panel, place, part, setting) for part, places in parts.items() for place in places}
    return [spans[place] for place in range(len(spans))], parts["train"]


def _span(panel: Panel, place: int, part: str, setting: ForecastSetting) -> Span:
    start, end = panel.starts[place], panel.starts[place + 1] - panel.future[place]
    lead = start + max(1, min(setting.context, (end - start) // 2, end - start - setting.horizon))
    first = end if part == "train" else lead
    return Span(start, first, lead if part == "test" else end, end)


def told_apart(spans: Sequence[Span], setting: ForecastSetting) -> str:
    """The split in words."""
    train = sum(span.first == span.end for span in spans)
    test = sum(span.second < span.end for span in spans)
    counts = f"train {train:,} series, valid {len(spans) - train - test:,}, test {test:,}"
    return f"drawn by {setting.protect!r}, with all rows: {counts}"


def encoding_apart(
    panel: Panel, spans: Sequence[Span], learning: Sequence[int], setting: ForecastSetting
) -> ForecastEncoding:
    """The encoding of a private model: each series is in units of its own, and sizes of changes are 1.

    Args:
        panel: the rows.
        spans: those of each series.
        learning: the series of training.
        setting: what is public is learnt from them.
    """
    public, border = public_parts(setting), len(panel.columns) - panel.known
    own = [spans[place] for place in learning]
    others = np.concatenate([panel.values[span.start : span.first, 1:] for span in own])
    targets, clock = tuple(dict.fromkeys(panel.targets)), written(panel.clock)
    encoding = ForecastEncoding(
        columns=panel.columns[:border],
        known=panel.columns[border:],
        cycles=calendar(panel, own) if CALENDAR.name in public else (),
        mean=tuple(others.mean(0).tolist()),
        sd=tuple(others.std(0).tolist()),
        step=clock["step"],
        scales={},
        difference="last",
        centre=setting.centre,
        linear=(),
        season=setting.season or 1,
        pace=1.0,
        change=(1.0,) * setting.horizon,
        naive={},
        dates=clock["dates"],
        zone=clock["zone"],
        decimal=panel.decimal,
        targets=targets if len(targets) > 1 else (),
        categories=categories(panel, panel.columns),
    )
    encoding = taking(encoding, first_choice(setting), setting)
    if CHANGES.name not in public:
        return encoding
    grid = make_grid(panel, encoding, spans, setting.horizon)
    learnt = replace(grid, spans=tuple(grid.spans[place] for place in learning))
    levels = [grid.levels[span.start : span.first].numpy() for span in learnt.spans]
    return replace(encoding, pace=pace_of(levels, panel.target), change=changes(learnt))


def fitted_apart(encoding: ForecastEncoding, setting: ForecastSetting) -> tuple[Fitted, ...]:
    """What of the encoding of a private model was learnt from training series."""
    public = public_parts(setting)
    others = [*encoding.columns[1:], *encoding.known]
    mark = Fitted("decimal", f"that {encoding.decimal!r} is the decimal mark", f"decimal={encoding.decimal!r}")
    found = {
        Fitted("columns", f"that {', '.join(others)} can be inputs"): bool(others),
        Fitted("scale", "mean and deviation of the other columns"): bool(others),
        Fitted("categories", "the texts of columns"): bool(encoding.categories),
        Fitted("dates", "how times are written, and the step between rows"): bool(encoding.step),
        mark: setting.decimal == "auto" and encoding.decimal is not None,
        **{one: one.name in public for one in USED},
    }
    return tuple(one for one, learnt in found.items() if learnt)
