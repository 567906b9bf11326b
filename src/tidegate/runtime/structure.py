"""The structures of ``engine/plan.h``, as ctypes; sizes are checked when a library is loaded."""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_void_p
from enum import IntEnum
from typing import Any

MOST_PRODUCTS, MOST_PLACES = 256, 512  # of a plan


class Kind(IntEnum):
    """Where a row of values lies; see ``tg_kind``."""

    ROWS = 0
    SERIES = 1
    CHUNK = 2
    BEFORE = 3
    AFTER = 4
    SCRATCH = 5
    PRODUCT = 6
    VECTOR = 7
    PREVIOUS = 8


def _structure(name: str, **fields: Any) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


PlaceStruct = _structure("tg_place", kind=c_int32, tensor=c_int32, offset=c_int64, initial=c_int32, one=c_int32)
MatrixStruct = _structure(
    "tg_matrix", tensor=c_int32, across=c_int32, row=c_int64, k=c_int64, n=c_int64, columns=c_int64
)
ProductStruct = _structure(
    "tg_product",
    operand=PlaceStruct,
    matrix=c_int32,
    add=c_int32,
    result=c_int64,
    bias=c_int32,
    bias_offset=c_int64,
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
    row=c_int64,
)
SumStruct = _structure("tg_sum", adjoint=c_int64, count=c_int64, tensor=c_int32, offset=c_int64)
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
    tensors=c_int64,
    matrix=c_void_p,
    product=c_void_p,
    place=c_void_p,
    reduction=c_void_p,
    phase=c_void_p,
    carry=c_void_p,
    gradient=c_void_p,
    sum=c_void_p,
)
CALL_FIELDS = 10  # of tg_call, eight bytes each
STRUCTURES = (
    PlaceStruct,
    MatrixStruct,
    ProductStruct,
    ReductionStruct,
    PhaseStruct,
    CarriedStruct,
    GradientStruct,
    SumStruct,
    PlanStruct,
)
