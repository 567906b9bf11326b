"""Which steps and features may change, and by which norm changes are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.adversary.ball import Norm
from tidegate.errors import InputError, did_you_mean

Direction = Literal["error", "up", "down"]


@dataclass(frozen=True)
class Limits:
    """What may change.

    Attributes:
        norm: of changes.
        steps: the first step that may change, and the one behind the last; None for all.
        features: by name; None for all.
        direction: where forecasts are pushed: away from the truth, up or down.
        text: what is edited in texts; None for what the model reads.
        tolerance: by how much a forecast must move to count as broken, in standard deviations; None for its mean error.
    """

    norm: Norm = "linf"
    steps: tuple[int, int | None] | None = None
    features: tuple[str, ...] | None = None
    direction: Direction = "error"
    tolerance: float | None = None
    text: Literal["chars", "words"] | None = None

    @property
    def limited(self) -> bool:
        """Whether something may not change."""
        return self.steps is not None or self.features is not None

    def of(self, names: Sequence[str]) -> list[int] | None:
        """The places of the features among these names; None for all.

        Raises:
            InputError: there is no such feature.
        """
        if self.features is None:
            return None
        for name in self.features:
            if name not in names:
                near = did_you_mean(name, names)
                raise InputError(
                    "ATTACK_FEATURE", f"there is no feature {name!r}{near}", fix=f"choose of {', '.join(names)}"
                )
        return [names.index(name) for name in self.features]

    @property
    def options(self) -> dict[str, str]:
        """Those of the command line that are not as they are by default."""
        steps = self.steps
        found: dict[str, str] = {"norm": self.norm} if self.norm != "linf" else {}
        if steps is not None:
            found["only-steps"] = f"{steps[0]}:{'' if steps[1] is None else steps[1]}"
        if self.features is not None:
            found["features"] = ",".join(self.features)
        if self.direction != "error":
            found["target-direction"] = self.direction
        if self.tolerance is not None:
            found["tolerance"] = f"{self.tolerance:g}"
        if self.text is not None:
            found["text"] = self.text
        return found

    def __str__(self) -> str:
        chosen = {"only-steps": "steps", "features": "features"}
        return "; ".join(f"{chosen[name]} {value}" for name, value in self.options.items() if name in chosen)
