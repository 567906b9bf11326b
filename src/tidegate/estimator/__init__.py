"""One estimator a task, in the manner of scikit-learn: settings, ``fit``, verbs, ``save_pretrained``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tidegate.errors import InputError
from tidegate.estimator.classifier import SequenceClassifier
from tidegate.estimator.composer import Composer
from tidegate.estimator.estimator import Estimator, Watch
from tidegate.estimator.folder import holds_model, read_card
from tidegate.estimator.forecaster import Forecaster
from tidegate.estimator.language_model import LanguageModel
from tidegate.estimator.transcriber import Transcriber, Transcript
from tidegate.estimator.translator import Translator

KINDS: tuple[type[Estimator[Any]], ...] = (
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    Transcriber,
    Translator,
)
ESTIMATORS = {kind.kind.name: kind for kind in KINDS}

__all__ = [
    "ESTIMATORS",
    "Composer",
    "Estimator",
    "Forecaster",
    "LanguageModel",
    "SequenceClassifier",
    "Transcriber",
    "Transcript",
    "Translator",
    "Watch",
    "from_pretrained",
    "holds_model",
]


def from_pretrained(folder: str | os.PathLike[str]) -> Estimator[Any]:
    """A saved model of whatever task.

    Raises:
        InputError: no such folder, no model in it, or a damaged one.
    """
    task = read_card(Path(folder))["task"]
    if task not in ESTIMATORS:
        raise InputError(
            "MODEL_TASK", f"{folder} holds a model of the task {task!r}, which is unknown here", fix="update Tidegate"
        )
    return ESTIMATORS[task].from_pretrained(folder)
