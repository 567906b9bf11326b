"""Forecasting: the next values of one column of a table, for one series or many."""

from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid, make_grid
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel, Window
from tidegate.tasks.forecast.origin import answered, histories
from tidegate.tasks.forecast.score import Forecasts
from tidegate.tasks.forecast.split import Span
from tidegate.tasks.forecast.task import Forecast, read_for

__all__ = [
    "DirectModel",
    "Forecast",
    "ForecastEncoding",
    "Forecasts",
    "Grid",
    "RecursiveModel",
    "Span",
    "Window",
    "answered",
    "histories",
    "make_grid",
    "read_for",
]
