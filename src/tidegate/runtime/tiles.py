"""Which tiles multiply numbers of fewer bits: the quickest that run here, unless ``TIDEGATE_TILES`` names some.

A name stands for all types of products that have tiles of it; for other types the choice stays. No machine has run the
tiles of AMX yet, so they are off until somebody names them. Then Linux is asked for the registers, and each instruction
must have the bits of its emulation, or the engine is refused.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from typing import NamedTuple

from tidegate.errors import InputError
from tidegate.runtime.processor import Processor

UNPROVEN = "no machine has run them yet; TIDEGATE_TILES=amx checks and tries them"
FOR_TESTS = "slow: they are for tests of the logic of AMX; TIDEGATE_TILES=amx-emulated"
INSTRUCTIONS = ("tdpbf16ps", "tdpbusd")  # in the order in which tg_check_tiles counts them


class Tiles(NamedTuple):
    """A table of tiles in ``engine/dot.h``, ``int8.h`` or ``amx.h``.

    Attributes:
        name: what the engine calls it.
        products: the type in which it multiplies.
        needs: instructions, as the kernel names them.
        off: why it runs only if ``TIDEGATE_TILES`` names it; "" for those that are chosen by themselves.
    """

    name: str
    products: str
    needs: frozenset[str] = frozenset()
    off: str = ""

    @property
    def word(self) -> str:
        """What ``TIDEGATE_TILES`` calls it."""
        return self.name.removesuffix(f"_{self.products}")

    @property
    def is_amx(self) -> bool:
        """Whether Linux must be asked for it."""
        return "amx_tile" in self.needs


_AMX = frozenset(("amx_tile", "amx_bf16", "amx_int8"))
TABLE = (  # the quickest first
    Tiles("amx", "bfloat16", _AMX, UNPROVEN),
    Tiles("avx512_bf16", "bfloat16", frozenset(("avx512_bf16",))),
    Tiles("plain", "bfloat16"),
    Tiles("amx-emulated", "bfloat16", off=FOR_TESTS),
    Tiles("amx_int8", "int8", _AMX, UNPROVEN),
    Tiles("avx512_vnni", "int8", frozenset(("avx512_vnni",))),
    Tiles("avx_vnni", "int8", frozenset(("avx_vnni",))),
    Tiles("plain_int8", "int8"),
    Tiles("amx-emulated_int8", "int8", off=FOR_TESTS),
)


def runnable(processor: Processor, products: str) -> tuple[Tiles, ...]:
    """What a processor runs without asking Linux; a library may lack some."""
    return tuple(own for own in TABLE if own.products == products and own.needs <= processor.flags and not own.is_amx)


def choose(processor: Processor, engine: ctypes.CDLL) -> dict[str, str]:
    """Choose the tiles of each type of products in a library.

    Args:
        processor: its instructions count.
        engine: the library.

    Returns:
        The name of the tiles of each type.

    Raises:
        InputError: ``TIDEGATE_TILES`` names none that run here, or those of AMX, which are refused.
    """
    wanted = os.environ.get("TIDEGATE_TILES", "")
    here = [own for own in TABLE if own.needs <= processor.flags and engine.tg_tiles(own.name.encode())]
    if wanted and wanted not in {own.word for own in here}:
        words = ", ".join(dict.fromkeys(own.word for own in here))
        raise InputError(
            "TILES", f"TIDEGATE_TILES is {wanted!r}, but this engine runs {words} here", fix="unset it or name one"
        )
    found = {}
    for products in dict.fromkeys(own.products for own in here):
        own = [tiles for tiles in here if tiles.products == products]
        named = [tiles for tiles in own if tiles.word == wanted]
        best = (named or [tiles for tiles in own if not tiles.off])[0]
        if best.is_amx:
            _prove(engine)
        engine.tg_tiles(best.name.encode())
        found[products] = best.name
    return found


def _prove(engine: ctypes.CDLL) -> None:
    """Ask for the registers of AMX, and hold each of its instructions against the emulation."""
    refused = engine.tg_ask_for_tiles()
    if refused:
        reason = os.strerror(refused) if refused > 0 else "this is no Linux"
        raise InputError(
            "TILES_AMX", f"there are no tile registers for this process: {reason}", fix="unset TIDEGATE_TILES"
        )
    wrong = engine.tg_check_tiles(ctypes.create_string_buffer(engine.tg_check_tiles(None)))
    if wrong:
        raise InputError(
            "TILES_AMX",
            f"{INSTRUCTIONS[wrong - 1]} of this processor has other bits than its emulation in engine/tile_unit.h",
            fix="unset TIDEGATE_TILES, and please tell us which processor it is",
        )


def left_aside(processor: Processor) -> Iterator[tuple[str, str]]:
    """Tiles that are not chosen by themselves, and why not."""
    for own in TABLE:
        lacking = sorted(own.needs - processor.flags)
        if lacking:
            yield own.name, f"this processor lacks {' '.join(lacking)}"
        elif own.off:
            yield own.name, own.off
