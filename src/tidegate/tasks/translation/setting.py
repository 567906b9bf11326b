"""Settings of the task ``translation``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tidegate.train.setting import Column, Range, Tabular

BeamWidth = Annotated[int, Range(1, 1000)]
UnitChoice = Literal["auto", "word", "character", "piece", "symbol"]


@dataclass(kw_only=True)
class TranslationSetting(Tabular):
    """Translate sequences into sequences: sentences into another language, words into their pronunciation."""

    source_column: Annotated[str | None, Column()] = None
    """Column to translate from, or the language where DATA is a folder of parallel files."""
    target_column: Annotated[str | None, Column()] = None
    """Column to translate into, or the language where DATA is a folder of parallel files."""
    source_unit: UnitChoice = "auto"
    """What one step of a source is: a word, a character, a piece of a word, or a symbol between blanks, such as a
    phoneme. auto means pieces, and characters for a pronouncing dictionary (.dict)."""
    target_unit: UnitChoice = "auto"
    """The same for targets. auto means pieces, and symbols for a pronouncing dictionary."""
    source_vocabulary: Annotated[int, Range(8, 1 << 20)] = 4000
    """Largest number of different words or pieces of the source."""
    target_vocabulary: Annotated[int, Range(8, 1 << 20)] = 4000
    """Largest number of different words or pieces of the target."""
    stress: bool = False
    """Keep the stress digits of a pronouncing dictionary: AH0 and AH1 instead of AH."""
    embedding_size: Annotated[int, Range(1, 1 << 16)] = 128
    """Width of the embedding of each unit."""
    attention: Literal["general", "dot", "additive"] = "general"
    """Attention score: Luong's with a matrix (general) or without (dot), or Bahdanau's small network (additive)."""
    bidirectional: bool = True
    """Read the source in both directions."""
    label_smoothing: Annotated[float, Range(0, 0.99)] = 0.1
    """Share of the probability that training spreads evenly over all units."""
    beam: BeamWidth = 5
    """Width of the beam search; 1 is greedy."""
    length_penalty: Annotated[float, Range(0, 10)] = 1.0
    """Rank translations by log-probability / length ** this; 0 favours short ones."""
    longest: Annotated[int, Range(1, 10_000)] = 100
    """Longest sequence in units: longer pairs are left out of training, and longer translations are cut off."""
    dropout: float = 0.3
    batch_size: int = 64
    learning_rate: float = 4e-3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    patience: int = 10

    _task: ClassVar[str] = "translation"
    _fixed: ClassVar[str] = "the right translation of an edited source is not known"
