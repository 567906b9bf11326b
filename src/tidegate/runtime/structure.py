"""Plans written into the structures of ``engine/plan.h``; their sizes are checked when a library is loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from ctypes import c_double, c_int32, c_int64, c_void_p
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, islice, starmap
from struct import Struct
from typing import Any, NamedTuple

from tidegate.emit.plan import Gradient, Place, Plan, Product, Weight
from tidegate.errors import EmitError
from tidegate.runtime.tuning import Tuning

NUMBERS = {"f32": ctypes.c_float, "f64": ctypes.c_double}
MOST_PRODUCTS, MOST_PLACES = 256, 512  # of a plan


def _structure(name: str, **fields: Any) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


PlaceStruct = _structure("tg_place", kind=c_int32, tensor=c_int32, offset=c_int64, initial=c_int32, one=c_int32)
MatrixStruct = _structure(
    "tg_matrix",
    tensor=c_int32,
    across=c_int32,
    row=c_int64,
    k=c_int64,
    n=c_int64,
    columns=c_int64,
    sparse=c_int64,
    heads=c_int64,
)
ProductStruct = _structure(
    "tg_product",
    operand=PlaceStruct,
    matrix=c_int32,
    add=c_int32,
    result=c_int64,
    bias=c_int32,
    group=c_int32,
    bias_offset=c_int64,
    sum=c_int64,
    sent=c_int64,
)
ReductionStruct = _structure(
    "tg_reduction", width=c_int64, first_place=c_int32, places=c_int32, mean=c_int64, variance=c_int64
)
PhaseStruct = _structure(
    "tg_phase",
    width=c_int64,
    pointwise=c_void_p,
    first_product=c_int32,
    products=c_int32,
    first_place=c_int32,
    places=c_int32,
    first_reduction=c_int32,
    reductions=c_int32,
    first_join=c_int32,
    joins=c_int32,
)
CarriedStruct = _structure("tg_carried", width=c_int64, offset=c_int64, initial=c_int32, last=c_int32)
GradientStruct = _structure(
    "tg_gradient",
    adjoint=c_int64,
    rows=c_int64,
    columns=c_int64,
    operand=PlaceStruct,
    tensor=c_int32,
    weight=c_int32,
    row=c_int64,
)
SumStruct = _structure("tg_sum", adjoint=c_int64, count=c_int64, tensor=c_int32, offset=c_int64)
TuningStruct = _structure("tg_tuning", **dict.fromkeys(Tuning._fields, c_int64))
PlanStruct = _structure(
    "tg_plan",
    carried_width=c_int64,
    scratch_width=c_int64,
    chunk_width=c_int64,
    matrices=c_int32,
    products=c_int32,
    places=c_int32,
    reductions=c_int32,
    phases=c_int32,
    ending_phases=c_int32,
    carried=c_int32,
    gradients=c_int32,
    sums=c_int32,
    before_chunk=c_int32,
    behind_chunk=c_int32,
    slots=c_int32,
    input_gradient=c_int32,
    by_unit=c_int32,
    chunk=c_int32,
    source=c_int32,
    weights=c_int32,
    tally=c_int32,
    tally_width=c_int64,
    tensors=c_int64,
    halves=c_int64,
    matrix=c_void_p,
    product=c_void_p,
    place=c_void_p,
    reduction=c_void_p,
    phase=c_void_p,
    carry=c_void_p,
    gradient=c_void_p,
    sum=c_void_p,
    narrow=c_void_p,
    halved=c_void_p,
    tuning=c_void_p,
)
DeltaStruct = _structure(
    "tg_delta",
    inputs=c_double,
    states=c_double,
    rows=c_void_p,
    stride=c_int64,
    sent=c_void_p,
    groups=c_int64,
    period=c_int64,
)
CALL_FIELDS = 12  # of tg_call, eight bytes each
STRUCTURES = (
    PlaceStruct,
    MatrixStruct,
    ProductStruct,
    ReductionStruct,
    PhaseStruct,
    CarriedStruct,
    GradientStruct,
    SumStruct,
    TuningStruct,
    PlanStruct,
    DeltaStruct,
)


def _format(kind: Any) -> str:
    """The fields as the module struct names them; none of these structures ends with padding."""
    letters = {c_int32: "i", c_int64: "q", c_void_p: "P", c_double: "d"}
    return "".join(letters.get(field) or _format(field) for _, field in kind._fields_)


PACKERS = {kind: Struct(_format(kind)) for kind in STRUCTURES}
Function = Callable[[str], int]  # the address of a function of the loaded library, by its name
Fields = tuple[Any, ...]  # of one structure
Index = Mapping[str, int]  # of tensors in a call; -1 for none, which has the name ""


@dataclass
class NativePlan:
    """A plan as the engine reads it, and the memory that it points into.

    Attributes:
        saved_width: width of the saved series, side by side.
        makes_gradients: whether it makes gradients of parameters.
        struct: what the engine gets.
        memory: the arrays that it points to.
        settings: the numbers of the plan, in the type of its tensors.
        narrow: the tensors that have fewer bits: those in the type of the products, and series in bfloat16.
        narrow_input: whether the input is one of them.
        prepared: calls of batches of even length, by the tables of their steps, sequences and strides.
    """

    saved_width: int
    makes_gradients: bool
    struct: ctypes.Structure
    memory: ctypes.Array[ctypes.c_char]
    settings: ctypes.Array[Any]
    narrow: frozenset[str] = frozenset()
    narrow_input: bool = False
    prepared: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @cached_property
    def address(self) -> int:
        return ctypes.addressof(self.struct)

    @cached_property
    def brought(self) -> tuple[int, ...]:
        """The addresses of the tensors that no call brings."""
        return (ctypes.addressof(self.settings),) if len(self.settings) else ()

    @cached_property
    def call(self) -> Struct:
        """How a call is written: its fields, then address and stride of each tensor."""
        return Struct(f"{CALL_FIELDS + 2 * self.struct.tensors}q")


def native(plan: Plan, dtype: str, function: Function, tuning: Tuning) -> NativePlan:
    """Write a plan into C structures.

    Args:
        plan: what to write.
        dtype: ``"f32"`` or ``"f64"``.
        function: gives the address of an emitted function.
        tuning: the choices for this processor.

    Returns:
        The structures, alive as long as the object.

    Raises:
        EmitError: the plan has more products or values than the engine holds.
    """
    index = {name: number for number, name in enumerate(("", *plan.tensors), -1)}
    steps = _flat(plan, function)
    products = [product for phase in (*plan.phases, *plan.ending) for product in phase.products]
    products += [*plan.before, *plan.after]
    _check_size(len(products), len(steps.places))
    parts = _arrays(plan, index, steps, products) | {"tuning": PACKERS[TuningStruct].pack(*tuning)}
    memory = ctypes.create_string_buffer(b"".join(parts.values()))
    ends = accumulate(map(len, parts.values()), initial=ctypes.addressof(memory))
    header = _header(plan, index, steps, len(products))
    struct = PlanStruct.from_buffer_copy(PACKERS[PlanStruct].pack(*header, *islice(ends, len(parts))))
    numbers = (NUMBERS[dtype] * len(plan.settings))(*plan.settings)
    makes_gradients, narrow = bool(plan.gradients or plan.sums), frozenset((*plan.narrow, *dict(plan.halved)))
    narrow_input = plan.tensors[0] in narrow
    return NativePlan(plan.saved_width, makes_gradients, struct, memory, numbers, narrow, narrow_input)


def _header(plan: Plan, index: Index, steps: _Flat, products: int) -> Fields:
    """The fields of ``PlanStruct`` before its pointers; each product has a matrix of its own."""
    return (
        *(plan.carried_width, plan.scratch_width, plan.chunk_width),
        *(products, products, len(steps.places), len(steps.reductions)),
        *(len(plan.phases), len(plan.ending), len(plan.carried), len(plan.gradients), len(plan.sums)),
        *(len(plan.before), len(plan.after), plan.slots, index[plan.input_gradient]),
        *(plan.by_unit, index[plan.chunk], index[plan.source], index[plan.weights], index[plan.tally]),
        *(plan.tally_width, len(plan.tensors), len(plan.halved)),
    )


def _check_size(products: int, places: int) -> None:
    if products > MOST_PRODUCTS or places > MOST_PLACES:
        raise EmitError(
            "ENGINE_SIZE",
            f"the engine holds {MOST_PRODUCTS} products and {MOST_PLACES} values a step, got {products} and {places}",
            fix="call the layer under tidegate.runtime.eager_only()",
        )


class _Flat(NamedTuple):
    """What the phases of a plan hold, each kind in one list."""

    places: list[Place]
    reductions: list[Fields]
    phases: list[Fields]


def _flat(plan: Plan, function: Function) -> _Flat:
    places, reductions, phases = _Flat([], [], [])
    first_product = 0
    for program in (plan.phases, plan.ending):
        first_of_program = len(reductions)
        for phase in program:
            first_place, first_reduction = len(places), len(reductions)
            places += phase.places
            for reduction in phase.reductions:
                results = (reduction.mean, reduction.variance)
                reductions.append((reduction.width, len(places), len(reduction.places), *results))
                places += reduction.places
            phases.append(
                (
                    phase.width,
                    function(phase.function),
                    *(first_product, len(phase.products)),
                    *(first_place, len(phase.places)),
                    *(first_reduction, len(phase.reductions)),
                    *(first_of_program + phase.joins[0] if phase.joins else 0, len(phase.joins)),
                )
            )
            first_product += len(phase.products)
    return _Flat(places, reductions, phases)


def _arrays(plan: Plan, index: Index, steps: _Flat, products: list[Product]) -> dict[str, bytes]:
    """What a plan points to, by the names of its pointers."""
    return {
        "matrix": _packed(MatrixStruct, [_matrix(index, product.weight) for product in products]),
        "product": _packed(ProductStruct, [_product(index, *numbered) for numbered in enumerate(products)]),
        "place": _packed(PlaceStruct, [_place(index, place) for place in steps.places]),
        "reduction": _packed(ReductionStruct, steps.reductions),
        "phase": _packed(PhaseStruct, steps.phases),
        "carry": _packed(CarriedStruct, [(c.width, c.offset, index[c.initial], index[c.last]) for c in plan.carried]),
        "gradient": _packed(GradientStruct, [_gradient(index, gradient) for gradient in plan.gradients]),
        "sum": _packed(SumStruct, [(s.adjoint, s.width, index[s.tensor], s.offset) for s in plan.sums]),
        "narrow": _marks(plan, dict.fromkeys(plan.narrow, 1)),
        "halved": _marks(plan, dict(plan.halved)),
    }


def _marks(plan: Plan, numbers: Mapping[str, int]) -> bytes:
    """A byte for each tensor of a plan; structures behind it stay aligned."""
    marks = bytes(numbers.get(name, 0) for name in plan.tensors)
    return marks.ljust(-(-len(marks) // 8) * 8, b"\0")


def _packed(kind: type[ctypes.Structure], items: Iterable[Fields]) -> bytes:
    """Structures in a row: ctypes would take five times as long to fill them."""
    return b"".join(starmap(PACKERS[kind].pack, items))


def _place(index: Index, place: Place) -> Fields:
    kind, offset, tensor, initial, one = place
    return kind, index[tensor], offset, index[initial], one


def _matrix(index: Index, weight: Weight) -> Fields:
    tensor, row, rows, columns, across, sparse, heads = weight
    k, n = (rows, columns * heads) if across else (columns * heads, rows)
    return index[tensor], across, row, k, n, columns, sparse, heads


def _product(index: Index, number: int, product: Product) -> Fields:
    operand, _, result, add, bias, bias_offset, *delta = product
    group, *columns = delta
    return *_place(index, operand), number, add, result, index[bias], group, bias_offset, *columns


def _gradient(index: Index, gradient: Gradient) -> Fields:
    adjoint, rows, columns, operand, tensor, row, sparse = gradient
    weight = index[gradient.weight] if sparse else -1
    return adjoint, rows, columns, *_place(index, operand), index[tensor], weight, row
