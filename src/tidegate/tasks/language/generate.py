"""Writing text with a model: sampling one symbol after another, or a beam search."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from tidegate.errors import InputError
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.unit import UNKNOWN, Unit


@dataclass(frozen=True)
class Choice:
    """A random choice, narrowed to what is likely.

    Equations:
        p = softmax(logits / temperature), of which the ``top_k`` likeliest stay, and of those the fewest that
        hold ``top_p`` of their probability; what stays is scaled to sum to 1

    Args:
        temperature: below 1 favours probable symbols, above 1 rare ones; 0 takes the most probable.
        top_k: sample from this many symbols.
        top_p: sample from the most probable symbols that together have this probability.

    Raises:
        InputError: a number is out of range.

    References:
        Fan et al. 2018, arXiv 1805.04833 (top-k); Holtzman et al. 2020, arXiv 1904.09751 (top-p).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise InputError("TEMPERATURE", f"temperature={self.temperature} is out of range", fix="use 0 to 100")
        if self.top_k is not None and self.top_k < 1:
            raise InputError("TOP_K", f"top_k={self.top_k} is out of range", fix="use at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError("TOP_P", f"top_p={self.top_p} is out of range", fix="use more than 0 and at most 1")

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
        """One symbol."""
        if not self.temperature:
            return int(logits.argmax())
        return int(torch.multinomial(self.probabilities(logits), 1, generator=generator))

    def _nucleus(self, ranked: torch.Tensor) -> torch.Tensor:
        """Sorted probabilities without those behind which enough has been gathered, scaled to sum to 1."""
        ranked = ranked / ranked.sum()
        if self.top_p is not None:
            before = ranked.cumsum(0) - ranked
            ranked = torch.where(before < self.top_p, ranked, 0)
        return ranked / ranked.sum()


def opening(encoding: LanguageEncoding, prompt: str) -> torch.Tensor:
    """The symbols of a prompt behind the one with which a text begins, [T] int64.

    Raises:
        InputError: a character that the model has no symbol for.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise InputError("PROMPT", f"the prompt is not text: {error}", fix="pass valid Unicode") from error
    symbols = encoding.encode(prompt)
    unknown = (symbols == UNKNOWN).nonzero()
    if len(unknown):  # of characters alone, which are symbols one by one: pieces spell everything
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
    """Symbol after symbol, each chosen behind all before it.

    Args:
        reader: of one row.
        symbols: [T] of the opening.
        length: how many.
        choice: how each is chosen.
        generator: draws.
    """
    for _ in range(length):
        symbol = choice.draw(reader.read(symbols[:, None])[0], generator)
        yield symbol
        symbols = torch.tensor([symbol])


def spelled(symbols: Iterable[int], unit: Unit, until: str | None = None) -> Iterator[str]:
    """The text of symbols as soon as it is whole characters, up to and with the text ``until``."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tail = ""  # as much of the text so far as may begin ``until``
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
    """A text that may follow.

    Attributes:
        text: without the prompt.
        bits: -log2 of its probability behind the prompt.
        score: by which it was chosen: log2 of its probability over its number of symbols to the power of the
            length penalty.
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
    """The search for the likeliest continuations.

    In each step every kept continuation is tried with every next symbol, and the ``width`` likeliest are kept.
    Continuations that end with ``until`` are finished. The search is over when no kept one can overtake them.

    Equations:
        score = log2 p(continuation | prompt) / symbols ** penalty

    Args:
        width: how many are kept.
        best: how many are returned.
        penalty: 0 favours short ones, 1 compares them by their mean.
        until: the text that ends a continuation; else each has the full length.

    Raises:
        InputError: a number out of its range.
    """

    width: int = 4
    best: int = 1
    penalty: float = 1.0
    until: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise InputError("BEAM", f"a beam cannot have the width {self.width}", fix="use 1 to 4096")
        if not 1 <= self.best <= self.width:
            raise InputError(
                "BEAM_BEST",
                f"best={self.best} is out of range for a beam of {self.width}",
                fix=f"use at least 1 and at most {self.width}",
            )
        if not 0 <= self.penalty <= 10:
            raise InputError("BEAM_PENALTY", f"penalty={self.penalty} is out of range", fix="use 0 to 10")

    def search(self, reader: Reader, opening: torch.Tensor, length: int, unit: Unit) -> list[Continuation]:
        """The best continuations, the best first; ``reader`` has ``width`` rows."""
        logits = reader.read(opening[:, None].expand(-1, self.width))
        live, done = [_Path((), 0.0)], list[_Path]()
        for step in range(length):
            rows, live, ended = self._extended(live, logits, unit)
            done += ended
            if step == length - 1 or self._settled(live, done, length):
                break
            reader.select(rows)
            logits = reader.read(self._last(live))
        ranked = sorted(done + live, key=lambda path: -path.score(self.penalty))
        return [self._told(path, unit) for path in ranked[: self.best]]

    def _extended(
        self, paths: list[_Path], logits: torch.Tensor, unit: Unit
    ) -> tuple[torch.Tensor, list[_Path], list[_Path]]:
        """Where the kept paths come from, [B]; the paths; and those that ended before the last kept one."""
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

    def _settled(self, live: list[_Path], done: list[_Path], length: int) -> bool:
        """No kept path can overtake the best finished ones: each step lowers its probability."""
        if not live:
            return True
        if len(done) < self.best:
            return False
        worst = sorted((path.score(self.penalty) for path in done), reverse=True)[self.best - 1]
        return worst >= max(path.chance for path in live) / math.pow(length, self.penalty)

    def _last(self, live: list[_Path]) -> torch.Tensor:
        """[1, B], the rows that follow no path filled up."""
        last = [path.symbols[-1] for path in live]
        return torch.tensor([last + last[:1] * (self.width - len(last))])

    def _told(self, path: _Path, unit: Unit) -> Continuation:
        return Continuation(
            "".join(spelled(path.symbols, unit, self.until)), 0.0 - path.chance, path.score(self.penalty)
        )


def _bytes(path: _Path, unit: Unit) -> bytes:
    return b"".join(unit.content[symbol] for symbol in path.symbols)
