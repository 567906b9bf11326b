"""``Translator``: translates sequences into sequences."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.tasks.translation.setting import BeamWidth, TranslationSetting
from tidegate.tasks.translation.task import TranslationTask
from tidegate.tasks.translation.translate import Translated, translate
from tidegate.train.estimator import Estimator
from tidegate.train.setting import checked

EXPECTED = "pass (source, target) pairs of text, two lists of texts, a path, or the name of a bundled set"


class Translator(Estimator[TranslationSetting], TranslationSetting):
    """A translator of sequences: sentences into another language, words into their pronunciation.

    ``fit`` takes a path, the name of a bundled set, a list of (source, target), or sources and targets:
    ``fit(sources, targets)``.

    Example:
        >>> from tidegate.tasks import Translator
        >>> Translator(cell="gru", attention="dot").beam
        5
    """

    _task_class = TranslationTask

    @checked
    def translate(self, texts: str | Sequence[str], *, beam: BeamWidth | None = None) -> list[str]:
        """Translate texts.

        Args:
            texts: one text, or several.
            beam: width of the beam search; the setting unless given.

        Returns:
            The translation of each text.

        Raises:
            InputError: the model is not fitted, or an item is not a text.
        """
        return [translated.text for translated in self.align(texts, beam=beam)]

    @checked
    def align(self, texts: str | Sequence[str], *, beam: BeamWidth | None = None) -> list[Translated]:
        """Translate texts, with units and attention weights.

        Args:
            texts: one text, or several.
            beam: width of the beam search; the setting unless given.

        Returns:
            Each translation with its units, and the attention of each to the units of the source.

        Raises:
            InputError: the model is not fitted, or an item is not a text.
        """
        self._check_fitted()
        sources = [texts] if isinstance(texts, str) else list(texts)
        if not all(isinstance(text, str) for text in sources):
            raise InputError("TEXTS", f"texts are {texts!r:.60}", fix="pass a text, or a list of texts")
        both = (self.encoding_.source, self.encoding_.target)
        return translate(
            self.model_,
            both,
            sources,
            beam=beam or self.beam,
            longest=self.longest,
            length_penalty=self.length_penalty,
        )

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        """Pairs in memory as JSON lines."""
        if isinstance(data, (str, os.PathLike, Source)):
            return super()._source(data, y)
        names = (self.source_column or "source", self.target_column or "target")
        lines = [json.dumps(dict(zip(names, pair, strict=True))) for pair in _pairs(data, y)]
        return Source("memory", "pairs.jsonl", "\n".join(lines).encode())


def _pairs(data: Any, y: Any) -> list[tuple[str, str]]:
    try:
        if y is not None:
            pairs = list(zip(data, y, strict=True))
        elif isinstance(data, tuple) and len(data) == 2 and all(isinstance(side, list) for side in data):
            pairs = list(zip(*data, strict=True))
        else:
            pairs = [tuple(pair) for pair in data]
    except (TypeError, ValueError) as error:
        raise InputError("FIT_DATA", f"data are not pairs: {error}", fix=EXPECTED) from None
    for place, pair in enumerate(pairs):
        if len(pair) != 2 or not all(isinstance(side, str) for side in pair):
            raise InputError("FIT_DATA", f"pair {place} is {pair!r:.60}", fix=EXPECTED)
    return pairs
