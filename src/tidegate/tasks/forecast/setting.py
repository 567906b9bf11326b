"""Settings of the task ``forecast``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from tidegate.train.setting import Column, Level, Range, Tabular, Training

Difference = Literal["last", "season", "linear", "none"]
Plain = Literal["last", "season", "linear"]
Strategy = Literal["recursive", "direct"]


@dataclass(kw_only=True)
class ForecastSetting(Tabular):
    """Forecast one column of a table, for one series or for many in the same table."""

    target: Annotated[str | None, Column()] = None
    """Column to forecast, several with commas between them, or all for every column of numbers. Several are series of
    their own that share one model, and are scored in their standard deviations."""
    series: Annotated[str | None, Column()] = None
    """Column that names the series of each row, where a table holds several."""
    time: Annotated[str | None, Column()] = None
    """Column of dates or numbers that orders the rows, or several with commas between them: date,hour or
    year,month,day. It is checked, and dates add calendar cycles as inputs."""
    known: Annotated[tuple[str, ...], Column()] = ()
    """Columns known ahead of time, such as prices or holidays. Every other column is known up to the present row."""
    day_first: bool | None = None
    """Whether the day comes before the month in dates such as 01/02/2024, or the month before the day
    (day_first=False); decided from all rows unless given."""
    date_format: str | None = None
    """Format of the dates in the letters of Python's strptime, such as %d/%m/%Y; found in the rows unless given."""
    time_zone: str | None = None
    """Time zone of the dates, such as Europe/Berlin. Of an hour that comes twice in autumn, the first is summer
    time."""
    decimal: Literal["auto", ",", "."] = "auto"
    """The decimal mark of numbers, where 1.497 may be 1497. auto decides from all rows, or asks."""
    fill: Annotated[float, Range(0, 0.5)] = 0.1
    """Largest share of the rows of a series that may be missing or empty. They are filled: the target and numbers known
    ahead by straight lines, everything else by the value before."""
    horizon: Annotated[int, Range(1, 1 << 16)] = 1
    """Number of rows to forecast."""
    strategy: Literal["auto", "recursive", "direct"] = "auto"
    """recursive forecasts one row, reads its own answer, and goes on; direct forecasts all rows at once. auto tries
    both for a few epochs and goes on with what validates better."""
    quantiles: Annotated[tuple[float, ...], Level()] = ()
    """Levels between 0 and 1 to forecast in addition to the median, such as 0.1 0.9."""
    difference: Literal["auto", "last", "season", "linear", "none"] = "auto"
    """What the network corrects: the last value, the value one season earlier, a ridge regression on past values
    (linear), or nothing. auto tries them for a few epochs and goes on with what validates best."""
    logarithm: Literal["auto", "yes", "no"] = "auto"
    """Whether to forecast the logarithm of the target; auto asks whether a ridge regression then validates better."""
    centre: Annotated[int, Range(0)] = 0
    """Read the target relative to the mean of this many last rows, so that a series may leave the range it had in
    training; 0 reads it as it is."""
    season: Annotated[int | None, Range(1)] = None
    """Rows in a season, 1 for none; estimated from the training rows unless given."""
    window: Annotated[int, Range(8)] = 64
    """Rows of a training sequence."""
    context: Annotated[int, Range(8)] = 256
    """Largest number of past rows that a forecast reads."""
    valid_share: Annotated[float, Range(0.01, 0.49)] = 0.15
    """Share of each series used for validation, right before the test rows."""
    test_share: Annotated[float, Range(0.01, 0.49)] = 0.15
    """Share of each series used for the test, at its end."""
    hidden_size: int = 64
    dropout: float = 0.0
    averaging: float = 0.99
    epochs: int = 60
    patience: int = 15

    _task: ClassVar[str] = "forecast"
    _unsmoothed: ClassVar[str] = "votes are about answers that are the same or not, and forecasts are numbers"
    _private: ClassVar[Mapping[str, Any]] = {**Training._private, "difference": "last", "logarithm": "no"}  # noqa: SLF001  its own


def forecast_levels(setting: ForecastSetting) -> tuple[float, ...]:
    """The quantiles to forecast in ascending order, the median among them."""
    return tuple(sorted({0.5, *setting.quantiles}))
