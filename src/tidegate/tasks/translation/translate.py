"""From texts to texts, with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import cleaned
from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.tasks.translation.search import Found, beam_search
from tidegate.tasks.translation.vocabulary import BEGIN, UNKNOWN, Vocabulary
from tidegate.train.bucket import bucketed

ROWS = 320  # targets that are followed at once, over all beams


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
    """The translation of each text; that of nothing is nothing."""
    cut = [vocabularies[0].cut(cleaned(text)) for text in texts]
    done = [Translated("", (), (), np.zeros((0, 0), np.float32), 0.0)] * len(texts)
    filled = [place for place, units in enumerate(cut) if units]
    lengths = torch.tensor([len(cut[place]) for place in filled])
    for group in bucketed(lengths, max(1, ROWS // beam)) if filled else ():
        rows = [filled[index] for index in group]
        encoded = [vocabularies[0].encode(cut[row]) for row in rows]
        sources, ends = torch.nn.utils.rnn.pad_sequence(encoded), torch.tensor([len(one) for one in encoded])
        found = beam_search(model, sources, ends, beam=beam, longest=longest, length_penalty=length_penalty)
        weights = _attention(model, sources, ends, found)
        for column, row in enumerate(rows):
            done[row] = _written(vocabularies[1], cut[row], found, weights, column)
    return done


def _attention(
    model: SequenceToSequence, sources: torch.Tensor, lengths: torch.Tensor, found: Found
) -> NDArray[np.float32]:
    """[T, B, S], of all steps of the targets that were found, in one call."""
    memory, state = model.read(sources, lengths)
    inputs = torch.cat([torch.full_like(found.units[:1], BEGIN), found.units[:-1]])
    weights: NDArray[np.float32] = model.write(inputs, memory, state)[1].float().numpy()
    return weights


def _written(
    vocabulary: Vocabulary, source: list[str], found: Found, weights: NDArray[np.float32], column: int
) -> Translated:
    length = int(found.lengths[column])
    attention = weights[:length, column, : len(source)]
    target = [
        source[int(looked.argmax())] if number == UNKNOWN else vocabulary.unit_of(number)
        for number, looked in zip(found.units[:length, column].tolist(), attention, strict=True)
    ]
    return Translated(vocabulary.join(target), tuple(source), tuple(target), attention, float(found.scores[column]))
