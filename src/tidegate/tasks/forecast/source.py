"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from tidegate.data import Dating, Layout, Panel, Reader, read_panel
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.split import least_rows


def reader(setting: ForecastSetting) -> Reader[Panel]:
    """What reads the rows to learn from."""
    return Reader(read_panel, (layout(setting), least_rows(setting), "each split needs rows of its own"))


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
