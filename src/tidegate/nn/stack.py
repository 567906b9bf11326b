"""``Stack``: the parameters, cells and first states of stacked layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from itertools import chain, product
from typing import Any, NamedTuple, Self

import torch
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, type_before_parametrizations

from tidegate.cell import Cell, Graph
from tidegate.cell.parameter import attribute, parameter_shapes
from tidegate.cell.width import axis_widths
from tidegate.errors import InputError, TidegateWarning
from tidegate.nn import contract, precision
from tidegate.nn.argument import States, as_states, graph_of
from tidegate.nn.device import torch_mode
from tidegate.nn.initial import begin
from tidegate.nn.mirror import Mirrored, mirror
from tidegate.nn.rows import reorder
from tidegate.nn.share import drop_equal
from tidegate.nn.sparse import Sparse, Weight, heights_of
from tidegate.nn.spectral import SpectralBound
from tidegate.nn.twin import Twin
from tidegate.option import OPTIONS, Options
from tidegate.option.options import Source
from tidegate.passes import project
from tidegate.runtime import SizedCell, begin_with, sized

NORM_START = {"norm": 1.0, "bias": 0.0}  # initial gain and bias of a layer norm


class Variant(NamedTuple):
    """The cells of all layers as they run in some calls, and what draws the masks of each direction."""

    cells: list[SizedCell]
    sources: tuple[Source, ...]


class Stack(Sparse, Twin, torch.nn.RNNBase):
    """Stacked layers of one cell, without the way to run them; ``Recurrent`` describes the arguments."""

    graph: Graph
    cells: list[SizedCell]  # of each layer, as it runs in evaluation
    options: Options = Options()
    own_widths: Mapping[str, int] | None = None

    def __init__(
        self,
        cell: type[Cell] | Graph | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        widths: Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        torch.nn.Module.__init__(self)  # RNNBase's own constructor knows three cells only
        contract.check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        graph = graph_of(cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        # Attributes that torch's layers do not have are set only if they differ from the class's.
        chosen = {"own_widths": copy(widths), "options": Options(**options)}
        vars(self).update({name: value for name, value in chosen.items() if value != getattr(type(self), name)})
        self.set_cell(graph)
        self.mode = torch_mode(self.graph) or graph.name
        for text in self.options.without_effect(self.graph):
            warnings.warn(text, TidegateWarning, stacklevel=3)
        self._flat_weight_refs = []
        self._make_parameters(device, dtype)
        self._init_flat_weights()
        self.reset_parameters()
        mirror(self, self.graph, self._attributes)
        self._bound_norms()

    def set_cell(self, graph: Graph) -> None:
        """Make this the cell, changed as bias, options and projection ask for. Parameters stay as they are."""
        graph = self.options.define(graph if self.bias else graph.without_bias())
        self.graph = project(graph) if self.proj_size and graph.output.axis != "P" else graph
        if self.graph.output.axis == "P" and not self.proj_size:
            raise InputError(
                "PROJECTION", f"{graph.name} is a projected cell", fix="pass proj_size, the width of its output"
            )
        self._check_widths(graph)
        self.options.check(self.graph)
        inputs = [self._features(layer) for layer in range(self.num_layers)]
        self.options.check_ties(inputs, bidirectional=self.bidirectional)
        self.options.check_widths(self.graph, self._widths(0))
        self.set_variants()

    def _check_widths(self, graph: Graph) -> None:
        """Refuse a second layer whose input has another width than the cell asks for."""
        if self.num_layers == 1:
            return
        if graph.input_axis == "H" and self.bidirectional:
            raise InputError(
                "INPUT_WIDTH",
                f"{graph.name} takes {self.hidden_size} features, but its second layer would get both directions, "
                f"{self.output_size}",
                fix=f"stack layers yourself, with torch.nn.Linear({self.output_size}, {self.hidden_size}) between them",
            )
        axes = {state.name: state.axis for state in graph.states} | {value.name: value.axis for value in graph.given}
        as_input = [name for name, axis in axes.items() if axis == "I"]
        if as_input and self.input_size != self.output_size:
            raise InputError(
                "INPUT_WIDTH",
                f"{' and '.join(as_input)} of {graph.name} are as wide as the input, {self.input_size}, but its second "
                f"layer would read {self.output_size} features",
                fix="stack layers yourself, of other cells above the first",
            )

    def set_variants(self) -> None:
        """Make the cells anew, as options and lists ask for."""
        self._variants = self._made_variants()
        self.cells = self._variants[False, False].cells

    def weights(self) -> dict[str, Weight]:
        cells = self.cells
        return {
            name: Weight(matrix.name, heights_of(cells[layer], matrix.name), layer)
            for matrix in self.graph.matrices
            for (layer, reverse), name in zip(
                self._directions(), self._attributes(f"weight_{matrix.name}"), strict=True
            )
            if self.options.owner(layer, reverse=reverse) == (layer, reverse)
        }

    def reset_parameters(self) -> None:
        """Draw all parameters as torch.nn does, and then what the definition of the cell and options ask for."""
        super().reset_parameters()
        for vector in self.graph.vectors:
            start = NORM_START.get(vector.name.partition("_")[0])
            if start is not None:
                for name in self._attributes(vector.name):
                    torch.nn.init.constant_(self._original(name), start)
        self._initialise(self.options, begin)
        for name in chain(*self._initial_names()):
            torch.nn.init.zeros_(self._original(name))
        for name, bound in self._norm_bounds().items():
            bound.find(self._original(name))

    def with_options(self, **options: Any) -> Self:
        """A copy of this layer with further options, or with other values of those that it has.

        Parameters keep their values, but for those that one of these options initialises, such as the biases that
        ``chrono`` draws. What an option adds begins as in a new layer. Options that exclude a new one are dropped.

        Args:
            **options: by name, as for a new layer.

        Raises:
            TypeError: an unknown option.
            InputError: a value that is not allowed, a cell that has no gate for it, a layer norm where there is one
                already, a parametrized layer, an option that changes a pruned weight, or one that gives parameters
                other shapes.

        Example:
            >>> import tidegate as tg
            >>> tg.nn.LSTM(4, 8, forget_bias=1.0).with_options(chrono=50, layer_norm=True)
            LSTM(4, 8, layer_norm=all, chrono=50)
        """
        new = Options(**options)
        if self._parametrizations().keys() - self._norm_bounds().keys() - self._mirrored().keys():
            raise InputError(
                "PARAMETRIZED",
                f"parameters of {self} are parametrized",
                fix="torch.nn.utils.parametrize.remove_parametrizations makes plain ones of them",
            )
        if new.layer_norm and self.options.layer_norm:
            raise InputError("NORMALISED", f"{self} has a layer norm already", fix="leave layer_norm out")
        for name in (name for name, _ in new.chosen if OPTIONS[name].reshapes):
            raise InputError(
                "OPTION",
                f"{name} gives parameters other shapes, so {self} cannot get it later",
                fix="pass it where the layer is made",
            )
        excluded = {other for name in options for other in OPTIONS[name].excludes}
        before = {name: dict(value) if isinstance(value, tuple) else value for name, value in self.options.chosen}
        kept = {name: value for name, value in before.items() if name not in excluded}
        copied = deepcopy(self)
        copied._free()  # noqa: SLF001  of the same class
        copied._take(new, Options(**kept | options))  # noqa: SLF001  of the same class
        return copied

    def _take(self, new: Options, together: Options) -> None:
        """Get new options; ``together`` are all that the layer has from now on."""
        values, held = dict(self._parameters), self.release()
        vars(self)["options"] = new
        self.set_cell(self.graph)  # which is changed already as the old options ask for
        vars(self)["options"] = together
        self.set_variants()
        self._make_parameters(self._parameter(self._flat_weights_names[0]).device, self._dtype)
        self._init_flat_weights()
        self.reset_parameters()
        with torch.no_grad():
            for name, value in values.items():
                if value is not None and name in self._parameters:
                    self._parameter(name).copy_(value)
        self._initialise(new)
        mirror(self, self.graph, self._attributes)
        self._bound_norms()
        for name, blocks in held.items():
            if name not in self._parameters or self._parameter(name).shape != blocks.zero.shape:
                raise InputError(
                    "SPARSITY", f"{name} has pruned blocks, and these options change it", fix="prune the new layer"
                )
        self.hold_zero(held)

    def _initialise(self, options: Options, *first: Callable[..., None]) -> None:
        """Set the parameters that these initialise, and then those that options do."""
        with torch.no_grad():
            for layer, reverse in self._directions():
                cell = self.cells[layer]
                if (layer, reverse) != options.owner(layer, reverse=reverse):
                    continue  # initialised already
                names = {name: self.attribute_of(name, layer, reverse=reverse) for name in cell.parameters}
                own = {name: self._original(here) for name, here in names.items()}
                for initialise in (*first, options.initialise):
                    initialise(self.graph, cell.widths, own)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; of a layer that shares parameters it takes what layers without ``share`` have saved, too."""
        if self.options.ties:
            names = [*parameter_shapes(self.graph, self.cells[0].widths)]
            own = [attribute(name, layer, reverse=back) for name in names for layer, back in self._directions()]
            shared = [held for name in names for held in self._attributes(name)]
            args[-1].extend(drop_equal(state_dict, prefix, own, shared))  # errors, of which torch raises one
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _init_flat_weights(self) -> None:
        super()._init_flat_weights()
        self._flat_weights = [
            self._parameters.get(name) for name in self._flat_weights_names
        ]  # no value that is computed

    def flatten_parameters(self) -> None:
        """On a GPU lay the parameters out in one block, as cuDNN reads them; elsewhere they stay where they are."""
        if self.mode == torch_mode(self.graph):
            super().flatten_parameters()

    def matches_torch(self) -> bool:
        """Whether torch's class computes the same: only without options that change how the layer runs."""
        return super().matches_torch() and not (self.options.run_differently or self.options.ties)

    @property
    def output_size(self) -> int:
        """Width of the output: D*H, or D*P where projected."""
        return (self.proj_size or self.hidden_size) * (1 + self.bidirectional)

    def attribute_of(self, name: str, layer: int, *, reverse: bool) -> str:
        """The attribute that holds a parameter of a layer and direction; it may be another one's that is shared."""
        if self.options.ties and name not in self.options.first_states(self.graph):
            layer, reverse = self.options.owner(layer, reverse=reverse)
        return attribute(name, layer, reverse=reverse)

    def layer_parameters(self, layer: int) -> list[torch.Tensor]:
        """The parameters of a layer as ``parameter_shapes`` orders them; the second direction's follow the first's."""
        directions = 1 + self.bidirectional
        names = self._all_weights[layer * directions : (layer + 1) * directions]
        known: dict[str, Any] = self._parameters  # each step pays for the way through _parameter
        tensors = [known[name] if name in known else self._parameter(name) for own in names for name in own]
        return self._held_all(chain(*names), tensors) if self.sparse else tensors

    def learned_states(self, sequences: int, order: torch.Tensor | None = None) -> States | None:
        """The learned initial states, each [L*D, B, width] in this order; None for a layer that does not learn them."""
        learned = ([precision.widened(self._parameter(name)) for name in own] for own in self._initial_names())
        return tuple([begin_with(own, sequences, order) for own in learned]) or None

    def _make_parameters(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Register all parameters, those that torch.nn has first: so they are drawn as by torch.nn."""
        self._flat_weights_names = []
        shapes: dict[str, tuple[int, ...]] = {}
        names: list[list[str]] = []
        for layer, reverse in self._directions():
            own = parameter_shapes(self.graph, self.cells[layer].widths)
            named = {self.attribute_of(name, layer, reverse=reverse): shape for name, shape in own.items()}
            shapes |= named
            names.append([*named])
        for width, initial in zip(self.cells[0].state_widths, self._initial_names(), strict=False):
            shapes |= dict.fromkeys(initial, (width,))
        for name, shape in shapes.items():
            setattr(self, name, torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self._flat_weights_names, self._all_weights = [*chain(*names)], names

    def _made_variants(self) -> dict[tuple[bool, bool], Variant]:
        """The cells that run, by whether the layer is training and whether the call has resets."""
        widths = [tuple(self._widths(layer).items()) for layer in range(self.num_layers)]
        variants = {}
        for training, resets in product((False, True), repeat=2):
            graph = self.options.rewrite(self.graph, training=training, resets=resets)
            sources = self.options.sources(self.graph, training=training, resets=resets)
            owners = [self.options.owner(layer, reverse=False)[0] for layer in range(self.num_layers)]
            cells = [
                sized(graph, own, self._lists.get(of, ()), kept=True, saved=self.options.saved)
                for of, own in zip(owners, widths, strict=True)
            ]
            variants[training, resets] = Variant(cells, sources)
        return variants

    def _widths(self, layer: int) -> dict[str, int]:
        projected = {"P": self.proj_size} if self.proj_size else {}
        added = self.added_widths()
        own = self.own_widths
        if isinstance(own, Mapping) and added.keys() & own.keys():
            axes = " ".join(added)
            raise InputError("WIDTHS", f"widths names {axes}, whose width an option says", fix=f"leave {axes} out")
        own = {**own, **added} if isinstance(own, Mapping) else added if own is None else own
        return axis_widths(self.graph, self._features(layer), self.hidden_size, own) | projected

    def added_widths(self) -> dict[str, int]:
        """The widths of the axes that options have added to the cell."""
        return {axis: width for axis, width in self.options.widths.items() if axis in self.graph.own_axes}

    def _features(self, layer: int) -> int:
        """How many features a layer reads."""
        return self.input_size if layer == 0 else self.output_size

    def _parameter(self, name: str) -> torch.Tensor:
        parameter = self._parameters.get(name)  # much faster than the attribute, which a parametrization replaces
        return getattr(self, name) if parameter is None else parameter

    def _original(self, name: str) -> torch.Tensor:
        """The Parameter behind a name, which calls do not read as it is where it is bound or mirrored."""
        if name in self._norm_bounds():
            return self._parametrizations()[name].original  # type: ignore[no-any-return]
        mirrored = self._mirrored()
        return mirrored[name] if name in mirrored else self._parameter(name)

    def _norm_bounds(self) -> dict[str, SpectralBound]:
        """The bounds of norms that options have put on parameters."""
        chains = self._parametrizations().items()
        return {name: chain[0] for name, chain in chains if len(chain) == 1 and isinstance(chain[0], SpectralBound)}

    def _mirrored(self) -> dict[str, torch.Tensor]:
        """What the layer holds of matrices that the cell mirrors."""
        chains = self._parametrizations().items()
        return {name: chain.original for name, chain in chains if len(chain) == 1 and isinstance(chain[0], Mirrored)}

    def _parametrizations(self) -> dict[str, Any]:
        """The parametrizations of torch of each parameter."""
        return {**self.parametrizations} if is_parametrized(self) else {}  # type: ignore[dict-item]

    def _free(self) -> None:
        """Make plain parameters of bound and mirrored ones. torch's function would take the attribute from copies."""
        values = {name: getattr(self, name).detach() for name in self._norm_bounds()}
        values |= {name: held.detach() for name, held in self._mirrored().items()}
        if values:
            self.__class__ = type_before_parametrizations(self)
            del self._modules["parametrizations"]
        for name, value in values.items():
            setattr(self, name, torch.nn.Parameter(value))

    def _bound_norms(self) -> None:
        """Put the bounds on that options ask for."""
        for layer, reverse in self._directions():
            for name, (rows, bound) in self.options.bounds(self.graph, self.cells[layer].widths).items():
                here = self.attribute_of(name, layer, reverse=reverse)
                if here not in self._norm_bounds():
                    register_parametrization(self, here, SpectralBound(rows, bound, self._parameter(here)))

    @property
    def _dtype(self) -> torch.dtype:
        return self._parameter(self._flat_weights_names[0]).dtype

    def _directions(self) -> list[tuple[int, bool]]:
        """Each layer and direction, in the order in which torch.nn stacks states."""
        directions = (False, True)[: 1 + self.bidirectional]
        return [(layer, reverse) for layer in range(self.num_layers) for reverse in directions]

    def _attributes(self, name: str) -> list[str]:
        """The attributes of a parameter of the cell, one for each layer and direction."""
        return [self.attribute_of(name, layer, reverse=reverse) for layer, reverse in self._directions()]

    def _initial_names(self) -> list[list[str]]:
        """For each state the parameters with which a sequence begins; nothing where those are zeros."""
        return [self._attributes(name) for name in self.options.first_states(self.graph)]

    def _first_states(self, hx: Any, size: int, order: torch.Tensor | None, *, batched: bool) -> States | None:
        """For each state of the cell [L*D, B, width], in the order of the rows; None for zeros."""
        if hx is None:
            return self.learned_states(size, order) if self.options.run_differently else None
        states = as_states(hx, [state.name for state in self.graph.states])
        runs = self.num_layers * (1 + self.bidirectional)
        expected = [(runs, size, width) for width in self.cells[0].state_widths]
        contract.check_states(states, expected, batched=batched)
        return reorder(states if batched else tuple(state.unsqueeze(1) for state in states), order)
