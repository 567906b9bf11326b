"""The activation functions of RNN, LSTM and GRU, recognised by what they compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import Op

Function = Callable[[float], float]
CLOSE = 1e-9  # relative to 1 + the value
PLACES = tuple(  # where functions are compared; the numbers in their equations are added
    sign * value for value in (*(k / 16 for k in range(160)), *(10.0**k for k in range(-6, 7))) for sign in (1, -1)
)


@dataclass(frozen=True)
class Activation:
    """An activation with its parameters.

    Attributes:
        name: in ONNX.
        parameters: alpha, or alpha and beta, as many as it takes.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __call__(self, v: float) -> float:
        return KINDS[self.name].compute(v, *self.parameters)

    @property
    def falls(self) -> bool:
        """It is a hard sigmoid of the opposite of its argument, as that of 1 - z is."""
        return self.name == "HardSigmoid" and self.parameters[0] < 0

    @property
    def mirrored(self) -> Activation:
        """The same function of the opposite of its argument."""
        return Activation(self.name, (-self.parameters[0], *self.parameters[1:]))


@dataclass(frozen=True)
class Kind:
    """A kind of activations.

    Attributes:
        compute: the function, of a number and its parameters.
        fit: the parameters that a function would have if it were of this kind.
    """

    compute: Callable[..., float]
    fit: Callable[[Function], Sequence[float]] = lambda _: ()


def _scaled_tanh(f: Function) -> Sequence[float]:
    alpha = f(1e6)
    return alpha, math.atanh(f(0.25) / alpha) / 0.25


def _slope(f: Function) -> Sequence[float]:
    return (f(0.0625) - f(0.0)) / 0.0625, f(0.0)


KINDS: Mapping[str, Kind] = {
    "Sigmoid": Kind(NUMBERS[Op.SIGMOID]),
    "Tanh": Kind(math.tanh),
    "Relu": Kind(lambda v: max(v, 0.0)),
    "Affine": Kind(lambda v, alpha, beta: alpha * v + beta, _slope),
    "ScaledTanh": Kind(lambda v, alpha, beta: alpha * math.tanh(beta * v), _scaled_tanh),
    "HardSigmoid": Kind(lambda v, alpha, beta: max(0.0, min(1.0, alpha * v + beta)), _slope),
    "LeakyRelu": Kind(lambda v, alpha: v if v >= 0 else alpha * v, lambda f: (-f(-1.0),)),
    "Elu": Kind(lambda v, alpha: v if v >= 0 else alpha * math.expm1(v), lambda f: (-f(-60.0),)),
    "Softsign": Kind(lambda v: v / (1 + abs(v))),
    "Softplus": Kind(lambda v: max(v, 0.0) + math.log1p(math.exp(-abs(v)))),
}


def recognised(f: Function, numbers: Sequence[float] = ()) -> Activation | None:
    """The activation that computes the same as a function; None if there is none.

    Args:
        f: the function.
        numbers: that occur in its equation, so that it may bend there.
    """
    places = [*PLACES, *(sign * number * k for number in numbers for sign in (1, -1) for k in (0.999, 1.001, 2.0))]
    for name, kind in KINDS.items():
        try:
            found = Activation(name, tuple(float(f"{number:.12g}") for number in kind.fit(f)))
            if all(abs(found(v) - f(v)) <= CLOSE * (1 + abs(f(v))) for v in places):
                return found
        except (ArithmeticError, ValueError):
            continue
    return None
