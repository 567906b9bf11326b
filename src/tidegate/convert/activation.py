"""Activation functions: what each framework calls them, and how one is known by its values.

Three functions are called hard sigmoid: clip(x/5 + 1/2) by Keras 2, and by ONNX unless told otherwise; clip(x/6 + 1/2)
by Keras 3, JAX and torch. Here a function is its family and its numbers, so these are never confused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tidegate.cell import exp, log_sigmoid, maximum, minimum, relu, sigmoid, tanh

FAMILIES: Mapping[str, Callable[..., Any]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "linear": lambda v: v,
    "hard_sigmoid": lambda v, slope, middle: maximum(minimum(slope * v + middle, 1.0), 0.0),
    "hard_tanh": lambda v: maximum(minimum(v, 1.0), -1.0),
    "relu6": lambda v: minimum(relu(v), 6.0),
    "leaky_relu": lambda v, slope: relu(v) - slope * relu(-v),
    "elu": lambda v, scale: relu(v) + scale * (exp(minimum(v, 0.0)) - 1.0),
    "silu": lambda v: v * sigmoid(v),
    "softplus": lambda v: -log_sigmoid(-v),
    "softsign": lambda v: v / (1.0 + maximum(v, -v)),
    "exponential": exp,
    "affine": lambda v, slope, constant: slope * v + constant,
    "scaled_tanh": lambda v, scale, slope: scale * tanh(slope * v),
}
PLAIN = {("affine", (1.0, 0.0)): "linear", ("scaled_tanh", (1.0, 1.0)): "tanh", ("leaky_relu", (0.0,)): "relu"}
ROUNDED = 1e-6  # of numbers that a file holds in float32
NEAR = 1e-9  # two functions are one if their values differ by no more, relative to 1 or to the value


@dataclass(frozen=True)
class Activation:
    """A function of one number.

    Attributes:
        family: a key of ``FAMILIES``.
        numbers: what the family takes besides the argument. A float32 that stands for 0.2 or 1/6 is read as that.

    Example:
        >>> from tidegate.convert.activation import KERAS, KERAS2
        >>> print(KERAS["tanh"], KERAS["hard_sigmoid"], KERAS2["hard_sigmoid"])
        tanh hard_sigmoid hard_sigmoid_keras2
    """

    family: str
    numbers: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = tuple(map(_meant, self.numbers))
        family = PLAIN.get((self.family, numbers), self.family)
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "numbers", () if family in PLAIN.values() else numbers)

    def __call__(self, v: Any) -> Any:
        """Its value at a number, or its nodes where ``v`` is a symbol of a graph."""
        return FAMILIES[self.family](v, *self.numbers)

    def __str__(self) -> str:
        if self in SPOKEN:
            return SPOKEN[self]
        return (
            f"{self.family}({', '.join(f'{number:.6g}' for number in self.numbers)})" if self.numbers else self.family
        )

    def is_near(self, other: Activation | None) -> bool:
        """Whether it is the same function, up to what float32 rounds of its numbers."""
        if other is None or self.family != other.family:
            return False
        return all(abs(a - b) <= ROUNDED * abs(b) for a, b in zip(self.numbers, other.numbers, strict=True))

    @property
    def is_even_around_half(self) -> bool:
        """Whether f(-x) = 1 - f(x), so that a gate may be stored with the opposite sign."""
        return self.family == "sigmoid" or (self.family == "hard_sigmoid" and self.numbers[1] == 0.5)


def _meant(number: float) -> float:
    """The short fraction that a float32 stands for, or the number."""
    near = float(Fraction(number).limit_denominator(1000)) if math.isfinite(number) else number
    return near if abs(near - number) <= 1e-7 * abs(number) else float(number)


_HARD2, _HARD3 = Activation("hard_sigmoid", (0.2, 0.5)), Activation("hard_sigmoid", (1 / 6, 0.5))
SIGMOID, TANH, RELU, LINEAR = map(Activation, ("sigmoid", "tanh", "relu", "linear"))
_SHARED = {name: Activation(name) for name in ("sigmoid", "tanh", "relu", "hard_tanh", "relu6", "silu", "softplus")}

KERAS: Mapping[str, Activation] = {
    **_SHARED,
    "linear": LINEAR,
    "hard_sigmoid": _HARD3,
    "softsign": Activation("softsign"),
    "exponential": Activation("exponential"),
    "elu": Activation("elu", (1.0,)),
    "leaky_relu": Activation("leaky_relu", (0.2,)),
    "hard_sigmoid_keras2": _HARD2,  # of tidegate.keras
}
KERAS2: Mapping[str, Activation] = {**KERAS, "hard_sigmoid": _HARD2}
JAX: Mapping[str, Activation] = {
    **_SHARED,
    "identity": LINEAR,
    "hard_sigmoid": _HARD3,
    "soft_sign": Activation("softsign"),
    "elu": Activation("elu", (1.0,)),
    "leaky_relu": Activation("leaky_relu", (0.01,)),
}
SPOKEN = {_HARD2: "hard_sigmoid_keras2", _HARD3: "hard_sigmoid", Activation("elu", (1.0,)): "elu"}

# ONNX: the family, and the values of alpha and beta where a node does not give them.
ONNX: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "Sigmoid": ("sigmoid", ()),
    "Tanh": ("tanh", ()),
    "Relu": ("relu", ()),
    "HardSigmoid": ("hard_sigmoid", (0.2, 0.5)),
    "Affine": ("affine", (1.0, 0.0)),
    "LeakyRelu": ("leaky_relu", (0.01,)),
    "ScaledTanh": ("scaled_tanh", (1.0, 1.0)),
    "Elu": ("elu", (1.0,)),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
}
_ONNX_NAME = {family: name for name, (family, _) in ONNX.items()} | {"linear": "Affine"}
_ONNX_FOLDED = {name.lower(): name for name in ONNX}


def in_onnx(activation: Activation) -> bool:
    """Whether the recurrent nodes of ONNX have a function."""
    return activation.family in _ONNX_NAME


def read_onnx(names: Iterable[str], alphas: Iterable[float], betas: Iterable[float]) -> list[Activation | None]:
    """The functions of a node; alphas and betas are consumed by those that take one, in order. None: not known here."""
    found: list[Activation | None] = []
    given = [iter([*alphas]), iter([*betas])]
    for name in names:
        family, defaults = ONNX.get(_ONNX_FOLDED.get(name.lower(), ""), ("", ()))
        numbers = tuple(next(given[k], default) for k, default in enumerate(defaults))
        found.append(Activation(family, numbers) if family else None)
    return found


def write_onnx(activations: Iterable[Activation]) -> dict[str, list[Any]]:
    """The attributes of a node with these functions, all of which ``in_onnx``."""
    attributes: dict[str, list[Any]] = {"activations": [], "activation_alpha": [], "activation_beta": []}
    for activation in activations:
        name = _ONNX_NAME[activation.family]
        numbers = activation.numbers or ONNX[name][1]
        attributes["activations"].append(name)
        for kind, number in zip(("activation_alpha", "activation_beta"), numbers, strict=False):
            attributes[kind].append(number)
    return {name: values for name, values in attributes.items() if values}


def recognised(function: Callable[[float], float]) -> Activation | None:
    """The activation whose values a function has, within 1e-9, from -10,000 to 10,000; None if it is none of these."""
    values = [_value(function, point) for point in POINTS]
    for candidate in _candidates(lambda point: values[POINTS.index(point)]):
        if all(_near(_value(candidate, point), value) for point, value in zip(POINTS, values, strict=True)):
            return candidate
    return None


SMALL = 2.0**-10
POINTS = sorted({0.0, *(sign * x for sign in (1, -1) for x in (SMALL, 0.25, *(1.07**k for k in range(-60, 137)), 1e4))})


def _candidates(at: Callable[[float], float]) -> Iterator[Activation]:
    """Every family; of those with numbers the only member that can have these values."""
    yield from (Activation(name) for name in (*_SHARED, "linear", "softsign", "exponential"))
    zero, one, minus = at(0.0), at(1.0), at(-1.0)
    if not all(map(math.isfinite, (zero, one, minus, at(SMALL), at(0.25), at(1e4)))):
        return
    yield Activation("hard_sigmoid", ((at(SMALL) - zero) / SMALL, zero))
    yield Activation("affine", (one - zero, zero))
    yield Activation("leaky_relu", (-minus,))
    yield Activation("elu", (minus / math.expm1(-1),))
    scale = at(1e4)
    if scale and abs(at(0.25)) < abs(scale):
        yield Activation("scaled_tanh", (scale, math.atanh(at(0.25) / scale) / 0.25))


def _value(function: Callable[[float], float], point: float) -> float:
    try:
        return float(function(point))
    except OverflowError:
        return math.inf
    except (ArithmeticError, ValueError):
        return math.nan


def _near(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= NEAR * max(1.0, abs(one))
