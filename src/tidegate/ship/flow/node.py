"""What a flow is made of: inputs, nodes, states and outputs, all plain data but for the recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.nn import Recurrent

Array = NDArray[Any]
Dtype = Literal["float", "int"]


class Kind(NamedTuple):
    """What a value is at every step.

    Attributes:
        width: how many numbers it has.
        dtype: ``"float"``, which artefacts hold as float32, or ``"int"``, symbols that they hold as int64.
    """

    width: int
    dtype: Dtype = "float"

    def __str__(self) -> str:
        return f"[{self.width}]" if self.dtype == "float" else f"[{self.width}] int"


@dataclass(frozen=True)
class Input:
    """A value that the caller gives at every step.

    Attributes:
        name: as artefacts show it: lower case letters, digits and underscores.
        kind: its width and dtype.
        says: what it is, in words.
        unit: of its numbers; empty for none.
        limit: of symbols: they lie from 0 to ``limit - 1``; 0 for numbers.
        mean, sd: what each of its numbers usually is, for self-tests and calibration; 0 and 1 where nothing is known.
    """

    name: str
    kind: Kind
    says: str
    unit: str = ""
    limit: int = 0
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Node:
    """A value that is computed at every step.

    Attributes:
        name: as generated code shows it.
        op: a row of ``OPS``.
        args: names of inputs or of earlier nodes.
        attributes: plain data, as the row of the operation says.
        parameters: float64 arrays, as the row says. Those that were trained hold float32 values.
        layer: of ``recurrent``: the layer, in evaluation mode, with ``batch_first=False``.
    """

    name: str
    op: str
    args: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Array] = field(default_factory=dict)
    layer: Recurrent | None = None

    @property
    def recurrent(self) -> Recurrent:
        """The layer of a node that has one."""
        assert self.layer is not None
        return self.layer

    def __str__(self) -> str:
        parts = [*self.args, *(f"{name}={_short(value)}" for name, value in self.attributes.items())]
        parts += [f"{name} {list(np.shape(value))}" for name, value in self.parameters.items()]
        return f"{self.name} = {self.op}({', '.join([*parts, *([str(self.layer)] if self.layer is not None else [])])})"


@dataclass(frozen=True, eq=False)
class State:
    """What a node remembers from step to step.

    Attributes:
        name: ``NODE_PART``, such as ``layer_h``.
        node: the name of the node.
        part: what it is of the node: the name of a state of the cell, or as the row of the operation says.
        first: what it holds before the first step and after a reset. Of a recurrent layer [layers x directions,
            width], the directions of a layer next to each other.
    """

    name: str
    node: str
    part: str
    first: Array


@dataclass(frozen=True)
class Output:
    """What a flow answers.

    Attributes:
        name: as artefacts show it.
        node: the name of the node or input whose value it is.
        says: what it is, in words.
        unit: of its numbers; empty for none.
        last: whether only its value at the last step of a sequence is an answer. A step model gives it at every step,
            where it is the answer to the steps so far.
        labels: what each of its numbers belongs to, such as classes or keys; empty where the order says it.
    """

    name: str
    node: str
    says: str
    unit: str = ""
    last: bool = False
    labels: tuple[str, ...] = ()


def _short(value: Any) -> str:
    return repr(value) if not isinstance(value, tuple) or len(value) <= 8 else f"({value[0]}, ..., {value[-1]})"
