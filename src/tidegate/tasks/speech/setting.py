"""Settings of speech recognition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tidegate.train.setting import INFINITY, Range, Training


@dataclass(kw_only=True)
class SpeechSetting(Training):
    """Speech to text: what is said in recordings, by connectionist temporal classification."""

    transcripts: Literal["auto", "table", "files", "folders", "digits"] = "auto"
    """Where the texts stand: in a table (CSV, TSV, JSONL) with the columns path and text, in a .txt file beside each
    recording, in the names of the folders, or in names such as 7_george_12.wav; told by what is there unless given."""
    hold_out: str | None = None
    """The speaker whose recordings are the test, and are in no other part."""
    symbols: Literal["auto", "characters", "words"] = "auto"
    """What is written down step by step; auto takes words where each of them is heard 10 times in training."""
    streaming: bool = False
    """Listen forwards only, so that text can appear while the sound still comes; else in both directions."""
    join: int = 1
    """Recordings of one speaker that are joined into a longer one, by chance 1 to so many."""
    rate: int | None = None
    """Samples per second; other recordings are resampled. Unless given all must have the same rate."""
    bands: int = 16
    """Bands of the log-mel spectrum."""
    window_ms: float = 32.0
    """The part of the sound that a step looks at."""
    hop_ms: float = 20.0
    """The time between steps."""
    low_hz: float = 60.0
    """Where the lowest band begins."""
    high_hz: float | None = None
    """Where the highest band ends; 0.475 of the rate unless given."""
    level: Literal["peak", "recorded"] = "peak"
    """Scale each recording to its loudest sample, or leave it as it is (a stream has no loudest sample yet)."""
    normalise: Literal["training", "recording"] = "training"
    """Bands are scaled by mean and deviation of all training recordings, or of the recording itself."""
    stack: int = 1
    """Steps of the spectrum that become one step of the network; 2 or 3 make long recordings cheaper."""
    mask_frames: int = 4
    """In training a stretch of up to so many steps is hidden in each recording."""
    mask_bands: int = 3
    """In training up to so many neighbouring bands are hidden in each recording."""
    longest: float = 30.0
    """Seconds; longer recordings are left out, with a note."""
    keep_case: bool = False
    """Tell capitals from small letters."""
    hidden_size: int = 96
    dropout: float = 0.3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    epochs: int = 30
    patience: int = 30

    task: ClassVar[str] = "speech"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "join": (1, 1000),
        "rate": (1000, 768_000),
        "bands": (2, 512),
        "window_ms": (1, 1000),
        "hop_ms": (1, 1000),
        "low_hz": (0, 100_000),
        "high_hz": (1, 400_000),
        "stack": (1, 16),
        "mask_frames": (0, INFINITY),
        "mask_bands": (0, 512),
        "longest": (0.01, INFINITY),
    }
