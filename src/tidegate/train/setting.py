"""What every task's settings share: the recurrent layers, the optimizer, when to stop."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from tidegate.errors import InputError

Range = tuple[float, float]
INFINITY = math.inf


@dataclass(kw_only=True)
class Training:
    """Settings that every task has."""

    cell: str = "lstm"
    """The recurrent cell: a name of the zoo, or FILE.py:CLASS."""
    hidden_size: int = 128
    """Units of each recurrent layer."""
    layers: int = 1
    """Recurrent layers stacked on each other."""
    dropout: float = 0.1
    """Share of outputs zeroed between layers and before the head, in training."""
    recurrent_dropout: float = 0.0
    """Share of units that the recurrent matrices do not see, for a whole sequence."""
    layer_norm: bool = False
    """Normalise each product of the cell."""
    batch_size: int = 32
    """Sequences in a batch, over all processes together."""
    learning_rate: float = 4e-3
    """Of Adam, at the start."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """How the rate falls: halved when validation stalls, along a cosine over all epochs, or not at all."""
    warmup: int = 0
    """Steps over which the rate rises from zero."""
    weight_decay: float = 0.0
    """Decoupled, as in AdamW."""
    clip: float = 1.0
    """The largest norm of a gradient."""
    averaging: float = 0.0
    """Of each step's running mean of the parameters, which is kept in their place, the share that stays; 0 for none."""
    epochs: int = 30
    """The cap on passes over the training data."""
    patience: int = 5
    """Stop after so many epochs without a better validation score."""
    patience_rate: int = 2
    """With --schedule plateau: halve the rate after so many."""
    seed: int = 0
    """Of the first parameters, of dropout and of the order of the data."""
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    """Of the parameters; with bfloat16 they are float32, and matrix products outside the layers half as wide."""

    task: ClassVar[str] = ""
    RANGES: ClassVar[Mapping[str, Range]] = {
        "hidden_size": (1, 1 << 16),
        "layers": (1, 64),
        "dropout": (0, 0.99),
        "recurrent_dropout": (0, 0.99),
        "batch_size": (1, 1 << 20),
        "learning_rate": (1e-9, 100),
        "warmup": (0, INFINITY),
        "weight_decay": (0, 10),
        "clip": (1e-9, INFINITY),
        "averaging": (0, 0.99999),
        "epochs": (1, INFINITY),
        "patience": (1, INFINITY),
        "patience_rate": (1, INFINITY),
        "seed": (0, 2**53),
    }

    @classmethod
    def names(cls) -> list[str]:
        """All settings: those of the task alone first, then those of the model, then those of its training."""
        return cls.own_names() + [field.name for field in fields(Training)]

    @classmethod
    def own_names(cls) -> list[str]:
        """The settings of the task alone."""
        every, shared = ([field.name for field in fields(kind)] for kind in (cls, Training))
        return [name for name in every if name not in shared]

    @classmethod
    def ranges(cls) -> dict[str, Range]:
        """The least and the largest value of each number, those of the base classes included."""
        found: dict[str, Range] = {}
        for kind in reversed(cls.__mro__):
            found |= vars(kind).get("RANGES", {})
        return found

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: a number out of its range.
        """
        for name, (low, high) in self.ranges().items():
            value: Any = getattr(self, name)
            if value is not None and not low <= value <= high:
                most = f" and at most {high:g}" if math.isfinite(high) else ""
                said = reprlib.repr(value)
                raise InputError("SETTING_RANGE", f"{flag(name)} is {said}", fix=f"give at least {low:g}{most}")


def flag(name: str) -> str:
    """How a setting is written in the shell."""
    return "--" + name.replace("_", "-")
