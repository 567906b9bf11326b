"""``Flow``: a model as a synchronous dataflow program, which is evaluated in float64 and written as ONNX or C."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from tidegate.cell.graph import all_widths
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.flow.node import Array, Input, Kind, Node, Output, State
from tidegate.ship.flow.op import OPS

NAME = re.compile(r"[a-z][a-z0-9_]*")
Again = Mapping[str, str | float]


class Answer(NamedTuple):
    """What a flow answers to a batch of sequences.

    Attributes:
        outputs: by name: [T, B, width], zero after the end of each sequence, or [B, width] at its last step, zeros
            for a sequence without steps.
        states: after the last step of each sequence, by name [B, *shape]; as they were for one without steps.
    """

    outputs: dict[str, Array]
    states: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Flow:
    """A model that reads one row of each input and answers, step by step.

    Nodes stand in order, each behind its arguments; none reads what comes later, so a step is one walk through them.
    What is remembered from step to step stands in ``states``, and nowhere else. So the same nodes are a model of whole
    sequences and a model of one step. The operations are the rows of ``OPS``.

    Args:
        name: of the model, for identifiers: lower case letters, digits and underscores.
        inputs: what the caller gives at every step.
        nodes: the program.
        outputs: what it answers.
        again: how it goes on by itself, for models that forecast row by row: for an input of a further step the output
            of the step before that it takes (as wide), or a number. The caller gives the other inputs.
        facts: what else an artefact carries: plain data such as ``{"task": "music", "metric": "NLL"}``.

    Attributes:
        kinds: width and dtype of every input and node by name.
        states: what is remembered, in the order of the nodes.

    Raises:
        InputError: the program is not one: names that are not unique or no identifiers, operations, arguments,
            attributes or parameters that do not fit, values that are not finite, or no output.

    Example:
        >>> import numpy as np, tidegate as tg
        >>> from tidegate.ship.flow import Flow
        >>> flow = Flow.of(tg.nn.GRU(2, 3))
        >>> flow.run({"x": np.zeros((5, 1, 2))}).outputs["y"].shape
        (5, 1, 3)
        >>> [state.name for state in flow.states]
        ['layer_h']
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    again: Again = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups: tuple[Sequence[Input | Node | Output], ...] = (self.inputs, self.nodes, self.outputs)
        names = [self.name, *(one.name for group in groups for one in group)]
        for name in names:
            if not NAME.fullmatch(name):
                raise _wrong(f"{name!r} is no name", "use lower case letters, digits and underscores, a letter first")
        self.kinds  # noqa: B018  verifies every node
        repeated = [one.name for k, one in enumerate(self.outputs) if one.name in [o.name for o in self.outputs[:k]]]
        strange = [one.node for one in self.outputs if one.node not in self.kinds]
        if repeated or strange or not self.outputs:
            raise _wrong(f"outputs {repeated or strange or 'none'}: there must be some, of nodes, each named once", "")
        for one in self.outputs:
            if one.labels and len(one.labels) != self.kinds[one.node].width:
                raise _wrong(f"{len(one.labels)} labels of {one.name}, which has {self.kinds[one.node]}", "")
        self._check_again()

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The width and dtype of every input and node."""
        kinds: dict[str, Kind] = {}
        for one in self.inputs:
            usual = {len(part) for part in (one.mean, one.sd) if part} <= {one.kind.width}
            if one.name in kinds or one.kind.width < 1 or (one.kind.dtype == "int") != (one.limit > 0) or not usual:
                raise _wrong(f"the input {one.name!r} is there twice, has no width, or a limit that does not fit", "")
            kinds[one.name] = one.kind
        for node in self.nodes:
            missing = [name for name in node.args if name not in kinds]
            if node.op not in OPS or node.name in kinds or missing:
                raise _wrong(
                    f"{node} has an unknown operation, a name that is taken, or reads {missing} before they are there",
                    f"the operations are {', '.join(OPS)}",
                )
            bad = [name for name, value in node.parameters.items() if not np.isfinite(value).all()]
            if bad:
                raise _wrong(f"{node.name} has {', '.join(bad)} with values that are not finite", "train again")
            kinds[node.name] = OPS[node.op].kind(node, [kinds[name] for name in node.args])
        return kinds

    @cached_property
    def states(self) -> tuple[State, ...]:
        """What is remembered from step to step, in the order of the nodes."""
        return tuple(
            State(f"{node.name}_{part}", node.name, part, first)
            for node in self.nodes
            for part, first in OPS[node.op].remembers(node, [self.kinds[name] for name in node.args]).items()
        )

    @property
    def recurrent(self) -> tuple[Node, ...]:
        """The nodes with recurrent layers."""
        return tuple(node for node in self.nodes if node.layer is not None)

    @property
    def streams(self) -> bool:
        """Whether it can answer step by step: no layer reads from the end of a sequence."""
        return not any(node.recurrent.bidirectional for node in self.recurrent)

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Sequence[int] | None = None,
        states: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Evaluate whole sequences in float64.

        Args:
            inputs: by name, [T, B, width], numbers or integers as the input says.
            lengths: [B] steps of each sequence; T unless given.
            states: by name [B, *shape], before the first step; of those that are missing, the first ones.

        Raises:
            InputError: an input is missing, unknown, or has another shape or dtype; a symbol is out of range; lengths
                or states do not fit.
        """
        from tidegate.ship.flow.run import run  # which needs the class

        return run(self, inputs, lengths, states)

    @classmethod
    def of(cls, layer: Recurrent, head: torch.nn.Linear | None = None, *, name: str = "model") -> Self:
        """The flow of recurrent layers, with a linear map behind them or without.

        Args:
            layer: copied, in evaluation mode.
            head: reads the output of the layers.
            name: of the model.

        Raises:
            InputError: the parts do not fit each other.
        """
        axes, graph = all_widths(layer.cells[0].widths), layer.graph
        inputs = [Input("x", Kind(layer.input_size), f"the input of {graph.name}")]
        inputs += [Input(v.name, Kind(axes[v.axis]), f"what {graph.name} reads as {v.name}") for v in graph.given]
        nodes = [Node("layer", "recurrent", tuple(one.name for one in inputs), layer=plain(layer))]
        if head is not None:
            nodes.append(Node("head", "linear", ("layer",), parameters=weights(head)))
        return cls(name, tuple(inputs), tuple(nodes), (Output("y", nodes[-1].name, "the output at each step"),))

    def __str__(self) -> str:
        lines = [f"{one.name} {one.kind}: {one.says}" + (f" ({one.unit})" if one.unit else "") for one in self.inputs]
        lines += [f"{node}: {self.kinds[node.name]}" for node in self.nodes]
        lines += [f"-> {one.name} = {one.node}{' at the last step' if one.last else ''}" for one in self.outputs]
        return "\n".join([f"flow {self.name}", *lines])

    def _check_again(self) -> None:
        outputs = {one.name: one for one in self.outputs}
        for name, source in self.again.items():
            if name not in [one.name for one in self.inputs] or (isinstance(source, str) and source not in outputs):
                raise _wrong(f"again={{{name!r}: {source!r}}} names no input, or no output", "")
            if isinstance(source, str) and self.kinds[outputs[source].node] != self.kinds[name]:
                raise _wrong(f"the input {name!r} has another width than the output {source!r} that it takes", "")


def plain(layer: Recurrent) -> Recurrent:
    """A copy of a layer for evaluation alone, which reads [T, B, features]."""
    copied = copy.deepcopy(layer).eval().requires_grad_(requires_grad=False)
    copied.batch_first = False
    return copied


def weights(linear: torch.nn.Linear) -> dict[str, Array]:
    """The parameters of a linear node."""
    own = {"weight": linear.weight, "bias": linear.bias}
    return {name: value.detach().double().numpy() for name, value in own.items() if value is not None}


def _wrong(what: str, fix: str) -> InputError:
    return InputError("FLOW", what, fix=fix)
