"""How parameters begin, as data: the name of a rule and its arguments, such as ``"uniform 0 1"``.

A definition says it for biases and vectors where its paper does; everything else is drawn as torch.nn draws it. Rules
are listed here without torch, and ``nn.initial`` carries them out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.errors import SpecError

NUMBER, VECTOR = "a number", "a vector of the cell"
RULES: dict[str, tuple[str, ...]] = {
    "constant": (NUMBER,),  # c
    "uniform": (NUMBER, NUMBER),  # u in [a, b]
    "gate": (),  # log(u / (1 - u)), u in [1/n, 1 - 1/n] for n units: an open share of every size
    "decay": (NUMBER, NUMBER, NUMBER),  # log(v / (1 - v)), v^c uniform in [a, b]
    "ring": (NUMBER, NUMBER),  # log(-log(r)), r^2 uniform in [a^2, b^2]
    "ring_gain": (VECTOR,),  # log(sqrt(1 - r^2)), r that of a ring
    "phase": (NUMBER, NUMBER),  # tan(angle / 2), the angle uniform in [a, b]
    "frequencies": (NUMBER,),  # tan(angle / 2), the angle of unit k of n a^(-2 k / n)
}


@dataclass(frozen=True)
class Initial:
    """How one parameter begins, or one block of it.

    Attributes:
        name: a vector such as ``"nu"``, or the bias of a matrix such as ``"bias_W"``.
        rule: its name in ``RULES`` and its arguments, separated by blanks.
        block: the block that begins so; all of them if empty.
    """

    name: str
    rule: str
    block: str = ""

    @property
    def words(self) -> tuple[str, tuple[str | float, ...]]:
        """The rule, and its arguments.

        Raises:
            SpecError: there is no such rule, or it takes other arguments.
        """
        rule, *words = self.rule.split() or [""]
        kinds = RULES.get(rule)
        if kinds is None or len(words) != len(kinds):
            takes = "; ".join(" ".join((name, *kinds)) for name, kinds in RULES.items())
            raise SpecError("INITIAL", f"{self.name} begins as {self.rule!r:.60}", fix=f"rules are: {takes}")
        arguments = [_number(word) if kind is NUMBER else word for word, kind in zip(words, kinds, strict=True)]
        if any(argument is None for argument in arguments):
            raise SpecError("INITIAL", f"{self.name} begins as {self.rule!r:.60}", fix="write finite numbers")
        return rule, tuple(argument for argument in arguments if argument is not None)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def initials(declared: object) -> tuple[Initial, ...]:
    """What a definition declares, e.g. ``{"nu": "ring 0 1", "bias_W.f": "constant 1"}``.

    Raises:
        SpecError: it is something else than names and rules.
    """
    if not isinstance(declared, dict) or not all(isinstance(t, str) for pair in declared.items() for t in pair):
        fix = 'declare e.g. initial = {"bias_W.f": "constant 1"}'
        raise SpecError("INITIAL", f"initial is {declared!r:.60}", fix=fix)
    parts = [(name.partition("."), rule) for name, rule in declared.items()]
    return tuple(Initial(name, rule, block) for (name, _, block), rule in parts)
