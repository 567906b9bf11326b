"""What estimators answer, and that they do not before they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import NotFittedError

from tidegate.errors import InputError


class NotFitted(InputError, NotFittedError):  # noqa: N818  after the exception of scikit-learn
    """The model has not been trained yet. scikit-learn's ``NotFittedError`` catches it, too."""


@dataclass(frozen=True)
class Answer:
    """A model's prediction for one sequence.

    Attributes:
        text: the prediction as printed; it may have several lines.
        rows: the prediction as rows of a table.
        record: the prediction as one JSON object.
    """

    text: str
    rows: list[dict[str, Any]]
    record: dict[str, Any]
