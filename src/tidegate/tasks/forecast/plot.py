"""Plots of forecasts: history, a fan of quantiles, and the truth if it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib.dates
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.report.figure.svg import RULES
from tidegate.report.palette import GRID, INK, MUTED, SURFACE, colour
from tidegate.tasks.forecast.score import Values

PAGE = {
    INK: "#17191c",
    MUTED: "#575d66",
    GRID: "#dcdedf",
    SURFACE: "#ffffff",
    colour(0): "#3a63cf",
}  # of the light page
WIDTH, HEIGHT = 8.4, 3.3  # inches, for each series
PAST = 4  # rows of history shown for each row of forecast
STYLES = ("-", "-", "--", ":", "-.")  # of lines: the model's, then those of baselines
LEAST = 24  # fewest rows of history shown


@dataclass(frozen=True)
class Fan:
    """One series to draw.

    Attributes:
        name: the series; may be empty.
        target: the column that is forecast.
        past_time, past: times and values of the history.
        time, point: times and values of the forecast.
        quantiles: values by level, as many as the forecast has.
        truth: true values, if known.
    """

    name: str
    target: str
    past_time: Sequence[Any]
    past: Sequence[float]
    time: Sequence[Any]
    point: Sequence[float]
    quantiles: dict[float, Sequence[float]]
    truth: Sequence[float] = ()


@dataclass(frozen=True)
class Path:
    """One forecast to draw: its times, its values, and its interval."""

    time: Sequence[Any]
    point: Values
    low: Values
    high: Values


@dataclass(frozen=True)
class Track:
    """The test of one series, with forecasts one behind the other.

    Attributes:
        name: the series; may be empty.
        target: the column that is forecast.
        time, truth: times and true values.
        paths: the forecasts.
        levels: the lowest and the highest of their quantiles.
    """

    name: str
    target: str
    time: Sequence[Any]
    truth: Values
    paths: Sequence[Path]
    levels: tuple[float, float]


def fan_figure(fans: Sequence[Fan]) -> Figure:
    """A figure with a panel for each series, one below the other."""
    with _styled():
        figure = Figure(figsize=(WIDTH, HEIGHT * len(fans)), layout="constrained")
        for axes, fan in zip(figure.subplots(len(fans), squeeze=False)[:, 0], fans, strict=True):
            _draw(axes, fan)
        return figure


def rolling_figure(tracks: Sequence[Track], errors: Mapping[str, Values], metric: str) -> Figure:
    """A figure with a panel for each series, and one for the errors by step ahead where there are several steps."""
    with _styled():
        steps = len(next(iter(errors.values())))
        count = len(tracks) + (steps > 1)
        figure = Figure(figsize=(WIDTH, HEIGHT * count), layout="constrained")
        panels = figure.subplots(count, squeeze=False)[:, 0]
        for axes, track in zip(panels, tracks, strict=False):
            _roll(axes, track)
        if steps > 1:
            _errors(panels[-1], errors, metric)
        return figure


def _styled() -> AbstractContextManager[None]:
    rules = {key: PAGE.get(value, value) if isinstance(value, str) else value for key, value in RULES.items()}
    return matplotlib.style.context(["default", rules, {"font.size": 10.5, "axes.labelsize": 10.5}])


def _roll(axes: Axes, track: Track) -> None:
    blue, ink = PAGE[colour(0)], PAGE[INK]
    axes.plot(track.time, track.truth, color=ink, linewidth=1.2, label="truth")
    low, high = track.levels
    for at, path in enumerate(track.paths):
        if low < high:
            _shade(axes, path.time, path.low, path.high, "_" if at else _interval(low, high))
        dot = "" if len(path.time) > 1 else "o"
        axes.plot(path.time, path.point, dot, color=blue, linewidth=2, markersize=3, label="_" if at else "forecast")
    _dress(axes, track.name, track.target, track.time)


def _shade(axes: Axes, time: Sequence[Any], low: Values, high: Values, label: str) -> None:
    blue = PAGE[colour(0)]
    if len(time) > 1:
        axes.fill_between(time, low, high, color=blue, alpha=0.18, linewidth=0, label=label)
    else:
        axes.vlines(time, low, high, color=blue, alpha=0.3, linewidth=2, label=label)


def _errors(axes: Axes, errors: Mapping[str, Values], metric: str) -> None:
    for at, (name, values) in enumerate(errors.items()):
        steps, ink = np.arange(1, len(values) + 1), PAGE[MUTED if at else colour(0)]
        axes.plot(steps, values, STYLES[at % len(STYLES)], color=ink, linewidth=1.2 if at else 2, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step ahead")
    _dress(axes, "", metric, [])


def _interval(low: float, high: float) -> str:
    return f"{100 * (high - low):.4g} % interval" if math.isclose(low + high, 1) else f"{low:g} to {high:g} interval"


def _draw(axes: Axes, fan: Fan) -> None:
    shown = max(LEAST, PAST * len(fan.time))
    past_time, past = list(fan.past_time)[-shown:], list(fan.past)[-shown:]
    blue, ink = PAGE[colour(0)], PAGE[INK]
    time = [past_time[-1], *fan.time]  # from the last known value, so that no gap is left
    for low, high in _bands(fan.quantiles):
        lower, upper = ([past[-1], *fan.quantiles[level]] for level in (low, high))
        axes.fill_between(time, lower, upper, color=blue, alpha=0.18, linewidth=0, label=_interval(low, high))
    axes.plot(past_time, past, color=ink, linewidth=1.2, label="history")
    if len(fan.truth):
        axes.plot(
            time[: len(fan.truth) + 1], [past[-1], *fan.truth], color=ink, linewidth=1.2, dashes=(3, 2), label="truth"
        )
    axes.plot(time, [past[-1], *fan.point], color=blue, linewidth=2, label="forecast")
    _dress(axes, fan.name, fan.target, fan.time)


def _dress(axes: Axes, name: str, what: str, time: Sequence[Any]) -> None:
    """Labels, dates and legend of a panel."""
    axes.set_ylabel(what)
    axes.margins(x=0.01)
    axes.grid(axis="x", visible=False)
    if len(time) and hasattr(time[0], "year"):
        locator = matplotlib.dates.AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if name and name != what:
        axes.set_title(name, loc="left", fontsize=10.5, color=PAGE[INK], pad=22)
    drawn = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: pair[1].endswith("interval"))
    handles, labels = zip(*drawn, strict=True)
    axes.legend(
        handles, labels, frameon=False, ncols=len(labels), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2
    )


def _bands(quantiles: dict[float, Sequence[float]]) -> list[tuple[float, float]]:
    """Pairs of levels from the outermost inwards; the median stands alone."""
    levels = [level for level in sorted(quantiles) if level != 0.5]
    return [(levels[k], levels[-1 - k]) for k in range(len(levels) // 2)]
