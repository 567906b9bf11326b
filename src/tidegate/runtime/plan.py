"""Plans: what the engine is told about a cell, in the structures of ``engine/plan.h``.

A plan is made once for a cell, its widths and a number type. It names the tensors that a call must bring.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct
from typing import Any, Literal

from tidegate.cell import Graph, Matrix, Op, Vector
from tidegate.cell.graph import all_widths, is_narrow
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit.cpp import Source, emit
from tidegate.errors import EmitError
from tidegate.passes import (
    INPUT,
    OF_INPUT,
    OUTPUT,
    PREVIOUS,
    UPSTREAM,
    Lowered,
    MatrixGradient,
    Phase,
    Program,
    Use,
    lower,
    schedule,
)
from tidegate.runtime.structure import (
    CALL_FIELDS,
    MOST_PLACES,
    MOST_PRODUCTS,
    CarriedStruct,
    GradientStruct,
    Kind,
    MatrixStruct,
    PhaseStruct,
    PlaceStruct,
    PlanStruct,
    ProductStruct,
    ReductionStruct,
    SumStruct,
)

Name = Literal["forward", "backward", "ending"]
SAVED = "saved[t]"  # the tensor that holds all saved series side by side


class Compiled:
    """A cell as far as it does not depend on widths: its programs and their emitted text."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lowered: Lowered = lower(graph)
        self.programs: Mapping[str, Program] = {
            "forward": schedule(self.lowered.forward),
            "backward": schedule(self.lowered.backward),
            "ending": schedule(self.lowered.ending),
        }

    @cached_property
    def source(self) -> Source:
        return emit(self.graph, self.programs)


Function = Callable[[str], int]  # the address of a function of the loaded library


@dataclass
class Plan:
    """A plan and the memory that it points into.

    Attributes:
        saved_width: width of the saved series, side by side.
        struct: what the engine gets.
        keep: the arrays that it points to.
        workspaces: bytes of workspace by steps, sequences and threads, as far as they are known.
    """

    saved_width: int
    struct: ctypes.Structure
    keep: list[Any]
    workspaces: dict[tuple[int, int, int], int] = field(default_factory=dict)

    @cached_property
    def address(self) -> int:
        return ctypes.addressof(self.struct)

    @cached_property
    def call(self) -> Struct:
        """How a call is written: its fields, then address and stride of each tensor."""
        return Struct(f"{CALL_FIELDS + 2 * self.struct.tensors}q")


def forward_plan(
    compiled: Compiled, widths: Mapping[str, int], dtype: str, function: Function, *, saving: bool
) -> Plan:
    """The plan of a forward run.

    A call brings the tensors x, y, saved (if saving), the first and then the last values of each state, and
    the parameters and masks, in this order.

    Raises:
        EmitError: the cell has more products or values than the engine holds.
    """
    builder = _Builder(compiled, widths, dtype, function, saving=saving)
    return builder.forward()


def backward_plan(
    compiled: Compiled, widths: Mapping[str, int], dtype: str, function: Function, *, input_gradient: bool
) -> Plan:
    """The plan of a backward run.

    A call brings the tensors x, y, saved, dy, dx (if asked for), for each state its first values, the adjoints of
    its last values, then for each state the adjoints of its first values, the parameters, masks, and the
    gradients of the parameters.
    """
    builder = _Builder(compiled, widths, dtype, function, saving=True)
    return builder.backward(input_gradient=input_gradient)


def _mask(name: str) -> str:
    """A mask among the tensors of a call, where a parameter may have the same name."""
    return f"mask {name}"


class _Builder:
    def __init__(
        self, compiled: Compiled, widths: Mapping[str, int], dtype: str, function: Function, *, saving: bool
    ) -> None:
        self.compiled, self.widths, self.dtype, self.function = compiled, all_widths(widths), dtype, function
        self.saving = saving
        self.graph, self.lowered = compiled.graph, compiled.lowered
        self._masks = {_mask(mask.name): mask for mask in self.graph.masks}
        self.names: dict[str, int] = {}  # of tensors, in the order in which a call brings them
        self.matrices: list[Any] = []
        self.products: list[Any] = []
        self.places: list[Any] = []
        self.reductions: list[Any] = []
        self.reduction_at: dict[tuple[int, ...], int] = {}  # operands in the present program to position
        self.phases: list[Any] = []
        self.slots = 0
        self.scratch_width = 0
        self.carried_at: dict[str, int] = {}
        self.chunk_at: dict[str, int] = {}
        self.chunk_width = 0
        self.saved_at, self.saved_width = self._side_by_side(
            [(s.name, self.widths[s.axis]) for s in self.lowered.forward.series if s.saved]
        )

    def forward(self) -> Plan:
        """Products of the input before a chunk, then the phases of each step."""
        self._bring(INPUT, OUTPUT, SAVED)
        self._bring(*(f"{which} {s.name}" for which in ("first", "last") for s in self.graph.states))
        self._bring(*parameter_shapes(self.graph, self.widths), *self._masks)
        program = self.compiled.programs["forward"]
        self._lay_out_carried(program)
        inputs = [(m, group) for m, operand, group in self.graph.products if self._is_input(operand)]
        lanes = 64 // (4 if self.dtype == "f32" else 8)  # the engine writes whole vectors
        hoisted = [(f"{m}.{self.graph.nodes[i].name}", i) for m, group in inputs for i in group]
        self.chunk_at, self.chunk_width = self._side_by_side(
            [(name, -(-self.widths[self.graph.nodes[i].axis] // lanes) * lanes) for name, i in hoisted]
        )
        phases = self._phases("forward")
        before = [
            self._product(
                self.graph.nodes[i].matrix,
                self.graph.nodes[i].name,
                self._tensor_place(Kind.SERIES, INPUT),
                self.chunk_at[name],
            )
            for name, i in hoisted
        ]
        carried = [
            CarriedStruct(
                self.widths[c.axis],
                self.carried_at[c.name],
                self._index(f"first {c.name}"),
                self._index(f"last {c.name}"),
            )
            for c in program.step.carried
        ]
        return self._plan(phases=phases, carried=carried, before=before)

    def backward(self, *, input_gradient: bool) -> Plan:
        """The phases of each step, then products over the steps of a chunk; the ending phases at the first step."""
        self._bring(INPUT, OUTPUT, SAVED, UPSTREAM, OF_INPUT)
        self._bring(*(f"{which} {s.name}" for which in ("first", "d last", "d first") for s in self.graph.states))
        parameters = parameter_shapes(self.graph, self.widths)
        self._bring(*parameters, *self._masks, *(f"d {name}" for name in parameters))
        self._lay_out_carried(self.compiled.programs["backward"])
        order = [series for gradient in self.lowered.matrices for _, series in gradient.blocks]
        axes = {s.name: s.axis for s in self.lowered.backward.series}
        # what a step adds to the gradient of the input lies there, or in the chunk where nobody asks for it
        chunked = [s for s in dict.fromkeys([*order, *axes]) if s != self.lowered.input or not input_gradient]
        self.chunk_at, self.chunk_width = self._side_by_side([(s, self.widths[axes[s]]) for s in chunked])
        phases = self._phases("backward")
        ending = self._phases("ending")
        behind = self._input_gradient() if input_gradient else []
        states = {f"d {s.name}": s.name for s in self.graph.states}
        carried = [
            CarriedStruct(
                self.widths[c.axis],
                self.carried_at[c.name],
                self._index(f"d last {states[c.name]}") if c.name in states else -1,
                self._index(f"d first {states[c.name]}") if c.name in states else -1,
            )
            for c in self.lowered.backward.carried
        ]
        gradients = [struct for gradient in self.lowered.matrices for struct in self._gradients(gradient)]
        plan = self._plan(
            phases=phases, ending=ending, carried=carried, behind=behind, gradients=gradients, sums=self._sums()
        )
        plan.struct.input_gradient = self._index(OF_INPUT) if input_gradient else -1
        return plan

    # Layout

    @staticmethod
    def _side_by_side(parts: Sequence[tuple[str, int]]) -> tuple[dict[str, int], int]:
        offsets, at = {}, 0
        for name, width in parts:
            offsets[name] = at
            at += width
        return offsets, at

    def _lay_out_carried(self, program: Program) -> None:
        self.carried_at, self.carried_width = self._side_by_side(
            [(c.name, self.widths[c.axis]) for c in program.step.carried]
        )

    def _bring(self, *tensors: str) -> None:
        for tensor in tensors:
            self.names[tensor] = len(self.names)

    def _index(self, tensor: str) -> int:
        return self.names[tensor]

    def _tensor_place(self, kind: Kind, tensor: str, offset: int = 0, initial: int = -1) -> Any:
        return PlaceStruct(kind, self._index(tensor), offset, initial)

    def _is_input(self, operand: int) -> bool:
        return self.graph.nodes[operand].op is Op.INPUT

    # Phases

    def _phases(self, name: Name) -> list[Any]:
        program = self.compiled.programs[name]
        nodes = program.step.nodes
        kept = [i for phase in program.phases for i in (*phase.keeps, *phase.joins)]
        kept.sort(key=lambda i: is_narrow(nodes[i].axis))  # vectors first, so that they keep their alignment
        offsets, width = self._side_by_side([(str(i), self.widths[nodes[i].axis]) for i in kept])
        self.scratch_width = max(self.scratch_width, width)
        scratch = {int(i): at for i, at in offsets.items()}
        self.reduction_at = {}
        return [self._phase(name, k, phase, program, scratch) for k, phase in enumerate(program.phases)]

    def _phase(self, name: Name, number: int, phase: Phase, program: Program, scratch: Mapping[int, int]) -> Any:
        first_product, first_place = len(self.products), len(self.places)
        for slot, index in enumerate(phase.products):
            self.products += self._products_of_node(program, index, slot, scratch)
        self.slots = max(self.slots, len(phase.products))
        for use, item in phase.places:
            self.places.append(self._place(program, phase, use, item, scratch))
        places = len(self.places) - first_place
        reductions = self._reductions(program, phase, scratch)
        joins = sorted({self.reduction_at[program.step.nodes[i].args] for i in phase.joins})
        saving = self.saving and name == "forward" and any(s.saved for s in program.step.series)
        address = self.function(self.compiled.source.function(name, number, saving=saving, dtype=self.dtype))
        return PhaseStruct(
            self.widths[phase.axis],
            address,
            first_product,
            len(self.products) - first_product,
            first_place,
            places,
            *reductions,
            *(joins[0] if joins else 0, len(joins)),
        )

    def _reductions(self, program: Program, phase: Phase, scratch: Mapping[int, int]) -> tuple[int, int]:
        """First and number of what a phase reduces: mean and variance of the same operands together."""
        nodes, first = program.step.nodes, len(self.reductions)
        wanted: dict[tuple[int, ...], dict[Op, int]] = {}
        for index in phase.reduces:
            wanted.setdefault(nodes[index].args, {})[nodes[index].op] = scratch[index]
        for operands, results in wanted.items():
            self.reduction_at[operands] = len(self.reductions)
            mean, variance = (results.get(op, -1) for op in (Op.MEAN, Op.VARIANCE))
            width = self.widths[phase.axis]
            self.reductions.append(ReductionStruct(width, len(self.places), len(operands), mean, variance))
            self.places += [self._node_place(program, operand, scratch) for operand in operands]
        return first, len(wanted)

    def _place(self, program: Program, phase: Phase, use: Use, item: int, scratch: Mapping[int, int]) -> Any:
        """Where a value of the pointwise work of a phase lies."""
        place = self._located(program, phase, use, item, scratch)
        axis = program.step.series[item].axis if use is Use.WRITE else ""
        axis = program.step.nodes[item].axis if use in (Use.LOAD, Use.KEEP) else axis
        place.one = is_narrow(axis)
        return place

    def _located(self, program: Program, phase: Phase, use: Use, item: int, scratch: Mapping[int, int]) -> Any:
        if use is Use.KEEP:
            return PlaceStruct(Kind.SCRATCH, -1, scratch[item], -1)
        if use is Use.CARRY:
            return PlaceStruct(Kind.AFTER, -1, self.carried_at[program.step.carried[item].name], -1)
        if use is Use.WRITE:
            return self._series_place(program.step.series[item].name)
        if item in phase.products:
            return PlaceStruct(Kind.PRODUCT, -1, phase.products.index(item), -1)
        return self._node_place(program, item, scratch)

    def _node_place(self, program: Program, index: int, scratch: Mapping[int, int]) -> Any:
        """Where the value of a node lies that is not computed in the phase that reads it."""
        node = program.step.nodes[index]
        if index in scratch:
            return PlaceStruct(Kind.SCRATCH, -1, scratch[index], -1)
        if node.op is Op.STATE:
            return PlaceStruct(Kind.BEFORE, -1, self.carried_at[node.name], -1)
        if node.op is Op.VECTOR:
            return self._tensor_place(Kind.VECTOR, node.matrix, self._block_of(node.matrix, node.name)[0])
        if node.op is Op.MASK:
            mask = self._masks[_mask(node.name)]
            return self._tensor_place(Kind.SERIES if mask.each == "step" else Kind.ROWS, _mask(node.name))
        if node.op is Op.GIVEN:
            return self._series_place(node.name)
        carried = next((c for c in program.step.carried if c.after == index), None)
        if carried:
            return PlaceStruct(Kind.AFTER, -1, self.carried_at[carried.name], -1)
        return self._series_place(next(s.name for s in program.step.series if s.node == index and not s.saved))

    def _series_place(self, name: str) -> Any:
        if name in self.chunk_at:
            return PlaceStruct(Kind.CHUNK, -1, self.chunk_at[name], -1)
        if name in self.saved_at:
            if not self.saving:  # never touched, but it must lie somewhere
                return self._tensor_place(Kind.VECTOR, OUTPUT)
            return self._tensor_place(Kind.SERIES, SAVED, self.saved_at[name])
        if name == self.lowered.input:
            return self._tensor_place(Kind.SERIES, OF_INPUT)
        kind = Kind.SERIES if name in (INPUT, OUTPUT, UPSTREAM) else Kind.ROWS
        return self._tensor_place(kind, f"d first {name[2:]}" if kind is Kind.ROWS else name)

    # Products

    def _products_of_node(self, program: Program, index: int, slot: int, scratch: Mapping[int, int]) -> list[Any]:
        node = program.step.nodes[index]
        places = [self._node_place(program, arg, scratch) for arg in node.args]
        if node.op is Op.PRODUCT:
            return [self._product(node.matrix, node.name, places[0], slot)]
        return self._transposed(node.matrix, node.name.split(), places, slot)

    def _product(self, matrix: str, block: str, operand: Any, result: int) -> Any:
        """Rows of an operand times a block of rows of a matrix."""
        declared = self.graph.matrix(matrix)
        row, rows = self._rows(declared, block)
        columns = self.widths[declared.columns]
        weight = self._index(f"weight_{matrix}")
        self.matrices.append(MatrixStruct(weight, 0, row, columns, rows, columns))
        bias, offset = self._bias(declared, block)
        return ProductStruct(operand, len(self.matrices) - 1, 0, result, bias, offset)

    def _transposed(
        self, matrix: str, blocks: Sequence[str], places: Sequence[Any], result: int, *, add: bool = False
    ) -> list[Any]:
        """The sum over blocks of rows of adjoints times the block; neighbours in both are one product."""
        declared = self.graph.matrix(matrix)
        columns = self.widths[declared.columns]
        runs: list[tuple[int, int, Any]] = []  # first row, rows, place
        for block, place in zip(blocks, places, strict=True):
            row, rows = self._rows(declared, block)
            if runs:
                before, count, at = runs[-1]
                same = (at.kind, at.tensor) == (place.kind, place.tensor)
                if same and before + count == row and at.offset + count == place.offset:
                    runs[-1] = (before, count + rows, at)
                    continue
            runs.append((row, rows, place))
        weight = self._index(f"weight_{matrix}")
        products = []
        for number, (row, rows, place) in enumerate(runs):
            self.matrices.append(MatrixStruct(weight, 1, row, rows, columns, columns))
            products.append(ProductStruct(place, len(self.matrices) - 1, int(add or number > 0), result, -1, 0))
        return products

    def _block_of(self, vector: str, block: str) -> tuple[int, int]:
        return self._rows(self.graph.vector(vector), block)

    def _rows(self, parameter: Matrix | Vector, block: str) -> tuple[int, int]:
        """First row and number of rows of a block."""
        first = 0
        for declared in parameter.blocks:
            rows = self.widths[declared.axis]
            if declared.name == block:
                return first, rows
            first += rows
        raise KeyError(block)

    def _bias(self, matrix: Matrix, block: str) -> tuple[int, int]:
        """The tensor and the first element of a block's bias; -1 for none."""
        first = 0
        for declared in matrix.blocks:
            if declared.bias and declared.name == block:
                return self._index(f"bias_{matrix.name}"), first
            first += self.widths[declared.axis] if declared.bias else 0
        return -1, 0

    # Gradients

    def _gradients(self, gradient: MatrixGradient) -> list[Any]:
        """The gradient of some blocks of a matrix; neighbours are one product."""
        declared = self.graph.matrix(gradient.matrix)
        tensor = self._index(f"d weight_{gradient.matrix}")
        place = self._operand_place(gradient.operand)
        runs: list[tuple[int, int, int]] = []  # first row, rows, column of the adjoint
        for block, series in gradient.blocks:
            row, rows = self._rows(declared, block)
            adjoint = self.chunk_at[series]
            if runs and (sum(runs[-1][:2]), runs[-1][2] + runs[-1][1]) == (row, adjoint):
                runs[-1] = (runs[-1][0], runs[-1][1] + rows, runs[-1][2])
            else:
                runs.append((row, rows, adjoint))
        columns = self.widths[declared.columns]
        return [GradientStruct(adjoint, rows, columns, place, tensor, row) for row, rows, adjoint in runs]

    def _operand_place(self, operand: str) -> Any:
        if operand == PREVIOUS:
            return self._tensor_place(Kind.PREVIOUS, OUTPUT, 0, self._index(f"first {self.graph.output.name}"))
        return self._tensor_place(Kind.SERIES, INPUT) if operand == INPUT else self._series_place(operand)

    def _sums(self) -> list[Any]:
        sums = []
        for gradient in self.lowered.matrices:
            declared = self.graph.matrix(gradient.matrix)
            for block, series in gradient.blocks:
                bias, offset = self._bias(declared, block)
                if bias >= 0:
                    count = self._rows(declared, block)[1]
                    tensor = self._index(f"d bias_{gradient.matrix}")
                    sums.append(SumStruct(self.chunk_at[series], count, tensor, offset))
        for (vector, block), series in self.lowered.vectors.items():
            first, count = self._block_of(vector, block)
            sums.append(SumStruct(self.chunk_at[series], count, self._index(f"d {vector}"), first))
        return sums

    def _input_gradient(self) -> list[Any]:
        """The adjoint of the input: what each step wrote itself, and what comes through matrices."""
        products: list[Any] = []
        for gradient in self.lowered.matrices:
            if gradient.operand == INPUT:
                blocks = [block for block, _ in gradient.blocks]
                places = [PlaceStruct(Kind.CHUNK, -1, self.chunk_at[series], -1) for _, series in gradient.blocks]
                add = bool(products) or self.lowered.input is not None
                products += self._transposed(gradient.matrix, blocks, places, 0, add=add)
        return products

    # Assembly

    def _plan(
        self,
        *,
        phases: Sequence[Any],
        carried: Sequence[Any],
        ending: Sequence[Any] = (),
        before: Sequence[Any] = (),
        behind: Sequence[Any] = (),
        gradients: Sequence[Any] = (),
        sums: Sequence[Any] = (),
    ) -> Plan:
        products = [*self.products, *before, *behind]
        if max(len(products), len(self.matrices)) > MOST_PRODUCTS or len(self.places) > MOST_PLACES:
            raise EmitError(
                "ENGINE_SIZE",
                f"{self.graph.name} has {len(products)} products and {len(self.places)} values; "
                f"the engine holds {MOST_PRODUCTS} and {MOST_PLACES}",
                fix="this cell runs eagerly",
            )
        keep: list[Any] = []

        def array(kind: type[ctypes.Structure], items: Sequence[Any]) -> int:
            made = (kind * max(1, len(items)))(*items)
            keep.append(made)
            return ctypes.addressof(made)

        plan = PlanStruct(
            carried_width=self.carried_width,
            scratch_width=self.scratch_width,
            chunk_width=self.chunk_width,
            matrices=len(self.matrices),
            products=len(products),
            places=len(self.places),
            reductions=len(self.reductions),
            phases=len(phases),
            ending_phases=len(ending),
            carried=len(carried),
            gradients=len(gradients),
            sums=len(sums),
            before_chunk=len(before),
            behind_chunk=len(behind),
            slots=self.slots,
            input_gradient=-1,
            tensors=len(self.names),
            matrix=array(MatrixStruct, self.matrices),
            product=array(ProductStruct, products),
            place=array(PlaceStruct, self.places),
            reduction=array(ReductionStruct, self.reductions),
            phase=array(PhaseStruct, [*phases, *ending]),
            carry=array(CarriedStruct, carried),
            gradient=array(GradientStruct, gradients),
            sum=array(SumStruct, sums),
        )
        return Plan(self.saved_width, plan, keep)
