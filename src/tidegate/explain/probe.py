"""What comes before every measurement: a copy of the model to measure on, its layers, and what each read in a run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.nn import Recurrent, RecurrentCell
from tidegate.nn.accelerate import ROOT, accelerate
from tidegate.nn.argument import as_states
from tidegate.nn.given import taken
from tidegate.runtime import WatchedCall

IN_A_LOOP = "it is one step that the model repeats in a loop of its own; a layer that runs whole sequences is explained"


@dataclass(frozen=True)
class Probe:
    """A copy of a model in evaluation mode, on the CPU, in which every recurrent layer is Tidegate's.

    Attributes:
        model: the copy.
        layers: its recurrent layers by their paths; the path of the model itself is ``"(model)"``.
        left: recurrent parts that are not explained, by their paths, and why.
        dtype: of its parameters.
    """

    model: torch.nn.Module
    layers: Mapping[str, Recurrent]
    left: Mapping[str, str]
    dtype: torch.dtype

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """What the copy answers; floating-point tensors among the arguments are converted to ``dtype``."""
        return self.model(*converted(inputs, self.dtype), **converted(named, self.dtype))


def probe(model: torch.nn.Module | Probe, *, dtype: torch.dtype = torch.float64) -> Probe:
    """Copy a model so that it can be measured. The model itself stays as it is.

    Args:
        model: any module that holds layers of Tidegate's, or torch.nn.RNN, LSTM or GRU. A ``Probe`` is returned.
        dtype: float64, in which small gradients do not underflow, or float32.

    Raises:
        InputError: it is not a module, cannot be copied, or has no layer that can be explained.

    Example:
        >>> import torch, tidegate as tg
        >>> copy = tg.explain.probe(torch.nn.LSTM(3, 4))
        >>> [*copy.layers]
        ['(model)']
    """
    if isinstance(model, Probe):
        return model
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "EXPLAIN_MODEL", f"expected a torch.nn.Module, got {type(model).__name__}", fix="pass the trained model"
        )
    if dtype not in {torch.float32, torch.float64}:
        raise InputError("EXPLAIN_DTYPE", f"expected float64 or float32, got {dtype}", fix="leave dtype out")
    if any(parameter.is_complex() for parameter in model.parameters()):
        raise InputError("EXPLAIN_DTYPE", "the model has complex parameters", fix="explain a model of real numbers")
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        raise InputError(
            "EXPLAIN_COPY",
            f"the model cannot be copied: {error!s:.200}",
            fix="make copy.deepcopy(model) work, e.g. by removing hooks and tensors that autograd recorded",
        ) from error
    copied = copied.to("cpu", dtype).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    left = {path or ROOT: reason for path, reason in accelerate(copied).left.items()}
    found = {path or ROOT: module for path, module in copied.named_modules()}
    left |= {path: IN_A_LOOP for path, module in found.items() if isinstance(module, RecurrentCell)}
    layers = {path: module for path, module in found.items() if isinstance(module, Recurrent)}
    if not layers:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in left.items())
        raise InputError(
            "EXPLAIN_LAYER",
            f"the model has no recurrent layer that can be explained{f' ({reasons})' if reasons else ''}",
            fix="pass a model with a layer of tidegate.nn, or a plain torch.nn.RNN, LSTM or GRU",
        )
    return Probe(copied, layers, left, dtype)


def converted(value: Any, dtype: torch.dtype) -> Any:
    """The same arguments with floating-point tensors of this type, on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.to("cpu", dtype if value.is_floating_point() else None)
    if isinstance(value, PackedSequence):
        return value.cpu().to(dtype) if value.data.is_floating_point() else value.cpu()
    if isinstance(value, Mapping):
        return {name: converted(one, dtype) for name, one in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in {list, tuple}:
        return type(value)(converted(one, dtype) for one in value)
    move = getattr(value, "to", None)  # a batch of a task converts itself
    return value if move is None or isinstance(value, torch.nn.Module) else move(dtype)


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer, time first whatever its layout was.

    Attributes:
        name: the path of the layer in the model.
        layer: that was called.
        x: the input [T, B, I].
        first: the states before the first step, for each state [L*D, B, width]; None for the layer's own.
        lengths: the number of steps of each sequence, [B].
        reset: where states were reset before a step, [T, B] booleans; None for nowhere.
        output: what the layer returned first, in its own layout and as autograd knows it.
        watched: for each layer of the stack what a backward run left; empty where none was watched.
        given: what its cell reads beside the input, by name, each [T, B, width].
    """

    name: str
    layer: Recurrent
    x: torch.Tensor
    first: tuple[torch.Tensor, ...] | None
    lengths: torch.Tensor
    reset: torch.Tensor | None
    output: Any = field(repr=False)
    watched: tuple[WatchedCall, ...] = ()
    given: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def valid(self) -> torch.Tensor:
        """[T, B]: the steps before the end of each sequence."""
        return torch.arange(len(self.x))[:, None] < self.lengths

    @cached_property
    def trace(self) -> dict[str, torch.Tensor]:
        """Every gate and new state, by names such as ``"f_l0"``: [T, B, width], NaN after the end of a sequence."""
        hx = self.first if self.first is None or len(self.first) > 1 else self.first[0]
        reset = None if self.reset is None else self.laid(self.reset)
        x, named = self.cut(len(self.x))
        with torch.no_grad():
            values = self.layer.trace(x, hx, lengths=self.lengths, reset=reset, **named)
        return {name: self.laid(value) for name, value in values.items()}

    def laid(self, values: torch.Tensor) -> torch.Tensor:
        """[T, B, ...] in the layout of the layer, and back."""
        return values.transpose(0, 1) if self.layer.batch_first else values

    def cut(self, steps: int, rows: Any = slice(None)) -> tuple[torch.Tensor, dict[str, Any]]:
        """The first steps of some sequences, as the layer takes them.

        Args:
            steps: how many.
            rows: of the batch; all by default.

        Returns:
            The input, and named arguments with what the cell reads beside it.
        """
        given = {name: self.laid(value[:steps, rows]) for name, value in self.given.items()}
        return self.laid(self.x[:steps, rows]), {"given": given} if given else {}

    def start(self, number: int, *, reverse: bool = False) -> list[torch.Tensor]:
        """The states before the first step of a layer of the stack, each [B, width]."""
        given = self.first if self.first is not None else self.fresh
        return [state[number * (1 + self.layer.bidirectional) + reverse] for state in given]

    @cached_property
    def fresh(self) -> tuple[torch.Tensor, ...]:
        """What states are without a past: zeros, or learned; for each state [L*D, B, width]."""
        size = self.x.shape[1]
        learned = self.layer.learned_states(size)
        if learned is not None:
            return tuple(state.detach() for state in learned)
        runs = self.layer.num_layers * (1 + self.layer.bidirectional)
        return tuple(self.x.new_zeros(runs, size, width) for width in self.layer.cells[0].state_widths)

    def trajectory(self, number: int | None = None, *, reverse: bool = False) -> Trajectory:
        """Inputs and states of every step.

        Args:
            number: which layer of the stack, from 0; None for all of them, whose states lie side by side.
            reverse: the direction that reads sequences from the end.
        """
        numbers = range(self.layer.num_layers) if number is None else (number,)
        names = [state.name for state in self.layer.graph.states]
        after = [self.trace[attribute(name, k, reverse=reverse)] for k in numbers for name in names]
        first = [state for k in numbers for state in self.start(k, reverse=reverse)]
        now = torch.cat(after, -1).nan_to_num()
        before = _shifted(now, torch.cat(first, -1), self.lengths, reverse=reverse)
        if self.reset is not None:
            index = [k * (1 + self.layer.bidirectional) + reverse for k in numbers]
            fresh = torch.cat([state[k] for k in index for state in self.fresh], -1)
            before = torch.where(self.reset[..., None], fresh, before)
        return Trajectory(self._read(numbers[0]), before, now, self.valid)

    def _read(self, number: int) -> torch.Tensor:
        """What a layer of the stack read, [T, B, features], and behind it what its cell reads beside."""
        return torch.cat([self._input(number), *self.given.values()], -1)

    def _input(self, number: int) -> torch.Tensor:
        if not number:
            return self.x
        output = self.layer.graph.output.name
        directions = (False, True)[: 1 + self.layer.bidirectional]
        below = [self.trace[attribute(output, number - 1, reverse=d)] for d in directions]
        return torch.cat(below, -1).nan_to_num()


@dataclass(frozen=True)
class Trajectory:
    """What every step of a run read and made: ``after[t] = F(x[t], before[t])`` where ``valid[t]``.

    Attributes:
        x: inputs [T, B, I].
        before: states before each step, side by side, [T, B, S].
        after: states after it.
        valid: [T, B] booleans, False after the end of a sequence.
    """

    x: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    valid: torch.Tensor


def _shifted(now: torch.Tensor, first: torch.Tensor, lengths: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    """[T, B, S] of the step before, in the direction of the run."""
    if not reverse:
        return torch.cat([first[None], now[:-1]])
    before = torch.cat([now[1:], first[None]])
    at_end = torch.arange(len(now))[:, None] == lengths - 1
    return torch.where(at_end[..., None], first, before)


def captured(
    probed: Probe, *inputs: Any, watched: list[WatchedCall] | None = None, **named: Any
) -> tuple[Any, list[LayerCall]]:
    """Run the copy once and note what each of its layers read.

    Args:
        probed: the copy of a model.
        inputs: of the model.
        watched: the list of ``watch_adjoints``, inside of its block.
        named: further arguments of the model, such as ``lengths=``.

    Returns:
        The answer of the model, and the calls in their order.

    Raises:
        InputError: the model called none of its layers.

    Example:
        >>> import torch, tidegate as tg
        >>> copy = tg.explain.probe(torch.nn.LSTM(3, 4))
        >>> (y, state), calls = tg.explain.captured(copy, torch.zeros(5, 2, 3))
        >>> y.shape, len(calls)
        (torch.Size([5, 2, 4]), 1)
    """
    calls: list[LayerCall] = []
    begun: list[int] = []
    handles = []
    for name, layer in probed.layers.items():

        def before(*_: Any) -> None:
            begun.append(0 if watched is None else len(watched))

        def after(layer: Any, inputs: Any, named: Any, result: Any, name: str = name) -> None:
            own = () if watched is None else tuple(watched[begun[-1] :])
            del begun[-1]
            calls.append(_call(name, layer, own, result[0], *inputs, **named))

        handles.append(layer.register_forward_pre_hook(before))
        handles.append(layer.register_forward_hook(after, with_kwargs=True))
    try:
        answer = probed(*inputs, **named)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise InputError(
            "EXPLAIN_LAYER",
            f"the model called none of its layers: {', '.join(probed.layers)}",
            fix="pass inputs that go through them",
        )
    return answer, calls


def _call(
    name: str,
    layer: Recurrent,
    watched: tuple[WatchedCall, ...],
    output: Any,
    input: Any,
    hx: Any = None,
    *,
    lengths: Any = None,
    reset: torch.Tensor | None = None,
    given: Mapping[str, torch.Tensor] | None = None,
    **_: Any,
) -> LayerCall:
    """A call in one layout, from what the layer was called with."""
    batched = True
    if isinstance(input, PackedSequence):
        x, lengths = pad_packed_sequence(input)
        outer = x.shape[1::-1] if layer.batch_first else x.shape[:2]
    else:
        outer = input.shape[:-1]
        batched = input.dim() == 3
        x = _time_first(input, layer, batched=batched)
        reset = None if reset is None else _time_first(reset, layer, batched=batched)
    counts = torch.full((x.shape[1],), len(x)) if lengths is None else torch.as_tensor(lengths).cpu().long()
    first = None
    if hx is not None:
        begun = as_states(hx, [state.name for state in layer.graph.states])
        first = tuple(s.detach() if batched else s.detach().unsqueeze(1) for s in begun)
    values = [_time_first(v.detach(), layer, batched=batched) for v in taken(layer.cells[0], given, outer, x.dtype)]
    beside = dict(zip([value.name for value in layer.graph.given], values, strict=True))
    return LayerCall(name, layer, x.detach(), first, counts, reset, output, watched, beside)


def _time_first(values: torch.Tensor, layer: Recurrent, *, batched: bool) -> torch.Tensor:
    """[T, B, ...] of an input or a mask."""
    if not batched:
        return values.unsqueeze(1)
    return values.transpose(0, 1) if layer.batch_first else values
