"""Activation functions that Keras 3 does not have."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tidegate")
def hard_sigmoid_keras2(x: Any) -> Any:
    """The ``hard_sigmoid`` of Keras 2, clip(x/5 + 1/2, 0, 1), which its recurrent layers had by default until 2.3.

    Keras 3 calls another function so, clip(x/6 + 1/2, 0, 1). Layers of ``tidegate.keras`` run either in the engine.

    Args:
        x: a tensor.

    Example:
        >>> import keras, tidegate.keras
        >>> layer = tidegate.keras.LSTM(4, recurrent_activation=tidegate.keras.hard_sigmoid_keras2)
        >>> tidegate.keras.hard_sigmoid_keras2(keras.ops.array([-3.0, 0.0, 1.0, 3.0]))
        tensor([0.0000, 0.5000, 0.7000, 1.0000])
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)
