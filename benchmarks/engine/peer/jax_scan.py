"""JAX: the cell's graph in a jitted ``lax.scan``, or ``associative_scan``; in training ``value_and_grad`` of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.engine.item import Item
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.peer.unroll import Step, affine, combined
from benchmarks.engine.problem import Arrays, Problem

from tidegate.cell.function import ARITHMETIC, Table
from tidegate.cell.graph import Op


class Jax(Peer):
    """Weights and input lie on the device before the clock starts; a call ends when its result is there."""

    name = "JAX"
    packages = ("jax", "jaxlib")

    def supports(self, item: Item) -> str | None:
        return "no ragged batches" if item.ragged else None

    def prepare(self, problem: Problem) -> Prepared:
        import jax

        jax.config.update("jax_enable_x64", val=True)  # allows float64, float32 stays what it is
        x, upstream = jax.device_put(problem.x), jax.device_put(problem.upstream)
        weights = jax.device_put(dict(problem.weights))
        states = [f"final {state.name}" for state in problem.item.graph.states]

        def forward(weights: Any, x: Any) -> tuple[Any, Any]:
            return self.layer(problem.item, weights, x)

        def loss(weights: Any, x: Any) -> tuple[Any, Any]:
            y, final = forward(weights, x)
            return (y * upstream).sum(), (y, final)

        def outputs(y: Any, final: Any) -> Arrays:
            named = zip(states, (np.asarray(state)[None] for state in final), strict=True)
            return {"y": np.asarray(y), **dict(named)}

        def read_gradients(result: Any) -> Arrays:
            (_, (y, final)), (of_weights, of_x) = result
            gradients = {name: np.asarray(value) for name, value in of_weights.items()}
            return {**outputs(y, final), "x": np.asarray(of_x), **gradients}

        if problem.item.mode == "inference":
            run = jax.jit(forward)
            return Prepared(lambda: jax.block_until_ready(run(weights, x)), lambda result: outputs(*result))
        run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        return Prepared(lambda: jax.block_until_ready(run(weights, x)), read_gradients)

    def layer(self, item: Item, weights: Any, x: Any) -> tuple[Any, Any]:
        """Output [T, B, ...] and final states."""
        import jax
        import jax.numpy as jnp

        step = Step(item.graph, weights, item.widths, _table(jax, jnp), jnp)
        sums = affine(item.graph)

        def advance(states: Any, inputs: Any) -> tuple[Any, Any]:
            new = (inputs[0] * states[0] + inputs[1],) if sums else step(states, inputs)
            return new, new[0]

        initial = tuple(jnp.zeros((item.B, item.widths[state.axis]), x.dtype) for state in item.graph.states)
        final, y = jax.lax.scan(advance, initial, _sums(item, step, x) if sums else step.inputs(x))
        return y, final


class JaxAssociative(Jax):
    """A scan by halves, of cells whose state is a sum and a product: steps a h + b are combined in pairs."""

    name = "JAX associative_scan"

    def supports(self, item: Item) -> str | None:
        return super().supports(item) or (None if affine(item.graph) else "its state is no sum and product")

    def layer(self, item: Item, weights: Any, x: Any) -> tuple[Any, Any]:
        import jax
        import jax.numpy as jnp

        step = Step(item.graph, weights, item.widths, _table(jax, jnp), jnp)
        _, y = jax.lax.associative_scan(combined, _sums(item, step, x))
        return y, (y[-1],)


def _sums(item: Item, step: Step, x: Any) -> tuple[Any, Any]:
    """a and b of the steps a h + b, of all at once: the slope, and the value where h is zero."""
    import jax
    import jax.numpy as jnp

    inputs, old = step.inputs(x), jnp.zeros((item.T, item.B, item.H), x.dtype)
    b, a = jax.jvp(lambda h: step((h,), inputs)[0], (old,), (jnp.ones_like(old),))
    return a, b


def _table(jax: Any, jnp: Any) -> Table:
    def joined(values: tuple[Any, ...]) -> Any:
        return jnp.concatenate(jnp.broadcast_arrays(*values), -1)

    return {
        **ARITHMETIC,
        Op.MAXIMUM: jnp.maximum,
        Op.MINIMUM: jnp.minimum,
        Op.SIGMOID: jax.nn.sigmoid,
        Op.TANH: jnp.tanh,
        Op.RELU: jax.nn.relu,
        Op.LOG_SIGMOID: jax.nn.log_sigmoid,
        Op.EXP: jnp.exp,
        Op.LOG: jnp.log,
        Op.SQRT: jnp.sqrt,
        Op.MEAN: lambda *values: joined(values).mean(-1, keepdims=True),
        Op.VARIANCE: lambda *values: joined(values).var(-1, keepdims=True),
    }
