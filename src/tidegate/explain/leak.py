"""Whether one input alone holds the answer: a leak, or an easy task."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, Lengths
from tidegate.explain.attribution import attribute
from tidegate.explain.probe import Probe, probe
from tidegate.explain.sentence import of_leak
from tidegate.language import say
from tidegate.records import CheckRecord

SHARE = 0.95  # of the squares of contributions that one feature at lag 0 must carry
MARGIN = 0.05  # of the score by which the model may be better than that feature alone
LEARNT = 0.1  # score above which there is an answer that could leak
NEIGHBOURS = 5
FEWEST = 20  # sequences, half of which fit the baseline


def check_leak(
    model: torch.nn.Module | Probe,
    x: Any,
    y: Tensor,
    prediction: Answer,
    *,
    lengths: Lengths | None = None,
    step: int | None = None,
    baseline: Any = None,
    names: Sequence[str] | None = None,
    batch_first: bool | None = None,
    **named: Any,
) -> CheckRecord:
    """Whether one feature at the step of the answer holds the answer by itself.

    It does if it carries more than 95 % of the attribution, in squares, and a baseline that sees it alone reaches the
    score of the model. Squares, because small contributions of many other inputs would add up to much in sizes. The
    baseline is the best of a line, of the means or most frequent classes of some bins, and of the nearest values; one
    half of the sequences fits it and the other half scores it, and then the other way round. A feature that truly tells
    the answer looks the same, and the sentence says so.

    Args:
        model: any module that holds recurrent layers, trained.
        x: the input, numbers [T, B, features] or tokens [T, B], or a tuple of all positional arguments.
        y: [B] the right answers: numbers, or integers as classes.
        prediction: from the output to predictions: [B] numbers, or [B, K] scores of classes. It gets ``lengths=`` as
            well if it takes them.
        lengths: [B] the steps of each sequence; passed on to a model that takes ``lengths``.
        step: the step of the answer; None for the last one of each sequence.
        baseline: of the attribution; None for zeros.
        names: of the features of x.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Returns:
        The share of the attribution, and whether no leak was found; None if the attribution abstains.

    Raises:
        InputError: arguments that do not fit, or fewer than 20 sequences.
    """
    arguments = Arguments.of(model, x, named, lengths, batch_first)
    reader = Reader(prediction, arguments, _checked(y, arguments.size))
    found = attribute(
        model, x, reader.answer, baseline, lengths=lengths, step=step, names=names, batch_first=batch_first, **named
    )
    if 0 not in found.lags or not found.features:
        return _unjudged(None, say("No feature has a value at the step of the answer."))
    if not (found.by_lag.abs().nan_to_num() > 0).any():
        return _unjudged(None, say("There is no attribution: {reason}.", reason=found.abstained))
    squares = found.by_lag.nan_to_num().square().sum(0)
    now = squares[found.lags.index(0)] / squares.sum()
    feature = int(now.argmax())
    share, name = now[feature].item(), found.features[feature]
    values = _values(arguments, step)
    if len(values) != len(found.features):
        return _unjudged(share, say("The values of {name} are not among the arguments.", name=name))
    alone = _score(_fitted(values[feature], reader.y, classes=reader.classes), reader.y)
    with torch.no_grad():
        whole = _score(reader.predictions(arguments.run(probe(model).model)), reader.y)
    leaks = share > SHARE and whole > LEARNT and alone >= whole - MARGIN
    sentence = of_leak(name, share, reader.compared(alone, whole), leaks=leaks)
    return CheckRecord("leak", share, passed=not leaks, sentence=sentence)


def _unjudged(share: float | None, sentence: str) -> CheckRecord:
    return CheckRecord("leak", share, passed=None, sentence=sentence)


class Reader(NamedTuple):
    """What is read from the output of a model.

    Attributes:
        prediction: the caller's function.
        arguments: of the call.
        y: the right answers.
    """

    prediction: Answer
    arguments: Arguments
    y: Tensor

    @property
    def classes(self) -> bool:
        """Whether answers are classes."""
        return not self.y.is_floating_point()

    def compared(self, alone: float, whole: float) -> str:
        """What a feature alone scores, and the model."""
        if not self.classes:
            return say("alone it reaches an R2 of {alone:.2f}, the model {whole:.2f}", alone=alone, whole=whole)
        way = say("of the way from the most frequent class to no mistake")
        return say(
            "alone it comes {alone:.0f} % {way}, the model {whole:.0f} %", alone=100 * alone, way=way, whole=100 * whole
        )

    def raw(self, output: Any) -> Tensor:
        """Predictions, [B] or [B, K].

        Raises:
            InputError: the function returned something else.
        """
        takes = self.arguments.lengths is not None and "lengths" in inspect.signature(self.prediction).parameters
        value = self.prediction(output, lengths=self.arguments.lengths) if takes else self.prediction(output)
        size, wanted = self.arguments.size, "scores [B, K] of classes" if self.classes else "numbers [B]"
        fits = isinstance(value, Tensor) and value.dim() == 1 + self.classes and len(value) == size
        if not fits or (self.classes and int(self.y.max()) >= value.shape[1]):
            got = f"{list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InputError("LEAK", f"prediction returned {got}, expected {wanted}", fix="choose them from the output")
        return value

    def predictions(self, output: Any) -> Tensor:
        """[B] numbers or classes."""
        value = self.raw(output)
        return value.argmax(1) if self.classes else value

    def answer(self, output: Any) -> Tensor:
        """[B] the number that is attributed: the prediction, or the log probability of the right class."""
        value = self.raw(output)
        if not self.classes:
            return value
        return value.log_softmax(1).gather(1, self.y[:, None])[:, 0]


def _checked(y: Any, size: int) -> Tensor:
    if not isinstance(y, Tensor) or y.shape != (size,) or y.dtype is torch.bool or y.is_complex():
        got = f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise InputError("LEAK", f"y is {got}, expected {size} numbers or classes", fix="pass a tensor [B]")
    if size < FEWEST:
        raise InputError("LEAK", f"x has {size} sequences, expected at least {FEWEST}", fix="pass more")
    return y.detach().to(torch.float64 if y.is_floating_point() else torch.int64)


def _values(arguments: Arguments, step: int | None) -> Tensor:
    """[features, B] the values of all features at the step of the answer, numbers first as in an attribution."""
    numbers, tokens = list[Tensor](), list[Tensor]()
    for value in arguments.values:
        if arguments.timed(value) and value.dtype is not torch.bool:
            timed = arguments.time_major(value)
            column = timed.flatten(2) if timed.dim() > 2 else timed[..., None]
            (numbers if value.is_floating_point() else tokens).append(column.to(torch.float64))
    series = torch.cat(numbers + tokens, -1)
    at = arguments.counts - 1 if step is None else torch.full((arguments.size,), step % arguments.steps)
    return series[at.clamp(min=0), torch.arange(arguments.size)].T


def _fitted(values: Tensor, y: Tensor, *, classes: bool) -> Tensor:
    """[B] what the values alone predict; each half is predicted by what fits the other."""
    half = torch.arange(len(y)) % 2 == 0
    guesses = [_by_bins, _by_neighbours] if classes else [_by_bins, _by_neighbours, _by_line]
    found = []
    for guess in guesses:
        predicted = torch.zeros_like(y)
        for fit in (half, ~half):
            predicted[~fit] = guess(values[fit], y[fit], values[~fit]).to(y.dtype)
        found.append(predicted)
    return max(found, key=lambda predicted: _score(predicted, y))


def _by_line(values: Tensor, y: Tensor, new: Tensor) -> Tensor:
    centred = values - values.mean()
    square = centred.square().sum()
    slope = (centred * y).sum() / square if square > 0 else 0.0
    return y.mean() + slope * (new - values.mean())


def _by_neighbours(values: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """The mean, or the most frequent class, of the nearest values."""
    order = values.argsort()
    values, y = values[order], y[order]
    count = min(NEIGHBOURS, len(values))
    first = (torch.searchsorted(values, new) - count // 2).clamp(0, len(values) - count)
    near = y[first[:, None] + torch.arange(count)]
    return near.mean(1) if y.is_floating_point() else near.mode(1).values


def _by_bins(values: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """The mean, or the most frequent class, of bins that are as full as each other; of few values each is its own."""
    bins = max(2, int(len(values) ** 0.5))
    distinct = values.unique()
    if len(distinct) <= bins:
        edges = (distinct[1:] + distinct[:-1]) / 2
    else:
        edges = torch.quantile(values, torch.linspace(0, 1, bins + 1, dtype=values.dtype)[1:-1]).unique()
    inside, where = torch.bucketize(values, edges), torch.bucketize(new, edges)
    guess = []
    for k in range(len(edges) + 1):
        own = y[inside == k]
        own = own if len(own) else y
        guess.append(own.mean() if y.is_floating_point() else own.mode().values)
    return torch.stack(guess)[where]


def _score(predicted: Tensor, y: Tensor) -> float:
    """R2 of numbers; of classes the accuracy beyond that of the most frequent one, as a share of what is left."""
    if y.is_floating_point():
        spread = (y - y.mean()).square().sum()
        return (1 - (predicted - y).square().sum() / spread).item() if spread > 0 else 0.0
    usual = (y == y.mode().values).double().mean().item()
    right = (predicted == y).double().mean().item()
    return (right - usual) / (1 - usual) if usual < 1 else 0.0
