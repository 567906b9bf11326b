"""Artefacts run inside their task: how far their answers are from the model's, and the metric before and after."""

from tidegate.ship.check.proof import Tested
from tidegate.ship.check.run import Checked, check

__all__ = ["Checked", "Tested", "check"]
