"""``SequenceClassifier``: classifies texts or series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from tidegate.data import Source, locate
from tidegate.data.labelled import Labelled, in_memory, read_labelled
from tidegate.errors import note
from tidegate.phase import counted
from tidegate.records import ScoreRecord
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.fold import SeriesTask
from tidegate.tasks.classification.scale import Scale
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.smoothed import answered
from tidegate.tasks.classification.source import layout
from tidegate.tasks.classification.task import ClassificationTask, length_notes
from tidegate.tasks.classification.text import TextTask
from tidegate.train.answer import Answer
from tidegate.train.bucket import by_length
from tidegate.train.estimator import Estimator
from tidegate.train.fitted import is_private
from tidegate.train.task import AnyTask

ROWS = 256
LONGEST = 60  # characters of a text that a line of the terminal shows


class SequenceClassifier(ClassifierMixin, Estimator[ClassificationSetting], ClassificationSetting):
    """A classifier of texts or series.

    ``fit(X, y)`` takes a list of texts, an array [N, T] or [N, T, C], or a list of arrays [T] or [T, C]. It works in
    scikit-learn's searches and cross-validation; set ``test_share=0`` there, since they hold out test rows
    themselves. ``fit(data)`` takes a file, a folder, the name of a bundled set, or a frame of pandas with a column of
    texts and one of classes, as a file has them. A frame of numbers alone is an array [N, T], but with ``series=`` a
    frame is a table with a row for each step. NaN is a missing value.

    Attributes:
        classes_: the classes, in the order of the columns of ``predict_proba``.

    Examples:
        >>> from tidegate.tasks import SequenceClassifier
        >>> names = ["anna", "hannah", "otto", "bob", "ada", "aha"] * 4
        >>> model = SequenceClassifier(epochs=1, test_share=0).fit(names, [name[0] in "ao" for name in names])
        >>> model.classes_.tolist(), model.predict(["ava"]).shape
        ([False, True], (1,))
    """

    _task_class = ClassificationTask

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        if isinstance(data, (str, os.PathLike, Source)):
            return super()._source(data, y)
        return in_memory(data, y, long=self.series is not None)

    def _ready(self, task: Any) -> Any:
        if is_private(task.setting):
            return task  # votes, and models of folds, would learn from its rows without noise
        return SeriesTask(task) if isinstance(task.encoding.reading, Scale) else TextTask(task)

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, sorted."""
        self._check_fitted()
        return np.array(self.encoding_.classes)

    def predict(self, data: Any) -> NDArray[Any]:
        """Predict the most probable class of each sequence.

        Args:
            data: as ``fit`` takes it, without classes.

        Returns:
            [N] classes.

        Raises:
            InputError: the model is not fitted, or the data cannot be used.
        """
        predicted: NDArray[Any] = self.classes_[self.predict_proba(data).argmax(1)]
        return predicted

    def predict_proba(self, data: Any) -> NDArray[np.float64]:
        """Predict the probability of each class.

        Args:
            data: as ``fit`` takes it, without classes.

        Returns:
            [N, classes], the columns in the order of ``classes_``.

        Raises:
            InputError: the model is not fitted, or the data cannot be used.
        """
        self._check_fitted()
        return self._probabilities(self._read(data))

    def answers(self, data: Any) -> Iterator[Answer]:
        """Predict the class of each sequence with its probability, as ``tidegate predict`` prints it.

        Args:
            data: as ``fit`` takes it, without classes.

        Returns:
            An iterator over the predictions.

        Raises:
            InputError: the model is not fitted, or the data cannot be used.
        """
        self._check_fitted()
        sequences, classes = self._read(data), self.classes_.tolist()
        names = sequences.names or [None] * len(sequences.items)
        for item, name, chances in zip(sequences.items, names, self._probabilities(sequences), strict=True):
            yield _answer(item if isinstance(item, str) else None, name, chances, classes)

    def _probabilities(self, data: Labelled) -> NDArray[np.float64]:
        reading, setting = self.encoding_.reading, self._current()
        sequences = [reading.encode(item) for item in data.items]
        chances = np.zeros((len(sequences), len(self.encoding_.classes)))
        with torch.inference_mode():
            for rows in counted("predicting", by_length([len(sequence) for sequence in sequences], ROWS)):
                batch = padded([sequences[row] for row in rows], torch.zeros(len(rows), dtype=torch.int64))
                chances[rows] = answered(self.model_, batch, reading, setting).softmax(1).numpy()
        return chances

    def _read(self, data: Any) -> Labelled:
        """Read sequences to classify; the classes in a file are ignored."""
        source = self._source(data, None)
        if not isinstance(source, Source):
            source = locate(source, folders=True)
        learnt = {"classes": self.encoding_.classes, "columns": self.encoding_.columns}
        options = layout(self._current(), labelled=False, **learnt)
        sequences = read_labelled(source, options)["train"]
        self.encoding_.check(sequences, source.title)
        note(*sequences.warnings, *length_notes(sequences.items, self.encoding_.reading))
        return sequences

    def _scores(self, task: AnyTask) -> list[ScoreRecord]:
        return super()._scores(task) if next(iter(task.batches("test")), None) else []


def _answer(text: str | None, name: str | None, chances: NDArray[np.float64], classes: list[Any]) -> Answer:
    best = int(chances.argmax())
    probabilities = {str(name): round(float(chance), 6) for name, chance in zip(classes, chances, strict=True)}
    first = {key: value for key, value in (("series", name), ("text", text)) if value is not None}
    record = {**first, "label": classes[best], "probability": probabilities[str(classes[best])]}
    row = {**record, **{f"p({name})": chance for name, chance in probabilities.items()}}
    end = [_shortened(what) for what in (name, text) if what]
    shown = [str(classes[best]), f"{record['probability']:.3f}", *end]
    return Answer("\t".join(shown), [row], {**record, "probabilities": probabilities})


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."
