"""What a speech recogniser learns from its training part besides weights."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch

from tidegate.tasks.speech.decode import BLANK
from tidegate.tasks.speech.feature import Filterbank, stacked
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.train.fitted import is_private
from tidegate.train.task import Encoding, MakeLayer, SequenceModel

OFTEN = 10  # occurrences in training of the rarest word if words are to be symbols


@dataclass(frozen=True)
class SpeechEncoding(Encoding[SpeechSetting]):
    """The front end, its scale, and the symbols of the training transcripts; number 0 is the blank.

    Attributes:
        filterbank: the front end.
        mean, sd: mean and standard deviation of each band in training; 0 and 1 in a private model that does not use
            them.
        per_recording: whether each recording is scaled by its own mean and deviation instead.
        stack: frames in one step of the network.
        words: whether symbols are words; otherwise they are characters.
        symbols: the symbols in order; the first has number 1.
        keep_case: whether upper and lower case differ.
    """

    filterbank: Filterbank
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    per_recording: bool
    stack: int
    words: bool
    symbols: tuple[str, ...]
    keep_case: bool

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.sd) == self.filterbank.bands or self.stack < 1:
            raise ValueError(f"there are not {self.filterbank.bands} means and deviations of as many bands")

    @classmethod
    def learnt(cls, setting: SpeechSetting, bank: Filterbank, frames: torch.Tensor, texts: Sequence[str]) -> Self:
        """Learn from the frames [T, bands] and the cleaned transcripts of the training recordings."""
        counts = Counter(word for text in texts for word in text.split())
        often = min(counts.values(), default=0) >= OFTEN
        words = setting.symbols == "words" or (setting.symbols == "auto" and often)
        symbols = sorted(counts if words else set("".join(texts)))
        mean, sd = frames.mean(0).tolist(), frames.std(0).clamp_min(1e-3).tolist()
        own = setting.normalise == "recording"
        if own and is_private(setting):
            mean, sd = [0.0] * bank.bands, [1.0] * bank.bands
        return cls(bank, tuple(mean), tuple(sd), own, setting.stack, words, tuple(symbols), setting.keep_case)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each symbol."""
        return {symbol: k for k, symbol in enumerate(self.symbols, BLANK + 1)}

    def clean(self, text: str) -> str:
        """Normalise blanks in a transcript, and put it into lower case unless case counts."""
        return clean(text, keep_case=self.keep_case)

    def encode(self, text: str) -> list[int]:
        """The numbers of a transcript's symbols; symbols that training lacks are left out."""
        parts: Iterable[str] = self.clean(text).split() if self.words else self.clean(text)
        return [self.numbers[part] for part in parts if part in self.numbers]

    def text(self, numbers: Sequence[int]) -> str:
        """The text of symbol numbers."""
        parts = [self.symbols[number - 1] for number in numbers]
        return " ".join(parts) if self.words else "".join(parts).strip()

    def steps(self, frames: torch.Tensor) -> torch.Tensor:
        """Scale and stack log-mel spectra [T, bands] into inputs of the network [steps, features]."""
        if self.per_recording:
            mean, sd = frames.mean(0), frames.std(0, correction=0).clamp_min(1e-3)
        else:
            mean, sd = torch.tensor(self.mean), torch.tensor(self.sd)
        return stacked((frames - mean) / sd, self.stack)

    @property
    def seconds(self) -> float:
        """Time between steps of the network."""
        return self.stack * self.filterbank.hop / self.filterbank.rate

    def model(self, layer: MakeLayer, setting: SpeechSetting) -> SequenceModel:
        features = self.filterbank.bands * self.stack

        def both(features: int, /, **options: Any) -> Any:
            return layer(features, **{"bidirectional": not setting.streaming, **options})

        return SequenceModel(torch.nn.Identity(), features, both, setting.dropout, len(self.symbols) + 1)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def clean(text: str, *, keep_case: bool) -> str:
    """Normalise blanks in a transcript, and put it into lower case unless case counts."""
    joined = " ".join(text.split())
    return joined if keep_case else joined.lower()
