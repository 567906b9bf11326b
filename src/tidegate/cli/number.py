"""Numbers among the arguments of a command: what is no number is refused in plain words."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

NUMBERS = ConstructorRegistry()
AUTO = "auto"


@NUMBERS.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How to read an ``int`` or a ``float``, also one that may be left open; nothing for other types."""
    parts = {_bare(part) for part in get_args(info.type) or (info.type,)}
    kinds = parts - {NoneType}
    if not kinds or not kinds <= {int, float}:
        return None

    def read(words: list[str]) -> int | float | None:
        if words[0] == AUTO and NoneType in parts:  # as if it were not given
            return None
        try:
            return float(words[0]) if float in kinds else int(words[0])
        except ValueError:
            wanted = "a number" if float in kinds else "a whole number"
            raise ValueError(f"expected {wanted}, got {words[0]!r}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="NUMBER",
        instance_from_str=read,
        is_instance=lambda value: type(value) in parts or (type(value) is int and float in kinds),
        str_from_instance=lambda value: [str(value)],
    )


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
