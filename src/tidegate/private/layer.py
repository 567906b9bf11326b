"""Calls of our own recurrent layers, and which unit each of their sequences belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.overrides import _get_current_function_mode, _pop_mode, _push_mode  # torch has no public name for these

from tidegate.nn import Recurrent, RecurrentCell
from tidegate.private.record import Record
from tidegate.private.recurrent import LayerUses, Recorder
from tidegate.private.rows import Rows, mixed


class LayerCall:
    """One call of a layer of ours.

    Args:
        name: of the module in the model.
        module: the layer.
        output: what the call returned.

    Attributes:
        outputs: the output and the states that it returned, whose rows are the sequences.
        shape: the number of sequences.
    """

    def __init__(self, name: str, module: torch.nn.Module, output: Any) -> None:
        self.name = name
        self.outputs = list(_outputs(f"the output of {name}", module, output))
        self.shape = self.outputs[0].shape if self.outputs else torch.Size([0])

    def owner(self, weighted: Sequence[Sequence[torch.Tensor | None]], units: int) -> torch.Tensor:
        """The unit of each sequence; -1 where nothing came back.

        Args:
            weighted: of each output, the adjoints of weighted runs.
            units: how many losses there are.

        Shapes:
            the result [sequences] int64.

        Raises:
            InputError: a sequence belongs to several units.
        """
        owner = torch.full(self.shape, -1)
        for rows, runs in zip(self.outputs, weighted, strict=True):
            own = rows.owners(runs, units)
            if bool(((own != owner) & (own >= 0) & (owner >= 0)).any()):
                raise mixed(rows.name)
            owner = torch.maximum(owner, own)
        return owner


class Layers:
    """Inside, layers of ours leave what gradients of single units are made of, and their calls are remembered.

    Args:
        model: whose layers they are.

    Attributes:
        calls: in their order.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._names = {id(module): name or "the model" for name, module in model.named_modules()}
        self._recorder, self._stack = Recorder(), ExitStack()
        self._paused: list[Any] = []  # for each layer at work the record that waits, if it is the first to wait
        self.calls: list[LayerCall] = []

    @property
    def inside(self) -> bool:
        """Whether a layer is at work."""
        return self._recorder.inside

    def __enter__(self) -> Self:
        self._stack.enter_context(self._recorder)
        self._stack.callback(register_module_forward_pre_hook(self._pause).remove)
        self._stack.callback(register_module_forward_hook(self._keep, always_call=True).remove)
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def left(self) -> list[LayerUses]:
        """What the backward run left of each call."""
        return [entry for entry in self._recorder.calls if entry.module is not None]

    def _pause(self, module: torch.nn.Module, arguments: Any) -> None:
        """Take the record of functions off the stack, as a layer calls some sixty that say nothing."""
        del arguments
        if isinstance(module, Recurrent | RecurrentCell):
            first = isinstance(_get_current_function_mode(), Record)
            self._paused.append(_pop_mode() if first else None)

    def _keep(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        """Remember a call, and put the record back; also where the layer raised an error and has no output."""
        del arguments
        if not (self._paused and isinstance(module, Recurrent | RecurrentCell)):
            return
        waiting = self._paused.pop()
        if waiting is not None:
            _push_mode(waiting)
        if output is not None:
            with torch._C.DisableTorchFunction():  # noqa: SLF001  # nothing here is the model's
                self.calls.append(LayerCall(self._names.get(id(module), type(module).__name__), module, output))


def _outputs(name: str, module: torch.nn.Module, output: Any) -> Iterator[Rows]:
    """The tensors that a call returned, each with its sequences in front."""
    if isinstance(module, RecurrentCell):
        states = output if isinstance(output, tuple) else (output,)
        laid = [(state, 0 if state.dim() > 1 else None) for state in states]
    else:
        y, states = output[0], output[1] if isinstance(output[1], tuple) else (output[1],)
        if isinstance(y, PackedSequence):
            if y.data.requires_grad:
                yield Rows(name, y.data, 1, lambda data: pad_packed_sequence(y._replace(data=data))[0].transpose(0, 1))
            laid = []
        else:
            laid = [(y, (0 if module.batch_first else 1) if y.dim() > 2 else None)]
        laid += [(state, 1 if state.dim() > 2 else None) for state in states]
    for values, axis in laid:
        if values.requires_grad:
            yield Rows(name, values, 1, partial(_in_front, axis))


def _in_front(axis: int | None, values: torch.Tensor) -> torch.Tensor:
    return values[None] if axis is None else values.movedim(axis, 0)
