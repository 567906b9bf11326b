"""``LanguageModel``: learns a text, scores others, and writes more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any, Self

import torch

from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.records import ScoreRecord
from tidegate.tasks.language.generate import Beam, Choice, Continuation, drawn, opening, spelled
from tidegate.tasks.language.model import surprise
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.train.estimator import Estimator
from tidegate.train.setting import Range, Seed, checked


class LanguageModel(Estimator[LanguageSetting], LanguageSetting):
    """A language model, which learns a text, computes the probability of others, and writes more.

    Every text is preceded by a newline, which does not count, or by the most frequent symbol if the training text has
    no newline.

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
            data: the path of a file, or the name of a bundled set; never the text itself.
            y: unused.
            text: text in memory, in place of ``data``.
            options: ``valid``, ``test``, ``folder``, ``watch``, ``tensorboard`` and ``cache`` as in ``Estimator.fit``.

        Returns:
            The estimator itself.

        Raises:
            InputError: as ``Estimator.fit``.
        """
        return super().fit(_either(data, text), y, **options)

    def evaluate(self, data: Any = None, y: Any = None, *, text: str | None = None) -> list[ScoreRecord]:
        """Score the model.

        A long text is read as 32 parallel streams, each from an initial state.

        Args:
            data: the path of a file, or the name of a bundled set; the test split of the training text unless given.
            y: unused.
            text: text in memory, in place of ``data``.

        Returns:
            Bits per character, and perplexities per symbol and per word, with those of n-gram models.

        Raises:
            InputError: the model is not fitted, or the text cannot be used.
        """
        return super().evaluate(data if text is None else _either(data, text), y)

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        """The source that the task reads.

        Raises:
            InputError: ``data`` is the text itself.
        """
        like_text = isinstance(data, str) and ("\n" in data or len(data) > 1000)
        if like_text and not os.path.exists(data):  # noqa: PTH110  Path.exists fails for a long text
            raise InputError(
                "FIT_TEXT", f"data is a text of {len(data):,} characters, not a path", fix="pass it as text=..."
            )
        return super()._source(data, y)

    @checked
    def generate(
        self,
        prompt: str = "",
        length: Annotated[int, Range(1)] = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        until: str | None = None,
        seed: Seed = 0,
    ) -> Iterator[str]:
        """Continue a prompt by sampling.

        Args:
            prompt: the text to continue; if empty, the beginning of a line.
            length: the largest number of symbols (characters or pieces).
            temperature: below 1 favours probable symbols, above 1 rare ones; 0 always takes the most probable.
            top_k: sample from this many of the most probable symbols.
            top_p: sample from the most probable symbols that together have this probability.
            until: stop after this text.
            seed: seed for sampling.

        Returns:
            An iterator over the parts of the text, as they are written; ``"".join(...)`` gives the whole text.

        Raises:
            InputError: the model is not fitted, a number is out of range, or the prompt has an unknown character.
        """
        self._check_fitted()
        choice = Choice(temperature, top_k, top_p)
        start = opening(self.encoding_, prompt)
        generator = torch.Generator().manual_seed(seed)
        return spelled(drawn(Reader(self.model_), start, length, choice, generator), self.encoding_.unit, until)

    @checked
    def search(
        self,
        prompt: str = "",
        length: Annotated[int, Range(1)] = 200,
        *,
        width: int = 4,
        best: int = 1,
        penalty: float = 1.0,
        until: str | None = None,
    ) -> list[Continuation]:
        """Search for the most probable continuations of a prompt with a beam search.

        Args:
            prompt: the text to continue; if empty, the beginning of a line.
            length: the largest number of symbols.
            width: the number of continuations to keep at each step.
            best: the number of continuations to return.
            penalty: rank continuations by log-probability / length ** this.
            until: the text that ends a continuation.

        Returns:
            The continuations, the best first.

        Raises:
            InputError: as ``generate``.
        """
        self._check_fitted()
        beam = Beam(width, best, penalty, until)
        return beam.search(Reader(self.model_, width), opening(self.encoding_, prompt), length, self.encoding_.unit)

    @checked
    def bits_per_character(self, text: str) -> float:
        """-log2 of the probability of a text, divided by its number of characters.

        Args:
            text: at least one character.

        Raises:
            InputError: the model is not fitted, or the text is empty or has an unknown character.
        """
        return float(self._surprise(text).sum()) / len(text)

    @checked
    def perplexity(self, text: str) -> float:
        """2 to the power of the mean bits per symbol of a text.

        Args:
            text: at least one character.

        Raises:
            InputError: as ``bits_per_character``.
        """
        return float(torch.exp2(self._surprise(text).mean()))

    def score(self, text: str, y: Any = None) -> float:
        """The negative of ``bits_per_character``, so that higher is better as in scikit-learn.

        Args:
            text: at least one character.
            y: unused.

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
            "got both data and text" if text is not None else "got neither data nor text",
            fix="pass the path of a file, the name of a bundled set, or text=...",
        )
    return data if text is None else Source("memory", "text", text.encode())
