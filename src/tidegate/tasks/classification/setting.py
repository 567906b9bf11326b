"""Settings of classifiers of texts and of series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tidegate.train.setting import INFINITY, Range, Training


@dataclass(kw_only=True)
class ClassificationSetting(Training):
    """Classes of texts or of series: one answer for each sequence."""

    text: str | None = None
    """The column with the texts; found by its name unless given."""
    label: str | None = None
    """The column with the classes; found by its name unless given."""
    label_end: str | None = None
    """The class ends before this, as before the colon of ENTY:animal."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    """How text files are written."""
    flat: bool = False
    """Read an array [N, H, W] value by value: H*W steps of one channel instead of H steps of W."""
    frame: int = 0
    """Steps of a series that are read together, as one step; 0 for so many that the longest has 40 such."""
    unit: Literal["auto", "character", "word"] = "auto"
    """What a step of a text is; characters where texts are names, words elsewhere."""
    vocabulary: int = 20_000
    """The most frequent units that are told apart."""
    longest: int = 400
    """Steps of a text that are read; what follows is cut off."""
    valid_share: float = 0.1
    """Share of the data kept for validation, where it has no file of its own."""
    test_share: float = 0.1
    """Share of the data kept for the test, where it has no file of its own; 0 for none."""
    split_seed: int = 0
    """Of which rows are kept."""
    embedding_size: int = 64
    """Features by which a unit of a text enters the recurrent layers."""
    ngrams: int = 0
    """Units of the longest n-grams of a text that vote beside the layers, those of words with 3 to 6 letters in a
    row; 1 for none, 0 for 2 words or 4 characters (none where there are more than 256 classes)."""
    unit_dropout: float = 0.2
    """Share of the units of a text that are hidden from the layers, in training."""
    bidirectional: bool = True
    """Read each sequence from its end, too; --no-bidirectional for not."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """How the outputs of all steps become one vector."""
    calibrate: bool = False
    """Divide the logits by a temperature that fits the validation part best."""
    batch_size: int = 64
    learning_rate: float = 2e-3
    hidden_size: int = 128
    dropout: float = 0.5
    averaging: float = 0.99
    epochs: int = 60

    task: ClassVar[str] = "classification"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "frame": (0, 1 << 16),
        "vocabulary": (1, 1 << 24),
        "longest": (1, INFINITY),
        "valid_share": (0.01, 0.4),
        "test_share": (0, 0.4),
        "split_seed": (0, 2**53),
        "embedding_size": (1, 1 << 16),
        "ngrams": (0, 16),
        "unit_dropout": (0, 0.99),
    }
