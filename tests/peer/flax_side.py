"""Flax's own cells in its own loops: linen, and nnx."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import linen, nnx

from tests.peer.case import Case, Draw, H

jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003  compiling takes most of the time


class LinenSide:
    kinds = {"rnn": linen.SimpleCell, "lstm": linen.LSTMCell, "gru": linen.GRUCell}

    def why_not(self, case: Case) -> str | None:
        return None if case.bias else "its cells always have biases"

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(case.dtype == "float64"):
            y = jax.numpy.asarray(x)
            for variables in weights:
                y = self._module(case).apply(variables, y)
            return np.asarray(y)

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        draw, weights = Draw(case), []
        with jax.enable_x64(case.dtype == "float64"):
            for width in case.widths:
                made = self._module(case).init(jax.random.key(0), x[..., :1].repeat(width, axis=-1))
                weights.append(jax.tree.map(lambda leaf: jax.numpy.asarray(draw(*leaf.shape)), made))
            return weights, self.run(case, weights, x)

    def _module(self, case: Case) -> linen.Module:
        options = {"activation_fn": linen.relu} if case.cell == "rnn/relu" else {}
        rnns = [
            linen.RNN(self.kinds[case.family](H, param_dtype=case.dtype, **options), time_major=True)
            for _ in range(case.directions)
        ]
        return linen.Bidirectional(*rnns, time_major=True) if case.bidirectional else rnns[0]


class LinenOptimizedSide(LinenSide):
    kinds = {"lstm": linen.OptimizedLSTMCell}


class NnxSide:
    kinds = {"rnn": nnx.SimpleCell, "lstm": nnx.LSTMCell, "gru": nnx.GRUCell}

    def why_not(self, case: Case) -> str | None:
        return None if case.bias else "its cells always have biases"

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(case.dtype == "float64"):
            modules = [self._module(case, width) for width in case.widths]
            for module, tree in zip(modules, weights, strict=True):
                nnx.update(module, jax.tree.map(jax.numpy.asarray, tree))
            return _run(modules, x)

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        draw, states = Draw(case), []
        with jax.enable_x64(case.dtype == "float64"):
            modules = [self._module(case, width) for width in case.widths]
            for module in modules:
                made = nnx.to_pure_dict(nnx.state(module, nnx.Param))
                nnx.update(module, jax.tree.map(lambda leaf: jax.numpy.asarray(draw(*leaf.shape)), made))
                states.append(nnx.state(module, nnx.Param))
            return states, _run(modules, x)

    def _module(self, case: Case, width: int) -> nnx.Module:
        options: dict[str, Any] = {"param_dtype": case.dtype}
        if case.family == "rnn":
            options |= {"dtype": case.dtype, "activation_fn": nnx.relu if case.cell == "rnn/relu" else nnx.tanh}
        rnns = []
        for _ in range(case.directions):
            cell = self.kinds[case.family](width, H, rngs=nnx.Rngs(0), **options)
            rnns.append(nnx.RNN(cell, time_major=True, rngs=nnx.Rngs(0)))
        return nnx.Bidirectional(*rnns, time_major=True) if case.bidirectional else rnns[0]


class NnxOptimizedSide(NnxSide):
    kinds = {"lstm": nnx.OptimizedLSTMCell}


def _run(modules: list[nnx.Module], x: np.ndarray) -> np.ndarray:
    y = jax.numpy.asarray(x)
    for module in modules:
        y = module(y)
    return np.asarray(y)
