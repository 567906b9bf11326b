"""``SequenceClassifier``: learns the classes of texts or series, and says them of new ones."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from tidegate.data import Source, locate
from tidegate.data.labelled import Labelled, in_memory, read_labelled
from tidegate.records import ScoreRecord
from tidegate.tasks.classification.batch import in_order, padded
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask, layout
from tidegate.train.estimator import Estimator
from tidegate.train.task import AnyTask

ROWS = 256


class SequenceClassifier(ClassifierMixin, Estimator[ClassificationSetting], ClassificationSetting):
    """A classifier of texts or of series.

    ``fit(X, y)`` takes a list of texts, an array [N, T] or [N, T, C], or a list of arrays [T] or [T, C], and
    works in scikit-learn's searches and cross-validation; give ``test_share=0`` there, since they keep a test of
    their own. ``fit(data)`` takes a file, a folder or the name of a bundled set.

    Attributes:
        classes_: the classes, in the order of the columns of ``predict_proba``.

    Examples:
        >>> from tidegate.tasks import SequenceClassifier
        >>> names = ["anna", "hannah", "otto", "bob", "ada", "aha"] * 4
        >>> found = SequenceClassifier(epochs=1, test_share=0).fit(names, [name[0] in "ao" for name in names])
        >>> found.classes_.tolist(), found.predict(["ava"]).shape
        ([False, True], (1,))
    """

    kind = ClassificationTask

    def source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        if isinstance(data, (str, os.PathLike, Source)):
            return super().source(data, y)
        return in_memory(data, y)

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, sorted."""
        self._check_fitted()
        return np.array(self.encoding_.classes)

    def predict(self, data: Any) -> NDArray[Any]:
        """The most probable class of each sequence.

        Args:
            data: as ``fit`` takes it, without classes.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        found: NDArray[Any] = self.classes_[self.predict_proba(data).argmax(1)]
        return found

    def predict_proba(self, data: Any) -> NDArray[np.float64]:
        """The probability [N, classes] of each class.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        self._check_fitted()
        sequences = [self.encoding_.reading.encode(item) for item in self.read(data).items]
        groups = in_order([len(one) for one in sequences], ROWS)
        found = np.zeros((len(sequences), len(self.encoding_.classes)))
        with torch.inference_mode():
            for rows in groups:
                batch = padded([sequences[row] for row in rows], torch.zeros(len(rows), dtype=torch.int64))
                found[rows] = self.model_(batch)[0].double().softmax(1).numpy()
        return found

    def read(self, data: Any) -> Labelled:
        """Sequences to predict; of a file only they are read, not their classes.

        Raises:
            InputError: data that cannot be used, or of another kind than those the model was trained on.
        """
        source = self.source(data, None)
        if not isinstance(source, Source):
            source = locate(source, folders=True)
        found = read_labelled(source, layout(self.setting(), labelled=False, classes=self.encoding_.classes))["train"]
        self.encoding_.check(found, source.title)
        return found

    def _scores(self, task: AnyTask) -> list[ScoreRecord]:
        return super()._scores(task) if next(iter(task.batches("test")), None) else []
