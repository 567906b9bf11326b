"""From a cell, its widths and a number type to the plans of its forward and backward runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidegate.cell import Node, Op
from tidegate.cell.graph import OUTSIDE, all_widths, is_narrow
from tidegate.cell.parameter import stored_columns
from tidegate.emit.compiled import Compiled, Name
from tidegate.emit.gradients import adjoints, gradients_of_matrices, sums, tallied
from tidegate.emit.layout import (
    Offsets,
    beside,
    products_and_vectors,
    saved_offsets,
    series_of_states,
    side_by_side,
    spans,
    whole_chunk,
)
from tidegate.emit.place import ADJOINTS, SAVED, TALLY, WEIGHTS, Memory, outside, runs, series_place
from tidegate.emit.plan import CarriedRow, Kind, PhasePlan, Place, Plan, Product, Reduction, Sum, Weight
from tidegate.passes import (
    INPUT,
    OF_INPUT,
    OUTPUT,
    UPSTREAM,
    Phase,
    Step,
    Use,
)

SETTINGS = "settings"  # the tensor of numbers chosen for the layer
VECTOR_BYTES = 64  # of the widest register: the engine writes whole ones


class _Inside(NamedTuple):
    """One program of a run, and where in scratch its phases keep values for later ones."""

    memory: Memory
    step: Step
    scratch: Offsets[int]


def forward_plan(
    cell: Compiled, widths: Mapping[str, int], dtype: str, *, saving: bool, by_steps: bool = False
) -> Plan:
    """The plan of a forward run: products of the input for a whole chunk, then the phases of each step.

    A call passes the tensors x, y, saved (if saving), the reported values (if traced), the first and then the last
    values of each state, the parameters, what is given, and masks, in this order.

    Args:
        cell: its programs, or those of ``cell.traced``.
        widths: of each axis of the cell.
        dtype: ``"f32"`` or ``"f64"``.
        saving: keep what a backward run needs.
        by_steps: step after step, also where each unit could run through time by itself.
    """
    graph, widths, step = cell.graph, all_widths(widths), cell.programs["forward"].step
    by_unit = cell.by_unit and not by_steps
    hoisted = [i for _, arg, group in graph.products if graph.nodes[arg].op in OUTSIDE for i in group]
    lanes = VECTOR_BYTES // (4 if dtype == "f32" else 8)
    padded = [1 if by_unit else -(-widths[graph.nodes[i].axis] // lanes) * lanes for i in hoisted]
    chunk, chunk_width = side_by_side(zip(map(_block, (graph.nodes[i] for i in hoisted)), padded, strict=True))
    saved, saved_width = saved_offsets(cell, widths)
    carried, carried_width = _carried(step, widths)
    asked = [s.name for s in step.series if s.name != OUTPUT and not s.saved]
    chunk_at = Place(Kind.PRODUCT if by_unit else Kind.CHUNK)  # products, where the phase makes those of the input
    memory = Memory(cell, widths, dtype, saving, saved, chunk, chunk_at, carried, spans(graph, widths), asked=asked)
    phases, scratch_width = _phases(memory, "forward")
    products = [graph.nodes[i] for i in hoisted]
    before = tuple(_product(memory, p, outside(graph.nodes[p.args[0]]), chunk[_block(p)]) for p in products)
    if by_unit:
        phases, before, chunk_width = (phases[0]._replace(products=before),), (), 0
    return Plan(
        (*_tensors(cell, [INPUT, OUTPUT, SAVED, *asked], ["first", "last"]), *_brought(cell)),
        carried_width,
        scratch_width,
        chunk_width,
        saved_width,
        tuple(CarriedRow(widths[c.axis], carried[c.name], f"first {c.name}", f"last {c.name}") for c in step.carried),
        phases,
        before=before,
        settings=tuple(cell.settings.values()),
        by_unit=by_unit,
    )


def backward_plan(
    cell: Compiled, widths: Mapping[str, int], dtype: str, *, input_gradient: bool, apart: bool = False
) -> Plan:
    """The plan of a backward run: phases of each step, products over a chunk of steps, and the ending phases.

    A call passes the tensors x, y, saved, dy, dx (if asked for), the adjoints of states and the chunk (if watched), for
    each state its first values, the adjoints of its last values, then for each state the adjoints of its first values,
    the parameters, what is given, masks, and the gradients of the parameters.

    Args:
        cell: its programs, or those of ``cell.watched``.
        widths: of each axis of the cell.
        dtype: ``"f32"`` or ``"f64"``.
        input_gradient: make the gradient of the input too.
        apart: write adjoints of products into a tensor and add up those of vectors for each sequence; make no gradients
            of parameters: ``gradient_plan`` does, later.
    """
    graph, lowered, widths = cell.graph, cell.lowered, all_widths(widths)
    cut = products_and_vectors if apart else whole_chunk
    (chunk, chunk_width), (vectors, tally_width) = cut(lowered, widths, input_gradient=input_gradient)
    saved, saved_width = saved_offsets(cell, widths)
    carried, carried_width = _carried(lowered.backward, widths)
    asked = series_of_states(lowered)
    written = bool(asked) or apart
    chunk_at = Place(Kind.SERIES, tensor=ADJOINTS) if written else Place(Kind.CHUNK)
    blocks = spans(graph, widths)
    memory = Memory(cell, widths, dtype, True, saved, chunk, chunk_at, carried, blocks, vectors, asked)  # noqa: FBT003
    phases, scratch_width = _phases(memory, "backward")
    ending, ending_width = _phases(memory, "ending")
    series = [INPUT, OUTPUT, SAVED, UPSTREAM, OF_INPUT, *asked, *[ADJOINTS] * written, *[TALLY] * bool(vectors)]
    tensors = _tensors(cell, series, ["first", "d last", "d first"])
    return Plan(
        (*tensors, *([] if apart else _of_parameters(cell)), *_brought(cell)),
        carried_width,
        max(scratch_width, ending_width),
        chunk_width,
        saved_width,
        _carried_adjoints(memory),
        phases,
        ending,
        after=_input_gradient(memory) if input_gradient else (),
        gradients=() if apart else tuple(gradients_of_matrices(memory)),
        sums=() if apart else tuple(sums(memory)),
        input_gradient=OF_INPUT if input_gradient else "",
        chunk=chunk_at.tensor,
        tally=TALLY if vectors else "",
        tally_width=tally_width,
        settings=tuple(cell.settings.values()),
        by_unit=cell.by_unit,
    )


def gradient_plan(cell: Compiled, widths: Mapping[str, int], dtype: str) -> Plan:
    """The plan of a run that makes gradients of parameters of the chunk that a backward run ``apart`` has left.

    Each sequence counts with a weight. A call passes the tensors x, y, saved, the chunk, the weights, for each state
    its first values, the parameters, what is given, masks, and the gradients of the parameters.

    Args:
        cell: its programs.
        widths: of each axis of the cell.
        dtype: ``"f32"`` or ``"f64"``.
    """
    graph, widths = cell.graph, all_widths(widths)
    (chunk, chunk_width), _ = products_and_vectors(cell.lowered, widths, input_gradient=True)
    saved, saved_width = saved_offsets(cell, widths)
    memory = Memory(cell, widths, dtype, True, saved, chunk, Place(Kind.CHUNK), {}, spans(graph, widths))  # noqa: FBT003
    tensors = _tensors(cell, [INPUT, OUTPUT, SAVED, ADJOINTS, WEIGHTS], ["first"])
    return Plan(
        (*tensors, *_of_parameters(cell)),
        carried_width=0,
        scratch_width=0,
        chunk_width=chunk_width,
        saved_width=saved_width,
        carried=(),
        phases=(),
        gradients=tuple(gradients_of_matrices(memory)),
        sums=tuple(sums(memory)),
        source=ADJOINTS,
        weights=WEIGHTS,
    )


def tallied_sums(cell: Compiled, widths: Mapping[str, int]) -> tuple[Sum, ...]:
    """What a backward run ``apart`` has added up for each sequence: which columns of its tally are what."""
    widths = all_widths(widths)
    _, (vectors, _) = products_and_vectors(cell.lowered, widths, input_gradient=True)
    blocks = spans(cell.graph, widths)
    memory = Memory(cell, widths, "f32", True, {}, {}, Place(Kind.CHUNK), {}, blocks, vectors)  # noqa: FBT003
    return tuple(tallied(memory))


# Layout


def _of_parameters(cell: Compiled) -> list[str]:
    """The tensors of the gradients of parameters."""
    return [f"d {name}" for name in cell.parameters]


def _carried(step: Step, widths: Mapping[str, int]) -> tuple[Offsets[str], int]:
    return side_by_side((c.name, widths[c.axis]) for c in step.carried)


def _tensors(cell: Compiled, series: list[str], states: list[str]) -> tuple[str, ...]:
    """The tensors of a call: series, rows of states, parameters, what is given, masks."""
    rows = [f"{which} {state.name}" for which in states for state in cell.graph.states]
    return (*series, *rows, *cell.parameters, *beside(cell.graph), *(_mask(mask.name) for mask in cell.graph.masks))


def _brought(cell: Compiled) -> tuple[str, ...]:
    """The tensor that a plan brings itself."""
    return (SETTINGS,) if cell.settings else ()


def _mask(name: str) -> str:
    """A mask among the tensors of a call, where a parameter may have the same name."""
    return f"mask {name}"


def _block(product: Node) -> str:
    """The name of a product of the input in its chunk."""
    return f"{product.matrix}.{product.name}"


def _carried_adjoints(memory: Memory) -> tuple[CarriedRow, ...]:
    """Adjoints of states begin with the caller's and end as those of the first states; others with zeros."""
    states = {f"d {s.name}": s.name for s in memory.cell.graph.states}
    rows = []
    for carried in memory.cell.lowered.backward.carried:
        state = states.get(carried.name)
        ends = (f"d last {state}", f"d first {state}") if state else ("", "")
        rows.append(CarriedRow(memory.widths[carried.axis], memory.carried[carried.name], *ends))
    return tuple(rows)


# Phases


def _phases(memory: Memory, name: Name) -> tuple[tuple[PhasePlan, ...], int]:
    """The phases of a program, and how much scratch they need."""
    program = memory.cell.programs[name]
    nodes = program.step.nodes
    scratch_nodes = [i for phase in program.phases for i in (*phase.keeps, *phase.joins)]
    scratch_nodes.sort(key=lambda i: is_narrow(nodes[i].axis))  # vectors first, so that they keep their alignment
    scratch, width = side_by_side((i, memory.widths[nodes[i].axis]) for i in scratch_nodes)
    inside = _Inside(memory, program.step, scratch)
    reduced = dict.fromkeys(nodes[i].args for phase in program.phases for i in phase.reduces)
    numbers = {operands: number for number, operands in enumerate(reduced)}
    saving = memory.saving and name == "forward" and any(s.saved for s in program.step.series)
    phases = []
    for number, phase in enumerate(program.phases):
        function = memory.cell.source.function(name, number, saving=saving, dtype=memory.dtype)
        joins = sorted({numbers[nodes[i].args] for i in phase.joins})
        phases.append(_phase(inside, phase, function, tuple(joins)))
    return tuple(phases), width


def _phase(inside: _Inside, phase: Phase, function: str, joins: tuple[int, ...]) -> PhasePlan:
    return PhasePlan(
        inside.memory.widths[phase.axis],
        function,
        tuple(p for slot, index in enumerate(phase.products) for p in _products_of_node(inside, index, slot)),
        tuple(_place(inside, phase, use, item) for use, item in phase.places),
        _reductions(inside, phase),
        joins,
    )


def _reductions(inside: _Inside, phase: Phase) -> tuple[Reduction, ...]:
    """Mean and variance of the same operands are one reduction."""
    nodes, width = inside.step.nodes, inside.memory.widths[phase.axis]
    wanted: dict[tuple[int, ...], dict[Op, int]] = {}
    for index in phase.reduces:
        wanted.setdefault(nodes[index].args, {})[nodes[index].op] = inside.scratch[index]
    return tuple(
        Reduction(width, tuple(_node_place(inside, i) for i in args), at.get(Op.MEAN, -1), at.get(Op.VARIANCE, -1))
        for args, at in wanted.items()
    )


def _place(inside: _Inside, phase: Phase, use: Use, item: int) -> Place:
    """Where a value of the pointwise work of a phase lies."""
    step = inside.step
    if use is Use.LOAD:
        product = item in phase.products
        place = Place(Kind.PRODUCT, phase.products.index(item)) if product else _node_place(inside, item)
        return _narrowed(place, step.nodes[item].axis)
    if use is Use.KEEP:
        return _narrowed(Place(Kind.SCRATCH, inside.scratch[item]), step.nodes[item].axis)
    if use is Use.CARRY:
        return Place(Kind.AFTER, inside.memory.carried[step.carried[item].name])
    series = step.series[item]
    return _narrowed(series_place(inside.memory, series.name), series.axis)


def _narrowed(place: Place, axis: str) -> Place:
    return place._replace(one=True) if is_narrow(axis) else place


def _node_place(inside: _Inside, index: int) -> Place:
    """Where the value of a node lies that is not computed in the phase that reads it."""
    memory, step = inside.memory, inside.step
    node = step.nodes[index]
    if index in inside.scratch:
        return Place(Kind.SCRATCH, inside.scratch[index])
    if node.op is Op.STATE:
        return Place(Kind.BEFORE, memory.carried[node.name])
    if node.op is Op.VECTOR:
        return Place(Kind.VECTOR, memory.blocks[node.matrix, node.name].row, node.matrix)
    if node.is_setting:
        return Place(Kind.VECTOR, list(memory.cell.settings).index(node.name), SETTINGS, one=True)
    if node.op is Op.MASK:
        mask = next(mask for mask in memory.cell.graph.masks if mask.name == node.name)
        return Place(Kind.SERIES if mask.each == "step" else Kind.ROWS, tensor=_mask(node.name))
    if node.op is Op.GIVEN:
        return outside(node)
    if node.op is Op.SERIES:
        return series_place(memory, node.name)
    carried = next((c for c in step.carried if c.after == index), None)
    if carried:
        return Place(Kind.AFTER, memory.carried[carried.name])
    return series_place(memory, next(s.name for s in step.series if s.node == index and not s.saved))


# Products


def _products_of_node(inside: _Inside, index: int, slot: int) -> list[Product]:
    node = inside.step.nodes[index]
    places = [_node_place(inside, arg) for arg in node.args]
    if node.op is Op.PRODUCT:
        return [_product(inside.memory, node, places[0], slot)]
    blocks = zip(node.name.split(), places, strict=True)
    return _transposed(inside.memory, node.matrix, blocks, slot, add=False)


def _product(memory: Memory, node: Node, operand: Place, result: int) -> Product:
    """Rows of an operand times a block of rows of a matrix."""
    row, rows, bias = memory.blocks[node.matrix, node.name]
    weight = _weight(memory, node.matrix, row, rows)
    if bias is None:
        return Product(operand, weight, result)
    return Product(operand, weight, result, bias=f"bias_{node.matrix}", bias_offset=bias)


def _weight(memory: Memory, matrix: str, row: int, rows: int, *, across: bool = False) -> Weight:
    own = memory.cell.graph.matrix(matrix)
    return Weight(f"weight_{matrix}", row, rows, stored_columns(own, memory.widths), across=across, heads=own.heads)


def _transposed(
    memory: Memory, matrix: str, blocks: Iterable[tuple[str, Place]], result: int, *, add: bool
) -> list[Product]:
    """The sum over blocks of rows of adjoints times the block."""
    return [
        Product(place, _weight(memory, matrix, row, rows, across=True), result, add=add or number > 0)
        for number, (row, rows, place) in enumerate(runs(memory, matrix, blocks))
    ]


def _input_gradient(memory: Memory) -> tuple[Product, ...]:
    """The adjoint of the input: what each step wrote itself, and what comes through matrices."""
    products: list[Product] = []
    for gradient in memory.cell.lowered.matrices:
        if gradient.operand == INPUT:
            add = bool(products) or memory.cell.lowered.input is not None
            products += _transposed(memory, gradient.matrix, adjoints(memory, gradient), 0, add=add)
    return tuple(products)
