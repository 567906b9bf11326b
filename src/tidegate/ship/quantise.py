"""``tg.ship.quantise``: recurrent layers in whole numbers, their formats chosen from data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from tidegate.emit.sums import form_of
from tidegate.errors import EmitError, InputError
from tidegate.nn import Recurrent
from tidegate.passes import without_heads
from tidegate.runtime.heads import whole_parameters
from tidegate.ship.int8 import observe
from tidegate.ship.int8.stack import Quantised, backwards
from tidegate.ship.int8.unit import Draft, Unit, quantised_unit
from tidegate.ship.int8.whole import SHORT

MOST_STEPS = 100_000  # of all sequences that calibration reads


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        x: ``[T, B, I]``.
        states: before the first step, each ``[L*D, B, width]``; None for the layer's own.
        ends: the number of steps of each sequence.
    """

    x: torch.Tensor
    states: tuple[torch.Tensor, ...] | None
    ends: torch.Tensor


@overload
def quantise(model: Recurrent, data: Any) -> Quantised: ...
@overload
def quantise(model: torch.nn.Module, data: Callable[[], Any]) -> dict[str, Quantised]: ...
@torch.no_grad()
def quantise(model: torch.nn.Module, data: Any) -> Quantised | dict[str, Quantised]:
    """Recurrent layers in whole numbers: weights of 8 bits, inputs and states of 16, and no float between them.

    Each row of a matrix has a scale of its own, ``w = scale q`` with q from -127 to 127. All other values are whole
    numbers ``v 2^f``, whose f follows from how large v becomes: of states between known bounds from the equations,
    of all others from the data, with a margin of 10 %. What is larger than that is cut off. No sum can need more than
    32 bits, whatever the input is: the weights prove it.

    Args:
        model: a recurrent layer of tidegate.nn whose cell has a form in whole numbers, or a module with such layers.
        data: for a layer what it reads where it is used: an array ``[T, B, I]``, or ``[B, T, I]`` with ``batch_first``,
            or several. For a module a function that runs it over such data. The first 100,000 steps are read.

    Returns:
        The layer as its C computes it: ``run`` gives the same integers, ``print`` shows all formats, and
        ``tg.ship.c(layer, name, weights=...)`` is the C. For a module one for each layer, by its name.

    Raises:
        InputError: no layer, or no data that it can read.
        EmitError: an operation of the cell has no form in whole numbers: the exponentials and logarithms of sLSTM and
            minLSTM, the mean of a layer norm.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.GRU(3, 8)
        >>> whole = tg.ship.quantise(layer, torch.randn(50, 10, 3))
        >>> whole.run(torch.randn(20, 1, 3))[0].shape
        (20, 1, 8)
    """
    if isinstance(model, Recurrent):
        arrays = [data] if hasattr(data, "shape") else list(data)
        return _quantised(model, [_checked(model, array) for array in arrays])
    layers = {n: m for n, m in model.named_modules() if isinstance(m, Recurrent)} if hasattr(model, "modules") else {}
    if not layers or not callable(data):
        raise InputError(
            "INT8_MODEL",
            f"{type(model).__name__} has no recurrent layer of tidegate.nn" if not layers else "data is no function",
            fix="pass a layer and its inputs, or a module with such layers and a function that runs it over data",
        )
    with _recorded(layers) as calls:
        data()
    return {name: _quantised(layer, calls[name]) for name, layer in layers.items()}


def _checked(layer: Recurrent, array: Any) -> Call:
    x = torch.as_tensor(np.asarray(array, np.float64))
    if x.dim() != 3 or x.shape[2] != layer.input_size or 0 in x.shape:
        raise InputError(
            "INT8_DATA",
            f"got data {list(x.shape)}, expected steps and sequences of {layer.input_size} features",
            fix="pass what the layer reads: [T, B, I], or [B, T, I] with batch_first",
        )
    if not torch.isfinite(x).all():
        raise InputError("INT8_DATA", "the data have infinite numbers, or NaN", fix="leave them out")
    x = x.transpose(0, 1) if layer.batch_first else x
    return Call(x, None, torch.full((x.shape[1],), len(x)))


@contextmanager
def _recorded(layers: Mapping[str, Recurrent]) -> Iterator[dict[str, list[Call]]]:
    """What these layers are called with meanwhile."""
    calls: dict[str, list[Call]] = {name: [] for name in layers}

    def hook(name: str) -> Callable[..., None]:
        def note(layer: Recurrent, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            if sum(int(call.ends.sum()) for call in calls[name]) < MOST_STEPS:
                calls[name].append(_noted(layer, *args, **kwargs))

        return note

    handles = [layer.register_forward_pre_hook(hook(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _noted(layer: Recurrent, passed: Any, hx: Any = None, *, lengths: Any = None, **_: Any) -> Call:
    if isinstance(passed, PackedSequence):
        passed, lengths = pad_packed_sequence(passed, batch_first=layer.batch_first)
    x = passed.detach().double().cpu()
    x = x.unsqueeze(int(not layer.batch_first)) if x.dim() == 2 else x
    x = x.transpose(0, 1) if layer.batch_first else x
    states = None if hx is None else tuple(s.detach().double().cpu() for s in (hx if isinstance(hx, tuple) else (hx,)))
    if states is not None and states[0].dim() == 2:
        states = tuple(state.unsqueeze(1) for state in states)
    return Call(x, states, torch.full((x.shape[1],), len(x)) if lengths is None else torch.as_tensor(lengths).cpu())


def _quantised(layer: Recurrent, calls: Sequence[Call]) -> Quantised:
    if layer.graph.given:
        names = " and ".join(value.name for value in layer.graph.given)
        raise EmitError(
            "INT8_GIVEN",
            f"{layer.graph.name} reads {names} beside its input, for which whole numbers have no format",
            fix="ship it in float32, without weights=",
        )
    if not calls:
        raise InputError("INT8_DATA", "there are no data", fix="pass at least one sequence")
    drafts = _drafts(layer)
    ranges: list[list[dict[int, float]]] = [[{} for _ in directions] for directions in drafts]
    for call in calls:
        x = call.x
        for k, directions in enumerate(drafts):
            first = k * len(directions)
            outputs = [
                _observed(draft, x, call, first + d, ranges[k][d], reverse=bool(d))
                for d, draft in enumerate(directions)
            ]
            x = torch.cat(outputs, -1)
    units: list[list[Unit]] = []
    for k, directions in enumerate(drafts):
        alone = layer.bidirectional or k + 1 == len(drafts)
        entering = units[-1][0].output if units and not layer.bidirectional else None
        room = SHORT if alone else drafts[k + 1][0].most_input
        pairs = zip(directions, ranges[k], strict=True)
        units.append([quantised_unit(draft, own, entering, room) for draft, own in pairs])
    return Quantised(units, layer.batch_first)


def _drafts(layer: Recurrent) -> list[list[Draft]]:
    """The layers of a stack, each with its directions."""
    learned = layer.learned_states(1)
    drafts: list[list[Draft]] = []
    for k, cell in enumerate(layer.cells):
        form, size = form_of(without_heads(cell.graph), cell.widths), len(cell.parameters)
        tensors = [tensor.detach().double().cpu() for tensor in layer.layer_parameters(k)]
        drafts.append([])
        for d in range(1 + layer.bidirectional):
            own = dict(zip(cell.parameters, tensors[d * size : (d + 1) * size], strict=True))
            own = whole_parameters(cell.graph, cell.widths, own)
            at = k * (1 + layer.bidirectional) + d
            first = {s.name: torch.zeros(cell.widths[s.axis], dtype=torch.float64) for s in cell.graph.states}
            if learned is not None:
                first = {name: state[at, 0].double().cpu() for name, state in zip(first, learned, strict=True)}
            drafts[-1].append(Draft(form, own, first))
    return drafts


def _observed(
    draft: Draft, x: torch.Tensor, call: Call, at: int, ranges: dict[int, float], *, reverse: bool
) -> torch.Tensor:
    """The output in float64; the ranges of all values are raised to what is seen."""
    alive = torch.arange(len(x))[:, None] < call.ends
    order = torch.from_numpy(backwards(call.ends.numpy(), len(x)))[..., None] if reverse else None
    values = x if order is None else x.take_along_dim(order, 0)
    states = {name: value.expand(x.shape[1], -1) for name, value in draft.first.items()}
    if call.states is not None:
        states = {name: state[at] for name, state in zip(states, call.states, strict=True)}
    output = observe.run(draft.form, draft.parameters, values, alive, states, ranges)
    return output if order is None else output.take_along_dim(order, 0)
