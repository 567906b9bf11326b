"""Which module of torch.nn computes what one of ours does, and the ways from ours to torch's."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from tidegate.errors import InputError
from tidegate.runtime.path import FUSED, Obstacle, check_strict

PLAIN = frozenset({torch.nn.Parameter, torch.Tensor, type(None)})
# Attributes that ours have and torch's do not.
ADDED = (
    *("graph", "cells", "options", "own_widths", "last_path", "reset", "update"),
    *("_variants", "_sized", "_names", "_by_nonlinearity"),
)


class Twin(torch.nn.Module):
    """A layer or a cell of ours, which may have a twin in torch.nn.

    Attributes:
        torch_class: the class of torch.nn that this class is a drop-in for; None if there is none.
        last_path: how the last call ran; see ``Recurrent``.
    """

    torch_class: ClassVar[type[torch.nn.Module] | None] = None
    last_path: str | None = None

    def _note(self, obstacle: Obstacle | None) -> None:
        """How a call ran. Module's own way to set an attribute costs microseconds."""
        self.__dict__["last_path"] = FUSED if obstacle is None else obstacle.path

    def matches_torch(self) -> bool:
        """Whether torch's class computes the same, options of ours considered. A subclass is something else."""
        return vars(type(self)).get("torch_class") is not None

    def torch_attributes(self) -> dict[str, Any]:
        """The attributes of the twin: all but those that torch's classes do not have."""
        return {name: value for name, value in vars(self).items() if name not in ADDED}

    def __prepare_scriptable__(self) -> torch.nn.Module:
        """What torch.jit.script compiles, and leaves in the model: the twin, with the same Parameters.

        TorchScript cannot read a forward that calls the engine.

        Raises:
            InputError: there is no twin.
        """
        if self.torch_class is None or not self.matches_torch():
            raise InputError(
                "TORCHSCRIPT",
                f"TorchScript runs what torch.nn has, got {self}",
                fix="script the rest of the model, or hand the layer on by torch.export",
            )
        twin = self.torch_class.__new__(self.torch_class)
        vars(twin).update(self.torch_attributes(), _parameters=self._parameters.copy())
        return twin

    def _by_torch(self, input: Any, hx: Any) -> Any:
        """What torch's own forward makes of parameters whose type asks for it; None if none does.

        To the weights of ``call_for_per_sample_grads``, for one, torch.lstm means something else than to plain ones.
        Such a type knows torch's functions and not ours.
        """
        kind = next(filter(_overrides, map(type, self._parameters.values())), None)
        if kind is None or self.torch_class is None or not self.matches_torch():
            return None
        obstacle = Obstacle(f"torch.nn's own function, for {kind.__name__}", "use plain parameters", InputError)
        check_strict(obstacle)
        self._note(obstacle)
        return self.torch_class.forward(self, input, hx)


class Conventions(Twin):
    """A GRU, layer or cell: where it resets and what its update gate keeps, of which torch.nn has one choice."""

    reset: str
    update: str

    def extra_repr(self) -> str:
        """As torch.nn prints it, and what differs from torch.nn."""
        return super().extra_repr() + self._unlike_torch()

    def matches_torch(self) -> bool:
        """Whether torch's class computes the same: not with options that torch does not have."""
        return super().matches_torch() and not self._unlike_torch()

    def _unlike_torch(self) -> str:
        options = {"reset": (self.reset, "after"), "update": (self.update, "keep")}
        return "".join(f", {name}={value}" for name, (value, torch_value) in options.items() if value != torch_value)


def _overrides(kind: type) -> bool:
    """Whether torch's functions mean something of their own to this type of tensor."""
    function = getattr(getattr(kind, "__torch_function__", None), "__func__", None)
    return function is not None and function is not torch.Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
