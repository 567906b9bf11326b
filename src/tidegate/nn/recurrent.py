"""``Recurrent``: any cell as a layer, with the face of torch.nn's recurrent modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence

from tidegate.cell import Cell, Graph
from tidegate.cell.parameter import attribute, parameter_shapes
from tidegate.cell.width import axis_widths
from tidegate.errors import InputError
from tidegate.nn import contract, norm
from tidegate.nn.argument import Outside, States, as_states, graph_of, shown_widths
from tidegate.nn.dynamo import admit
from tidegate.nn.initialise import initialise
from tidegate.nn.operator import run_operator
from tidegate.nn.option import Draw, Options, kept, with_options
from tidegate.nn.precision import Precision
from tidegate.nn.rows import Batch, Lengths, check_resets, full, moved, packed, padded
from tidegate.nn.twin import PLAIN, Twin
from tidegate.passes import Over, normalise, project
from tidegate.passes.restart import INITIAL
from tidegate.runtime import TRACE, Rows, SizedCell, obstacle_of, run_layer, sized, trace_layer, traced


class Recurrent(Twin, torch.nn.RNNBase):
    """A stack of layers of one cell, applied to whole sequences.

    Args:
        cell: a ``Cell`` class, a traced graph, or the name of a cell of the zoo.
        input_size: features of x at each step (I).
        hidden_size: units of each layer (H).
        num_layers: layers stacked on each other (L).
        bias: False drops every bias of the cell.
        batch_first: x and the output are [B, T, ...] instead of [T, B, ...]; states never are.
        dropout: probability of zeroing each output of all layers but the last, in training.
        bidirectional: a second set of parameters runs each layer from the end (D = 2).
        proj_size: width of the output (P), made from h by a further matrix; 0 for none.
        device: of the parameters.
        dtype: of the parameters.
        widths: of axes that a cell has of its own, as ``{"S": 16}`` for SCRN; each is H unless given.
        layer_norm: True or ``"all"`` normalises each product of the cell over all its row blocks together, ``"each"``
            every block by itself; either way also the cell state of an LSTM, as the output sees it.
            ``tidegate.passes.normalise`` has the equations.
        zoneout: probability that a unit keeps its state in a step, for all states or as ``{"h": 0.05, "c": 0.5}``.
        recurrent_dropout: probability that the recurrent matrices do not see a unit, for a whole sequence.
        state_clip: new states are clipped to [-s, s], all of them or those that a mapping names.
        learn_initial_state: states that are not given begin as parameters, and ``reset`` returns to them.
        forget_bias: bias of the gate that keeps the state.
        chrono: longest dependency in steps; the biases of that gate and of the input gate are drawn for it.
        orthogonal: each gate's block of the recurrent matrices begins as an orthogonal matrix. ``nn.Options``
            says more about each of these seven, with their papers.

    Shapes:
        - input: [T, B, I], or [T, I] for one sequence without a batch, or a PackedSequence.
        - hx: for each state of the cell [L*D, B, H] (the output state [L*D, B, P] where projected, a state of another
          axis as wide as that is): a tensor for a cell with one state, else a tuple in the cell's order. Zeros
          unless given.
        - lengths: B integers from 0 to T.
        - reset: booleans [T, B] (as the input without its features): all states are zeros, or what was learned,
          before that step.
        - output: [T, B, D*H], zero behind the end of each sequence.
        - final states: shaped as hx, each row's at its own last step.

    Parameters:
        ``weight_ih_l{k}`` and ``bias_ih_l{k}`` (W), ``weight_hh_l{k}`` and ``bias_hh_l{k}`` (U), ``weight_M_l{k}``
        for any other matrix M of the cell, its vectors as ``p_i_l{k}``, ``weight_hr_l{k}`` for the
        projection; ``_reverse`` follows for the second direction. Row blocks stand in the order
        that the cell declares as ``gates``. All are drawn from U(-1/sqrt(H), 1/sqrt(H)), but behind a layer norm: there
        gains ``norm_ih_l{k}``, ``norm_hh_l{k}`` and ``norm_c_l{k}`` begin at 1, biases at 0. Behind
        all, where they are learned, ``initial_h_l{k}`` and so on for each state: zeros.

    Attributes:
        last_path: how the last call ran, ``"fused"`` or ``"eager: "`` and the reason; None before the first. Where
            several threads call one layer it is that of any of them. What is compiled does not set it.

    Raises:
        ValueError, TypeError, RuntimeError: with torch.nn's texts where torch.nn raises.
        InputError: no such cell, lengths that do not fit, a state that is not what the cell carries, widths of axes
            that it has not, an input that is not as wide as it must be, an option that cannot be meant or that the
            cell has no gate for.
        SpecError: ``proj_size`` for a cell that cannot be projected.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.Recurrent("mgu", 8, 16)
        >>> y, h = layer(torch.zeros(5, 3, 8), lengths=[5, 2, 0])
        >>> y.shape, h.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
        >>> tg.nn.GRU(8, 16, zoneout=0.1, learn_initial_state=True)
        GRU(8, 16, zoneout=0.1, learn_initial_state=True)
    """

    graph: Graph
    cells: list[SizedCell]  # of each layer, as it runs in evaluation
    options: Options = Options()
    autocast_keeps_dtype = False  # whether results under autocast have the input's type instead of autocast's
    own_widths: Mapping[str, int] | None = None
    layer_norm: Over | None = None  # a layer that was torch's has none

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
        layer_norm: bool | str = False,
        zoneout: float | Mapping[str, float] = 0.0,
        recurrent_dropout: float = 0.0,
        state_clip: float | Mapping[str, float] | None = None,
        learn_initial_state: bool = False,
        forget_bias: float | None = None,
        chrono: float | None = None,
        orthogonal: bool = False,
    ) -> None:
        torch.nn.Module.__init__(self)  # RNNBase's own constructor knows three cells only
        contract.check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        graph = graph_of(cell)
        self.mode = graph.name
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        options = Options(zoneout, recurrent_dropout, state_clip, learn_initial_state, forget_bias, chrono, orthogonal)
        chosen = {"own_widths": copy(widths), "layer_norm": norm.checked(layer_norm), "options": options}
        # a layer that torch also has looks as torch's does
        vars(self).update({name: value for name, value in chosen.items() if value != getattr(type(self), name)})
        self.carry(graph)
        self._flat_weight_refs = []
        self._flat_weights_names = []
        self._all_weights = []
        for layer, reverse in self._passes():
            shapes = parameter_shapes(self.graph, self.cells[layer].widths)
            names = [attribute(name, layer, reverse=reverse) for name in shapes]
            for name, shape in zip(names, shapes.values(), strict=True):
                setattr(self, name, torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            self._flat_weights_names.extend(names)
            self._all_weights.append(names)
        if learn_initial_state:  # behind the parameters that torch.nn has, so that those are drawn as by torch.nn
            for width, names in zip(self.cells[0].state_widths, self._initial_names(), strict=True):
                for name in names:
                    setattr(self, name, torch.nn.Parameter(torch.empty(width, device=device, dtype=dtype)))
        self._init_flat_weights()
        self.reset_parameters()

    def carry(self, graph: Graph) -> None:
        """Make this the cell, as sizes, bias, norm and projection ask for it; parameters are none of its business."""
        graph = graph if self.bias else graph.without_bias()
        graph = normalise(graph, self.layer_norm) if self.layer_norm else graph
        self.graph = project(graph) if self.proj_size and graph.output.axis != "P" else graph
        if self.graph.output.axis == "P" and not self.proj_size:
            raise InputError(
                "PROJECTION", f"{graph.name} is a projected cell", fix="pass proj_size, the width of its output"
            )
        if graph.input_axis == "H" and self.bidirectional and self.num_layers > 1:
            raise InputError(
                "INPUT_WIDTH",
                f"{graph.name} takes {self.hidden_size} features, but its second layer would get both directions, "
                f"{self.output_size}",
                fix=f"stack layers yourself, with torch.nn.Linear({self.output_size}, {self.hidden_size}) between them",
            )
        self.options.check(self.graph)
        self._variants = self._sized_variants()
        self.cells = self._variants[False, False]

    def reset_parameters(self) -> None:
        """Draw all parameters as torch.nn does, and then what options ask for."""
        super().reset_parameters()
        for name, number in norm.beginnings(self.graph, self._passes()):
            torch.nn.init.constant_(self._parameter(name), number)
        for layer, reverse in self._passes():
            own = {
                name: self._parameter(attribute(name, layer, reverse=reverse)) for name in self.cells[layer].parameters
            }
            initialise(self.graph, self.cells[layer].widths, own, self.options)
        for name in chain(*self._initial_names()):
            torch.nn.init.zeros_(self._parameter(name))

    def flatten_parameters(self) -> None:
        """Nothing to do: parameters stay where they are."""

    def extra_repr(self) -> str:
        """As torch.nn prints it; a layer without a name of its own begins with its cell."""
        text = super().extra_repr()
        if type(self) is Recurrent:
            text = f"{self.mode}, {text}{shown_widths(self.cells[0])}"
        return text + self.options_text()

    def options_text(self) -> str:
        """What a layer prints of its options, none of which torch.nn has."""
        return (f", layer_norm={self.layer_norm}" if self.layer_norm else "") + str(self.options)

    def is_torchs(self) -> bool:
        """Whether torch's class computes the same: not with options that torch does not have."""
        return super().is_torchs() and not self.layer_norm and not self.options.run_differently

    @property
    def output_size(self) -> int:
        """Width of the output: D*H, or D*P where projected."""
        return (self.proj_size or self.hidden_size) * (1 + self.bidirectional)

    def forward(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Any]:
        """Output and final states; see the class for shapes. Masks and dropout are drawn by ``generator``."""
        if not PLAIN.issuperset(map(type, self._parameters.values())) and lengths is reset is None:
            done: tuple[Any, Any] | None = self._by_torch(input, hx)
            if done is not None:
                return done
        data = input.data if isinstance(input, PackedSequence) else input
        precision = Precision.of(data, kept=self.autocast_keeps_dtype)
        run: Callable[..., tuple[Any, Any]] = self._run_operators if traced() and data is input else self._run_rows
        if precision is None:
            return run(input, hx, lengths, reset, generator, None)
        cast = input.to(self._dtype) if torch.is_autocast_enabled("cpu") else input  # which nobody did before
        with torch.autocast("cpu", enabled=False):
            return run(cast, hx, lengths, reset, generator, precision)

    def _run_rows(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any,
        lengths: Lengths | None,
        reset: torch.Tensor | None,
        generator: torch.Generator | None,
        precision: Precision | None,
    ) -> tuple[Any, Any]:
        """By the fastest path that applies."""
        batch, outside = self._entered(input, lengths, reset)
        states = self._initial_states(hx, batch.size, batch.order, batched=outside.batched)
        rows, final, met = batch.rows, [], None
        if precision is not None:
            rows = rows._replace(data=rows.data.to(precision.work))
        draw = Draw.of_rows(batch, rows.data, generator) if self.options.run_differently else None
        for layer, cell in enumerate(self._running_cells(rows.resets)):
            first, brought = self._given(layer, cell, states, draw, precision)
            obstacle, (output, *last) = run_layer(cell, rows, batch.size, first, brought)
            met = met or obstacle
            final.append(last)
            rows = Rows(self._between_layers(output, layer, generator), rows.steps, rows.resets)
        self._note(met)
        return self._left(batch.restore(rows.data), final, batch.back, outside, precision)

    def _run_operators(
        self,
        input: torch.Tensor,
        hx: Any,
        lengths: Lengths | None,
        reset: torch.Tensor | None,
        generator: torch.Generator | None,
        precision: Precision | None,
    ) -> tuple[Any, Any]:
        """By operations that torch's compilers and transforms know."""
        x, resets, outside = self._checked(input, reset)
        size = x.shape[1]
        states = self._initial_states(hx, size, None, batched=outside.batched)
        final, met = [], None
        if precision is not None:
            x = x.to(precision.work)
        draw = Draw(x, x.shape[0], size, None if resets is None else resets.reshape(-1), generator)
        for layer, cell in enumerate(self._running_cells(resets)):
            first, brought = self._given(layer, cell, states, draw, precision)
            if not torch.compiler.is_compiling():  # what is compiled now runs later, perhaps elsewhere
                met = met or obstacle_of(cell, x, first, brought)
                self._note(met)
            x, *last = run_operator(cell, x, lengths, resets, first, brought)
            final.append(last)
            x = self._between_layers(x, layer, generator)
        return self._left(x, final, None, outside, precision)

    def _left(
        self, output: Any, final: list[Any], back: torch.Tensor | None, outside: Outside, precision: Precision | None
    ) -> tuple[Any, Any]:
        """Output and final states as the caller gets them, given those of each layer."""
        stacked = tuple(final[0] if len(final) == 1 else map(torch.cat, zip(*final, strict=True)))
        stacked = moved(stacked, back)
        if not outside.batched:
            stacked = tuple(state.squeeze(1) for state in stacked)
        if precision is not None:
            output, stacked = output.to(precision.result), tuple(precision.results(stacked))
        return outside.leave(output), stacked if len(stacked) > 1 else stacked[0]

    def trace(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Any]:
        """Every gate and every new state at every step.

        Returns:
            ``"f_l0"``, ``"c_l1_reverse"``, ... to values [T, B, H] in the layout of the output, NaN
            behind the end of each sequence. Steps of a reverse direction stand where their input stands.
            Gradients flow through them: to read numbers only, call it under ``torch.no_grad()``.
        """
        batch, outside = self._entered(input, lengths, reset)
        states = self._initial_states(hx, batch.size, batch.order, batched=outside.batched)
        rows = batch.rows
        self._note(TRACE)
        traced: dict[str, Any] = {}
        draw = Draw.of_rows(batch, rows.data, generator) if self.options.run_differently else None
        for layer, cell in enumerate(self._running_cells(rows.resets)):
            first, brought = self._given(layer, cell, states, draw, None)
            reported = cell.graph.reported
            output, seen = trace_layer(cell, rows, batch.size, first, brought, [*reported.values()])
            for reverse, values in zip((False, True), seen, strict=False):
                for name, value in zip(reported, values, strict=True):
                    there = outside.leave(batch.restore(value, float("nan")))
                    traced[attribute(name, layer, reverse=reverse)] = there
            rows = Rows(self._between_layers(output, layer, generator), rows.steps, rows.resets)
        return traced

    def _running_cells(self, resets: torch.Tensor | None) -> list[SizedCell]:
        """The cell of each layer as it runs now: in training masks are drawn, with resets learned states come back."""
        if not self.options.run_differently:
            return self.cells
        restarts = self.options.learn_initial_state and resets is not None
        return self._variants[self.training and self.options.drawn, restarts]

    def _sized_variants(self) -> dict[tuple[bool, bool], list[SizedCell]]:
        """The cells of all layers, in evaluation and in training (where that differs), without and with restarts."""
        found = {}
        for training in {False, self.options.drawn}:
            for restarts in {False, self.options.learn_initial_state}:
                graph = with_options(self.graph, self.options, training=training, restarts=restarts)
                widths = [tuple(self._widths(layer).items()) for layer in range(self.num_layers)]
                found[training, restarts] = [sized(graph, own) for own in widths]
        return found

    def _between_layers(self, output: torch.Tensor, layer: int, generator: torch.Generator | None) -> torch.Tensor:
        """What the layer above this one reads."""
        if not (self.dropout and self.training and layer < self.num_layers - 1):
            return output
        if generator is None:
            return drop(output, self.dropout)  # the masks that torch.nn draws
        return output * kept(output.shape, output, self.dropout, generator)

    def _names_of(self, layer: int) -> list[list[str]]:
        """For each direction of a layer the names of its parameters, in the order of ``parameter_shapes``."""
        directions = 1 + self.bidirectional
        return self._all_weights[layer * directions : (layer + 1) * directions]

    def _parameter(self, name: str) -> torch.Tensor:
        parameter = self._parameters.get(name)  # much quicker than the attribute, which a parametrization replaces
        return getattr(self, name) if parameter is None else parameter

    def _entered(
        self, x: torch.Tensor | PackedSequence, lengths: Lengths | None, reset: torch.Tensor | None
    ) -> tuple[Batch, Outside]:
        if isinstance(x, PackedSequence):
            if lengths is not None or reset is not None:
                raise InputError(
                    "LENGTHS",
                    "lengths= or reset= came with a PackedSequence, which has lengths and an order of its own",
                    fix="drop lengths=; for reset= pass a padded batch and lengths=",
                )
            contract.check_data(x.data, self.input_size, self._dtype)
            return packed(x), Outside(batched=True, batch_first=False)
        x, resets, outside = self._checked(x, reset)
        return (full(x, resets) if lengths is None else padded(x, lengths, resets)), outside

    def _checked(
        self, x: torch.Tensor, reset: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None, Outside]:
        """A padded batch as [T, B, I], its resets, and the caller's layout."""
        contract.check_input(type(self).__name__, x, self.input_size, self._dtype)
        outside = Outside(batched=x.dim() == 3, batch_first=self.batch_first and x.dim() == 3)
        x = outside.enter(x)
        if x.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        return x, None if reset is None else check_resets(outside.enter_mask(reset), x), outside

    @property
    def _dtype(self) -> torch.dtype:
        return self._parameter(self._flat_weights_names[0]).dtype

    def _given(
        self,
        layer: int,
        cell: SizedCell,
        states: States | None,
        draw: Draw | None,
        precision: Precision | None,
    ) -> tuple[States | None, list[torch.Tensor]]:
        """The first states of a layer, if there are any, and its parameters and masks."""
        directions = 1 + self.bidirectional
        first = states and tuple(s[layer * directions : (layer + 1) * directions] for s in states)
        if draw is None or cell is self.cells[layer]:
            brought = self.layer_parameters(layer)
        else:
            brought = self._with_masks(layer, cell, draw)
        if precision is None:
            return first, brought
        return first and tuple(precision.working(first)), precision.working(brought)

    def _with_masks(self, layer: int, cell: SizedCell, draw: Draw) -> list[torch.Tensor]:
        brought: list[torch.Tensor] = []
        for reverse in range(1 + self.bidirectional):
            names = [attribute(name, layer, reverse=bool(reverse)) for name in cell.parameters]
            brought += [*map(self._parameter, names), *self.options.masks(draw, cell)]
        return brought

    def _initial_states(self, hx: Any, size: int, order: torch.Tensor | None, *, batched: bool) -> States | None:
        """For each state of the cell [L*D, B, width], in the order of the rows; None for zeros."""
        if hx is None:
            return self.learned_states(size)
        states = as_states(hx, [state.name for state in self.graph.states])
        contract.check_state_rank(states, batched=batched)
        if not batched:
            states = tuple(state.unsqueeze(1) for state in states)
        passes = self.num_layers * (1 + self.bidirectional)
        contract.check_state_shapes(states, [(passes, size, width) for width in self.cells[0].state_widths])
        return moved(states, order)

    def _passes(self) -> list[tuple[int, bool]]:
        """Layer and direction of each pass, in the order in which torch.nn stacks states."""
        directions = (False, True) if self.bidirectional else (False,)
        return [(layer, reverse) for layer in range(self.num_layers) for reverse in directions]

    def learned_states(self, sequences: int) -> States | None:
        """For each state what it begins as, [L*D, B, width]; None where that is not learned, but zeros."""
        if not self.options.learn_initial_state:
            return None
        values = [torch.stack([self._parameter(name) for name in names]) for names in self._initial_names()]
        return tuple(value.unsqueeze(1).expand(-1, sequences, -1) for value in values)

    def _initial_names(self) -> list[list[str]]:
        """For each state the parameters that it begins as, pass by pass; none where they are not learned."""
        states = self.graph.states if self.options.learn_initial_state else ()
        names = [INITIAL.format(state.name) for state in states]
        return [[attribute(name, layer, reverse=reverse) for layer, reverse in self._passes()] for name in names]

    def layer_parameters(self, layer: int) -> list[torch.Tensor]:
        """The parameters of a layer, in the order of ``parameter_shapes``; a second direction's behind the first's."""
        return [self._parameter(name) for own in self._names_of(layer) for name in own]

    def _widths(self, layer: int) -> dict[str, int]:
        projected = {"P": self.proj_size} if self.proj_size else {}
        features = self.input_size if layer == 0 else self.output_size
        return axis_widths(self.graph, features, self.hidden_size, self.own_widths) | projected


admit(Recurrent)
