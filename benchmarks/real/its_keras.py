"""Stands in for Keras 2 on TensorFlow, which the packages need: Keras 3 on JAX, which compiles a model as a whole."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is loaded

import jax
import keras

JUDGE = "its network in Keras 3, compiled by JAX"


@keras.saving.register_keras_serializable()
def its_hard_sigmoid(x: Any) -> Any:
    """Of Keras 2; that of Keras 3 has another slope."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def compiled(model: keras.Model) -> Any:
    """The model as a function from an array to an array or a list of them."""
    trainable, fixed = model.trainable_variables, model.non_trainable_variables
    values = jax.device_put(([v.value for v in trainable], [v.value for v in fixed]))
    run = jax.jit(lambda values, x: model.stateless_call(*values, x)[0])
    return lambda x: jax.block_until_ready(run(values, x))
