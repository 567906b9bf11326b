"""What rules judge: a layer that was measured, relative to a lag, and the numbers that a verdict rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tidegate.explain.curve import LagCurve
from tidegate.explain.measure import LayerMeasures
from tidegate.explain.memory import Memory
from tidegate.language import say
from tidegate.records import EvidenceRecord

VANISHED = -3.5  # log10 of |dL/ds| at the lag over that at lag 1
MOST = 0.5  # of the units
STILL = 5e-3  # how far a unit goes within the lag, as a share of its range
RATIO, EXPONENT = say("gradient at the lag over that at lag 1, log10"), say("exponent of the gradient, per step")


class Number(NamedTuple):
    """A number that a verdict rests on; ``EvidenceRecord`` describes it."""

    name: str
    value: float
    threshold: float | None = None
    side: Literal["below", "above", ""] = ""
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is on its side of the threshold; NaN is on none."""
        if self.threshold is None:
            return True
        return self.value < self.threshold if self.side == "below" else self.value > self.threshold

    @property
    def record(self) -> EvidenceRecord:
        """As plain data."""
        return EvidenceRecord(self.name, self.value if math.isfinite(self.value) else None, *self[2:])


@dataclass(frozen=True)
class Case:
    """One layer in one direction, of a stack that was measured; or the stack as a whole."""

    measures: LayerMeasures
    name: str
    lag: int
    command: str

    @property
    def memory(self) -> Memory:
        """Of this layer in this direction."""
        return self.measures.memories[self.name]

    @property
    def curve(self) -> LagCurve | None:
        """The gradient by lag of the whole stack, in the direction in which most of it is left at the lag."""
        known = [curve for curve in self.measures.whole if not math.isnan(curve.at(self.lag))]
        return max(known, key=lambda curve: curve.at(self.lag), default=None)

    @property
    def ratio(self) -> float:
        """log10 of the gradient at the lag over that at lag 1; NaN where no sequence is so long."""
        return math.nan if self.curve is None else self.curve.at(self.lag)

    @property
    def slope(self) -> float:
        """The exponent of the same curve."""
        return math.nan if self.curve is None else self.curve.slope

    def vanished(self) -> list[Number]:
        """The numbers that say that the gradient vanishes."""
        return [Number(RATIO, self.ratio, VANISHED, "below"), Number(EXPONENT, self.slope)]

    def still(self) -> Number:
        """The number that says that the output does not move."""
        way = self.memory.moved[self.measures.layer.graph.output.name] * self.lag
        name = say("units that move less than {still:.1%} of their range within the lag", still=STILL)
        return Number(name, float((way < STILL).mean()), MOST, "above")
