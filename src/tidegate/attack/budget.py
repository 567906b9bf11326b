"""Budgets as users give them: changes of numbers, counts of edits, or decibels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.attack.kind.base import Kind
from tidegate.errors import InputError

MOST = 64  # budgets


class Scale(NamedTuple):
    """How budgets of one kind are given.

    Attributes:
        allowed: whether a number is one.
        what: such numbers, in words.
        example: of an argument.
        budget: from such a number.
        number: from a budget.
    """

    allowed: Callable[[float], bool]
    what: str
    example: str
    budget: Callable[[float], float]
    number: Callable[[float], float]


SCALES = {
    "eps": Scale(lambda value: value >= 0, "numbers of at least 0", "eps=(0.1, 0.2, 0.5)", float, float),
    "edits": Scale(lambda value: value >= 0 and value == int(value), "whole numbers", "edits=(1, 2, 3)", float, float),
    "audio_snr": Scale(
        lambda value: -20 <= value <= 120,
        "dB from -20 to 120",
        "audio_snr=(40, 30, 20)",
        lambda value: 10 ** (-value / 20),
        lambda budget: -20 * math.log10(budget),
    ),
}


@dataclass(frozen=True)
class Budgets:
    """The budgets of a curve.

    Attributes:
        name: of the argument that holds them; empty if none was given.
        values: rising, as the curve takes them.
    """

    name: str = ""
    values: tuple[float, ...] = ()

    @classmethod
    def checked(cls, **given: Sequence[float] | None) -> Budgets:
        """Budgets by the name of their argument.

        Raises:
            InputError: several were given, or a number is none.
        """
        named = {name: values for name, values in given.items() if values is not None}
        if len(named) > 1:
            raise InputError("ATTACK_BUDGETS", f"{' and '.join(named)} exclude each other", fix="leave one of them out")
        for name, values in named.items():
            scale = SCALES[name]
            budgets = sorted({scale.budget(value) for value in values if math.isfinite(value) and scale.allowed(value)})
            if len(budgets) < len(set(values)) or not 0 < len(budgets) <= MOST or budgets == [0.0]:
                raise InputError(
                    f"ATTACK_{name.upper()}",
                    f"{name} must be 1 to {MOST} {scale.what}, not all 0, got {', '.join(map(str, values))}",
                    fix=f"pass e.g. {scale.example}",
                )
            return cls(name, tuple(budgets))
        return cls()

    def of(self, kind: Kind) -> tuple[float, ...]:
        """These, or else those that suit a kind.

        Raises:
            InputError: they are of another kind.
        """
        if self.name and self.name != kind.asks:
            raise InputError(
                "ATTACK_BUDGETS",
                f"{self.name} is no measure of what is attacked here, {kind.unit}",
                fix=f"pass {SCALES[kind.asks].example}",
            )
        return self.values or kind.budgets


def listed(name: str, budgets: Sequence[float]) -> str:
    """Budgets above 0 as the command line takes them."""
    return ",".join(f"{SCALES[name].number(budget):.6g}" for budget in budgets if budget)
