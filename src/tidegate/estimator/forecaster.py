"""``Forecaster``: learns series, and says how they go on."""

from __future__ import annotations

from tidegate import setting
from tidegate.estimator.estimator import Estimator
from tidegate.tasks.forecast import Forecast


class Forecaster(Estimator[setting.Forecast], setting.Forecast):
    """A forecaster of series."""

    kind = Forecast
