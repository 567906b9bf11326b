"""Generation of text: sampling symbol by symbol, or beam search."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import torch

from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.setting import Width
from tidegate.tasks.language.unit import UNKNOWN, Unit
from tidegate.train.setting import Range, Temperature, check_values


@dataclass(frozen=True)
class Choice:
    """A random choice among likely symbols.

    Equations:
        p = softmax(logits / temperature), restricted to the ``top_k`` most probable symbols, then to the
        fewest of those that hold ``top_p`` of their probability, and scaled to sum to 1

    Args:
        temperature: below 1 favours probable symbols, above 1 rare ones; 0 takes the most probable.
        top_k: sample from this many symbols.
        top_p: sample from the most probable symbols that together have this probability.

    Raises:
        InputError: a number is out of range.

    References:
        Fan et al. 2018, arXiv 1805.04833 (top-k); Holtzman et al. 2020, arXiv 1904.09751 (top-p).
    """

    temperature: Temperature = 1.0
    top_k: Annotated[int | None, Range(1)] = None
    top_p: Annotated[float | None, Range(0, 1)] = None

    def __post_init__(self) -> None:
        check_values(type(self), vars(self))
        if self.top_p == 0:
            raise InputError("TOP_P", "top_p=0 leaves no symbol", fix="use more than 0, or temperature=0")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The probability of each symbol, [vocabulary] float64, from logits [vocabulary]."""
        if not self.temperature:
            return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
        chances = (logits.double() / self.temperature).softmax(-1)
        if self.top_k is None and self.top_p is None:
            return chances
        ranked, order = chances.sort(descending=True, stable=True)
        ranked[len(ranked) if self.top_k is None else self.top_k :] = 0
        return torch.zeros_like(chances).scatter(0, order, self._nucleus(ranked))

    def draw(self, logits: torch.Tensor, generator: torch.Generator) -> int:
        """One symbol.

        Raises:
            InputError: the logits are not finite.
        """
        if logits.isnan().any() or logits.max() == torch.inf:
            raise InputError("NOT_FINITE", "the model answers with numbers that are not finite", fix="train it again")
        if not self.temperature:
            return int(logits.argmax())
        return int(torch.multinomial(self.probabilities(logits), 1, generator=generator))

    def _nucleus(self, ranked: torch.Tensor) -> torch.Tensor:
        """Keep the first of the sorted probabilities until they reach ``top_p``, and scale them to sum to 1."""
        ranked = ranked / ranked.sum()
        if self.top_p is not None:
            before = ranked.cumsum(0) - ranked
            ranked = torch.where(before < self.top_p, ranked, 0)
        return ranked / ranked.sum()


def opening(encoding: LanguageEncoding, prompt: str) -> torch.Tensor:
    """The start symbol, then the symbols of a prompt, [T] int64.

    Raises:
        InputError: the prompt has a character without a symbol.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise InputError("PROMPT", f"the prompt is not text: {error}", fix="pass valid Unicode") from error
    symbols = encoding.encode(prompt)
    unknown = (symbols == UNKNOWN).nonzero()
    if len(unknown):  # only of characters, where places in the prompt are those in symbols: pieces spell everything
        place = int(unknown[0])
        raise InputError(
            "PROMPT_UNKNOWN",
            f"the prompt has {prompt[place]!r} at position {place}, which the training text does not have",
            fix="leave it out, or train a model with unit='piece'",
        )
    return torch.cat([torch.tensor([encoding.start]), symbols])


def drawn(
    reader: Reader, symbols: torch.Tensor, length: int, choice: Choice, generator: torch.Generator
) -> Iterator[int]:
    """Draw symbols one after another, each given all before it.

    Args:
        reader: a reader with one row.
        symbols: [T] the opening.
        length: the number of symbols to draw.
        choice: the sampling.
        generator: the random numbers.
    """
    for _ in range(length):
        symbol = choice.draw(reader.read(symbols[:, None])[0], generator)
        yield symbol
        symbols = torch.tensor([symbol])


def spelled(symbols: Iterable[int], unit: Unit, until: str | None = None) -> Iterator[str]:
    """Decode symbols to text, in whole characters, up to and including the text ``until``."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tail = ""  # the end of the text so far, which may be the beginning of ``until``
    for symbol in symbols:
        text = decoder.decode(unit.content[symbol])
        if until and until in tail + text:
            yield text[: (tail + text).index(until) + len(until) - len(tail)]
            return
        tail = (tail + text)[-len(until) + 1 :] if until and len(until) > 1 else ""
        if text:
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


@dataclass(frozen=True)
class Continuation:
    """A continuation of a prompt.

    Attributes:
        text: the text without the prompt.
        bits: -log2 of its probability given the prompt.
        score: the rank criterion: log2 of its probability, divided by its number of symbols to the power of the length
            penalty.
    """

    text: str
    bits: float
    score: float


@dataclass(frozen=True)
class _Path:
    """A sequence of symbols, and log2 of its probability."""

    symbols: tuple[int, ...]
    chance: float

    def score(self, penalty: float) -> float:
        return self.chance / math.pow(len(self.symbols), penalty)


@dataclass(frozen=True)
class Beam:
    """Beam search for the most probable continuations.

    Each step extends every continuation in the beam by every symbol, and keeps the ``width`` most probable.
    Continuations that end with ``until`` are finished. The search ends when none in the beam can overtake them.

    Equations:
        score = log2 p(continuation | prompt) / symbols ** penalty

    Args:
        width: the number of continuations to keep.
        best: the number of continuations to return.
        penalty: 0 favours short continuations, 1 ranks by the mean over symbols.
        until: the text that ends a continuation; without it, each has the full length.

    Raises:
        InputError: a number is out of range.
    """

    width: Width = 4
    best: Annotated[int, Range(1)] = 1
    penalty: Annotated[float, Range(0, 10)] = 1.0
    until: str | None = None

    def __post_init__(self) -> None:
        check_values(type(self), vars(self))
        if self.best > self.width:
            raise InputError(
                "BEAM_BEST",
                f"best={self.best} is out of range for a beam of {self.width}",
                fix=f"use at least 1 and at most {self.width}",
            )

    def search(self, reader: Reader, opening: torch.Tensor, length: int, unit: Unit) -> list[Continuation]:
        """The best continuations, the best first; ``reader`` has ``width`` rows."""
        logits = reader.read(opening[:, None].expand(-1, self.width))
        live, finished = [_Path((), 0.0)], list[_Path]()
        for step in counted("searching", range(length)):
            rows, live, ended = self._extended(live, logits, unit)
            finished += ended
            if step == length - 1 or self._settled(live, finished, length):
                break
            reader.select(rows)
            logits = reader.read(self._last(live))
        ranked = sorted(finished + live, key=lambda path: -path.score(self.penalty))
        return [self._continuation(path, unit) for path in ranked[: self.best]]

    def _extended(
        self, paths: list[_Path], logits: torch.Tensor, unit: Unit
    ) -> tuple[torch.Tensor, list[_Path], list[_Path]]:
        """The rows that the kept paths extend, [B]; the paths; and finished paths that rank above the last of them."""
        chances = torch.tensor([path.chance for path in paths], dtype=torch.float64)
        total = chances[:, None] + logits[: len(paths)].log_softmax(-1) / math.log(2)
        ranked, places = total.flatten().sort(descending=True, stable=True)
        rows, live, ended = list[int](), list[_Path](), list[_Path]()
        for chance, place in zip(ranked.tolist(), places.tolist(), strict=True):
            if len(live) == self.width or chance == -torch.inf:
                break
            row, symbol = divmod(place, total.shape[1])
            path = _Path((*paths[row].symbols, symbol), chance)
            if self.until and self.until.encode() in _bytes(path, unit):
                ended.append(path)
            else:
                live.append(path)
                rows.append(row)
        return torch.tensor(rows + [0] * (self.width - len(rows))), live, ended

    def _settled(self, live: list[_Path], finished: list[_Path], length: int) -> bool:
        """Whether no path can overtake the best finished ones: each step lowers its probability."""
        if not live:
            return True
        if len(finished) < self.best:
            return False
        worst = sorted((path.score(self.penalty) for path in finished), reverse=True)[self.best - 1]
        return worst >= max(path.chance for path in live) / math.pow(length, self.penalty)

    def _last(self, live: list[_Path]) -> torch.Tensor:
        """The last symbol of each path, [1, B]; unused rows repeat the first."""
        last = [path.symbols[-1] for path in live]
        return torch.tensor([last + last[:1] * (self.width - len(last))])

    def _continuation(self, path: _Path, unit: Unit) -> Continuation:
        return Continuation(
            "".join(spelled(path.symbols, unit, self.until)), 0.0 - path.chance, path.score(self.penalty)
        )


def _bytes(path: _Path, unit: Unit) -> bytes:
    return b"".join(unit.content[symbol] for symbol in path.symbols)
