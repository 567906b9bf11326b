"""``LanguageModel``: learns a text, and writes more of it."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate import setting
from tidegate.estimator.estimator import Estimator
from tidegate.tasks.language import Language


class LanguageModel(Estimator[setting.Language], setting.Language):
    """A language model.

    Example:
        >>> from tidegate.estimator import LanguageModel
        >>> LanguageModel(cell="gru", hidden_size=64).hidden_size
        64
    """

    kind = Language

    def generate(self, prompt: str = "", length: int = 200, *, seed: int = 0) -> Iterator[str]:
        """Symbols that may follow the prompt."""
        raise NotImplementedError
