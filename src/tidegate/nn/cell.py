"""Single steps: any cell as a module, with the interface of torch.nn's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch

from tidegate.cell import Cell, Graph
from tidegate.cell.parameter import parameter_shapes, step_attribute
from tidegate.cell.width import axis_widths
from tidegate.errors import InputError
from tidegate.nn import contract
from tidegate.nn.argument import States, as_states, graph_of, shown_widths
from tidegate.nn.document import documented
from tidegate.nn.given import taken
from tidegate.nn.initial import begin
from tidegate.nn.mirror import mirror
from tidegate.nn.operator import run_operator
from tidegate.nn.precision import HALF, Precision
from tidegate.nn.sparse import Sparse, Weight, heights_of
from tidegate.nn.twin import Twin
from tidegate.option import Options
from tidegate.runtime import (
    Rows,
    SizedCell,
    Steps,
    operator_obstacle,
    run_layer,
    run_step,
    sized,
    traces,
    wants_operator,
)


@documented()
class RecurrentCell(Sparse, Twin, torch.nn.RNNCellBase):
    """One step of a cell, for callers who write the loop over time themselves.

    ``tidegate cells NAME`` prints the equations of a cell and their source. A step computes what ``Recurrent`` computes
    for a sequence of one step, with the same kernels.

    Args:
        {arguments}

    Shapes:
        - input: [B, I], or [I] for one row without a batch.
        - hx: for each state of the cell [B, H] (or as wide as its own axis), or [H] without a batch: a tensor for a
          cell with one state, else a tuple in the cell's order. Zeros by default.
        - given: for a cell that reads more than its input, a mapping from the names that it declares to values: [B] for
          one number a row, [B, I] for one as wide as the input, and so on, without B where the input has none.
        - new states: shaped and grouped as hx.

    Parameters:
        ``weight_ih`` and ``bias_ih`` (W), ``weight_hh`` and ``bias_hh`` (U), ``weight_M`` for any other matrix M of
        the cell, its vectors by their own names, such as ``p_i``. Row blocks follow the order of ``gates`` in the cell.
        Biases are None with ``bias=False``. All are drawn from U(-1/sqrt(H), 1/sqrt(H)).

    Half precision:
        As in ``Recurrent``. Under autocast new states have the type of the old ones, or where none are given of the
        input, as those of torch's cells; an ``RNNCell`` gives autocast's type.

    Attributes:
        last_path: how the last call ran; see ``Recurrent``.
        autocast_keeps_dtype: whether new states under autocast have the type of the old ones instead of autocast's.

    Raises:
        ValueError, TypeError, RuntimeError: with torch.nn's texts where its cells raise.
        InputError: an unknown or a projected cell, a vector with the name of an attribute of modules, states that do
            not match the cell, unknown axes in ``widths``, or heads that do not divide the units.

    Example:
        >>> import torch, tidegate as tg
        >>> cell = tg.nn.RecurrentCell("mgu", 8, 16)
        >>> h = None
        >>> for x in torch.zeros(5, 3, 8):
        ...     h = cell(x, h)
        >>> h.shape
        torch.Size([3, 16])
    """

    own_widths: Mapping[str, int] | None = None
    autocast_keeps_dtype = True  # whether new states under autocast have the type of the old ones

    def __init__(
        self,
        cell: type[Cell] | Graph | str,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        widths: Mapping[str, int] | None = None,
        heads: int = 1,
    ) -> None:
        torch.nn.Module.__init__(self)  # RNNCellBase's own constructor knows cells of two matrices only
        graph = Options(heads=heads).define(graph_of(cell))
        if graph.output.axis == "P":
            raise InputError(
                "PROJECTION", f"{graph.name} is a projected cell", fix="pass the cell itself, or use Recurrent"
            )
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        if widths is not None:
            self.own_widths = copy(widths)
        sizes = axis_widths(graph, input_size, hidden_size, widths)
        present = parameter_shapes(graph if bias else graph.without_bias(), sizes)
        for name in parameter_shapes(graph, sizes):
            shape = present.get(name)
            empty = None if shape is None else torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            self._register(step_attribute(name), empty)
        # only now: torch has rejected sizes such as 4.0, for which the cache of cells would return those of 4
        self.set_cell(graph)
        self.reset_parameters()
        mirror(self, graph, lambda name: [step_attribute(name)])

    def reset_parameters(self) -> None:
        """Draw all parameters as torch.nn does, and then what the definition of the cell asks for."""
        super().reset_parameters()
        with torch.no_grad():
            own = dict(zip(self._sized.parameters, self.step_parameters(), strict=True))
            begin(self._sized.graph, self._sized.widths, own)

    def set_cell(self, graph: Graph) -> None:
        """Make this the cell, without its biases if the module has none. Parameters stay as they are."""
        self._sized = self._sized_as(graph)
        self._names = [step_attribute(name) for name in self._sized.parameters]

    def _sized_as(self, graph: Graph) -> SizedCell:
        widths = axis_widths(graph, self.input_size, self.hidden_size, self.own_widths)
        return sized(
            graph if self.bias else graph.without_bias(), tuple(widths.items()), self._lists.get(0, ()), kept=True
        )

    def weights(self) -> dict[str, Weight]:
        cell = self._sized
        return {
            step_attribute(f"weight_{matrix.name}"): Weight(matrix.name, heights_of(cell, matrix.name), 0)
            for matrix in cell.graph.matrices
        }

    def set_variants(self) -> None:
        self.set_cell(self._sized.graph)

    @property
    def graph(self) -> Graph:
        """The cell, without its biases if the module has none."""
        return self.definition().graph

    def extra_repr(self) -> str:
        """As torch.nn prints it; ``RecurrentCell`` puts the name of its cell first."""
        text = super().extra_repr()
        if type(self) is RecurrentCell:
            heads = max(matrix.heads for matrix in self.graph.matrices)
            text = f"{self.graph.name}, {text}{shown_widths(self._sized)}{f', heads={heads}' if heads > 1 else ''}"
        return text + self.sparsity()

    def forward(self, input: torch.Tensor, hx: Any = None, *, given: Mapping[str, torch.Tensor] | None = None) -> Any:
        """Compute one step.

        Args:
            input: One row for each sequence; see Shapes.
            hx: The states before the step; zeros by default.
            given: What the cell reads beside the input, such as ``{'dt': dt}``, by the names that it declares.

        Returns:
            The new states: a tensor for a cell with one state, else a tuple in the cell's order.

        Raises:
            ValueError, TypeError, RuntimeError: for shapes that do not fit, with torch.nn's texts.
            InputError: for states or given values that do not match the cell.
        """
        if self._buffers or self._seen:
            self._notice()
        batched = input.dim() == 2
        cast = torch.is_autocast_enabled("cpu")
        if not cast and input.dtype not in HALF:  # each step pays for what follows
            return self._step(input, hx, given, None, batched=batched)
        precision = Precision.of_step(input, hx, keeps_dtype=self.autocast_keeps_dtype)
        if precision is None or not cast:
            return self._step(input, hx, given, precision, batched=batched)
        with torch.autocast("cpu", enabled=False):
            x, hx, given = precision.cast(input), precision.cast(hx), precision.cast(given)
            new = self._step(x, hx, given, precision, batched=batched)
        return precision.cast(new, precision.result)

    def _step(
        self,
        input: torch.Tensor,
        hx: Any,
        given: Mapping[str, torch.Tensor] | None,
        precision: Precision | None,
        *,
        batched: bool,
    ) -> Any:
        """One step of tensors of one type."""
        if batched and not torch.compiler.is_compiling():
            cell = self.definition()
            new = self._quickly(cell if precision is None else Precision.cell(precision, cell), input, hx, given)
            if new is not None:
                return new
        if traces() and given is None and (results := self._by_torch(input, hx)) is not None:
            return results
        if not batched:
            contract.check_step_rank(type(self).__name__, "input", input)
        states = None if hx is None else self._states_of(hx, batched=batched)
        x, cell = input if batched else input.unsqueeze(0), Precision.cell(precision, self.definition())
        if states and not batched:
            states = tuple([state.unsqueeze(0) for state in states])
        contract.check_step_sizes(x, states, self.input_size, cell.state_widths)
        first = states and tuple([state.unsqueeze(0) for state in states])
        rows = taken(cell, given, input.shape[:-1], self.step_parameters()[0].dtype)
        rows = rows if batched else [value.unsqueeze(0) for value in rows]
        output, _, *others = self._run(cell, x, first, [*self.step_parameters(), *rows], precision)
        if others:  # after one step the output is the first state
            new = (output, *[state.squeeze(0) for state in others])
            return new if batched else tuple([state.squeeze(0) for state in new])
        return output if batched else output.squeeze(0)

    def _quickly(self, cell: SizedCell, x: torch.Tensor, hx: Any, given: Mapping[str, torch.Tensor] | None) -> Any:
        """The step of a batch, where nothing about it is unusual; None where ``forward`` must look more closely."""
        if self.sparse and torch.is_grad_enabled():
            return None
        several = len(cell.state_widths) > 1 and type(hx) in {tuple, list}
        states = hx if hx is None or several else (hx,)
        own: dict[str, Any] = self._parameters
        try:
            parameters = [own[name] for name in self._names]
        except KeyError:  # parametrized
            return None
        beside = taken(cell, given, x.shape[:-1], parameters[0].dtype) if given or cell.graph.given else ()
        new = run_step(cell, x, states, parameters, beside)
        if new is not None:
            self._note(None)
            return new if len(new) > 1 else new[0]
        return None

    def _run(
        self,
        cell: SizedCell,
        x: torch.Tensor,
        first: States | None,
        parameters: list[torch.Tensor],
        precision: Precision | None,
    ) -> Sequence[torch.Tensor]:
        """As a layer of one step: the output [B, H], and the last value of each state [1, B, H]."""
        if precision is not None and all(tensor.dtype is x.dtype for tensor in (*(first or ()), *parameters)):
            first = None if first is None else tuple(precision.working(first))
            results = self._run(cell, x.to(precision.work), first, precision.working(parameters), None)
            return [result.to(x.dtype) for result in results]
        if wants_operator():
            output, *last = run_operator(cell, x.unsqueeze(0), None, None, first, parameters)
            if not torch.compiler.is_compiling():
                self._note(operator_obstacle(cell, x, first, parameters))
            return output.squeeze(0), *last
        size = x.shape[0]
        obstacle, results = run_layer(cell, Rows(x, Steps.uniform(1, size)), size, first, parameters)
        self._note(obstacle)
        return results

    def definition(self) -> SizedCell:
        """The cell that a step runs, with its widths."""
        return self._sized

    def step_parameters(self) -> list[torch.Tensor]:
        """The parameters of a step, as the cell names them."""
        own: dict[str, Any] = self._parameters
        # a parametrized parameter is an attribute only; to look up the others here is faster
        tensors = [own[name] if name in own else getattr(self, name) for name in self._names]
        return self._held_all(self._names, tensors) if self.sparse else tensors

    def _states_of(self, hx: Any, *, batched: bool) -> States:  # noqa: ARG002  LSTMCell asks for it
        """The given states, each of one or two axes."""
        names = [state.name for state in self.graph.states]
        states = as_states(hx, names)
        for k, state in enumerate(states):
            contract.check_step_rank(type(self).__name__, f"hx[{k}]" if len(states) > 1 else "hidden", state)
        return states

    def _only_state(self, hx: torch.Tensor) -> States:
        """The only state, which torch's cells take as a tensor, never as a tuple."""
        contract.check_step_rank(type(self).__name__, "hidden", hx)
        return (hx,)

    def _register(self, name: str, parameter: torch.nn.Parameter | None) -> None:
        if hasattr(type(self), name) or hasattr(self, name):  # a property may not work yet
            raise InputError(
                "CELL_NAME",
                f"{name!r} is already the name of an attribute of modules",
                fix="rename the vector of the cell",
            )
        self.register_parameter(name, parameter)
