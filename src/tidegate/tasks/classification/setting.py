"""Settings of the task ``classification``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from tidegate.train.setting import Column, Range, Tabular, Training


@dataclass(kw_only=True)
class ClassificationSetting(Tabular):
    """Classify texts or series: one class for each sequence."""

    text: Annotated[str | None, Column()] = None
    """Column that holds the texts; found by its usual names unless given."""
    label: Annotated[str | None, Column()] = None
    """Column that holds the classes; found by its usual names unless given."""
    label_end: str | None = None
    """Cut each class off before this text: with ":" the class of ENTY:animal is ENTY."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    """Character encoding of text files."""
    flat: bool = False
    """Read an array [N, H, W] value by value, as H*W steps of one channel, instead of as H steps of W channels."""
    series: Annotated[str | None, Column()] = None
    """Column that names the series of each row, in a table with a row for each step; columns of numbers are channels,
    and empty cells are missing values."""
    time: Annotated[str | None, Column()] = None
    """Column of dates or numbers in such a table that says when each step was, or several with commas between them:
    date,hour. Steps need not be equally far apart."""
    day_first: bool | None = None
    """Whether the day comes before the month in dates such as 01/02/2024 (day_first=False: the month before the day);
    decided from all rows unless given."""
    date_format: str | None = None
    """Format of the dates in the letters of Python's strptime, such as %d/%m/%Y; found in the rows unless given."""
    time_zone: str | None = None
    """Time zone of the dates, such as Europe/Berlin."""
    decimal: Literal["auto", ",", "."] = "auto"
    """The decimal mark of numbers, where 1.497 may be 1497. auto decides from all rows, or asks."""
    missing: Literal["fill", "inputs"] = "fill"
    """What layers read of series with missing values or times: values filled by straight lines (fill), or also which
    values were missing and the time since the step before (inputs). A cell that is given a mask m or times dt reads
    these either way."""
    frame: Annotated[int, Range(0, 1 << 16)] = 0
    """Steps of a series that are read together as one step; 0 chooses so that the longest series has 40 steps, and 1
    where steps have times."""
    unit: Literal["auto", "character", "word"] = "auto"
    """What one step of a text is; auto chooses characters for names and words for everything else."""
    vocabulary: Annotated[int, Range(1, 1 << 24)] = 20_000
    """Number of different units to keep, the most frequent first."""
    longest: Annotated[int, Range(1)] = 400
    """Longest text in steps; the rest is cut off."""
    valid_share: Annotated[float, Range(0.01, 0.4)] = 0.1
    """Share of the data used for validation, unless it has a file of its own."""
    test_share: Annotated[float, Range(0, 0.4)] = 0.1
    """Share of the data used for the test, unless it has a file of its own; 0 for no test."""
    split_seed: Annotated[int, Range(0, 2**53)] = 0
    """Seed that decides which rows go to validation and test."""
    embedding_size: Annotated[int, Range(1, 1 << 16)] = 64
    """Width of the embedding of each unit of a text."""
    votes: bool = True
    """Let a regression on n-grams of a text, or random convolutions and a linear map of a series, vote beside the
    recurrent layers."""
    ngrams: Annotated[int, Range(0, 16)] = 0
    """Length of the longest n-grams that vote; n-grams of words vote with groups of 3 to 6 letters, if those help. 1
    switches the votes of texts off; 0 means 2 words or 4 characters, and no votes where there are more than 256
    classes."""
    unit_dropout: Annotated[float, Range(0, 0.99)] = 0.2
    """Share of the units of a text that are hidden from the recurrent layers during training."""
    bidirectional: bool = True
    """Read each sequence in both directions."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """How the outputs of all steps become one vector."""
    calibrate: bool = False
    """Fit a temperature for the logits on the validation part; with votes there always is one."""
    batch_size: int = 64
    learning_rate: float = 2e-3
    hidden_size: int = 128
    dropout: float = 0.5
    averaging: float = 0.99
    epochs: int = 60

    _task: ClassVar[str] = "classification"
    _unsmoothed: ClassVar[str] = ""
    _private: ClassVar[Mapping[str, Any]] = {**Training._private, "votes": False, "unit_dropout": 0.0}  # noqa: SLF001  its own
