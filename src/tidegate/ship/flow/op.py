"""The operations of flows, one row each: what it computes, its shape rule, what it remembers, and how it is evaluated.

A row is all there is to know of an operation. The evaluator reads this table; the writers of ONNX and C have tables of
their own with the same keys.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from tidegate.cell.graph import all_widths
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.ship.flow.node import Array, Kind, Node

States = Mapping[str, Array]


class Run(NamedTuple):
    """What an operation is evaluated on: B sequences of T steps.

    Attributes:
        node: the node.
        values: of its arguments, [T, B, width] float64 or int64. What stands after the end of a sequence is arbitrary.
        states: before the first step, [B, *shape] by part.
        lengths: [B] steps of each sequence.
    """

    node: Node
    values: Sequence[Array]
    states: States
    lengths: Array


Shape = Callable[[Node, Sequence[Kind]], Kind]
Remember = Callable[[Node, Sequence[Kind]], dict[str, Array]]
Evaluate = Callable[[Run], tuple[Array, dict[str, Array]]]


@dataclass(frozen=True)
class Op:
    """A row of the table.

    Attributes:
        says: the equation, in plain text; x is the first argument, y the second.
        shape: from the node and the kinds of its arguments to the kind of its value. It raises ``ValueError`` with what
            is wrong, in words.
        evaluate: all steps at once, in float64: values [T, B, width], and the states after the last step of each
            sequence.
        own: the names of its attributes and parameters; those with a question mark may be missing.
        remembers: the states of a node by part, as they are before the first step.
    """

    says: str
    shape: Shape
    evaluate: Evaluate
    own: tuple[str, ...] = ()
    remembers: Remember = lambda _node, _kinds: {}

    def kind(self, node: Node, kinds: Sequence[Kind]) -> Kind:
        """The kind of the value of a node.

        Raises:
            InputError: the node does not fit this row.
        """
        try:
            return self._kind(node, kinds)
        except ValueError as error:
            raise InputError("FLOW", f"{node.name} ({node.op}) {error}", fix=f"{node.op}: {self.says}") from None

    def _kind(self, node: Node, kinds: Sequence[Kind]) -> Kind:
        has = {*node.attributes, *node.parameters}
        needs = {name for name in self.own if not name.endswith("?")}
        strange = has - {name.removesuffix("?") for name in self.own}
        _need(not strange, f"has {', '.join(sorted(strange))}, which it does not take")
        _need(needs <= has, f"lacks {', '.join(sorted(needs - has))}")
        _need((node.layer is not None) == (node.op == "recurrent"), "has a layer, or lacks one")
        return self.shape(node, kinds)


def _need(condition: Any, text: str) -> None:
    if not condition:
        raise ValueError(text)


def _arguments(kinds: Sequence[Kind], *dtypes: str) -> None:
    got = tuple(kind.dtype for kind in kinds)
    _need(got == dtypes, f"takes {', '.join(dtypes) or 'no arguments'}, got {', '.join(got) or 'none'}")


def _stateless(compute: Callable[..., Array]) -> Evaluate:
    """An operation whose value depends on this step alone."""
    return lambda run: (compute(run.node, *run.values), {})


# --- shapes ---


def _same(node: Node, kinds: Sequence[Kind]) -> Kind:
    del node
    _arguments(kinds, "float")
    return kinds[0]


def _pair(node: Node, kinds: Sequence[Kind]) -> Kind:
    del node
    _arguments(kinds, "float", "float")
    widths = {kind.width for kind in kinds} - {1}
    _need(len(widths) <= 1, f"has arguments of widths {kinds[0].width} and {kinds[1].width}")
    return Kind(max(kind.width for kind in kinds))


def _grouped(node: Node, kinds: Sequence[Kind]) -> Kind:
    kind = _same(node, kinds)
    blocks = node.attributes.get("blocks", 1)
    _need(type(blocks) is int and blocks > 0, f"has blocks={blocks!r}")
    _need(kind.width % blocks == 0, f"cuts {kind.width} numbers into {blocks} blocks")
    return kind


def _constant(node: Node, kinds: Sequence[Kind]) -> Kind:
    _arguments(kinds)
    value = node.parameters["value"]
    _need(value.ndim == 1 and len(value), f"has a value of shape {list(value.shape)}, not [width]")
    return Kind(len(value))


def _take(node: Node, kinds: Sequence[Kind]) -> Kind:
    _need(len(kinds) == 1, f"takes one argument, got {len(kinds)}")
    indices = node.attributes["indices"]
    _need(len(indices) > 0, "takes nothing")
    _need(all(type(i) is int and 0 <= i < kinds[0].width for i in indices), f"reaches beyond {kinds[0].width} numbers")
    return Kind(len(indices), kinds[0].dtype)


def _concat(node: Node, kinds: Sequence[Kind]) -> Kind:
    del node
    _need(len(kinds) > 0, "joins nothing")
    _need(len({kind.dtype for kind in kinds}) == 1, "joins numbers and symbols")
    return Kind(sum(kind.width for kind in kinds), kinds[0].dtype)


def _embed(node: Node, kinds: Sequence[Kind]) -> Kind:
    _arguments(kinds, "int")
    table = node.parameters["table"]
    _need(table.ndim == 2, f"has a table of shape {list(table.shape)}, not [symbols, width]")
    return Kind(table.shape[1])


def _number(node: Node, kinds: Sequence[Kind]) -> Kind:
    del node
    _arguments(kinds, "int")
    return Kind(kinds[0].width)


def _linear(node: Node, kinds: Sequence[Kind]) -> Kind:
    blocks, width = node.attributes.get("blocks", 1), _grouped(node, kinds).width
    weight, bias = node.parameters["weight"], node.parameters.get("bias")
    _need(
        weight.ndim == 2 and weight.shape[1] * blocks == width,
        f"has weights {list(weight.shape)} for {blocks} blocks of {width} numbers",
    )
    _need(bias is None or bias.shape == weight.shape[:1], f"has a bias that does not fit {weight.shape[0]} rows")
    return Kind(blocks * weight.shape[0])


def _recurrent(node: Node, kinds: Sequence[Kind]) -> Kind:
    _need(isinstance(node.layer, Recurrent), "has no recurrent layer")
    layer = node.recurrent
    _arguments(kinds, "float", *["float"] * len(layer.graph.given))
    _need(not layer.training and not layer.batch_first, "has a layer in training mode or with batch_first=True")
    axes = all_widths(layer.cells[0].widths)
    widths = [layer.input_size, *(axes[value.axis] for value in layer.graph.given)]
    got = [kind.width for kind in kinds]
    _need(got == widths, f"gives {got} numbers to a layer that reads {widths}")
    return Kind(layer.output_size)


def _window(node: Node, kinds: Sequence[Kind]) -> Kind:
    rows, before = node.attributes["rows"], node.attributes["before"]
    _need(type(rows) is int and rows > 1, f"has rows={rows!r}, not two or more")
    _need(before == "first" or type(before) is float, f"has before={before!r}, neither 'first' nor a number")
    return Kind(rows * _same(node, kinds).width)


# --- what is remembered ---


def _hidden(node: Node, kinds: Sequence[Kind]) -> dict[str, Array]:
    del kinds
    layer = node.recurrent
    runs = layer.num_layers * (1 + layer.bidirectional)
    learned = layer.learned_states(1)
    widths = layer.cells[0].state_widths
    values = [np.zeros((runs, width)) for width in widths]
    if learned is not None:
        values = [state[:, 0].detach().double().numpy() for state in learned]
    return {state.name: value for state, value in zip(layer.graph.states, values, strict=True)}


def _rows_before(node: Node, kinds: Sequence[Kind]) -> dict[str, Array]:
    before, shape = node.attributes["before"], (node.attributes["rows"] - 1, kinds[0].width)
    if before == "first":
        return {"rows": np.zeros(shape), "begun": np.zeros(1)}
    return {"rows": np.full(shape, before)}


# --- values ---


def _layer(run: Run) -> tuple[Array, dict[str, Array]]:
    (x, *beside), layer = run.values, copy.deepcopy(run.node.recurrent).double()
    names = [state.name for state in layer.graph.states]
    if not len(x):
        return np.zeros((0, x.shape[1], layer.output_size)), dict(run.states)
    first = tuple(torch.tensor(run.states[name]).movedim(0, 1).contiguous() for name in names)
    there = np.arange(len(x))[:, None] < run.lengths  # padding may be anything, NaN too
    inputs, *rest = (torch.from_numpy(np.where(there[..., None], value, 0.0)) for value in (x, *beside))
    given = dict(zip([value.name for value in layer.graph.given], rest, strict=True)) or None
    with torch.no_grad(), eager_only():
        y, last = layer(inputs, first if len(first) > 1 else first[0], lengths=run.lengths.tolist(), given=given)
    ends = last if isinstance(last, tuple) else (last,)
    return y.numpy(), {name: end.movedim(1, 0).numpy() for name, end in zip(names, ends, strict=True)}


def _blocks(node: Node, x: Array) -> Array:
    blocks = node.attributes.get("blocks", 1)
    return x.reshape(*x.shape[:-1], blocks, x.shape[-1] // blocks)


def _product(node: Node, x: Array) -> Array:
    y = _blocks(node, x) @ node.parameters["weight"].T + node.parameters.get("bias", 0.0)
    return y.reshape(*x.shape[:-1], y.shape[-2] * y.shape[-1])


def _softmax(node: Node, x: Array) -> Array:
    rows = _blocks(node, x)
    e = np.exp(rows - rows.max(-1, keepdims=True))
    shares: Array = e / e.sum(-1, keepdims=True)
    return shares.reshape(x.shape)


def _looked_up(node: Node, x: Array) -> Array:
    table = node.parameters["table"]
    rows: Array = table[np.clip(x, 0, len(table) - 1)]  # symbols are checked at the edge; padding is not
    return rows.sum(-2)  # type: ignore[no-any-return]


def _sigmoid(_node: Node, x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _windowed(run: Run) -> tuple[Array, dict[str, Array]]:
    (x,), rows = run.values, run.node.attributes["rows"]
    old = np.moveaxis(run.states["rows"], 1, 0)  # [rows - 1, B, width]
    if "begun" in run.states and len(x):
        old = np.where(run.states["begun"][None] > 0, old, x[:1])
    whole = np.concatenate([old, x])
    value = np.concatenate([whole[k : k + len(x)] for k in range(rows)], -1)
    every = np.arange(x.shape[1])
    kept = np.stack([whole[run.lengths + k, every] for k in range(rows - 1)], 1)
    after = {"rows": np.where((run.lengths > 0)[:, None, None], kept, run.states["rows"])}
    if "begun" in run.states:
        after["begun"] = np.maximum(run.states["begun"], (run.lengths > 0)[:, None])
    return value, after


def _running(part: str, fold: Any) -> Evaluate:
    def evaluate(run: Run) -> tuple[Array, dict[str, Array]]:
        whole = fold(np.concatenate([run.states[part][None], run.values[0]]), axis=0)
        return whole[1:], {part: whole[run.lengths, np.arange(whole.shape[1])]}

    return evaluate


def _spread(function: Callable[[Array, Array], Array]) -> Evaluate:
    return _stateless(lambda _node, x, y: function(x, y))


def _each(function: Callable[[Array], Array]) -> Evaluate:
    return _stateless(lambda _node, x: function(x))


def _fixed(run: Run) -> tuple[Array, dict[str, Array]]:
    raise InputError("FLOW_CONSTANT", f"{run.node.name} has no steps of its own")  # ``run`` lays constants out


OPS: Mapping[str, Op] = {
    # leaves and layout
    "constant": Op("value [width], the same at every step", _constant, _fixed, ("value",)),
    "take": Op("x[indices]: slices, repetitions and other orders", _take,
               _stateless(lambda node, x: x[..., list(node.attributes["indices"])]), ("indices",)),
    "concat": Op("all arguments side by side", _concat, _stateless(lambda _node, *x: np.concatenate(x, -1))),
    # symbols
    "embed": Op("the sum of table[s] [width] over the symbols s of x; table [symbols, width]", _embed,
                _stateless(_looked_up), ("table",)),
    "number": Op("the symbols of x as numbers", _number, _each(lambda x: x.astype(np.float64))),
    # linear maps
    "linear": Op("weight [m, n] x[block] + bias [m] for each of ``blocks`` blocks of n numbers, one unless given",
                 _linear, _stateless(_product), ("weight", "bias?", "blocks?")),
    # pointwise; of two arguments one may have the width 1, which counts for all
    "add": Op("x + y", _pair, _spread(np.add)),
    "sub": Op("x - y", _pair, _spread(np.subtract)),
    "mul": Op("x * y", _pair, _spread(np.multiply)),
    "div": Op("x / y", _pair, _spread(np.divide)),
    "minimum": Op("the smaller one of x and y", _pair, _spread(np.minimum)),
    "maximum": Op("the larger one of x and y", _pair, _spread(np.maximum)),
    "tanh": Op("tanh x", _same, _each(np.tanh)),
    "sigmoid": Op("1 / (1 + exp(-x))", _same, _stateless(_sigmoid)),
    "relu": Op("max(x, 0)", _same, _each(lambda x: np.maximum(x, 0.0))),
    "exp": Op("exp x", _same, _each(np.exp)),
    "log": Op("the natural logarithm of x, which is positive", _same, _each(np.log)),
    "wave": Op("sin(2 pi x): x counts turns", _same, _each(lambda x: np.sin(2 * np.pi * (x - np.round(x))))),
    # over blocks of neighbours
    "softmax": Op("exp x / sum exp x in each of ``blocks`` blocks, one unless given", _grouped, _stateless(_softmax),
                  ("blocks?",)),
    "sort": Op("ascending in each of ``blocks`` blocks, one unless given", _grouped,
               _stateless(lambda node, x: np.sort(_blocks(node, x), -1).reshape(x.shape)), ("blocks?",)),
    # what remembers
    "recurrent": Op("the output of ``layer``, of x and of what its cell reads beside; parts: the states of its cell",
                    _recurrent, _layer, (), _hidden),
    "window": Op(
        "the last ``rows`` values of x, the oldest first: x[t - rows + 1] to x[t] side by side. Before the first step "
        "they are ``before``, a number, or with before='first' the value of the first step. Parts: rows "
        "[rows - 1, width], the oldest first, and for 'first' begun [1], which is 1 after the first step",
        _window, _windowed, ("rows", "before"), _rows_before),
    "sum": Op("x[0] + ... + x[t]; part: sum [width], at first 0", _same, _running("sum", np.cumsum), (),
              lambda _node, kinds: {"sum": np.zeros(kinds[0].width)}),
    "highest": Op("the largest of x[0] to x[t]; part: highest [width], at first -3e38", _same,
                  _running("highest", np.maximum.accumulate), (),
                  lambda _node, kinds: {"highest": np.full(kinds[0].width, -3e38)}),
}  # fmt: skip
