"""Translation: encoder, attention, decoder, beam search, and how good the result is."""

from tidegate.tasks.translation.encoding import TranslationEncoding
from tidegate.tasks.translation.model import Attention, Memory, PairBatch, SequenceToSequence
from tidegate.tasks.translation.search import Found, beam_search
from tidegate.tasks.translation.task import Translation
from tidegate.tasks.translation.translate import Translated, translate
from tidegate.tasks.translation.vocabulary import Vocabulary

__all__ = [
    "Attention",
    "Found",
    "Memory",
    "PairBatch",
    "SequenceToSequence",
    "Translated",
    "Translation",
    "TranslationEncoding",
    "Vocabulary",
    "beam_search",
    "translate",
]
