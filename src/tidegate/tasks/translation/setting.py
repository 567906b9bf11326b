"""Settings of models that turn one sequence into another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tidegate.train.setting import Range, Training

Unit = Literal["auto", "word", "character", "piece", "symbol"]


@dataclass(kw_only=True)
class TranslationSetting(Training):
    """Sequence to sequence: sentences and their translations, words and their pronunciations."""

    source_column: str | None = None
    """The column to translate from, or the language where DATA is a folder of parallel files."""
    target_column: str | None = None
    """The column to translate into, or the language."""
    source_unit: Unit = "auto"
    """What a source is read as: words, characters, pieces of words, or symbols between blanks such as phonemes.
    auto: pieces; characters where DATA is a pronouncing dictionary (.dict)."""
    target_unit: Unit = "auto"
    """The same for a target. auto: pieces; symbols where DATA is a pronouncing dictionary."""
    source_vocabulary: int = 4000
    """The most words or pieces that a source is read as."""
    target_vocabulary: int = 4000
    """The same for a target."""
    stress: bool = False
    """Keep the stress digits of a pronouncing dictionary: AH0 and AH1 instead of AH."""
    embedding_size: int = 128
    """Features by which a unit enters the recurrent layers."""
    attention: Literal["general", "dot", "additive"] = "general"
    """How a step is compared with the source: by a matrix or none (both Luong's), or a small network (Bahdanau's)."""
    bidirectional: bool = True
    """Read the source from both ends."""
    label_smoothing: float = 0.1
    """Share of the probability that training gives to all units alike."""
    beam: int = 5
    """Translations that are followed side by side; 1 is greedy."""
    length_penalty: float = 1.0
    """Translations compete by log-probability / length ** this: 0 favours short ones."""
    longest: int = 100
    """Units of a side: longer pairs are not learnt from, and longer translations are cut."""
    dropout: float = 0.3
    batch_size: int = 64
    learning_rate: float = 4e-3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    patience: int = 10

    task: ClassVar[str] = "translation"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "source_vocabulary": (8, 1 << 20),
        "target_vocabulary": (8, 1 << 20),
        "embedding_size": (1, 1 << 16),
        "label_smoothing": (0, 0.99),
        "beam": (1, 1000),
        "length_penalty": (0, 10),
        "longest": (1, 10_000),
    }
