"""The class of torch.nn that one of ours replaces, and the ways back to it."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch

from tidegate.errors import InputError, TidegateWarning
from tidegate.runtime import JIT_TRACE, traces
from tidegate.runtime.path import FUSED, Obstacle, check_strict

PLAIN = frozenset({torch.nn.Parameter, torch.Tensor, type(None)})
# Attributes that our modules have and torch.nn's do not.
ADDED = (
    *("graph", "cells", "options", "own_widths", "sparse", "last_path", "reset", "update"),
    *("_variants", "_sized", "_names", "_by_nonlinearity", "_lists", "_seen"),
)


class Twin(torch.nn.Module):
    """A layer or a cell of ours, which may be a drop-in for a module of torch.nn, its twin.

    Attributes:
        last_path: how the last call ran; see ``Recurrent``.
    """

    _torch_class: ClassVar[type[torch.nn.Module] | None] = None  # private, or help() would print torch.nn's help too
    last_path: str | None = None

    @classmethod
    def torch_class(cls) -> type[torch.nn.Module] | None:
        """The class of torch.nn that this class is a drop-in for; None if there is none."""
        return cls._torch_class

    def _note(self, obstacle: Obstacle | None) -> None:
        """Record how a call ran. Setting the attribute through torch.nn.Module would cost microseconds."""
        self.__dict__["last_path"] = FUSED if obstacle is None else obstacle.path

    def matches_torch(self) -> bool:
        """Whether torch's class computes the same as this module with its options; never true for a subclass of it."""
        return vars(type(self)).get("_torch_class") is not None

    def torch_attributes(self) -> dict[str, Any]:
        """The attributes that the twin has as well."""
        return {name: value for name, value in vars(self).items() if name not in ADDED}

    @property
    def qconfig(self) -> Any:
        """How torch.ao.quantization was asked to quantize this module, which it does not: it knows only torch.nn's."""
        if "qconfig" not in vars(self):
            raise AttributeError(name="qconfig", obj=self)
        return vars(self)["qconfig"]

    @qconfig.setter
    def qconfig(self, config: Any) -> None:
        """Torch sets this on every module that it looks at, whether or not it quantizes it."""
        vars(self)["qconfig"] = config
        fix = (
            "to quantize it, call tidegate.restore(model) first" if self.matches_torch() else "torch has no such layer"
        )
        text = f"{self} stays as it is: torch quantizes only layers of torch.nn — {fix}"
        warnings.warn(text, TidegateWarning, stacklevel=2)

    @qconfig.deleter
    def qconfig(self) -> None:
        vars(self).pop("qconfig", None)

    def __prepare_scriptable__(self) -> torch.nn.Module:
        """The twin, with the same Parameters: torch.jit.script compiles it and puts it into the scripted model.

        TorchScript cannot compile a forward that calls the engine.

        Returns:
            The twin.

        Raises:
            InputError: there is no twin.
        """
        kind = self._torch_class
        if kind is None or not self.matches_torch():
            raise InputError(
                "TORCHSCRIPT",
                f"TorchScript runs only layers that torch.nn has, got {self}",
                fix="script the rest of the model, or export the layer with torch.export",
            )
        twin = kind.__new__(kind)
        vars(twin).update(self.torch_attributes(), _parameters=self._parameters.copy())
        return twin

    def _by_torch(self, input: Any, hx: Any) -> Any:
        """The results of torch's own forward, under torch.jit.trace or if a parameter overrides torch's functions.

        A traced model then runs without Tidegate. ``call_for_per_sample_grads``, for example, gives the module weights
        for which torch.lstm has its own meaning. Such a type overrides torch's functions, but does not know ours.

        Returns:
            None in all other cases, and for a module without a twin.
        """
        kind = next(filter(_overrides, map(type, self._parameters.values())), None)
        if not (kind or traces()) or self._torch_class is None or not self.matches_torch():
            return None
        if kind is None:
            obstacle = JIT_TRACE
        else:
            obstacle = Obstacle(f"torch.nn's own function, for {kind.__name__}", "use plain parameters", InputError)
        check_strict(obstacle)
        self._note(obstacle)
        return self._torch_class.forward(self, input, hx)


class Conventions(Twin):
    """A GRU layer or cell with its two conventions, ``reset`` and ``update``; torch.nn has one choice of each."""

    reset: str
    update: str

    def extra_repr(self) -> str:
        """As torch.nn prints it, with the choices that torch.nn does not have."""
        return super().extra_repr() + self._unlike_torch()

    def matches_torch(self) -> bool:
        """Whether torch's class computes the same: only with the choices that torch.nn has."""
        return super().matches_torch() and not self._unlike_torch()

    def _unlike_torch(self) -> str:
        options = {"reset": (self.reset, "after"), "update": (self.update, "keep")}
        return "".join(f", {name}={value}" for name, (value, torch_value) in options.items() if value != torch_value)


def _overrides(kind: type) -> bool:
    """Whether this type of tensor overrides torch's functions."""
    function = getattr(getattr(kind, "__torch_function__", None), "__func__", None)
    return function is not None and function is not torch.Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
