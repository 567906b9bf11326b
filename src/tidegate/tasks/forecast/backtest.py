"""Forecasts from many rows of a test beside the truth: how far off they are at each step ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tidegate.tasks.forecast.baseline import baselines
from tidegate.tasks.forecast.grid import Grid, Values
from tidegate.tasks.forecast.ridge import ahead_of
from tidegate.tasks.forecast.score import Forecasts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tidegate.tasks.forecast.plot import Track

PANELS = 8  # series in one figure
SHOWN = 8  # forecasts of a series in the figure, one behind the other
LEAST = 120  # rows of a series in the figure, if it has them


@dataclass(frozen=True)
class Backtest:
    """Rolling-origin forecasts.

    Attributes:
        frame: a row for each origin and step: the series, the origin, the time, the step, the true value, the forecast
            and its quantiles.
        grid: the rows.
        forecasts: the same forecasts as arrays.
        title: of the data.
    """

    frame: pd.DataFrame
    grid: Grid
    forecasts: Forecasts
    title: str

    @property
    def truth(self) -> Values:
        """[N, steps] the true values."""
        return ahead_of(self.grid.truth, self.forecasts.origin, self.forecasts.point.shape[1])

    @property
    def unit(self) -> str:
        """The suffix of errors that are in standard deviations, as those of several targets are."""
        return "/sd" if self.grid.encoding.targets else ""

    def by_step(self) -> pd.DataFrame:
        """The errors at each step ahead.

        Returns:
            A row for each step: the mean absolute error, the root of the mean square, how often the widest interval
            covers the truth, in percent, if there are intervals, and the mean absolute error of the baselines.
        """
        found = {f"MAE{self.unit}": np.abs(self._miss).mean(0), f"RMSE{self.unit}": np.sqrt((self._miss**2).mean(0))}
        low, high = self.forecasts.quantiles[..., 0], self.forecasts.quantiles[..., -1]
        levels = self.forecasts.levels
        if len(levels) > 1:
            inside = (low <= self.truth) & (self.truth <= high)
            found[f"coverage of {levels[0]:g} to {levels[-1]:g}"] = 100 * inside.mean(0)
        found |= {f"{name} MAE{self.unit}": np.abs(miss).mean(0) for name, miss in self._baselines()}
        return pd.DataFrame({"step": np.arange(1, self.truth.shape[1] + 1), **found})

    def figure(self) -> Figure:
        """The last forecasts of the first eight series beside the truth, and the errors by step ahead."""
        from tidegate.tasks.forecast.plot import rolling_figure  # matplotlib is slow to load

        errors = {"model": np.abs(self._miss).mean(0)}
        errors |= {name: np.abs(miss).mean(0) for name, miss in self._baselines()}
        tracks = [self._track(series) for series in range(min(PANELS, len(self.grid.names)))]
        return rolling_figure(tracks, errors, f"MAE{self.unit}")

    @property
    def _miss(self) -> Values:
        """[N, steps] truth less forecast."""
        miss: Values = (self.truth - self.forecasts.point) / self._sd
        return miss

    @property
    def _sd(self) -> Values | float:
        """[N, 1] what errors are divided by."""
        return self.grid.scales[self.forecasts.series, 1][:, None] if self.unit else 1.0

    def _baselines(self) -> Iterator[tuple[str, Values]]:
        """Names and errors of the baselines, from the same rows; a drift is hardly ever the best."""
        steps = self.truth.shape[1]
        for naive in baselines(self.grid):
            if naive.name == "drift":
                continue
            parts = []
            for series, span in enumerate(self.grid.spans):
                own = self.forecasts.origin[self.forecasts.series == series]
                mean, sd = self.grid.scales[series]
                miss = (
                    ahead_of(self.grid.truth, own, steps) - mean - sd * naive.forecast(series, own - span.start, steps)
                )
                parts.append(miss / sd if self.unit else miss)
            yield naive.name, np.concatenate(parts)

    def _track(self, series: int) -> Track:
        """The end of a series, with forecasts that do not overlap."""
        from tidegate.tasks.forecast.plot import Path, Track

        span, times = self.grid.spans[series], in_plot(self.grid.times[series])
        steps = self.truth.shape[1]
        places = np.flatnonzero(self.forecasts.series == series)
        chosen: list[int] = []
        for place in reversed(places.tolist()):
            if not chosen or self.forecasts.origin[place] + steps <= self.forecasts.origin[chosen[-1]]:
                chosen.append(place)
        chosen = chosen[: max(SHOWN, LEAST // steps)]
        begin = max(span.start, int(self.forecasts.origin[chosen[-1]]) - steps)
        paths = []
        for place in reversed(chosen):
            ahead = int(self.forecasts.origin[place]) + 1 - span.start
            values = self.forecasts.quantiles[place]
            paths.append(Path(times[ahead : ahead + steps], self.forecasts.point[place], values[:, 0], values[:, -1]))
        levels = self.forecasts.levels
        return Track(
            name=self.grid.names[series],
            target=self.grid.targets[series],
            time=times[begin - span.start : span.end - span.start],
            truth=self.grid.truth[begin : span.end],
            paths=paths,
            levels=(levels[0], levels[-1]),
        )


def in_plot(times: Any) -> list[Any]:
    """Times for a plot, whose axis has no zone."""
    return [time.tz_localize(None) if isinstance(time, pd.Timestamp) else time for time in times]
