"""``Draft``: writes a flow down, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tidegate.nn import Recurrent
from tidegate.ship.flow.flow import Flow, plain, weights
from tidegate.ship.flow.node import Array, Dtype, Input, Kind, Node, Output
from tidegate.ship.flow.op import OPS

Numbers = float | Sequence[float] | Array


class Value:
    """A value of a draft: ``+ - * /`` with other values and with numbers make new ones."""

    def __init__(self, draft: Draft, name: str, kind: Kind) -> None:
        self.draft, self.name, self.kind = draft, name, kind

    @property
    def width(self) -> int:
        """How many numbers it has."""
        return self.kind.width

    def named(self, name: str) -> Value:
        """The same value under another name, before anything reads it."""
        nodes = self.draft.nodes
        assert nodes[-1].name == self.name
        nodes[-1] = replace(nodes[-1], name=name)
        return Value(self.draft, name, self.kind)

    def __add__(self, other: Value | Numbers) -> Value:
        return self.draft.add("add", self, other)

    def __radd__(self, other: Numbers) -> Value:
        return self.draft.add("add", other, self)

    def __sub__(self, other: Value | Numbers) -> Value:
        return self.draft.add("sub", self, other)

    def __rsub__(self, other: Numbers) -> Value:
        return self.draft.add("sub", other, self)

    def __mul__(self, other: Value | Numbers) -> Value:
        return self.draft.add("mul", self, other)

    def __rmul__(self, other: Numbers) -> Value:
        return self.draft.add("mul", other, self)

    def __truediv__(self, other: Value | Numbers) -> Value:
        return self.draft.add("div", self, other)

    def __getitem__(self, indices: int | slice | Sequence[int]) -> Value:
        """Some of its numbers."""
        every = range(self.width)
        chosen = every[indices] if isinstance(indices, (int, slice)) else indices
        own = (chosen,) if isinstance(chosen, int) else tuple(chosen)
        return self if own == tuple(every) else self.draft.add("take", self, indices=own)


class Draft:
    """Collects inputs, nodes and outputs, and makes the flow.

    Nodes whose name is not given are named after their operation: ``add_3``. Name what a reader of the generated
    code should know again.

    Args:
        name: of the model.
        facts: what else the artefact carries.

    Example:
        >>> from tidegate.ship.flow import Draft
        >>> draft = Draft("mean")
        >>> x = draft.input("x", 1, "a number")
        >>> mean = draft.add("sum", x) / draft.add("sum", 1.0)
        >>> draft.output("mean", mean, "the mean so far")
        >>> print(draft.flow())
        flow mean
        x [1]: a number
        sum_1 = sum(x): [1]
        constant_1 = constant(value [1]): [1]
        sum_2 = sum(constant_1): [1]
        div_1 = div(sum_1, sum_2): [1]
        -> mean = div_1
    """

    def __init__(self, name: str, facts: Mapping[str, Any] | None = None) -> None:
        self.name, self.facts = name, dict(facts or {})
        self.again: dict[str, str | float] = {}
        self._inputs: list[Input] = []
        self.nodes: list[Node] = []
        self._outputs: list[Output] = []
        self._counts: dict[str, int] = {}
        self._constants: dict[bytes, Value] = {}

    def input(
        self,
        name: str,
        width: int,
        says: str,
        unit: str = "",
        *,
        limit: int = 0,
        mean: Numbers | None = None,
        sd: Numbers | None = None,
    ) -> Value:
        """Numbers or, with a ``limit``, symbols from 0 to ``limit - 1``, as ``Input`` describes them."""
        dtype: Dtype = "int" if limit else "float"
        usual = [() if part is None else tuple(np.broadcast_to(part, width).tolist()) for part in (mean, sd)]
        self._inputs.append(Input(name, Kind(width, dtype), says, unit, limit, *usual))
        return Value(self, name, Kind(width, dtype))

    def add(
        self, op: str, *args: Value | Numbers, name: str = "", layer: Recurrent | None = None, **more: Any
    ) -> Value:
        """A node. Arrays in ``more`` are its parameters, everything else its attributes; numbers become constants."""
        values = [arg if isinstance(arg, Value) else self.constant(arg) for arg in args]
        parameters = {key: value.astype(np.float64) for key, value in more.items() if isinstance(value, np.ndarray)}
        attributes = {key: value for key, value in more.items() if key not in parameters}
        own = None if layer is None else plain(layer)
        node = Node(name or self._free(op), op, tuple(value.name for value in values), attributes, parameters, own)
        self.nodes.append(node)
        return Value(self, node.name, OPS[op].kind(node, [value.kind for value in values]))

    def constant(self, value: Numbers, name: str = "") -> Value:
        """The same numbers at every step; equal ones are one node."""
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
        key = array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.add("constant", name=name, value=array)
        return self._constants[key]

    def linear(self, x: Value, module: torch.nn.Module, *, name: str = "", blocks: int = 1) -> Value:
        """A linear map of torch, or an identity."""
        if isinstance(module, torch.nn.Identity):
            return x
        assert isinstance(module, torch.nn.Linear)
        own: dict[str, Any] = {**weights(module), **({"blocks": blocks} if blocks > 1 else {})}
        return self.add("linear", x, name=name, **own)

    def recurrent(self, x: Value, layer: Recurrent, name: str = "layer", given: Sequence[Value] = ()) -> Value:
        """Recurrent layers, and what their cell reads beside the input, in its order."""
        return self.add("recurrent", x, *given, name=name, layer=layer)

    def window(self, x: Value, rows: int, before: str | float = "first", name: str = "") -> Value:
        """The last rows of a value side by side, the oldest first; one row is the value itself."""
        return x if rows == 1 else self.add("window", x, name=name, rows=rows, before=before)

    def concat(self, *values: Value, name: str = "") -> Value:
        """Values side by side."""
        return values[0] if len(values) == 1 else self.add("concat", *values, name=name)

    def output(
        self, name: str, value: Value, says: str, unit: str = "", *, last: bool = False, labels: Sequence[str] = ()
    ) -> None:
        """An answer, as ``Output`` describes it."""
        self._outputs.append(Output(name, value.name, says, unit, last, tuple(labels)))

    def flow(self) -> Flow:
        """The flow.

        Raises:
            InputError: as ``Flow``.
        """
        read, nodes = {one.node for one in self._outputs}, []
        for node in reversed(self.nodes):  # what leads to no answer is left out
            if node.name in read:
                nodes.append(node)
                read.update(node.args)
        return Flow(
            self.name, tuple(self._inputs), tuple(nodes[::-1]), tuple(self._outputs), dict(self.again), self.facts
        )

    def _free(self, op: str) -> str:
        self._counts[op] = self._counts.get(op, 0) + 1
        return f"{op}_{self._counts[op]}"
