"""Tensors computed from parameters and buffers alone: a transposed matrix, one of bounded norm, a part of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from tidegate.private.function import is_parameter
from tidegate.private.norm import gradients
from tidegate.private.use import Use


class Derived:
    """One such tensor, which the run reads as if it were a parameter.

    Args:
        output: as autograd knows it.
        sources: the parameters that it was computed from, each with what stood for it.

    Attributes:
        value: what the run reads.
    """

    def __init__(self, output: torch.Tensor, sources: Sequence[tuple[torch.nn.Parameter, torch.Tensor]]) -> None:
        self.value, self._output, self._sources = torch.nn.Parameter(output.detach()), output, sources

    def taken_back(self, uses: Sequence[Use], units: int) -> list[Use]:
        """The same uses, with those of this tensor turned into uses of what it was computed from.

        The gradients of single units are made and go back through the computation, all at once.

        Args:
            uses: of anything.
            units: how many there are.
        """
        own = [use for use in uses if use.parameter is self.value]
        if not own:
            return list(uses)
        leaves = [leaf for _, leaf in self._sources]
        slopes = torch.autograd.grad(
            self._output, leaves, gradients(own, units), is_grads_batched=True, retain_graph=True, allow_unused=True
        )
        back = [
            Use(parameter, ..., slope[None])
            for (parameter, _), slope in zip(self._sources, slopes, strict=True)
            if slope is not None
        ]
        return [*(use for use in uses if use.parameter is not self.value), *back]


def derive(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], made: list[Derived]) -> Any:
    """Call a function that reads no data.

    Args:
        function: of torch.
        args: as it was called.
        kwargs: as it was called.
        made: gets what is new.

    Returns:
        What the function answers, with every tensor that has a gradient as a parameter of its own.
    """
    sources: dict[int, tuple[torch.nn.Parameter, torch.Tensor]] = {}

    def leaf(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(leaf, value)) if type(value) in (list, tuple) else value
        if not is_parameter(value):
            return value
        return sources.setdefault(id(value), (value, value.detach().requires_grad_()))[1]

    def known(answer: Any) -> Any:
        if isinstance(answer, list | tuple):
            return tuple(map(known, answer))
        if not isinstance(answer, torch.Tensor) or not answer.requires_grad:
            return answer
        made.append(Derived(answer, list(sources.values())))
        return made[-1].value

    return known(function(*map(leaf, args), **{name: leaf(value) for name, value in kwargs.items()}))


def tensors(values: Iterable[Any]) -> list[torch.Tensor]:
    """All tensors among values and inside lists of them."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors(value)
    return found
