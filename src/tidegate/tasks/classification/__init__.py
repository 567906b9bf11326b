"""Classification of texts and of series."""

from tidegate.tasks.classification.encoding import ClassificationEncoding
from tidegate.tasks.classification.task import Classification, layout

__all__ = ["Classification", "ClassificationEncoding", "layout"]
