"""The types that a cell of Keras computes in, by its dtype policy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from keras.src.backend import AutocastScope  # what casts weights in a call of a layer, though not exported

from tidegate.nn.precision import HALF, PRODUCTS, Precision, working_type


def precision_of(layer: Any) -> Precision:
    """The types of a layer or a cell of Keras.

    In half precision products round both factors to the compute dtype. States, sums and biases are float32, where
    Keras's own layers round after each operation, and results are rounded once.

    Args:
        layer: its ``compute_dtype`` counts.
    """
    dtype = getattr(torch, layer.compute_dtype)
    return Precision(working_type(dtype), dtype, PRODUCTS.get(dtype))


def unrounded(layer: Any) -> AbstractContextManager[Any]:
    """Where weights are read as they are held, if the layer computes in half precision, else in its compute dtype."""
    scope: AbstractContextManager[Any] = AutocastScope(
        None if precision_of(layer).result in HALF else layer.compute_dtype
    )
    return scope
