"""How much of what a model reads of its recurrent layers comes from each unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import PackedSequence

from tidegate.explain.loss import Loss, one_number
from tidegate.explain.memory import Array, part_name
from tidegate.explain.probe import LayerCall, Probe, captured, probe

UNREAD = 1e-4  # who has a smaller share is read by nobody


@dataclass(frozen=True)
class ReadOut:
    """What is read of the topmost layer of a stack, in one direction.

    Attributes:
        shares: of each unit, the root mean square of dL/dy, over steps and sequences, times the standard deviation of
            y, over the sum of all units. Both the output and the final state count as y. NaN if nothing is read.
        loss: of the model as it is.
        without: its loss where units with a share below 1e-4 are read as their means. The layer sees them as before.
    """

    shares: Array
    loss: float
    without: float

    @property
    def unread(self) -> NDArray[np.bool_]:
        """Whether the share of a unit is below 1e-4, for each unit."""
        return self.shares < UNREAD


def read_out(
    model: torch.nn.Module | Probe, loss: Loss, *inputs: Any, seed: int = 0, **named: Any
) -> dict[str, ReadOut]:
    """Measure which units of the topmost layers the loss depends on, whatever stands between.

    Args:
        model: any model that holds recurrent layers.
        loss: as ``gradient_by_lag`` takes it.
        inputs: of the model.
        seed: of the directions in which a target is read.
        **named: further arguments of the model, such as ``lengths=``.

    Returns:
        From names such as ``"lstm.l0"`` to shares; a layer below another of its stack is not there.

    Raises:
        InputError: the model has no such layer, or the loss does not fit.

    Example:
        >>> import torch, tidegate as tg
        >>> shares = tg.explain.read_out(torch.nn.GRU(3, 4), "last", torch.linspace(-1, 1, 60).reshape(10, 2, 3))
        >>> [*shares]
        ['(model).l0']
    """
    probed = probe(model)
    with torch.enable_grad(), _final_states(probed) as finals:
        answer, calls = captured(probed, *inputs, **named)
        goal = one_number(loss, answer, calls, seed)
        values = [[_data(call.output), last] for call, last in zip(calls, finals, strict=True)]
        found = iter(torch.autograd.grad(goal, [*chain(*values)], allow_unused=True))
    effects: dict[str, Array] = {}
    for call, pair in zip(calls, values, strict=True):
        for value, lay in zip(pair, (_of_output, _of_final), strict=True):
            gradient = next(found)
            if gradient is not None:
                effect = lay(call, gradient).square().mean(0).sqrt() * lay(call, value.detach()).std(0, correction=0)
                effects[call.name] = effects.get(call.name, 0) + effect.nan_to_num().numpy()
    width = {call.name: call.layer.output_size for call in calls}
    shares = {name: _shares(effects.get(name, np.zeros(size))) for name, size in width.items()}
    unread = {name: torch.from_numpy(own < UNREAD) for name, own in shares.items()}
    without = goal.item()
    if any(bool(units.any()) for units in unread.values()):
        with torch.no_grad(), _read_as_means(probed, calls, unread):
            answer, again = captured(probed, *inputs, **named)
            without = one_number(loss, answer, again, seed).item()
    return {
        part_name(name, call.layer.num_layers - 1, reverse=reverse): ReadOut(own, goal.item(), without)
        for name, call in {call.name: call for call in calls}.items()
        for reverse, own in zip((False, True), np.split(shares[name], 1 + call.layer.bidirectional), strict=False)
    }


def _shares(effects: Array) -> Array:
    total = effects.sum()
    return effects / total if total > 0 else np.full_like(effects, np.nan)


@contextmanager
def _hooks(probed: Probe, hook: Callable[[str, Any], Any]) -> Iterator[None]:
    """Show each result of each layer to a function of its path and the result, which may replace it."""

    def named(name: str) -> Callable[..., Any]:
        return lambda _layer, _inputs, result: hook(name, result)

    handles = [layer.register_forward_hook(named(name)) for name, layer in probed.layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _final_states(probed: Probe) -> Iterator[list[torch.Tensor]]:
    """The final output states [L*D, B, P] of all calls, in their order."""
    finals: list[torch.Tensor] = []
    with _hooks(probed, lambda _, result: finals.append(_first(result[1]))):
        yield finals


@contextmanager
def _read_as_means(probed: Probe, calls: list[LayerCall], unread: dict[str, torch.Tensor]) -> Iterator[None]:
    """Replace some units of what layers return by their means, in calls like these."""
    waiting = {name: [call for call in calls if call.name == name] for name in unread}

    def replaced(name: str, result: Any) -> Any:
        call, (output, states) = waiting[name].pop(0), result
        means = _of_output(call, _data(call.output).detach()).mean(0)
        data = _data(output)
        inside = call.valid.T if call.layer.batch_first else call.valid
        there = torch.ones(()) if isinstance(output, PackedSequence) else inside.reshape(*data.shape[:-1], 1)
        held = torch.where(unread[name] & there.bool(), means, data)
        new = output._replace(data=held) if isinstance(output, PackedSequence) else held
        last = _first(states).clone()
        top = last[-1 - call.layer.bidirectional :]
        for own, units, mean in zip(top, unread[name].chunk(len(top)), means.chunk(len(top)), strict=True):
            own.copy_(torch.where(units, mean, own))
        return new, last if isinstance(states, torch.Tensor) else (last, *states[1:])

    with _hooks(probed, replaced):
        yield


def _first(states: Any) -> torch.Tensor:
    return states if isinstance(states, torch.Tensor) else states[0]


def _data(output: Any) -> torch.Tensor:
    return output.data if isinstance(output, PackedSequence) else output


def _of_output(call: LayerCall, values: torch.Tensor) -> torch.Tensor:
    """Values at all real steps, [rows, D*P]."""
    if isinstance(call.output, PackedSequence):
        return values
    inside = call.valid.T if call.layer.batch_first and values.dim() == 3 else call.valid
    return values.reshape(*inside.shape, -1)[inside]


def _of_final(call: LayerCall, values: torch.Tensor) -> torch.Tensor:
    """Final states of the topmost layer, [B, D*P]."""
    top = values[-1 - call.layer.bidirectional :]
    return torch.cat([own.reshape(-1, own.shape[-1]) for own in top], -1)
