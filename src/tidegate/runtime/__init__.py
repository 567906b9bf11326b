"""Runs graphs on tensors: by fused kernels where they apply, by the eager definition everywhere."""

from tidegate.runtime.eager import Rows, run
from tidegate.runtime.layer import eager_only, run_layer
from tidegate.runtime.library import isa, peak_flops
from tidegate.runtime.tensor import TENSORS

__all__ = ["TENSORS", "Rows", "eager_only", "isa", "peak_flops", "run", "run_layer"]
