"""The straight line from a baseline to an input, and the integral of a gradient along it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Answer, Arguments, answers
from tidegate.explain.baseline import starts
from tidegate.language import say


@dataclass
class Place:
    """Where a path passes: an argument, or the output of one call of an embedding.

    Attributes:
        name: as in ``Attribution.values``.
        start, end: the values at the baseline and at the input.
        index: of the argument; None for an embedding.
        axis: that of sequences.
        timed: whether its first two axes are those of steps and sequences.
    """

    name: str
    start: Tensor
    end: Tensor
    index: int | None
    axis: int
    timed: bool

    def masked(self, value: Tensor, kept: Tensor) -> Tensor:
        """The contributions, with NaN for sequences that have none."""
        shape = [-1 if axis == self.axis else 1 for axis in range(value.dim())]
        return value.masked_fill(~kept.view(shape), torch.nan)

    def totals(self, value: Tensor) -> Tensor:
        """[B] the sum of each sequence."""
        return value.movedim(self.axis, 0).flatten(1).sum(1)


class Path:
    """The straight line from the baseline to the input.

    Args:
        model: of a probe.
        arguments: the input.
        baseline: as in ``attribute``.
        target: from an output to the answer.

    Attributes:
        places: where it passes.
        start, answer: the answers at its ends.
        left_out: inputs that it does not move.
    """

    def __init__(self, model: torch.nn.Module, arguments: Arguments, baseline: Any, target: Answer) -> None:
        self.model, self.arguments, self.target = model, arguments, target
        self.left_out: list[str] = []
        first = starts(arguments, baseline)
        self.places = self._of_arguments(first) + self._of_embeddings(first)
        if not self.places:
            raise InputError(
                "ATTRIBUTION",
                "x has no numbers, and the model has no torch.nn.Embedding that reads its tokens",
                fix="pass what the recurrent layers read, as numbers",
            )
        with torch.no_grad():
            self.start, self.answer = (self._answer(self.between(share)).reshape(-1) for share in (0.0, 1.0))

    def integral(self, count: int) -> list[Tensor]:
        """The contributions of each place, by ``count`` Gauss-Legendre points."""
        nodes, weights = np.polynomial.legendre.leggauss(count)
        sums = [torch.zeros_like(place.end) for place in self.places]
        for node, weight in zip(nodes, weights, strict=True):
            here = [value.requires_grad_() for value in self.between((node + 1) / 2)]
            with torch.enable_grad(), frozen(self.model):
                answer = self._answer(here)
            if not answer.requires_grad:
                raise InputError(
                    "EXPLAIN_ANSWER", "the answer has no gradient with respect to x",
                    fix="choose a number that moves with x: a score instead of the class that it is largest for",
                )  # fmt: skip
            gradients = torch.autograd.grad(answer.sum(), here, allow_unused=True)
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    total.add_(gradient, alpha=weight / 2)
        moved = [total * (place.end - place.start) for total, place in zip(sums, self.places, strict=True)]
        return [value if p.index is not None else value.sum(-1) for p, value in zip(self.places, moved, strict=True)]

    def error(self, values: Sequence[Tensor]) -> Tensor:
        """What the contributions miss of the difference of the answers, relative to it."""
        total = sum(place.totals(value) for place, value in zip(self.places, values, strict=True))
        assert isinstance(total, Tensor)
        difference = self.answer - self.start
        missed = (total.sum().reshape(1) if len(difference) != len(total) else total) - difference
        return torch.where(missed == 0, 0.0, missed.abs() / difference.abs())

    def between(self, share: float) -> list[Tensor]:
        """The values at the places, some share of the way from the baseline to the input."""
        return [torch.lerp(place.start, place.end, share) for place in self.places]

    @contextmanager
    def at(self, values: Sequence[Tensor]) -> Iterator[Arguments]:
        """Inside this block the model has these values at the places, if it is called once with these arguments."""
        given = list(self.arguments.values)
        embedded = []
        for place, value in zip(self.places, values, strict=True):
            if place.index is None:
                embedded.append(value)
            else:
                given[place.index] = value
        waiting = iter(embedded)
        with hooked(self.model, lambda _name, _output: next(waiting)):
            yield replace(self.arguments, values=tuple(given))

    def _answer(self, values: Sequence[Tensor]) -> Tensor:
        """The answers with these values at the places."""
        with self.at(values) as arguments:
            output = arguments.run(self.model)
        return answers(self.target, output, self.arguments)

    def _of_arguments(self, starts: Sequence[Tensor | None]) -> list[Place]:
        places, several = [], len(self.arguments.values) > 1
        for index, (value, start) in enumerate(zip(self.arguments.values, starts, strict=True)):
            name = f"x{index}" if several else "x"
            if start is None or not value.is_floating_point():
                continue
            axis = self._axis(value)
            if axis is None:
                self.left_out.append(
                    say("{name}: it has no axis of {size} sequences", name=name, size=self.arguments.size)
                )
                continue
            places.append(Place(name, start, value, index, axis, self.arguments.timed(value)))
        return places

    def _of_embeddings(self, first: Sequence[Tensor | None]) -> list[Place]:
        """The outputs of embeddings, in the order in which the model calls them."""
        ends = self._embedded(self.arguments.values)
        begun = [(name, torch.zeros_like(end)) for name, end in ends]
        tokens = [
            None if own is None or value.is_floating_point() else own
            for value, own in zip(self.arguments.values, first, strict=True)
        ]
        if any(own is not None for own in tokens):
            begun = self._embedded(
                tuple(value if own is None else own for value, own in zip(self.arguments.values, tokens, strict=True))
            )
        if [(name, start.shape) for name, start in begun] != [(name, end.shape) for name, end in ends]:
            raise InputError(
                "BASELINE", "the model calls other embeddings for the baseline than for x", fix="leave baseline out"
            )
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.EmbeddingBag):
                self.left_out.append(say("{name}: an EmbeddingBag has no output for each token", name=name))
        places, calls = [], dict[str, int]()
        for (name, start), (_, end) in zip(begun, ends, strict=True):
            calls[name] = calls.get(name, 0) + 1
            label = name if calls[name] == 1 else f"{name}#{calls[name]}"
            axis = self._axis(end)
            if axis is None:
                raise InputError(
                    "ATTRIBUTION",
                    f"the output of {name}, {list(end.shape)}, has no axis of {self.arguments.size} sequences",
                    fix="attribute a model in which each token has its own embedding",
                )
            places.append(Place(label, start, end, None, axis, self.arguments.timed(end[..., 0])))
        return places

    def _embedded(self, values: tuple[Any, ...]) -> list[tuple[str, Tensor]]:
        """What embeddings put out for these arguments."""
        found: list[tuple[str, Tensor]] = []

        def keep(name: str, output: Tensor) -> Tensor:
            found.append((name, output))
            return output

        with torch.no_grad(), hooked(self.model, keep):
            replace(self.arguments, values=values).run(self.model)
        return found

    def _axis(self, value: Tensor) -> int | None:
        """The axis of sequences."""
        size, time = self.arguments.size, self.arguments.time
        if value.dim() >= 2 and value.shape[:2] == self.arguments.first.shape[:2]:
            return 1 - time
        return next((axis for axis in (0, 1) if value.dim() > axis and value.shape[axis] == size), None)


@contextmanager
def frozen(model: torch.nn.Module) -> Iterator[None]:
    """Inside this block parameters need no gradient: a backward run does not compute it."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)  # noqa: FBT003  torch takes it by position
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_()


@contextmanager
def hooked(model: torch.nn.Module, change: Any) -> Iterator[None]:
    """Inside this block the outputs of embeddings pass through ``change``, with the names of the embeddings."""
    embeddings = [(name or "x", module) for name, module in model.named_modules()]
    handles = [
        module.register_forward_hook(lambda _module, _args, output, name=name: change(name, output))
        for name, module in embeddings
        if isinstance(module, torch.nn.Embedding)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
