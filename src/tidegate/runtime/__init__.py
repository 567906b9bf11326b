"""Runs graphs on tensors: for now by the eager definition; fused kernels follow."""

from tidegate.runtime.eager import Rows, run
from tidegate.runtime.tensor import TENSORS

__all__ = ["TENSORS", "Rows", "run"]
