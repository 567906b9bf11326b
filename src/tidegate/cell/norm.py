"""Layer normalisation as a function of the cell language, and its recognition in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tidegate.cell.function import mean, sqrt, variance
from tidegate.cell.graph import Graph, Op
from tidegate.cell.symbol import Namespace

EPSILON = 1e-5  # added to the variance, as in torch.nn.LayerNorm


def layer_norm(*v: Any) -> Any:
    """The arguments, normalised together: ``(v - mean) / sqrt(variance + 1e-5)`` over all units of all of them.

    Gains and biases are up to the caller. All blocks of a namespace such as ``U(h)`` are normalised together and
    keep their names: ``layer_norm(U(h)).i``.

    Args:
        v: one or more values of one width, or one namespace.

    Returns:
        One value for one argument, a tuple for several, a namespace for a namespace.

    Example:
        >>> from tidegate.cell import Cell, layer_norm, sigmoid, tanh
        >>> class Normed(Cell):
        ...     gates = "z n"
        ...     biases = "W"
        ...
        ...     def step(self, x, h, U):
        ...         u = layer_norm(U(h))
        ...         z = sigmoid(x.z + u.z)
        ...         n = tanh(x.n + layer_norm(z * u.n))
        ...         return z * h + (1 - z) * n

    References:
        Ba, Kiros & Hinton 2016, Layer Normalization, arXiv 1607.06450.
    """
    if len(v) == 1 and isinstance(v[0], Namespace):
        names, blocks = zip(*v[0], strict=True)
        normal = zip(names, _normal(*blocks), strict=True)
        return Namespace(f"layer_norm({v[0]})", {name: partial(_itself, value) for name, value in normal})
    return _normal(*v) if len(v) > 1 else _normal(*v)[0]


def _itself(value: Any) -> Any:
    return value


def _normal(*v: Any) -> tuple[Any, ...]:
    middle, scale = mean(*v), 1 / sqrt(variance(*v) + EPSILON)
    return tuple((value - middle) * scale for value in v)


@dataclass(frozen=True)
class Normal:
    """What ``layer_norm`` left in a graph: one of the values that it normalised together."""

    values: tuple[int, ...]
    chosen: int


def normal_at(graph: Graph, index: int) -> Normal | None:
    """The layer norm whose result this node is; None if it is something else."""

    def args(at: int, op: Op) -> tuple[int, ...]:
        return graph.nodes[at].args if graph.nodes[at].op is op else ()

    try:
        centred, scale = args(index, Op.MUL)
        value, middle = args(centred, Op.SUB)
        one, deviation = args(scale, Op.DIV)
        (inside,) = args(deviation, Op.SQRT)
        squares, epsilon = args(inside, Op.ADD)
    except ValueError:
        return None
    values = args(middle, Op.MEAN)
    numbers = graph.nodes[one].value, graph.nodes[epsilon].value
    same = value in values and values == args(squares, Op.VARIANCE) and numbers == (1.0, EPSILON)
    return Normal(values, value) if same else None
