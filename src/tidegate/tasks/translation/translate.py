"""Translate texts with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import cleaned
from tidegate.phase import counted
from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.tasks.translation.search import Translations, beam_search
from tidegate.tasks.translation.vocabulary import BEGIN, UNKNOWN, Vocabulary
from tidegate.train.bucket import bucketed

ROWS = 320  # hypotheses in a batch, over all beams


@dataclass(frozen=True)
class Translated:
    """A translation and where it comes from.

    Attributes:
        text: the translation.
        source: the units that were read.
        target: the units that were written, unknown ones copied from the source.
        attention: [target, source] how much each unit written looked at each one read; rows add up to at most 1,
            the rest went to the end of the source.
        score: log-probability over length, as translations competed.
    """

    text: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    attention: NDArray[np.float32]
    score: float


@torch.inference_mode()
def translate(
    model: SequenceToSequence,
    vocabularies: tuple[Vocabulary, Vocabulary],
    texts: Sequence[str],
    *,
    beam: int,
    longest: int,
    length_penalty: float,
) -> list[Translated]:
    """Translate each text; the translation of an empty text is empty."""
    cut = [vocabularies[0].cut(cleaned(text)) for text in texts]
    translated = [Translated("", (), (), np.zeros((0, 0), np.float32), 0.0)] * len(texts)
    filled = [place for place, units in enumerate(cut) if units]
    lengths = torch.tensor([len(cut[place]) for place in filled])
    for group in counted("translating", bucketed(lengths, max(1, ROWS // beam)) if filled else ()):
        rows = [filled[index] for index in group]
        encoded = [vocabularies[0].encode(cut[row]) for row in rows]
        sources, ends = torch.nn.utils.rnn.pad_sequence(encoded), torch.tensor([len(units) for units in encoded])
        best = beam_search(model, sources, ends, beam=beam, longest=longest, length_penalty=length_penalty)
        weights = _attention(model, sources, ends, best)
        for column, row in enumerate(rows):
            translated[row] = _written(vocabularies[1], cut[row], best, weights, column)
    return translated


def _attention(
    model: SequenceToSequence, sources: torch.Tensor, lengths: torch.Tensor, best: Translations
) -> NDArray[np.float32]:
    """Attention weights [T, B, S] of all steps of the translations, in one call."""
    memory, state = model.read(sources, lengths)
    inputs = torch.cat([torch.full_like(best.units[:1], BEGIN), best.units[:-1]])
    weights: NDArray[np.float32] = model.write(inputs, memory, state)[1].float().numpy()
    return weights


def _written(
    vocabulary: Vocabulary, source: list[str], best: Translations, weights: NDArray[np.float32], column: int
) -> Translated:
    length = int(best.lengths[column])
    attention = weights[:length, column, : len(source)]
    target = [
        source[int(weight.argmax())] if number == UNKNOWN else vocabulary.unit_of(number)
        for number, weight in zip(best.units[:length, column].tolist(), attention, strict=True)
    ]
    return Translated(vocabulary.join(target), tuple(source), tuple(target), attention, float(best.scores[column]))
