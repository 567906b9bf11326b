"""Settings of the task ``tagging``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tidegate.train.setting import Range, Training


@dataclass(kw_only=True)
class TaggingSetting(Training):
    """Tag words: one tag for each word of a sentence."""

    word_column: Annotated[int | None, Range(1, 1000)] = None
    """Number of the column that holds the words, counted from 1; found from the data unless given."""
    tag_column: Annotated[int | None, Range(1, 1000)] = None
    """Number of the column that holds the tags; found from the data unless given."""
    plain: bool = False
    """Score tags such as B-CITY and I-CITY one by one; otherwise the spans that they mark are scored, too."""
    valid_share: Annotated[float, Range(0.01, 0.4)] = 0.1
    """Share of the sentences used for validation, unless the data name them or have a file of their own."""
    test_share: Annotated[float, Range(0, 0.4)] = 0.1
    """Share of the sentences used for the test, unless the data name them or have a file of their own; 0 for no
    test."""
    split_seed: Annotated[int, Range(0, 2**53)] = 0
    """Seed that decides which sentences go to validation and test."""
    longest: Annotated[int, Range(1, 1 << 20)] = 400
    """Longest sequence of words that is read at once; longer sentences are read in pieces."""
    min_count: Annotated[int, Range(1)] = 1
    """Least number of times that training must contain a word to learn an embedding of it."""
    vocabulary: Annotated[int, Range(1, 1 << 24)] = 50_000
    """Largest number of different words to keep, the most frequent first."""
    embedding_size: Annotated[int, Range(1, 1 << 16)] = 64
    """Width of the embedding of each word."""
    ends_size: Annotated[int, Range(0, 1 << 16)] = 64
    """Width of the embedding of the first and last 1 to 4 letters of each word, by which unknown words are known; 0
    for none."""
    word_dropout: Annotated[float, Range(0, 0.99)] = 0.2
    """Share of the words that are replaced by the unknown word in training. Their letters stay."""
    bidirectional: bool = True
    """Read each sentence in both directions."""
    hidden_size: int = 128
    dropout: float = 0.5
    learning_rate: float = 4e-3
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    averaging: float = 0.99

    _task: ClassVar[str] = "tagging"
    _fixed: ClassVar[str] = "an edited word is mostly an unknown one, which word_dropout= trains for"
