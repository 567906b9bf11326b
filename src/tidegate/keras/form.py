"""What the engine runs in the place of a cell of Keras: a cell of ours, and views of that cell's weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import keras
import torch

from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.keras import activation
from tidegate.keras.cell import PeepholeLSTMCell, RecurrentCell, value_of
from tidegate.keras.precision import precision_of, unrounded
from tidegate.nn.precision import Precision
from tidegate.passes import drop_recurrent
from tidegate.runtime import Obstacle, SizedCell, sized
from tidegate.zoo import keras as stored

WHOLE = Precision(torch.float32, torch.float32)
NAMES = {  # by identity, since some callables cannot be hashed
    id(getattr(keras.activations, name, None) or getattr(activation, name)): name for name in stored.FUNCTIONS
}


class Form(NamedTuple):
    """A cell of ours, the parameters as ``cell.names`` orders them, and the types of its call."""

    cell: SizedCell
    parameters: list[torch.Tensor]
    precision: Precision = WHOLE


class _UnknownFunctionError(Exception):
    """An activation that the cell language has no name for."""


def form_of(cell: Any) -> Form | Obstacle:
    """The form of a cell that is built, or why it has none.

    A subclass may compute anything, so it has none unless it is listed.
    """
    make = FORMS.get(type(cell))
    if make is None:
        fix = f"use one of {', '.join(kind.__name__ for kind in FORMS)}"
        return Obstacle(f"cell is {type(cell).__name__}", fix, InputError)
    precision = precision_of(cell)
    try:
        with unrounded(cell):
            form = make(cell)
    except _UnknownFunctionError as error:
        return Obstacle(f"activation is {error}", f"use one of {', '.join(stored.FUNCTIONS)}", InputError)
    return Form(form.cell.with_products(precision.products), precision.working(form.parameters), precision)


def dropped(form: Form) -> Form:
    """The same cell with a state mask for each gate; ``parameters`` leaves the masks out."""
    widths = tuple(form.cell.widths.items())
    return form._replace(cell=sized(_dropped(form.cell.graph), widths, products=form.cell.products))


@lru_cache(maxsize=256)
def _dropped(graph: Graph) -> Graph:
    return drop_recurrent(graph, each_gate=True)


def _simple_rnn(cell: Any) -> Form:
    return _form(cell, _graph(stored.SimpleRNN, cell.use_bias, activation=_name(cell.activation)), [cell.bias])


def _lstm(cell: Any) -> Form:
    return _form(cell, _gated(stored.LSTM, cell), [cell.bias])


def _peephole_lstm(cell: Any) -> Form:
    return _form(cell, _gated(stored.PeepholeLSTM, cell), [cell.bias], [*value_of(cell.peephole_kernel)])


def _gru(cell: Any) -> Form:
    if not cell.reset_after:
        return _form(cell, _gated(stored.GRUBefore, cell), [cell.bias])
    return _form(cell, _gated(stored.GRU, cell), [None] if cell.bias is None else [*value_of(cell.bias)])


def _recurrent(cell: RecurrentCell) -> Form:
    return Form(cell.sized, cell.values())


FORMS: dict[type, Callable[[Any], Form]] = {
    keras.layers.SimpleRNNCell: _simple_rnn,
    keras.layers.LSTMCell: _lstm,
    keras.layers.GRUCell: _gru,
    PeepholeLSTMCell: _peephole_lstm,
    RecurrentCell: _recurrent,
}


def _form(cell: Any, graph: Graph, biases: list[Any], vectors: list[torch.Tensor] | None = None) -> Form:
    """Keras multiplies from the right, so its matrices are the transposed ones."""
    kernel = value_of(cell.kernel)
    matrices = [kernel.T, value_of(cell.recurrent_kernel).T]
    present = [value_of(bias) for bias in biases if bias is not None]
    return Form(sized(graph, (("I", kernel.shape[0]), ("H", cell.units))), [*matrices, *present, *(vectors or ())])


def _gated(kind: Any, cell: Any) -> Graph:
    names = {"activation": _name(cell.activation), "recurrent_activation": _name(cell.recurrent_activation)}
    return _graph(kind, cell.use_bias, **names)


@lru_cache(maxsize=256)
def _graph(kind: Any, use_bias: bool, **names: str) -> Graph:
    graph: Graph = kind.variant(**names).graph
    return graph if use_bias else graph.without_bias()


def _name(activation: Any) -> str:
    if id(activation) not in NAMES:
        raise _UnknownFunctionError(getattr(activation, "__name__", type(activation).__name__))
    return NAMES[id(activation)]
