"""``SequenceTagger``: learns the tags of words, and tags new sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data import Source, locate
from tidegate.errors import InputError, note
from tidegate.records import ScoreRecord
from tidegate.tasks.tagging.batch import probabilities
from tidegate.tasks.tagging.reader import in_memory, read_tagged
from tidegate.tasks.tagging.record import Sentence
from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.tasks.tagging.source import layout
from tidegate.tasks.tagging.task import TaggingTask
from tidegate.train.answer import Answer
from tidegate.train.estimator import Estimator
from tidegate.train.task import AnyTask


class SequenceTagger(Estimator[TaggingSetting], TaggingSetting):
    """Tags the words of sentences.

    ``fit(X, y)`` takes a list of lists of words, and as many tags. It works in scikit-learn's searches and
    cross-validation; set ``test_share=0`` there, since they hold out test sentences themselves. ``fit(data)`` takes a
    file or the name of a bundled set.

    Attributes:
        tags_: the tags, in the order of the columns of ``predict_proba``.

    Examples:
        >>> from tidegate.tasks import SequenceTagger
        >>> words = [["from", "rome"], ["to", "rome"], ["to", "oslo"], ["from", "oslo"]] * 4
        >>> model = SequenceTagger(epochs=2, test_share=0).fit(words, [["O", "CITY"]] * 16)
        >>> model.predict([["to", "rome"]])
        [['O', 'CITY']]
    """

    _task_class = TaggingTask

    def _source(self, data: Any, y: Any) -> Source | str | os.PathLike[str]:
        if isinstance(data, (str, os.PathLike, Source)):
            return super()._source(data, y)
        return in_memory(data, y)

    @property
    def tags_(self) -> list[str]:
        """The tags, sorted."""
        self._check_fitted()
        return list(self.encoding_.tags)

    def predict(self, data: Any) -> list[list[str]]:
        """The most probable tag of each word.

        Args:
            data: a list of lists of words, or a file: one word a line, with or without tags, or JSON lines.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        return [[self.tags_[k] for k in chances.argmax(1)] for chances in self.predict_proba(data)]

    def predict_proba(self, data: Any) -> list[NDArray[np.float64]]:
        """The probability of each tag.

        Args:
            data: as ``predict`` takes it.

        Returns:
            An array [T, tags] for each sentence of T words, the columns in the order of ``tags_``.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        self._check_fitted()
        return self._probabilities(self._read(data))

    def score(self, data: Any, y: Any) -> float:
        """The accuracy over all words.

        Args:
            data: a list of lists of words.
            y: their tags.

        Raises:
            InputError: not fitted yet, or sentences and tags that do not agree.
        """
        predicted, truth = self.predict(data), [list(tags) for tags in y]
        if list(map(len, predicted)) != list(map(len, truth)):
            raise InputError("FIT_TAGS", "words and tags differ in number", fix="pass one tag for each word")
        pairs = [pair for sides in zip(predicted, truth, strict=True) for pair in zip(*sides, strict=True)]
        if not pairs:
            raise InputError("FIT_DATA", "there are no words to score", fix="pass sentences with words")
        return sum(str(answer) == str(tag) for answer, tag in pairs) / len(pairs)

    def answers(self, data: Any) -> Iterator[Answer]:
        """The words of each sentence with their tags, as ``tidegate predict`` shows them.

        Args:
            data: as ``predict`` takes it, or a list of texts, whose words stand between blanks.

        Raises:
            InputError: not fitted yet, or data that cannot be used.
        """
        self._check_fitted()
        if isinstance(data, list) and all(isinstance(text, str) for text in data):
            data = [text.split() for text in data]
        sentences = self._read(data)
        for k, (sentence, chances) in enumerate(zip(sentences, self._probabilities(sentences), strict=True), 1):
            yield _answer(
                k, sentence.words, [self.tags_[best] for best in chances.argmax(1)], chances.max(1, initial=0)
            )

    def _read(self, data: Any) -> Sequence[Sentence]:
        """Sentences to tag; a file's tags are not read."""
        source = self._source(data, None)
        if not isinstance(source, Source):
            source = locate(source)
        read = read_tagged(source, layout(self._current(), labelled=False))
        note(*read.notes)
        return read.sentences

    def _probabilities(self, sentences: Sequence[Sentence]) -> list[NDArray[np.float64]]:
        inputs = self.encoding_.encode([sentence.words for sentence in sentences])
        read = probabilities(self.model_, inputs, self._current().longest)
        return [chances.reshape(-1, len(self.tags_)) for chances in read]

    def _scores(self, task: AnyTask) -> list[ScoreRecord]:
        return super()._scores(task) if next(iter(task.batches("test")), None) else []


def _answer(number: int, words: Sequence[str], tags: Sequence[str], chances: NDArray[np.float64]) -> Answer:
    sure = [round(float(chance), 6) for chance in chances]
    rows = [
        {"sentence": number, "word": word, "tag": tag, "probability": chance}
        for word, tag, chance in zip(words, tags, sure, strict=True)
    ]
    text = "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
    return Answer(text, rows, {"words": list(words), "tags": list(tags), "probabilities": sure})
