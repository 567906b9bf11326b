"""``Recurrent``: any cell as a layer, with the face of torch.nn's recurrent modules."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence

from tidegate.errors import InputError
from tidegate.nn import contract, norm
from tidegate.nn.rows import Batch, Lengths, check_resets, full, packed, padded
from tidegate.passes import Over, normalise, project
from tidegate.runtime import FUSED, TRACE, Rows, SizedCell, run_layer, sized, trace_layer
from tidegate.spec import Cell, Graph
from tidegate.spec.parameter import attribute, parameter_shapes
from tidegate.zoo import find

States = tuple[torch.Tensor, ...]


class Recurrent(torch.nn.RNNBase):
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
        layer_norm: True or ``"all"`` normalises each product of the cell over all its row blocks together, ``"each"``
            every block by itself; either way also the cell state of an LSTM, as the output sees it.
            ``tidegate.passes.normalise`` has the equations.

    Shapes:
        - input: [T, B, I], or [T, I] for one sequence without a batch, or a PackedSequence.
        - hx: for each state of the cell [L*D, B, H] (the output state [L*D, B, P] where projected): a tensor
          for a cell with one state, else a tuple in the cell's order. Zeros unless given.
        - lengths: B integers from 0 to T.
        - reset: booleans [T, B] (as the input without its features): all states are zeros before that step.
        - output: [T, B, D*H], zero behind the end of each sequence.
        - final states: shaped as hx, each row's at its own last step.

    Parameters:
        ``weight_ih_l{k}`` and ``bias_ih_l{k}`` (W), ``weight_hh_l{k}`` and ``bias_hh_l{k}`` (U), ``weight_M_l{k}``
        for any other matrix M of the cell, its vectors as ``p_i_l{k}``, ``weight_hr_l{k}`` for the
        projection; ``_reverse`` follows for the second direction. Row blocks stand in the order
        that the cell declares as ``gates``. All are drawn from U(-1/sqrt(H), 1/sqrt(H)), but behind a layer norm: there
        gains ``norm_ih_l{k}``, ``norm_hh_l{k}`` and ``norm_c_l{k}`` begin at 1, biases at 0.

    Attributes:
        last_path: how the last call ran, ``"fused"`` or ``"eager: "`` and the reason; None before the first. Where
            several threads call one layer it is that of any of them.

    Raises:
        ValueError, TypeError, RuntimeError: with torch.nn's texts where torch.nn raises.
        InputError: no such cell, lengths that do not fit, a state that is not what the cell carries.
        SpecError: ``proj_size`` for a cell that cannot be projected.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.Recurrent("mgu", 8, 16)
        >>> y, h = layer(torch.zeros(5, 3, 8), lengths=[5, 2, 0])
        >>> y.shape, h.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    graph: Graph
    cells: list[SizedCell]  # of each layer
    last_path: str | None = None
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
        layer_norm: bool | str = False,
    ) -> None:
        torch.nn.Module.__init__(self)  # RNNBase's own constructor knows three cells only
        contract.check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        graph = graph_of(cell)
        self.mode = graph.name
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        if over := norm.checked(layer_norm):
            self.layer_norm = over
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
        self.cells = [sized(self.graph, tuple(self._widths(layer).items())) for layer in range(self.num_layers)]

    def flatten_parameters(self) -> None:
        """Nothing to do: parameters stay where they are."""

    def extra_repr(self) -> str:
        """As torch.nn prints it; a layer without a name of its own begins with its cell."""
        text = f"{self.mode}, {super().extra_repr()}" if type(self) is Recurrent else super().extra_repr()
        return f"{text}, layer_norm={self.layer_norm}" if self.layer_norm else text

    def reset_parameters(self) -> None:
        """As torch.nn draws them; behind a layer norm gains are 1 and biases 0."""
        super().reset_parameters()
        for name, number in norm.beginnings(self.graph, self._passes()):
            torch.nn.init.constant_(getattr(self, name), number)

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
    ) -> tuple[Any, Any]:
        """Output and final states; see the class for shapes."""
        batch, outside = self._entered(input, lengths, reset)
        states = self._initial_states(batch, hx, batched=outside.batched)
        rows, final, met = batch.rows, [], None
        for layer in range(self.num_layers):
            first, parameters = self._first_of(layer, states), self.layer_parameters(layer)
            obstacle, (output, *last) = run_layer(self.cells[layer], rows, batch.size, first, parameters)
            met = met or obstacle
            final.append(last)
            rows = Rows(self._between_layers(output, layer), rows.steps, rows.resets)
        self.__dict__["last_path"] = FUSED if met is None else met.path  # Module's own way costs microseconds
        stacked = tuple(final[0] if len(final) == 1 else map(torch.cat, zip(*final, strict=True)))
        if batch.back is not None:
            stacked = tuple(state.index_select(1, batch.back) for state in stacked)
        if not outside.batched:
            stacked = tuple(state.squeeze(1) for state in stacked)
        return outside.leave(batch.restore(rows.data)), stacked if len(stacked) > 1 else stacked[0]

    def trace(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: torch.Tensor | None = None,
    ) -> dict[str, Any]:
        """Every gate and every new state at every step.

        Returns:
            ``"f_l0"``, ``"c_l1_reverse"``, ... to values [T, B, H] in the layout of the output, NaN
            behind the end of each sequence. Steps of a reverse direction stand where their input stands.
            Gradients flow through them: to read numbers only, call it under ``torch.no_grad()``.
        """
        batch, outside = self._entered(input, lengths, reset)
        states = self._initial_states(batch, hx, batched=outside.batched)
        rows, reported = batch.rows, self.graph.reported
        self.__dict__["last_path"] = TRACE.path
        traced: dict[str, Any] = {}
        for layer in range(self.num_layers):
            first, parameters = self._first_of(layer, states), self.layer_parameters(layer)
            output, seen = trace_layer(self.cells[layer], rows, batch.size, first, parameters, [*reported.values()])
            for reverse, values in zip((False, True), seen, strict=False):
                for name, value in zip(reported, values, strict=True):
                    there = outside.leave(batch.restore(value, float("nan")))
                    traced[attribute(name, layer, reverse=reverse)] = there
            rows = Rows(self._between_layers(output, layer), rows.steps, rows.resets)
        return traced

    def _between_layers(self, output: torch.Tensor, layer: int) -> torch.Tensor:
        """What the layer above this one reads."""
        dropped = self.dropout and self.training and layer < self.num_layers - 1
        return drop(output, self.dropout) if dropped else output

    def _names_of(self, layer: int) -> list[list[str]]:
        """For each direction of a layer the names of its parameters, in the order of ``parameter_shapes``."""
        directions = 1 + self.bidirectional
        return self._all_weights[layer * directions : (layer + 1) * directions]

    def _parameter(self, name: str) -> torch.Tensor:
        parameter = self._parameters.get(name)  # much quicker than the attribute, which a parametrization replaces
        return getattr(self, name) if parameter is None else parameter

    def _entered(
        self, x: torch.Tensor | PackedSequence, lengths: Lengths | None, reset: torch.Tensor | None
    ) -> tuple[Batch, _Outside]:
        dtype = self._parameter(self._flat_weights_names[0]).dtype
        if isinstance(x, PackedSequence):
            if lengths is not None or reset is not None:
                raise InputError(
                    "LENGTHS",
                    "lengths= or reset= came with a PackedSequence, which has lengths and an order of its own",
                    fix="drop lengths=; for reset= pass a padded batch and lengths=",
                )
            contract.check_data(x.data, self.input_size, dtype)
            return packed(x), _Outside(batched=True, batch_first=False)
        contract.check_input(type(self).__name__, x, self.input_size, dtype)
        outside = _Outside(batched=x.dim() == 3, batch_first=self.batch_first and x.dim() == 3)
        x = outside.enter(x)
        if x.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        resets = None if reset is None else check_resets(outside.enter_mask(reset), x)
        return (full(x, resets) if lengths is None else padded(x, lengths, resets)), outside

    def _state_shapes(self, batch: Batch) -> list[tuple[int, int, int]]:
        passes = self.num_layers * (1 + self.bidirectional)
        return [(passes, batch.size, width) for width in self.cells[0].state_widths]

    def _first_of(self, layer: int, states: States | None) -> States | None:
        """The part of the first states that belongs to a layer."""
        directions = 1 + self.bidirectional
        return states and tuple(s[layer * directions : (layer + 1) * directions] for s in states)

    def _initial_states(self, batch: Batch, hx: Any, *, batched: bool) -> States | None:
        """For each state of the cell [L*D, B, width], in the order of the rows; None for zeros."""
        if hx is None:
            return None
        states = as_states(hx, [state.name for state in self.graph.states])
        contract.check_state_rank(states, batched=batched)
        if not batched:
            states = tuple(state.unsqueeze(1) for state in states)
        contract.check_state_shapes(states, self._state_shapes(batch))
        if batch.order is not None:
            states = tuple(state.index_select(1, batch.order) for state in states)
        return states

    def _passes(self) -> list[tuple[int, bool]]:
        """Layer and direction of each pass, in the order in which torch.nn stacks states."""
        directions = (False, True) if self.bidirectional else (False,)
        return [(layer, reverse) for layer in range(self.num_layers) for reverse in directions]

    def layer_parameters(self, layer: int) -> list[torch.Tensor]:
        """The parameters of a layer, in the order of ``parameter_shapes``; a second direction's behind the first's."""
        return [self._parameter(name) for own in self._names_of(layer) for name in own]

    def _widths(self, layer: int) -> dict[str, int]:
        projected = {"P": self.proj_size} if self.proj_size else {}
        return {"I": self.input_size if layer == 0 else self.output_size, "H": self.hidden_size, **projected}


class _Outside:
    """The caller's layout of a batch, against [T, B, ...] inside."""

    def __init__(self, *, batched: bool, batch_first: bool) -> None:
        self.batched, self.batch_first = batched, batch_first

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        if not self.batched:
            return x.unsqueeze(1)
        return x.transpose(0, 1) if self.batch_first else x

    def enter_mask(self, mask: torch.Tensor) -> torch.Tensor:
        if not isinstance(mask, torch.Tensor) or mask.dim() != (2 if self.batched else 1):
            return mask  # refused where its shape is checked
        return self.enter(mask)

    def leave(self, y: Any) -> Any:
        if not self.batched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self.batch_first else y


def graph_of(cell: type[Cell] | Graph | str) -> Graph:
    """The graph of what a caller names as a cell.

    Raises:
        InputError: it is none.
    """
    if isinstance(cell, Graph):
        return cell
    if isinstance(cell, str):
        return find(cell).graph
    if isinstance(cell, type) and issubclass(cell, Cell) and hasattr(cell, "graph"):
        return cell.graph
    raise InputError(
        "CELL",
        f"{cell!r:.80} is not a cell",
        fix="pass a subclass of tidegate.Cell with a step, or a name such as 'gru'",
    )


def as_states(hx: Any, names: list[str]) -> States:
    """The states as a caller passes them: a tensor for a cell with one state, else a tuple or a list.

    Raises:
        InputError: they are not one tensor for each name.
    """
    states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    if len(states) != len(names) or not all(isinstance(state, torch.Tensor) for state in states):
        got = ", ".join(type(state).__name__ for state in states)
        raise InputError(
            "STATE", f"this cell carries {' '.join(names)}, but hx is ({got})", fix=f"pass {len(names)} tensor(s)"
        )
    return states
