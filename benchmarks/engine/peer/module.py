"""Torch modules as contestants: the forward pass alone, or with the gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.peer import Prepared
from benchmarks.engine.problem import Array, Arrays, Problem

from tidegate.cell.parameter import attribute

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, Any]]
HALF = ("bfloat16", "float16")  # of products: then a module's parameters, its input and its output have this type


def torch_type(item: Item) -> torch.dtype:
    """The type of a module's parameters and of its input."""
    found: torch.dtype = getattr(torch, item.products or item.dtype)
    return found


def prepared(
    problem: Problem,
    forward: Forward,
    parameters: Mapping[str, torch.Tensor],
    *,
    named: Callable[[Arrays], Arrays] = lambda gradients: gradients,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Prepared:
    """Time a torch function.

    Args:
        problem: the work.
        forward: from x to the output and the final states, as torch.nn's layers.
        parameters: what gradients are taken for, besides x.
        named: turns the gradients of ``parameters`` into those of the weights in the graph.
        around: entered once for many calls.
    """
    dtype = torch_type(problem.item)
    x = torch.from_numpy(problem.x).to(dtype)
    if problem.item.mode == "inference":
        return Prepared(lambda: forward(x), lambda result: _outputs(problem, *result), _both(_inference, around))
    x.requires_grad_()
    upstream = torch.from_numpy(problem.upstream).to(dtype)
    leaves = [x, *parameters.values()]

    def call() -> tuple[torch.Tensor, Any, Sequence[torch.Tensor]]:
        y, states = forward(x)
        return y, states, torch.autograd.grad(y, leaves, upstream)

    def read(result: Any) -> Arrays:
        y, states, (of_x, *gradients) = result
        by_name = dict(zip(parameters, map(_array, gradients), strict=True))
        return {**_outputs(problem, y, states), "x": _array(of_x), **named(by_name)}

    return Prepared(call, read, around)


def fill(layer: torch.nn.Module, problem: Problem) -> dict[str, torch.Tensor]:
    """Load the weights into a layer with torch.nn's names; returns its parameters by the names of the weights."""
    names = {key: attribute(name, k, reverse=reverse) for key, (name, k, reverse) in problem.item.places.items()}
    layer.load_state_dict({names[name]: torch.from_numpy(value) for name, value in problem.weights.items()})
    return {name: layer.get_parameter(names[name]) for name in names}


def _inference() -> AbstractContextManager[Any]:
    return torch.inference_mode()


def _both(
    first: Callable[[], AbstractContextManager[Any]], second: Callable[[], AbstractContextManager[Any]]
) -> Callable[[], AbstractContextManager[Any]]:
    @contextmanager
    def entered() -> Iterator[None]:
        with first(), second():
            yield

    return entered


def _outputs(problem: Problem, y: torch.Tensor, states: Any) -> dict[str, Array]:
    """The output, and the final states where the layer gives them."""
    final = states if isinstance(states, tuple) else (states,)
    names = [f"final {state.name}" for state in problem.item.graph.states]
    return {"y": _array(y), **{name: _array(state) for name, state in zip(names, final, strict=True)}}


def _array(value: torch.Tensor) -> Array:
    plain = value.detach()
    found: Array = (plain.float() if plain.itemsize == 2 else plain).numpy()
    return found
