"""Forecasting: the next values of one column of a table, for one series or many."""

from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel, Window
from tidegate.tasks.forecast.score import Forecasts
from tidegate.tasks.forecast.task import Forecast

__all__ = ["DirectModel", "Forecast", "ForecastEncoding", "Forecasts", "RecursiveModel", "Window"]
