"""Runs graphs on tensors: by fused kernels where they apply, by the eager definition everywhere."""

from tidegate.runtime.apart import FirstStates, Withheld, begin_with, withheld_by, withhold
from tidegate.runtime.call import Forward
from tidegate.runtime.delta import Delta, Sent
from tidegate.runtime.frozen import keep
from tidegate.runtime.fused import JIT_TRACE, obstacle, traces, transform, unavailable, wants_operator
from tidegate.runtime.layer import (
    check_layer,
    operator_obstacle,
    run_layer,
    run_layer_backward,
    run_layer_saving,
    trace_layer,
)
from tidegate.runtime.library import fma_peak, isa, panel_vectors, read_peak
from tidegate.runtime.path import FUSED, TWICE, Obstacle, asked_for_eager, check_strict, eager_only, strict
from tidegate.runtime.rows import Rows, Steps
from tidegate.runtime.shape import check_devices, wrong_shape
from tidegate.runtime.sized import HALVES, KINDS, Products, SizedCell, described, sized
from tidegate.runtime.step import run_step
from tidegate.runtime.stream import Stream
from tidegate.runtime.tensor import TENSORS
from tidegate.runtime.watch import Adjoints, Product, WatchedCall, watch_adjoints, watching

__all__ = [
    "FUSED",
    "HALVES",
    "JIT_TRACE",
    "KINDS",
    "TENSORS",
    "TWICE",
    "Adjoints",
    "Delta",
    "FirstStates",
    "Forward",
    "Obstacle",
    "Product",
    "Products",
    "Rows",
    "Sent",
    "SizedCell",
    "Steps",
    "Stream",
    "WatchedCall",
    "Withheld",
    "asked_for_eager",
    "begin_with",
    "check_devices",
    "check_layer",
    "check_strict",
    "described",
    "eager_only",
    "fma_peak",
    "isa",
    "keep",
    "obstacle",
    "operator_obstacle",
    "panel_vectors",
    "read_peak",
    "run_layer",
    "run_layer_backward",
    "run_layer_saving",
    "run_step",
    "sized",
    "strict",
    "trace_layer",
    "traces",
    "transform",
    "unavailable",
    "wants_operator",
    "watch_adjoints",
    "watching",
    "withheld_by",
    "withhold",
    "wrong_shape",
]
