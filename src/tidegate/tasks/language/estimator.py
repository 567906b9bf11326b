"""``LanguageModel``: learns a text, and writes more of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Self

import torch

from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.records import ScoreRecord
from tidegate.tasks.language.choice import Choice
from tidegate.tasks.language.generate import Beam, Continuation, drawn, opening, spelled
from tidegate.tasks.language.likelihood import surprise
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.train.estimator import Estimator


class LanguageModel(Estimator[LanguageSetting], LanguageSetting):
    """A language model: it learns a text, tells how likely others are, and writes more.

    Every text begins behind a line's end (behind the most frequent symbol where training has none), which is
    not counted.

    Example:
        >>> from tidegate.tasks import LanguageModel
        >>> text = "the tide comes in. " * 60
        >>> model = LanguageModel(cell="gru", hidden_size=16, epochs=1, learning_rate=0.02).fit(text=text)
        >>> "".join(model.generate("the tide", length=6, temperature=0))
        ' comes'
    """

    _task_class = LanguageTask

    def fit(self, data: Any = None, y: Any = None, *, text: str | None = None, **options: Any) -> Self:
        """Train on a text.

        Args:
            data: the path of a file, or the name of a bundled set; a ``str`` is never text itself.
            y: not for this task.
            text: text in memory, in place of ``data``.
            options: ``valid``, ``test``, ``folder``, ``watch``, ``tensorboard`` as in ``Estimator.fit``.

        Raises:
            InputError: as ``Estimator.fit``.
        """
        return super().fit(_either(data, text), y, **options)

    def evaluate(self, data: Any = None, y: Any = None, *, text: str | None = None) -> list[ScoreRecord]:
        """Scores on a new text, or without one those of the test split of the training text.

        A long text is read as 32 parallel streams, each of which begins without a memory.

        Raises:
            InputError: not fitted yet, or a text that cannot be used.
        """
        return super().evaluate(data if text is None else _either(data, text), y)

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        """Where ``tasks.load`` shall read.

        Raises:
            InputError: ``data`` is text itself.
        """
        if isinstance(data, str) and ("\n" in data or len(data) > 1000):
            raise InputError("FIT_TEXT", f"data is a text of {len(data):,} characters", fix="pass it as text=...")
        return super()._source(data, y)

    def generate(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        until: str | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Text that may follow the prompt, as it is written: ``"".join(...)`` has all of it.

        Args:
            prompt: what stands before; nothing is the beginning of a line.
            length: symbols (characters or pieces) at most.
            temperature: below 1 for likelier symbols, above 1 for rarer ones; 0 always takes the likeliest.
            top_k: choose among so many of the likeliest.
            top_p: choose among the likeliest that together have this probability.
            until: the text with which to end.
            seed: the same one gives the same text.

        Raises:
            InputError: not fitted yet, a number out of its range, or a prompt that the model cannot read.
        """
        self._check_fitted()
        _check_length(length)
        choice = Choice(temperature, top_k, top_p)
        begun = opening(self.encoding_, prompt)
        generator = torch.Generator().manual_seed(seed)
        return spelled(drawn(Reader(self.model_), begun, length, choice, generator), self.encoding_.unit, until)

    def search(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        width: int = 4,
        best: int = 1,
        penalty: float = 1.0,
        until: str | None = None,
    ) -> list[Continuation]:
        """The likeliest continuations of the prompt that a beam search finds.

        Args:
            prompt: what stands before; nothing is the beginning of a line.
            length: symbols at most.
            width: how many continuations are kept in each step.
            best: how many are returned, the best first.
            penalty: the power of the length by which log probabilities are divided.
            until: the text that ends a continuation.

        Raises:
            InputError: as ``generate``.
        """
        self._check_fitted()
        _check_length(length)
        beam = Beam(width, best, penalty, until)
        return beam.search(Reader(self.model_, width), opening(self.encoding_, prompt), length, self.encoding_.unit)

    def bits_per_character(self, text: str) -> float:
        """-log2 of the probability of a text, over its characters.

        Raises:
            InputError: not fitted yet, no text, or characters that the model cannot read.
        """
        return float(self._surprise(text).sum()) / len(text)

    def perplexity(self, text: str) -> float:
        """2 to the mean bits of a symbol: among so many equally likely ones it seems to choose.

        Raises:
            InputError: as ``bits_per_character``.
        """
        return float(torch.exp2(self._surprise(text).mean()))

    def score(self, text: str, y: Any = None) -> float:
        """log2 of the probability of a text over its characters: better when higher, as scikit-learn has it.

        Raises:
            InputError: as ``bits_per_character``.
        """
        del y
        return -self.bits_per_character(text)

    def _surprise(self, text: str) -> torch.Tensor:
        self._check_fitted()
        if not text:
            raise InputError("TEXT_EMPTY", "the text is empty", fix="pass at least one character")
        return surprise(self.model_, opening(self.encoding_, text))


def _either(data: Any, text: str | None) -> Any:
    """The data, or text in memory as the file that would hold it."""
    if (data is None) == (text is None):
        raise InputError(
            "FIT_DATA",
            "both data and text are given" if text is not None else "neither data nor text is given",
            fix="pass the path of a file, the name of a bundled set, or text=...",
        )
    return data if text is None else Source("memory", "text", text.encode())


def _check_length(length: int) -> None:
    if length < 1:
        raise InputError("LENGTH", f"the length is {length}", fix="give at least 1")
