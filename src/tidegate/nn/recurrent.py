"""``Recurrent``: any cell as a layer, with the interface of torch.nn's recurrent modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.functional import dropout
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.nn.utils.rnn import PackedSequence

from tidegate.cell import Cell, Graph
from tidegate.errors import InputError
from tidegate.nn import contract
from tidegate.nn.argument import Outside, States, shown_widths
from tidegate.nn.call import Call, OperatorCall, RowCall, TraceCall
from tidegate.nn.device import is_elsewhere
from tidegate.nn.document import documented
from tidegate.nn.draw import RandomNumbers, dropout_mask
from tidegate.nn.dynamo import admit
from tidegate.nn.given import taken
from tidegate.nn.precision import Precision
from tidegate.nn.rows import Batch, Lengths, check_resets, full, packed, padded, reorder
from tidegate.nn.stack import Stack, Variant
from tidegate.nn.twin import PLAIN
from tidegate.runtime import SizedCell, traces, wants_operator


@documented()
class Recurrent(Stack):
    """A stack of layers of one cell, applied to whole sequences.

    Args:
        {arguments}

    Shapes:
        - input: [T, B, I]: T steps, B sequences, I features; [T, I] for one sequence without a batch; or a
          PackedSequence.
        - hx: for each state of the cell [L*D, B, H] (the output state of a projected layer [L*D, B, P], a state with
          an axis of its own as wide as that axis): a tensor for a cell with one state, else a tuple in the cell's
          order. Zeros by default, or the learned initial states.
        - lengths: B integers from 0 to T.
        - reset: booleans [T, B] (the shape of the input without its features): before a step marked True, all states
          return to zeros, or to the learned initial states.
        - given: for a cell that reads more than its input, a mapping from the names that it declares to values: [T, B]
          (the shape of the input without its features) for one number a row, [T, B, I] for one as wide as the input,
          and so on. Booleans count as 0 and 1. All layers and directions get the same. Beside a PackedSequence they
          are padded, in the order of the batch. A NaN spreads as one in the input does.
        - output: [T, B, D*H], or [T, B, D*P] where projected; zero after the end of each sequence. A PackedSequence
          for one.
        - final states: shaped as hx; the states of each sequence after its own last step.

    Parameters:
        In layer k, from 0: ``weight_ih_l{k}`` and ``bias_ih_l{k}`` (W), ``weight_hh_l{k}`` and ``bias_hh_l{k}`` (U),
        ``weight_M_l{k}`` for any other matrix M of the cell, ``p_i_l{k}`` and so on for its vectors,
        ``weight_hr_l{k}`` for the projection. Names of the second direction end with ``_reverse``. Row blocks follow
        the order of ``gates`` in the cell. All are drawn from U(-1/sqrt(H), 1/sqrt(H)), except those of a layer norm:
        its gains ``norm_ih_l{k}``, ``norm_hh_l{k}`` and ``norm_c_l{k}`` begin at 1, its biases at 0. Learned initial
        states ``initial_h_l{k}`` and so on come last and begin at 0.

    Half precision:
        On a CPU, in bfloat16 and float16 (``layer.bfloat16()``, ``layer.half()``) and under autocast, a product M v
        rounds M and v to the nearest number of that type, ties to even, multiplies exactly and adds in float32. Its
        derivative is made of such products, M' dv and dv v', where the adjoint dv is rounded to bfloat16, but not to
        float16. All else is float32 from the first step to the last: states, gates, biases, vectors, norms, what
        options do. Output, final states and gradients are rounded once, to the types that torch.nn gives: the type of
        the layer; under autocast autocast's type, or the input's where ``autocast_keeps_dtype`` says so, as in a GRU;
        gradients of parameters to the type of the parameter. autocast leaves float64 alone. In float16, factors above
        65,504 are infinite and factors below 3e-8 zero, and so are results and gradients of float16 tensors: scale the
        loss, as torch.amp.GradScaler does. On other devices torch computes in the types that it is given.

    Random numbers:
        ``tidegate.option.Options`` states the order in which masks are drawn.

    Attributes:
        last_path: how the last call ran: ``"fused"``; ``"torch: "`` and the device, where torch's own function ran it;
            or ``"eager: "`` and the reason. None before the first call. If several threads call one layer, it is the
            path of any of them. A compiled call does not set it.
        autocast_keeps_dtype: whether results under autocast have the type of the input instead of autocast's. It may be
            set for a layer.
        privacy: the promise of differential privacy under which it was trained, in words; empty if there is none. Files
            that are made of the layer carry it.

    Raises:
        ValueError, TypeError, RuntimeError: with torch.nn's texts where torch.nn raises.
        InputError: an unknown cell, lengths that do not fit, states that do not match the cell, unknown axes in
            ``widths``, an input of the wrong width, or an option with a value that is not allowed or that the cell has
            no gate for.
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

    privacy: str = ""
    autocast_keeps_dtype = False  # whether results under autocast have the input's type instead of autocast's

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
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype, widths=widths, **options,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """As torch.nn prints it; ``Recurrent`` puts the name of its cell first."""
        text = super().extra_repr()
        if type_before_parametrizations(self) is Recurrent:
            text = f"{self.graph.name}, {text}{shown_widths(self.cells[0], self.options.widths)}"
        return text + str(self.options) + self.sparsity()

    def forward(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: torch.Tensor | None = None,
        given: Mapping[str, torch.Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Any]:
        """Run all layers over whole sequences; the class has all shapes under Shapes.

        Args:
            input: The sequences, [T, B, I].
            hx: The states before the first step; zeros, or the learned initial states, by default.
            lengths: The number of steps of each sequence; T by default. The output is zero after them.
            reset: Booleans [T, B]; True starts the sequence afresh at this step.
            given: What the cell reads beside the input, such as ``{'dt': dt}``, by the names that it declares.
            generator: Draws the masks of options and of dropout; torch's global generator by default.

        Returns:
            The output [T, B, D*H], and the final states: a tensor for a cell with one state, else a tuple in the cell's
            order.

        Raises:
            ValueError, TypeError, RuntimeError: for what torch.nn refuses, with its texts.
            InputError: for lengths, resets, states or given values that do not fit.
        """
        special = traces() or not PLAIN.issuperset(map(type, self._parameters.values()))
        if special and lengths is reset is None and given is None:
            results: tuple[Any, Any] | None = self._by_torch(input, hx)
            if results is not None:
                return results
        precision = Precision.of(input, keeps_dtype=self.autocast_keeps_dtype)
        if precision is None:
            return self._run(input, hx, lengths, reset, given, generator, None)
        x, given = precision.enter(input, given, self._dtype)
        with torch.autocast("cpu", enabled=False):
            return self._run(x, hx, lengths, reset, given, generator, precision)

    def trace(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: torch.Tensor | None = None,
        given: Mapping[str, torch.Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Any]:
        """Compute every gate and every new state at every step.

        The engine does it where it runs the layer, at about the cost of a call; ``last_path`` tells. The first trace of
        a cell that is not in the zoo compiles it once more.

        Args:
            input: The sequences, as in a call of the layer.
            hx: The states before the first step, as in a call.
            lengths: The number of steps of each sequence, as in a call.
            reset: Steps before which all states are reset, as in a call.
            given: What the cell reads beside the input, as in a call.
            generator: Draws masks and dropout, as in a call.

        Returns:
            A dictionary from names such as ``"f_l0"`` and ``"c_l1_reverse"`` to values [T, B, H] in the layout of the
            output, NaN after the end of each sequence; float32 in half precision and under autocast, as they are
            computed. A value of the reverse direction has the index of the step whose input it read. Gradients flow
            through the values, by the definition of the cell.

        Raises:
            ValueError, TypeError, RuntimeError: for what torch.nn refuses, with its texts.
            InputError: for lengths, resets, states or given values that do not fit.
        """
        precision = Precision.of(input, keeps_dtype=self.autocast_keeps_dtype)
        x, given = (input, given) if precision is None else precision.enter(input, given, self._dtype)
        with nullcontext() if precision is None else torch.autocast("cpu", enabled=False):
            batch, outside = self._entered(x, lengths, reset)
            call = TraceCall(batch)
            call.given = self._beside(given, call, batched=outside.batched)
            first = self._first_states(hx, call.size, call.order, batched=outside.batched)
            self._walk(call, first, generator, precision)
            self._note(call.obstacle)
            return {name: outside.leave(values) for name, values in call.values.items()}

    def _run(
        self,
        input: torch.Tensor | PackedSequence,
        hx: Any,
        lengths: Lengths | None,
        reset: torch.Tensor | None,
        given: Mapping[str, torch.Tensor] | None,
        generator: torch.Generator | None,
        precision: Precision | None,
    ) -> tuple[Any, Any]:
        """Output and final states: by operations of torch under its compilers and transforms, else over rows."""
        call: Call
        if wants_operator() and not isinstance(input, PackedSequence):
            x, resets, outside = self._checked(input, reset)
            call = OperatorCall(x, lengths, resets)
        elif traces():
            raise InputError(
                "TORCHSCRIPT",
                f"torch.jit.trace would keep the lengths of this PackedSequence in {self}",
                fix="trace it with a padded batch and lengths=",
            )
        else:
            batch, outside = self._entered(input, lengths, reset)
            call = RowCall(batch)
        call.given = self._beside(given, call, batched=outside.batched)
        first = self._first_states(hx, call.size, call.order, batched=outside.batched)
        x, last = self._walk(call, first, generator, precision)
        if not torch.compiler.is_compiling():
            self._note(call.obstacle)
        states = tuple(last[0] if len(last) == 1 else map(torch.cat, zip(*last, strict=True)))
        states = reorder(states, call.back)
        output = call.restore(x)
        if not outside.batched:
            states = tuple(state.squeeze(1) for state in states)
        if precision is not None:
            output, states = output.to(precision.result), tuple(precision.results(states))
        return outside.leave(output), states if len(states) > 1 else states[0]

    def _walk(
        self, call: Call, first: States | None, generator: torch.Generator | None, precision: Precision | None
    ) -> tuple[torch.Tensor, list[Sequence[torch.Tensor]]]:
        """Run all layers of a call: the output of the last one, and the last states of each."""
        if self._buffers or self._seen:
            self._notice()
        variant = self._variants[self.training, call.resets is not None] if self.options.run_differently else None
        as_it_is = precision is not None and variant is None and call.reads_half and precision.reads(call.x)
        cast = None if as_it_is else precision
        x = call.x if cast is None else call.x.to(cast.work)
        begun = None if first is None else self._by_layer(first)
        given = _working(call.given, precision)
        numbers = None
        if variant is not None:
            drawing = self.training and self.options.drawn
            if drawing or variant.sources:
                numbers = RandomNumbers(call, x, self.cells[0].widths, generator)
                x = self.options.transform_input(x, numbers) if drawing else x
        cells = variant.cells if variant else self.cells
        if precision is not None:
            cells = [Precision.cell(precision, cell) for cell in cells]
        if numbers is None and is_elsewhere(x):
            results = self._at_once(call, cells, x, first, generator)
            if results is not None:
                return results[0], [results[1:]]
        last: list[Sequence[torch.Tensor]] = []
        for layer, cell in enumerate(cells):
            own = None if begun is None else tuple(_working(begun[layer], precision))
            if variant is None or numbers is None:
                tensors = _beside(given, _working(self.layer_parameters(layer), cast), cell)
            else:
                tensors = self._drawn_tensors(layer, variant, numbers, given, precision)
            if precision is not None and layer == self.num_layers - 1:  # whose output is a result, rounded anyway
                call.half_output = precision.result is cell.half
            x, *ends = call.run(cell, x, own, tensors, layer)
            last.append(ends)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = self._dropped(x, generator)
        return x, last

    def _at_once(
        self, call: Call, cells: list[SizedCell], x: torch.Tensor, first: States | None, generator: Any
    ) -> States | None:
        """Output and last states of all layers by one call of torch's function; None where that is not possible."""
        dropout = self.dropout if self.training else 0.0
        if dropout and generator is not None:
            return None  # torch's function draws from its own
        tensors = [tensor for layer in range(len(cells)) for tensor in self.layer_parameters(layer)]
        return call.run_stack(cells, x, first, tensors, dropout)

    def _by_layer(self, first: States) -> list[States]:
        """The first states of each layer [directions, B, width]; to cut a tensor takes as long as a small step."""
        if self.num_layers == 1:
            return [first]
        parts = [1 + self.bidirectional] * self.num_layers
        return [*zip(*[state.split_with_sizes(parts) for state in first], strict=True)]

    def _drawn_tensors(
        self,
        layer: int,
        variant: Variant,
        numbers: RandomNumbers,
        given: Sequence[torch.Tensor],
        precision: Precision | None,
    ) -> list[torch.Tensor]:
        """Parameters, what is given and masks of a layer, as ``cell.names`` orders them, direction by direction."""
        cell = variant.cells[layer]
        tensors: list[torch.Tensor] = []
        for reverse in (False, True)[: 1 + self.bidirectional]:
            names = [self.attribute_of(name, layer, reverse=reverse) for name in cell.parameters]
            own = self._held_all(names, [self._parameter(name) for name in names])
            parameters = dict(zip(cell.parameters, _working(own, precision), strict=True))
            if self.training:
                parameters = self.options.transform_parameters(cell.graph, parameters, numbers)
            tensors += [*parameters.values(), *given, *self.options.masks(variant.sources, numbers)]
        return tensors

    def _dropped(self, output: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """The output of a layer as the next one reads it in training."""
        if generator is None:
            return dropout(output, self.dropout)  # draws the masks that torch.nn draws
        return output * dropout_mask(output.shape, output, self.dropout, generator)

    def _beside(self, given: Mapping[str, torch.Tensor] | None, call: Call, *, batched: bool) -> Sequence[torch.Tensor]:
        """What is given to a call, each [rows, width] in its order."""
        if given is None and not self.graph.given:
            return ()
        outside = Outside(batched=batched, batch_first=self.batch_first and batched)
        values = taken(self.cells[0], given, outside.outer(call.steps, call.size), self._dtype)
        return [call.place(outside.enter(value).flatten(0, 1), "step") for value in values]

    def _entered(
        self, x: torch.Tensor | PackedSequence, lengths: Lengths | None, reset: torch.Tensor | None
    ) -> tuple[Batch, Outside]:
        """The sequences of a call as rows, and the caller's layout."""
        if isinstance(x, PackedSequence):
            if lengths is not None or reset is not None:
                raise InputError(
                    "LENGTHS",
                    "lengths= or reset= was passed with a PackedSequence, which has its own lengths and order",
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


def _working(tensors: Sequence[torch.Tensor], precision: Precision | None) -> list[torch.Tensor]:
    """Tensors in the type in which the layer computes."""
    return [*tensors] if precision is None else precision.working(tensors)


def _beside(given: Sequence[torch.Tensor], tensors: list[torch.Tensor], cell: SizedCell) -> list[torch.Tensor]:
    """The parameters of a layer, and what is given behind those of each direction."""
    if not given:
        return tensors
    own = len(cell.parameters)
    return [tensor for at in range(0, len(tensors), own) for tensor in (*tensors[at : at + own], *given)]


admit(Recurrent)
