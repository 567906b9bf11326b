"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.data import Dating, Layout, Panel, Reader, Source, columns_of, read_panel
from tidegate.errors import InputError
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.split import least_rows
from tidegate.train.fitted import is_private, owner_of

if TYPE_CHECKING:
    from tidegate.tasks.forecast.encoding import ForecastEncoding


def reader(setting: ForecastSetting) -> Reader[Panel]:
    """What reads the rows to learn from.

    Raises:
        InputError: private training has no honest unit, or would have to learn something from rows without noise.
    """
    if is_private(setting):
        _check_private(setting)
    own = replace(layout(setting), owner=owner_of(setting))
    return Reader(read_panel, (own, least_rows(setting), "each split needs rows of its own"))


def _check_private(setting: ForecastSetting) -> None:
    if setting.series is None or owner_of(setting) is None:
        raise InputError(
            "PRIVATE_UNIT",
            "every row of a series is in many windows, so no row can be protected by itself",
            fix="pass a table of many series, name them with series=COLUMN, and protect them with protect=COLUMN",
        )
    season = setting.difference == "season" and setting.season is None
    learnt = {
        "season": (season, "the season is estimated from training rows", "set season= to the number of rows"),
        "difference": (
            setting.difference in ("auto", "linear"),
            "a ridge regression is fitted to training rows without noise",
            "set difference= to last, season or none",
        ),
        "logarithm": (
            setting.logarithm != "no",
            "logarithms are chosen and scaled by training rows without noise",
            "set logarithm='no'",
        ),
    }
    for name, (wrong, what, fix) in learnt.items():
        if wrong:
            value = getattr(setting, name)
            raise InputError("PRIVATE_SETTING", f"{name}={value!r} does not go with epsilon=: {what}", fix=fix)


def rows_of(
    source: Source, setting: ForecastSetting, encoding: ForecastEncoding | None, given: ForecastEncoding | None
) -> Panel:
    """The rows of a task.

    Args:
        source: the data.
        setting: how to read them.
        encoding: of a trained model, which is to be tested on them.
        given: learnt from public data, to learn from these rows.

    Raises:
        InputError: they cannot be used.
    """
    if encoding:
        return read_for(source, setting, encoding, 2 + setting.horizon)
    if given is None:
        return source.read_by(reader(setting))
    _check_private(setting)
    return read_for(source, setting, given, least_rows(setting), owner_of(setting))


def read_for(
    source: Source, setting: ForecastSetting, encoding: ForecastEncoding, minimum: int, owner: str | None = None
) -> Panel:
    """Read new data with the columns that a trained model needs.

    Args:
        source: the data.
        setting: of the model.
        encoding: of the model.
        minimum: the fewest rows of a series.
        owner: the column whose values say whom a series belongs to.

    Raises:
        InputError: the file, a column or its values cannot be used, or its rows have another time step.
    """
    columns = replace(
        layout(setting),
        target=encoding.targets or encoding.columns[:1],
        known=columns_of(encoding.known, encoding.categories),
        inputs=columns_of(encoding.columns[1:], encoding.categories),
        dating=encoding.dating,
        learnt=encoding.decimal,
        categories=encoding.categories,
        owner=owner,
    )
    panel = read_panel(source, columns, minimum, f"the model forecasts {setting.horizon} rows ahead")
    if panel.clock and panel.clock.step != encoding.step:
        raise InputError(
            "SERIES_OTHER_STEP",
            f"the time step of {source.title} is {panel.clock.step!r}, but the model learnt {encoding.step!r}",
            fix="resample the data, or train on this time step",
        )
    return panel


def layout(setting: ForecastSetting) -> Layout:
    """The columns of a file to read in training."""
    alone = setting.strategy == "recursive" and setting.horizon > 1
    dating = Dating(setting.day_first, setting.date_format, setting.time_zone)
    return Layout(
        setting.target,
        setting.series,
        setting.time,
        tuple(setting.known),
        () if alone else None,
        dating,
        setting.separator,
        None if setting.decimal == "auto" else setting.decimal,
        fill=setting.fill,
    )
