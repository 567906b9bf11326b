"""Settings of the task ``speech``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from tidegate.train.setting import Range, Tabular, Training

Rate = Annotated[int | None, Range(1000, 768_000)]  # samples per second


@dataclass(kw_only=True)
class SpeechSetting(Tabular):
    """Transcribe speech: write down what recordings say, by connectionist temporal classification."""

    transcripts: Literal["auto", "table", "files", "folders", "digits"] = "auto"
    """Where the transcripts are: in a table (CSV, TSV, JSONL) with the columns path and text, in a .txt file next to
    each recording, in the names of the folders, or in file names such as 7_george_12.wav. auto looks at the data."""
    hold_out: str | None = None
    """Speaker whose recordings form the test and appear nowhere else."""
    symbols: Literal["auto", "characters", "words"] = "auto"
    """What is written down step by step; auto chooses words where each occurs at least 10 times in training."""
    streaming: bool = False
    """Read forwards only, so that text can appear while the recording still runs; otherwise read in both directions."""
    join: Annotated[int, Range(1, 1000)] = 1
    """Join up to this many recordings of one speaker, at random, into longer ones."""
    rate: Rate = None
    """Sample rate in Hz; other recordings are resampled. Unless given, all recordings must have the same rate."""
    bands: Annotated[int, Range(2, 512)] = 16
    """Bands of the log-mel spectrum."""
    window_ms: Annotated[float, Range(1, 1000)] = 32.0
    """Length of the analysis window in milliseconds."""
    hop_ms: Annotated[float, Range(1, 1000)] = 20.0
    """Time between steps in milliseconds."""
    low_hz: Annotated[float, Range(0, 100_000)] = 60.0
    """Lower edge of the lowest band in Hz."""
    high_hz: Annotated[float | None, Range(1, 400_000)] = None
    """Upper edge of the highest band in Hz; 0.475 of the sample rate unless given."""
    level: Literal["peak", "recorded"] = "peak"
    """Scale each recording to its loudest sample, or keep its level, as a live stream must."""
    normalise: Literal["training", "recording"] = "training"
    """Scale the bands by the mean and deviation of all training recordings, or of each recording."""
    stack: Annotated[int, Range(1, 16)] = 1
    """Steps of the spectrum read as one step of the network; 2 or 3 make long recordings cheaper."""
    mask_frames: Annotated[int, Range(0)] = 4
    """In training, hide a stretch of up to this many steps of each recording."""
    mask_bands: Annotated[int, Range(0, 512)] = 3
    """In training, hide up to this many neighbouring bands of each recording."""
    longest: Annotated[float, Range(0.01)] = 30.0
    """Longest recording in seconds; longer ones are left out, with a note."""
    keep_case: bool = False
    """Distinguish upper and lower case."""
    hidden_size: int = 96
    dropout: float = 0.3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    epochs: int = 30
    patience: int = 30

    _task: ClassVar[str] = "speech"
    _unsmoothed: ClassVar[str] = ""
    _private: ClassVar[Mapping[str, Any]] = {**Training._private, "mask_frames": 0, "mask_bands": 0}  # noqa: SLF001  its own
