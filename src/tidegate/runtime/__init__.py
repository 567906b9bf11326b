"""Runs graphs on tensors: by fused kernels where they apply, by the eager definition everywhere."""

from tidegate.runtime.fused import obstacle, transform
from tidegate.runtime.layer import run_layer, trace_layer
from tidegate.runtime.library import fma_peak, isa
from tidegate.runtime.path import FUSED, TRACE, Obstacle, check_strict, eager_only, strict
from tidegate.runtime.rows import Rows, Steps
from tidegate.runtime.sized import SizedCell, sized
from tidegate.runtime.stream import Stream
from tidegate.runtime.tensor import TENSORS

__all__ = [
    "FUSED",
    "TENSORS",
    "TRACE",
    "Obstacle",
    "Rows",
    "SizedCell",
    "Steps",
    "Stream",
    "check_strict",
    "eager_only",
    "fma_peak",
    "isa",
    "obstacle",
    "run_layer",
    "sized",
    "strict",
    "trace_layer",
    "transform",
]
