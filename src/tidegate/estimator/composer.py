"""``Composer``: learns pieces for a keyboard, and plays on."""

from __future__ import annotations

from tidegate import setting
from tidegate.estimator.estimator import Estimator
from tidegate.tasks.music import Music


class Composer(Estimator[setting.Music], setting.Music):
    """A model of polyphonic music."""

    kind = Music
