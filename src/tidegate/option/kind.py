"""What an option of a layer declares, and the seven kinds: what an option can change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tidegate.cell import Graph, Mask
from tidegate.errors import InputError

if TYPE_CHECKING:  # this room is read before torch is loaded, e.g. for --help
    from torch import Tensor

ByState = tuple[tuple[str, float], ...]  # pairs of a state and its number


class Option:
    """An option of a layer. A subclass declares it, one instance named ``OPTION`` puts it into the table.

    Attributes:
        name: the keyword argument.
        default: the value of a plain layer.
        doc: one to three sentences, for docstrings and ``--help`` alike.
        doc_in_python: a sentence about values that only a caller in Python can pass.
        setting: the type of the setting of ``tidegate train``; None if it cannot be one.
        low: the least number allowed; None for no bound.
        high: the greatest number allowed; None for no bound.
        whole: only whole numbers are allowed.
        choices: the texts that are allowed, for an option whose value is a text.
        example: values that an error message suggests.
        source: the paper, if there is one.
        order: options take effect, and are listed, in this order.
        by_state: a mapping from states to numbers is accepted too.
        random: the option draws random numbers in training.
        excludes: options that cannot be combined with this one.
        reshapes: parameters get other shapes, so that a layer has the option from the start or never.
        written_out: the plain cell computes the same with matrices that are written out, so other frameworks hold it.
        on_recurrent_matrices: the option acts on recurrent matrices only, so it has no effect on a cell without one.
        takes_mirrored: the option has a place where a matrix is made of another one and its mirror image.
    """

    name: ClassVar[str]
    default: ClassVar[Any]
    doc: ClassVar[str]
    doc_in_python: ClassVar[str] = ""
    setting: ClassVar[Any] = None
    low: ClassVar[float | None] = None
    high: ClassVar[float | None] = None
    whole: ClassVar[bool] = False
    choices: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = ""
    source: ClassVar[str] = ""
    order: ClassVar[int]
    by_state: ClassVar[bool] = False
    random: ClassVar[bool] = False
    excludes: ClassVar[tuple[str, ...]] = ()
    reshapes: ClassVar[bool] = False
    written_out: ClassVar[bool] = False
    on_recurrent_matrices: ClassVar[bool] = False
    takes_mirrored: ClassVar[bool] = True

    def read(self, value: Any) -> Any:
        """The value as ``Options`` stores it: a mapping becomes pairs, which can be hashed and which nobody changes.

        Raises:
            InputError: the value is not allowed.
        """
        is_mapping = self.by_state and isinstance(value, Mapping)
        if not all(map(self.accepts, value.values() if is_mapping else [value])):
            raise self.refusal(value)
        return (tuple(value.items()) or self.default) if is_mapping else value

    def accepts(self, value: Any) -> bool:
        """Whether a single value is allowed."""
        if isinstance(self.default, bool):
            return isinstance(value, bool)
        if value is None:
            return self.default is None
        if self.choices:
            return isinstance(value, str) and value in self.choices
        kind = Integral if self.whole else Real
        is_number = not isinstance(value, bool) and isinstance(value, kind) and math.isfinite(value)
        return is_number and (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def refusal(self, value: Any) -> InputError:
        """The error for a value that is not allowed."""
        return InputError(
            "OPTION", f"{self.name} must {self.rule}, got {value!r:.60}", fix=f"pass e.g. {self.example or 'True'}"
        )

    @property
    def sample(self) -> Any:
        """A value that changes something."""
        if isinstance(self.default, bool):
            return not self.default
        values = (value for value in (*self.choices, 2, 0.5) if self.accepts(value) and value != self.default)
        return next(values, self.default)

    @property
    def annotation(self) -> str:
        """The type of the keyword argument, as a signature shows it."""
        one = "bool" if isinstance(self.default, bool) else "int" if self.whole else "str" if self.choices else "float"
        return one + " | Mapping[str, float]" * self.by_state + " | None" * (self.default is None)

    @property
    def rule(self) -> str:
        """What a value must do, e.g. ``"lie in [0, 1]"``."""
        if isinstance(self.default, bool):
            return "be True or False"
        if self.choices:
            return f"be {' or '.join(map(repr, self.choices))}"
        if self.low is None or self.high is None:
            number, least = ("an integer", "an integer of at least") if self.whole else ("a finite number", "at least")
            return f"be {number}" if self.low is None else f"be {least} {self.low:g}"
        if self.whole:
            return f"be an integer from {self.low:g} to {self.high:g}"
        return f"lie in [{self.low:g}, {self.high:g}]"

    def check(self, value: Any, graph: Graph) -> None:
        """Refuse a cell that does not have what the option acts on: a state that the value names, or a gate.

        Args:
            value: of the option.
            graph: the cell, with what options have made of it.

        Raises:
            InputError: with what it has.
        """
        states = [state.name for state in graph.states]
        unknown = [name for name, _ in value if name not in states] if isinstance(value, tuple) else []
        if unknown:
            raise InputError(
                "OPTION_STATE",
                f"{self.name} names {', '.join(map(repr, unknown))}, but the states of {graph.name} are "
                f"{' '.join(states)}",
                fix="name states of the cell",
            )

    @property
    def is_in_graph(self) -> bool:
        """Whether the graph of a layer has the option in it, so that a layer made of this graph needs it no more."""
        return isinstance(self, Pass) and type(self).define is not Pass.define

    def initialise(self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], value: Any) -> None:
        """Set initial parameters in place, after torch's own draw; most options leave that as it is.

        Args:
            graph: the cell.
            widths: of its axes.
            parameters: of one layer and direction, by their names in the graph.
            value: of the option.

        Raises:
            InputError: the cell does not have what the option initialises.
        """


def each_state(value: float | ByState, graph: Graph) -> dict[str, float]:
    """The number of each state, given one number for all states or one for each."""
    return dict(value) if isinstance(value, tuple) else {state.name: value for state in graph.states}


class Draws(Protocol):
    """The random numbers of one call. Masks have a row for each sequence, or for each step of each sequence."""

    def bernoulli(self, mask: Mask, rate: float) -> Tensor:
        """1 with probability ``rate``, else 0."""

    def dropout(self, mask: Mask, rate: float) -> Tensor:
        """0 with probability ``rate``, else 1 / (1 - rate)."""

    def resets(self, mask: Mask) -> Tensor:
        """1 at steps before which all states are reset, else 0; nothing is drawn."""

    def weight_dropout(self, weight: Tensor, rate: float) -> Tensor:
        """A mask of dropout as large as the weight."""

    def input_dropout(self, x: Tensor, rate: float) -> Tensor:
        """A mask of dropout for the input that is the same at all steps of a sequence."""


class Pass(Option):
    """Changes the equations of the cell: a pass over its graph."""

    def define(self, graph: Graph, value: Any) -> Graph:  # noqa: ARG002  most passes leave the definition alone
        """The cell of the layer, before it is projected. Parameters that the pass adds are parameters of the layer."""
        return graph

    def widths(self, value: Any) -> dict[str, int]:  # noqa: ARG002  most passes add no axis
        """The widths of the axes that ``define`` adds to the cell."""
        return {}

    def check_widths(self, graph: Graph, widths: Mapping[str, int], value: Any) -> None:
        """Refuse a value that makes no sense for these widths.

        Raises:
            InputError: with what would.
        """

    def rewrite(self, graph: Graph, value: Any, *, training: bool, resets: bool) -> Graph:  # noqa: ARG002
        """The cell that runs.

        Args:
            graph: the cell, after the passes before this one.
            value: of the option.
            training: the layer is training.
            resets: the call has resets.
        """
        return graph

    def draw(self, mask: Mask, value: Any, draws: Draws) -> Tensor:
        """The numbers of a mask that ``rewrite`` has added."""
        raise NotImplementedError(f"{self.name} adds no mask")

    def first_states(self, graph: Graph) -> tuple[str, ...]:  # noqa: ARG002
        """For each state the vector with which a sequence begins, a parameter of the layer; nothing for zeros."""
        return ()


class ParameterTransform(Option):
    """Changes the parameters that a call in training uses."""

    random = True

    def transform(self, graph: Graph, parameters: dict[str, Tensor], value: Any, draws: Draws) -> dict[str, Tensor]:
        """The parameters that change, by their names in the graph.

        Args:
            graph: the cell.
            parameters: of one layer and direction.
            value: of the option.
            draws: the random numbers of the call.
        """
        raise NotImplementedError


class InputTransform(Option):
    """Changes the input that a call in training reads."""

    random = True

    def transform(self, x: Tensor, value: Any, draws: Draws) -> Tensor:
        """The input that the first layer reads."""
        raise NotImplementedError


class Initialisation(Option):
    """Changes the initial values of parameters, and nothing else: it has an ``initialise`` of its own."""


class Tie(Option):
    """Lets layers or directions have their parameters in common."""

    reshapes = True

    def check_tie(self, value: Any, inputs: Sequence[int], *, bidirectional: bool) -> None:
        """Refuse what there is nothing to tie in.

        Args:
            value: of the option.
            inputs: how many features each layer reads.
            bidirectional: whether there are two directions.

        Raises:
            InputError: with what can be done instead.
        """
        raise NotImplementedError

    def owner(self, value: Any, layer: int, *, reverse: bool) -> tuple[int, bool]:
        """The layer and the direction whose parameters these ones are."""
        raise NotImplementedError


class NormBound(Option):
    """Keeps parameters within a norm: calls read them through a parametrization of torch."""

    def bounds(self, graph: Graph, widths: Mapping[str, int], value: Any) -> dict[str, tuple[tuple[int, ...], float]]:
        """For each parameter that is bound, by its name in the graph: the rows of its parts, and the bound of each.

        Args:
            graph: the cell.
            widths: of its axes.
            value: of the option.
        """
        raise NotImplementedError


class Storage(Option):
    """Changes the type in which the engine keeps what a backward pass reads; results are those of the plain layer."""

    def saved(self, value: Any) -> Any:
        """The type, as ``runtime.sized`` names it.

        Args:
            value: of the option.
        """
        raise NotImplementedError
