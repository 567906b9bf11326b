"""``Forecaster``: forecasts series."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd

from tidegate.data import (
    ALL,
    BUNDLED,
    Panel,
    Source,
    address_of,
    columns_of,
    csv_of,
    in_text,
    locate,
    several,
    texts_of,
)
from tidegate.errors import InputError, TidegateWarning, note
from tidegate.tasks.forecast.backtest import Backtest, in_plot
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid, make_grid
from tidegate.tasks.forecast.memory import clock_of, framed
from tidegate.tasks.forecast.origin import forecast, histories
from tidegate.tasks.forecast.score import Forecasts
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.source import read_for
from tidegate.tasks.forecast.split import Span
from tidegate.tasks.forecast.spread import recent, rows_after, spread_at, stretched
from tidegate.tasks.forecast.task import ForecastTask
from tidegate.train.estimator import Estimator
from tidegate.train.setting import Range, check_values, checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 8  # series in one figure


class Forecaster(Estimator[ForecastSetting], ForecastSetting):
    """A forecaster of one series or many.

    Example:
        >>> from tidegate.tasks import Forecaster
        >>> model = Forecaster(target="temperature", time="month", horizon=12, quantiles=(0.1, 0.9))
        >>> model.fit("elnino").predict()  # doctest: +SKIP
                month  step  forecast  0.1  0.9
        ...

    ``fit`` also takes pandas frames, in which an index that has dates or a name counts as a column, pandas series, and
    lists or arrays of numbers: [T] of one series, [T, K] of K series, all of which are forecast. An index of dates is
    the time unless ``time`` names another. ``target`` and ``time`` may also be lists of columns.
    """

    _task_class = ForecastTask

    def predict(self, h: int | None = None, *, history: Any = None, held_out: bool = False) -> pd.DataFrame:
        """Forecast the rows after the last one of each series.

        Args:
            h: the number of rows; the horizon of the training unless given. A direct model cannot forecast more.
            history: rows up to the present; the training data unless given. Series that training did not have are
                scaled by their own past. Columns known ahead also need the future rows, with the target left empty.
            held_out: whether to forecast the last rows of the history instead, beside their true values.

        Returns:
            A row for each series and step: the series, the target if there are several, the time if there is a time
            column, the step, the forecast, and its quantiles if there are any. Forecasts are in the unit of the target.

        Raises:
            InputError: the model is not fitted, the history cannot be used or lacks future values of columns known
                ahead, or ``h`` is too large for the model.
        """
        self._check_fitted()
        steps = self._steps(h)
        grid, forecasts = self._outlook(history, steps, held_out=steps if held_out else 0)
        return self._frame(grid, forecasts, truth=held_out)

    @checked
    def backtest(self, data: Any = None, *, stride: Annotated[int, Range(1)] = 1) -> pd.DataFrame:
        """Forecast from every row of a test, to compare the forecasts with the true values.

        Args:
            data: the test, whose first rows serve as history; the test split of the training data unless given.
            stride: rows from one origin to the next.

        Returns:
            As ``predict``, with the origin of each forecast and the true value.

        Raises:
            InputError: the model is not fitted, was loaded from a folder and has no test data, or the data cannot be
                used.
        """
        return self.rolled(data, stride=stride).frame

    @checked
    def rolled(self, data: Any = None, *, stride: Annotated[int, Range(1)] = 1) -> Backtest:
        """Forecast as ``backtest`` does, for errors by step ahead and a figure.

        Args:
            data: the test, whose first rows serve as history; the test split of the training data unless given. Of the
                training data themselves, it is their test split, too.
            stride: rows from one origin to the next.

        Returns:
            The forecasts, with ``by_step`` and ``figure``.

        Raises:
            InputError: as ``backtest``.
        """
        task = self.tested(data)
        forecasts = task.forecasts(self.model_, "test", stride)
        return Backtest(self._frame(task.grid, forecasts, truth=True), task.grid, forecasts, task.data.name)

    def tested(self, data: Any = None) -> ForecastTask:
        """The task whose test rows are to be forecast: of the training data, those that training kept for it.

        Args:
            data: as ``backtest`` takes them.

        Raises:
            InputError: as ``backtest``.
        """
        self._check_fitted()
        if data is None and hasattr(self, "_fitted_task"):
            return self._fitted_task
        if data is None:
            known = [name for name, entry in BUNDLED.items() if entry.title == self.data_.name]
            if not known:
                raise InputError(
                    "BACKTEST_DATA",
                    "a model loaded from a folder does not hold the rows of its test",
                    fix="pass data; of the file that it was trained on, only the test rows are forecast",
                )
            data = known[0]
        source = _located(address_of(data) if isinstance(data, str) else self._source(data, None))
        task = ForecastTask(source, self._current(), self.encoding_)
        note(*task.data.warnings)
        if source.hash == self.data_.hash:
            return task.split_in_time()
        return task

    def remembered(self) -> ForecastTask:
        """The task whose rows are the last ones of the training data, which the model keeps.

        Raises:
            InputError: the model is not fitted, or keeps none.
        """
        self._check_fitted()
        return ForecastTask(self._kept(), self._current(), self.encoding_.remembered)

    def plot(self, h: int | None = None, *, history: Any = None, held_out: bool = False) -> Figure:
        """Plot history, forecast and quantiles, with a panel for each of the first eight series.

        Args:
            h: the number of rows to forecast, as in ``predict``.
            history: rows up to the present, as in ``predict``.
            held_out: whether to forecast the last rows of the history, and show their true values.

        Returns:
            A figure of matplotlib.

        Raises:
            InputError: as ``predict``.
        """
        from tidegate.tasks.forecast.plot import (
            Fan,
            fan_figure,  # matplotlib is slow to load
        )

        self._check_fitted()
        steps = self._steps(h)
        grid, forecasts = self._outlook(history, steps, held_out=steps if held_out else 0)
        fans = []
        for series, (span, times) in enumerate(zip(grid.spans[:PANELS], grid.times, strict=False)):
            (at,) = np.flatnonzero(forecasts.series == series)
            now = span.end - (steps if held_out else 0)
            count = now - span.start
            values = forecasts.quantiles[at].T
            fans.append(
                Fan(
                    name=grid.names[series],
                    target=grid.targets[series],
                    past_time=in_plot(times[:count]),
                    past=grid.truth[span.start : now].tolist(),
                    time=in_plot(times[count : count + steps]),
                    point=forecasts.point[at].tolist(),
                    quantiles={level: row.tolist() for level, row in zip(forecasts.levels, values, strict=True)},
                    truth=grid.truth[now : span.end].tolist(),
                )
            )
        return fan_figure(fans)

    def _source(self, data: Any, y: Any) -> Any:
        frame = framed(data, self._named()) if y is None else None
        if frame is None:
            return super()._source(data, y)
        target = None if isinstance(data, pd.DataFrame) else in_text([str(name) for name in frame.columns])
        self._implied: dict[str, str | None] = {"target": target, "time": clock_of(frame)}
        return Source("memory", "the frame" if isinstance(data, pd.DataFrame) else "the data", csv_of(frame))

    def _named(self) -> Sequence[str]:
        """The targets, as far as they are named."""
        if "encoding_" in vars(self):
            encoding: ForecastEncoding = self.encoding_
            return encoding.targets or encoding.columns[:1]
        target: str | None = _as_text(self.target)
        return several(target, ()) if target not in (None, ALL) else ()

    def _read_task(self, source: Source | str | os.PathLike[str], setting: ForecastSetting, **files: Any) -> Any:
        """The task, whose target and time are those of data in memory where the settings name none."""
        if isinstance(source, Source) and source.address == "memory" and "_implied" in vars(self):
            time = self._implied["time"]
            if time and setting.time is None:
                note(f"the index of dates is used as the time; time={time!r} says so without this note")
            target = self._implied["target"]
            setting = replace(setting, target=setting.target or target, time=setting.time or time)
        return super()._read_task(source, setting, **files)

    def _setting(self) -> ForecastSetting:
        setting = super()._setting()
        return replace(setting, target=_as_text(self.target), time=_as_text(self.time))

    def _memory(self, task: Any) -> dict[str, str]:
        self._fitted_task: ForecastTask = task
        panel, encoding = task.panel, task.encoding
        return {"history": _tail(panel, self._current(), self.context + encoding.early + encoding.season)}

    def _steps(self, h: int | None) -> int:
        steps = self.horizon if h is None else h
        check_values(ForecastSetting, {"horizon": steps})
        strategy = self.encoding_.strategy or self.strategy
        if strategy == "recursive" and steps > 1 and len(self.encoding_.columns) > 1:
            raise InputError(
                "HORIZON",
                f"this model forecasts 1 row ahead, not {steps}: it reads columns that it does not forecast",
                fix=f"train it with horizon={steps}",
            )
        if strategy == "direct" and steps > self.horizon:
            raise InputError(
                "HORIZON",
                f"this model forecasts at most {self.horizon} rows ahead, not {steps}",
                fix=f"train it with horizon={steps}, or with strategy='recursive'",
            )
        return steps

    def _past(self, history: Any, rows: int) -> tuple[str, Panel]:
        """The title and the rows of a history, that of the training unless given."""
        if history is None:
            own = self._kept()
            return own.title, read_for(own, self._current(), self.encoding_.remembered, rows)
        source = _located(self._source(history, None))
        panel = read_for(source, self._current(), self.encoding_, rows)
        note(*panel.warnings)
        return source.title, panel

    def _kept(self) -> Source:
        """The last rows of the training data."""
        if "history" not in self.memory_:
            raise InputError("MODEL_HISTORY", "model.json holds no history of the series", fix="pass a history")
        return Source("memory", "the history of the model", self.memory_["history"].encode())

    def _outlook(self, history: Any, steps: int, *, held_out: int) -> tuple[Grid, Forecasts]:
        """The rows of a history, and one forecast for each series at its end."""
        title, panel = self._past(history, 1 + held_out)
        ends = [stop - future for stop, future in zip(panel.starts[1:], panel.future, strict=True)]
        spans = [
            Span(start, end - held_out, end - held_out, end) for start, end in zip(panel.starts, ends, strict=False)
        ]
        grid = make_grid(panel, self.encoding_, spans, steps)
        for name, span, covered in zip(grid.names, grid.spans, grid.covered, strict=True):
            if span.second + steps > covered:
                known = columns_of(self.encoding_.known, self.encoding_.categories)
                of = f" of the series {name!r}" if name else ""
                raise InputError(
                    "KNOWN_AHEAD",
                    f"{title} has the columns known ahead{of} for {covered - span.end} future rows, but the "
                    f"forecast needs {steps}",
                    fix=f"add rows with {', '.join(map(repr, known))}, and the target left empty",
                )
        origins = [np.array([span.second - 1]) for span in grid.spans]
        batches = histories(grid, origins, self.context, steps)
        return grid, self._widened(grid, forecast(self.model_, grid, batches, steps, self._current()))

    def _widened(self, grid: Grid, made: Forecasts) -> Forecasts:
        """The forecasts with intervals that follow the misses in those rows that are later than the training data."""
        encoding = self.encoding_
        if not encoding.usual:
            return made
        first = []
        for name, span, times in zip(grid.names, grid.spans, grid.times, strict=True):
            known = name in encoding.usual
            late = rows_after(times, encoding.until[name]) if name in encoding.until else span.end * known
            first.append(min(span.end, max(span.start + 1, span.start + late)))
        earlier = recent(self.model_, grid, first, self._current())
        return stretched(grid, made, spread_at(grid, earlier, made.series, made.origin, encoding.lately))

    def _frame(self, grid: Grid, forecasts: Forecasts, *, truth: bool) -> pd.DataFrame:
        steps = forecasts.quantiles.shape[1]
        place = forecasts.origin - np.array([span.start for span in grid.spans])[forecasts.series]
        times = [_at(grid, forecasts, place + ahead) for ahead in range(1, steps + 1)]
        rows = forecasts.origin[:, None] + np.arange(1, steps + 1)
        time = self._current().time
        theirs = [name for name in (self.series, time) if name is not None]
        columns: list[tuple[str | None, Any]] = [
            (self.series, np.repeat(np.array(grid.groups)[forecasts.series], steps)),
            (
                _own("target", theirs) if self.encoding_.targets else None,
                np.repeat(np.array(grid.targets)[forecasts.series], steps),
            ),
            (_own("origin", theirs) if truth else None, np.repeat(_at(grid, forecasts, place), steps)),
            (time, np.stack(times, axis=1).ravel()),
            (_own("step", theirs), np.tile(np.arange(1, steps + 1), len(place))),
            (_own("truth", theirs) if truth else None, grid.truth[rows].ravel()),
            (_own("forecast", theirs), forecasts.point.ravel()),
        ]
        for k, level in enumerate(forecasts.levels):
            if level in self.quantiles:
                columns.append((_own(str(float(level)), theirs), forecasts.quantiles[..., k].ravel()))
        return pd.DataFrame({name: values for name, values in columns if name is not None})


def _as_text(columns: Any) -> Any:
    """Columns that are given as a list, as the settings hold them."""
    return in_text([str(name) for name in columns]) if isinstance(columns, (list, tuple)) else columns


def _own(name: str, theirs: Sequence[str]) -> str:
    """The name of a column of forecasts: with an underscore at its end where the data have a column of this name."""
    own = name
    while own in theirs:
        own += "_"
    if own != name:
        text = f"the column {name!r} of forecasts is named {own!r}, because the data have a column {name!r}"
        warnings.warn(text, TidegateWarning, stacklevel=4)
    return own


def _at(grid: Grid, forecasts: Forecasts, place: Any) -> Any:
    """The times of these rows, each counted from the first of its series."""
    return np.array([grid.times[series][at] for series, at in zip(forecasts.series, place, strict=True)])


def _located(data: Any) -> Source:
    return data if isinstance(data, Source) else locate(data)


def _tail(panel: Panel, setting: ForecastSetting, rows: int) -> str:
    """The last rows of each series as CSV, future rows included, with a column for each target."""
    values, parts = panel.values, []  # noqa: PD011  (not pandas' values)
    for name in dict.fromkeys(panel.groups):
        own = [series for series, group in enumerate(panel.groups) if group == name]
        most = max(rows + panel.future[series] for series in own)
        length = {series: min(panel.starts[series + 1] - panel.starts[series], most) for series in own}
        longest = max(own, key=length.__getitem__)
        stop = panel.starts[longest + 1]
        order = np.arange(stop - length[longest], stop)
        part = pd.DataFrame(_cells(panel, order))
        for series in reversed(own):
            late = np.full(len(order) - length[series], np.nan)  # a target that begins later than others
            target = values[panel.starts[series + 1] - length[series] : panel.starts[series + 1], 0]
            part.insert(0, panel.targets[series], np.append(late, target))
        if panel.clock is not None:
            part.insert(0, str(setting.time), panel.clock.written(order))
        if setting.series is not None:
            part.insert(0, setting.series, name)
        parts.append(part)
    return pd.concat(parts).to_csv(index=False)


def _cells(panel: Panel, rows: Any) -> dict[str, Any]:
    """The columns beside the target in these rows, as a file has them."""
    values = panel.values  # noqa: PD011  (not pandas' values)
    inputs = {name: values[rows, place] for place, name in enumerate(panel.columns) if place}
    origin = {name: columns_of([name], panel.categories)[0] for name in inputs}
    return {
        column: texts_of(inputs, column, panel.categories[column]) if column in panel.categories else inputs[name]
        for name, column in origin.items()
    }
