"""``Options``: what a layer was asked for, among the options of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tidegate.cell import Graph, Mask
from tidegate.errors import InputError, did_you_mean
from tidegate.option.kind import Draws, InputTransform, NormBound, Option, ParameterTransform, Pass, Storage, Tie
from tidegate.option.parameter import recurrent_matrices
from tidegate.option.table import OPTIONS

if TYPE_CHECKING:
    from torch import Tensor

Kind = TypeVar("Kind", bound=Option)


class Source(NamedTuple):
    """A mask, the option that has added it, and the value of that option."""

    mask: Mask
    option: Pass
    value: Any


class Options:
    """The options of a layer; ``tidegate.option.OPTIONS`` has all of them. As text: what a layer prints of them.

    Args:
        **values: options by name; those left out are as in a plain layer.

    Attributes:
        drawn: the layer draws masks in training.
        run_differently: the layer computes something else than a plain one with the same parameters.

    Random numbers:
        First the mask of the input; then, layer by layer and direction by direction, the masks of parameters and
        those of the cell, in the order of the table; then the dropout of what the layer above reads. Masks are drawn
        for all steps of all sequences in the caller's order, whatever the lengths. The ``generator`` of the call draws
        all of them; torch's own does without one.

    Raises:
        TypeError: an unknown option.
        InputError: a value that is not allowed, or two options that exclude each other.

    Example:
        >>> from tidegate.option import Options
        >>> print(Options(zoneout={"h": 0.05, "c": 0.5}, learn_initial_state=True))
        , zoneout={'h': 0.05, 'c': 0.5}, learn_initial_state=True
    """

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in OPTIONS:
                raise TypeError(f"there is no option {name!r}{did_you_mean(name, OPTIONS)}")
        read = {name: option.read(values[name]) for name, option in OPTIONS.items() if name in values}
        self.chosen = tuple((name, value) for name, value in read.items() if value != OPTIONS[name].default)
        self._refuse_exclusive()
        self._passes, self._ties, self._norm_bounds = self._of(Pass), self._of(Tie), self._of(NormBound)
        self._parameter_transforms, self._input_transforms = self._of(ParameterTransform), self._of(InputTransform)
        self.drawn = any(OPTIONS[name].random for name, _ in self.chosen)
        self.run_differently = bool(self._passes or self._parameter_transforms or self._input_transforms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.chosen == other.chosen

    def __hash__(self) -> int:
        return hash(self.chosen)

    def __reduce__(self) -> tuple[Callable[..., Options], tuple[Any, ...]]:
        return _of_pairs, (self.chosen,)

    def __getattr__(self, name: str) -> Any:
        """The value of an option, as it is stored."""
        if name not in OPTIONS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return dict(self.chosen).get(name, OPTIONS[name].default)

    def __repr__(self) -> str:
        return f"Options({str(self).removeprefix(', ')})"

    def __str__(self) -> str:
        shown = ((name, dict(value) if isinstance(value, tuple) else value) for name, value in self.chosen)
        return "".join(f", {name}={value}" for name, value in shown)

    def check(self, graph: Graph) -> None:
        """Refuse options that need a state or a gate which the cell does not have.

        Raises:
            InputError: with those of the cell.
        """
        for name, value in self.chosen:
            OPTIONS[name].check(value, graph)

    def without_effect(self, graph: Graph) -> list[str]:
        """For each chosen option that does not change this cell, a sentence that says so."""
        if recurrent_matrices(graph):
            return []
        return [
            f"{graph.name} has no recurrent matrix, so {name} has no effect"
            for name, _ in self.chosen
            if OPTIONS[name].on_recurrent_matrices
        ]

    def define(self, graph: Graph) -> Graph:
        """The cell of the layer, before it is projected.

        Raises:
            InputError: an option has no place in a matrix of the cell that is made of another one.
        """
        mirrored = [matrix.name for matrix in graph.matrices if matrix.mirror]
        without = [name for name, _ in self.chosen if not OPTIONS[name].takes_mirrored]
        if mirrored and without:
            raise InputError(
                "OPTION",
                f"{graph.name} makes {' and '.join(mirrored)} of another matrix and its mirror image, so "
                f"{', '.join(without)} has no place in it",
                fix=f"leave {', '.join(without)} out",
            )
        for option, value in self._passes:
            graph = option.define(graph, value)
        return graph

    @property
    def widths(self) -> dict[str, int]:
        """The widths of the axes that options add to the cell."""
        return {axis: width for option, value in self._passes for axis, width in option.widths(value).items()}

    def check_widths(self, graph: Graph, widths: Mapping[str, int]) -> None:
        """Refuse options that make no sense for the widths of a layer.

        Raises:
            InputError: with values that would.
        """
        for option, value in self._passes:
            option.check_widths(graph, widths, value)

    @property
    def saved(self) -> Any:
        """The type of what is saved for a backward pass; None for that of the layer."""
        return next((option.saved(value) for option, value in self._of(Storage)), None)

    @property
    def ties(self) -> bool:
        """Whether layers or directions have parameters in common."""
        return bool(self._ties)

    def check_ties(self, inputs: Sequence[int], *, bidirectional: bool) -> None:
        """Refuse to tie layers that read other numbers of features, or where there is nothing to tie.

        Raises:
            InputError: with what can be done instead.
        """
        for option, value in self._ties:
            option.check_tie(value, inputs, bidirectional=bidirectional)

    def owner(self, layer: int, *, reverse: bool) -> tuple[int, bool]:
        """The layer and the direction whose parameters these ones have."""
        for option, value in self._ties:
            layer, reverse = option.owner(value, layer, reverse=reverse)
        return layer, reverse

    def bounds(self, graph: Graph, widths: Mapping[str, int]) -> dict[str, tuple[tuple[int, ...], float]]:
        """For each parameter that is kept within a norm the rows of its parts, and the bound of each."""
        return {
            name: own
            for option, value in self._norm_bounds
            for name, own in option.bounds(graph, widths, value).items()
        }

    def rewrite(self, graph: Graph, *, training: bool, resets: bool) -> Graph:
        """The cell that runs.

        Args:
            graph: the cell of the layer, projected if it is to be.
            training: masks are drawn.
            resets: the call has resets.
        """
        return _rewritten(graph, self, training, resets)[0]

    def first_states(self, graph: Graph) -> tuple[str, ...]:
        """For each state the vector with which a sequence begins; nothing where that is zeros."""
        return next((names for option, _ in self._passes if (names := option.first_states(graph))), ())

    def sources(self, graph: Graph, *, training: bool, resets: bool) -> tuple[Source, ...]:
        """What draws each mask of the cell that ``rewrite`` returns, in its order."""
        return _rewritten(graph, self, training, resets)[1]

    def masks(self, sources: Sequence[Source], draws: Draws) -> list[Tensor]:
        """The masks of one direction of a layer, in this order."""
        return [source.option.draw(source.mask, source.value, draws) for source in sources]

    def transform_input(self, x: Tensor, draws: Draws) -> Tensor:
        """The input that the first layer reads in training."""
        for option, value in self._input_transforms:
            x = option.transform(x, value, draws)
        return x

    def transform_parameters(self, graph: Graph, parameters: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        """The parameters that one direction of a layer uses in training, by their names in the graph."""
        for option, value in self._parameter_transforms:
            parameters = parameters | option.transform(graph, parameters, value, draws)
        return parameters

    def initialise(self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor]) -> None:
        """Set the initial parameters of one layer and direction, after torch's own draw.

        Raises:
            InputError: the cell does not have what an option initialises.
        """
        for name, value in self.chosen:
            OPTIONS[name].initialise(graph, widths, parameters, value)

    def _of(self, kind: type[Kind]) -> list[tuple[Kind, Any]]:
        """The chosen options of a kind, with their values."""
        options = [(OPTIONS[name], value) for name, value in self.chosen]
        return [(option, value) for option, value in options if isinstance(option, kind)]

    def _refuse_exclusive(self) -> None:
        chosen = dict(self.chosen)
        for name in chosen:
            for other in OPTIONS[name].excludes:
                if other in chosen:
                    raise InputError("OPTION", f"{other} and {name} exclude each other", fix="leave one of them out")


@lru_cache(maxsize=256)
def _rewritten(graph: Graph, options: Options, training: bool, resets: bool) -> tuple[Graph, tuple[Source, ...]]:
    """The cell that runs, and what draws its masks."""
    sources: list[Source] = []
    for name, value in options.chosen:
        option = OPTIONS[name]
        if isinstance(option, Pass):
            graph = option.rewrite(graph, value, training=training, resets=resets)
            sources += [Source(mask, option, value) for mask in graph.masks[len(sources) :]]
    return graph, tuple(sources)


def _of_pairs(chosen: tuple[tuple[str, Any], ...]) -> Options:
    """Unpickling; pairs of a state and a number are read as the mapping that they were."""
    return Options(**{name: dict(value) if isinstance(value, tuple) else value for name, value in chosen})


def keywords() -> list[Parameter]:
    """All options as keyword arguments of a signature."""
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=option.default, annotation=option.annotation)
        for name, option in OPTIONS.items()
    ]


Options.__signature__ = Signature(keywords())  # type: ignore[attr-defined]
