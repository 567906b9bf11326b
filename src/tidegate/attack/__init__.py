"""How answers hold out when inputs are changed on purpose, and whether the attack that says so was honest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.errors import explain_missing

if TYPE_CHECKING:
    from tidegate.attack.answer import Attack, run
    from tidegate.attack.certificate import Certified, certify

__all__ = ["Attack", "Certified", "certify", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        with explain_missing():
            from tidegate.attack import answer, certificate
        return getattr(answer if hasattr(answer, name) else certificate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
