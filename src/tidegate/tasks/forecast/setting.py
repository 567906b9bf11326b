"""Settings of forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tidegate.errors import InputError
from tidegate.train.setting import INFINITY, Range, Training


@dataclass(kw_only=True)
class ForecastSetting(Training):
    """A forecast of one column of a table, for one series or many below each other."""

    target: str | None = None
    """The column to forecast."""
    series: str | None = None
    """The column that names the series of each row, where a table holds several."""
    time: str | None = None
    """The column that says when, in dates or numbers: it is checked, and the cycles of a calendar become inputs."""
    known: tuple[str, ...] = ()
    """Columns known ahead, such as prices or holidays. All other numbers are inputs known up to the present row."""
    horizon: int = 1
    """How many rows ahead to forecast."""
    strategy: Literal["recursive", "direct"] = "recursive"
    """recursive answers one row, reads its own answer, and so on; direct answers all rows ahead at once."""
    quantiles: tuple[float, ...] = ()
    """Levels between 0 and 1 to forecast beside the median, such as 0.1 0.9."""
    difference: Literal["last", "season", "linear", "none"] = "last"
    """Forecast the change from the last value, from the value a season before, or from a linear autoregression, or
    the value itself."""
    centre: int = 0
    """Read the target less the mean of so many last rows, so that a series may leave the range of its training rows;
    0 reads it as it is."""
    season: int | None = None
    """Rows in a season, 1 for none; found in the training rows unless given."""
    window: int = 64
    """Rows of a training sequence."""
    context: int = 256
    """The most rows of history that a forecast needs."""
    valid_share: float = 0.15
    """Share of each series for validation, before the rows for the test."""
    test_share: float = 0.15
    """Share of each series for the test, at its end."""
    hidden_size: int = 32
    dropout: float = 0.0

    task: ClassVar[str] = "forecast"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "horizon": (1, 1 << 16),
        "season": (1, INFINITY),
        "centre": (0, INFINITY),
        "window": (8, INFINITY),
        "context": (8, INFINITY),
        "valid_share": (0.01, 0.49),
        "test_share": (0.01, 0.49),
    }

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles to forecast, in order, the median among them."""
        return tuple(sorted({0.5, *self.quantiles}))

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: a number out of its range, a quantile that is none, a column named twice.
        """
        super().check()
        wrong = [level for level in self.quantiles if not (isinstance(level, float) and 0 < level < 1)]
        if wrong:
            raise InputError(
                "SETTING_QUANTILE", f"--quantiles has {wrong[0]!r}", fix="give levels between 0 and 1, such as 0.1 0.9"
            )
        named = [name for name in (self.target, self.series, self.time, *self.known) if name is not None]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                "SETTING_COLUMN", f"the column {twice!r} is named for two purposes", fix="name another column"
            )
