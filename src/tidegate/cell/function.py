"""The functions a definition may call, on symbols as on numbers or tensors.

``sigmoid(v)`` looks up the type of ``v`` in a registry, so that this room needs no tensor
library: whoever knows a tensor type registers a table for it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.cell.graph import Op
from tidegate.errors import SpecError

Table = Mapping[Op, Callable[..., Any]]
_tables: dict[type, Table] = {}


def register(kind: type, table: Table) -> None:
    """Teach the functions of this module to work on values of type ``kind``."""
    _tables[kind] = table


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def _log_sigmoid(value: float) -> float:
    return min(value, 0.0) - math.log1p(math.exp(-abs(value)))


def _mean(*values: float) -> float:
    return math.fsum(values) / len(values)


def _variance(*values: float) -> float:
    middle = _mean(*values)
    return _mean(*((value - middle) ** 2 for value in values))


ARITHMETIC: Table = {
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
    Op.DIV: operator.truediv,
    Op.NEG: operator.neg,
}
NUMBERS: Table = {
    **ARITHMETIC,
    Op.MAXIMUM: max,
    Op.MINIMUM: min,
    Op.CLAMP: lambda value, bound: min(max(value, -bound), bound),
    Op.SIGMOID: _sigmoid,
    Op.TANH: math.tanh,
    Op.RELU: lambda value: max(value, 0.0),
    Op.EXP: math.exp,
    Op.LOG: math.log,
    Op.LOG_SIGMOID: _log_sigmoid,
    Op.SQRT: math.sqrt,
    Op.MEAN: _mean,
    Op.VARIANCE: _variance,
}
register(float, NUMBERS)
register(int, NUMBERS)


def _call(op: Op, *args: Any) -> Any:
    for kind in (kind for arg in args for kind in type(arg).__mro__):
        if kind in _tables and kind not in (float, int):
            return _tables[kind][op](*args)
    if args and all(isinstance(arg, (int, float)) for arg in args):
        return NUMBERS[op](*args)
    raise SpecError(
        "FUNCTION_ARGUMENT",
        f"{op}() got {', '.join(type(arg).__name__ for arg in args) or 'nothing'}",
        fix="take one block of a namespace (x.i, U(h).i) or one vector (p.i)",
    )


def sigmoid(v: Any) -> Any:
    """1 / (1 + exp(-v)), element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.sigmoid(0.0)
        0.5
    """
    return _call(Op.SIGMOID, v)


def tanh(v: Any) -> Any:
    """The hyperbolic tangent of v, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.tanh(0.0)
        0.0
    """
    return _call(Op.TANH, v)


def relu(v: Any) -> Any:
    """max(v, 0), element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.relu(-2.0), tg.relu(2.0)
        (0.0, 2.0)
    """
    return _call(Op.RELU, v)


def exp(v: Any) -> Any:
    """Euler's number to the power v, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.exp(0.0)
        1.0
    """
    return _call(Op.EXP, v)


def log(v: Any) -> Any:
    """The natural logarithm of v, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.log(1.0)
        0.0
    """
    return _call(Op.LOG, v)


def log_sigmoid(v: Any) -> Any:
    """log(sigmoid(v)), element by element; finite where sigmoid(v) is too small to be a number.

    Example:
        >>> import tidegate as tg
        >>> tg.log_sigmoid(-1000.0)  # log(sigmoid(-1000.0)) would be -inf
        -1000.0
    """
    return _call(Op.LOG_SIGMOID, v)


def sqrt(v: Any) -> Any:
    """The square root of v, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.sqrt(9.0)
        3.0
    """
    return _call(Op.SQRT, v)


def mean(*v: Any) -> Any:
    """The mean over all units of all arguments together: one number for each row.

    Example:
        >>> import tidegate as tg
        >>> tg.mean(1.0, 2.0, 6.0)
        3.0
    """
    return _call(Op.MEAN, *v)


def variance(*v: Any) -> Any:
    """The mean square distance from the mean, over all units of all arguments together: one number for each row.

    Example:
        >>> import tidegate as tg
        >>> tg.variance(1.0, 3.0)
        1.0
    """
    return _call(Op.VARIANCE, *v)


def maximum(v: Any, w: Any) -> Any:
    """The larger of v and w, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.maximum(2.0, -3.0)
        2.0
    """
    return _call(Op.MAXIMUM, v, w)


def minimum(v: Any, w: Any) -> Any:
    """The smaller of v and w, element by element.

    Example:
        >>> import tidegate as tg
        >>> tg.minimum(2.0, -3.0)
        -3.0
    """
    return _call(Op.MINIMUM, v, w)


def clamp(v: Any, bound: Any) -> Any:
    """``v``, no further from zero than ``bound``, element by element; flat beyond it.

    Example:
        >>> import tidegate as tg
        >>> tg.clamp(5.0, 2.0), tg.clamp(-5.0, 2.0), tg.clamp(1.0, 2.0)
        (2.0, -2.0, 1.0)
    """
    return _call(Op.CLAMP, v, bound)
