"""Plots of forecasts: history, a fan of quantiles, and the truth if it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.dates
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tidegate.report.figure.svg import RULES
from tidegate.report.palette import GRID, INK, MUTED, SURFACE, colour

PAGE = {
    INK: "#17191c",
    MUTED: "#575d66",
    GRID: "#dcdedf",
    SURFACE: "#ffffff",
    colour(0): "#3a63cf",
}  # of the light page
WIDTH, HEIGHT = 8.4, 3.3  # inches, for each series
PAST = 4  # rows of history shown for each row of forecast
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


def fan_figure(fans: Sequence[Fan]) -> Figure:
    """A figure with a panel for each series, one below the other."""
    rules = {key: PAGE.get(value, value) if isinstance(value, str) else value for key, value in RULES.items()}
    with matplotlib.style.context(["default", rules, {"font.size": 10.5, "axes.labelsize": 10.5}]):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(fans)), layout="constrained")
        for axes, fan in zip(figure.subplots(len(fans), squeeze=False)[:, 0], fans, strict=True):
            _draw(axes, fan)
        return figure


def _draw(axes: Axes, fan: Fan) -> None:
    shown = max(LEAST, PAST * len(fan.time))
    past_time, past = list(fan.past_time)[-shown:], list(fan.past)[-shown:]
    blue, ink = PAGE[colour(0)], PAGE[INK]
    time = [past_time[-1], *fan.time]  # from the last known value, so that no gap is left
    for low, high in _bands(fan.quantiles):
        lower, upper = ([past[-1], *fan.quantiles[level]] for level in (low, high))
        label = (
            f"{100 * (high - low):.4g} % interval" if math.isclose(low + high, 1) else f"{low:g} to {high:g} interval"
        )
        axes.fill_between(time, lower, upper, color=blue, alpha=0.18, linewidth=0, label=label)
    axes.plot(past_time, past, color=ink, linewidth=1.2, label="history")
    if len(fan.truth):
        axes.plot(
            time[: len(fan.truth) + 1], [past[-1], *fan.truth], color=ink, linewidth=1.2, dashes=(3, 2), label="truth"
        )
    axes.plot(time, [past[-1], *fan.point], color=blue, linewidth=2, label="forecast")
    axes.set_ylabel(fan.target)
    axes.margins(x=0.01)
    axes.grid(axis="x", visible=False)
    if hasattr(fan.time[0], "year"):
        locator = matplotlib.dates.AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if fan.name:
        axes.set_title(fan.name, loc="left", fontsize=10.5, color=ink)
    drawn = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: pair[1].endswith("interval"))
    handles, labels = zip(*drawn, strict=True)
    axes.legend(
        handles, labels, frameon=False, ncols=len(labels), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2
    )


def _bands(quantiles: dict[float, Sequence[float]]) -> list[tuple[float, float]]:
    """Pairs of levels from the outermost inwards; the median stands alone."""
    levels = [level for level in sorted(quantiles) if level != 0.5]
    return [(levels[k], levels[-1 - k]) for k in range(len(levels) // 2)]
