"""What the processor says of itself: its name, its instructions, its caches."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

V3 = frozenset(("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"))
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
NEEDS: dict[str, frozenset[str]] = {"x86-64-v4": V4, "x86-64-v3": V3, "baseline": frozenset()}
WORTH_NAMING = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "fma")
LIBC_NAMES = (188, 191, 194)  # glibc's numbers for the sizes of L1 (data), L2 and L3, which it reads by cpuid
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


class Processor(NamedTuple):
    """A processor, as the system describes it.

    Attributes:
        name: of vendor and model; "" where unknown.
        flags: instructions, as the kernel names them.
        caches: bytes of the first level (data), the second and the third, as one core sees them; 0 where unknown.
    """

    name: str = ""
    flags: frozenset[str] = frozenset()
    caches: tuple[int, int, int] = (0, 0, 0)

    @property
    def isas(self) -> tuple[str, ...]:
        """The instruction sets that it runs, of those that the engine is compiled for, the widest first."""
        return tuple(name for name, needs in NEEDS.items() if needs <= self.flags)

    @staticmethod
    def read(root: Path = Path("/")) -> Processor:
        """The processor of this machine.

        Args:
            root: where /proc and /sys are.
        """
        facts = dict(_facts(_text(root / "proc/cpuinfo")))
        known = platform.machine().lower() in ("x86_64", "amd64")
        flags = frozenset(facts.get("flags", "").split()) if known else frozenset()
        sizes = _sizes(root / "sys/devices/system/cpu/cpu0/cache") or _sizes_by_libc()
        return Processor(facts.get("model name", ""), flags, (sizes.get(1, 0), sizes.get(2, 0), sizes.get(3, 0)))


def _facts(cpuinfo: str) -> Iterator[tuple[str, str]]:
    """Names and values of the first processor that /proc/cpuinfo lists."""
    for line in cpuinfo.split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def _sizes(folder: Path) -> dict[int, int]:
    """Bytes of caches by level, from the kernel."""
    sizes = {}
    for cache in sorted(folder.glob("index*")):
        level, size = _text(cache / "level").strip(), re.fullmatch(r"(\d+)([KM]?)\s*", _text(cache / "size"))
        if level.isdigit() and size and "Instruction" not in _text(cache / "type"):
            sizes[int(level)] = int(size[1]) * UNITS[size[2]]
    return sizes


def _sizes_by_libc() -> dict[int, int]:
    """The same from glibc, which asks the processor: some containers show no caches."""
    if os.name != "posix":  # where no library stands for the process itself
        return {}
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return {}
    libc.sysconf.restype, libc.sysconf.argtypes = ctypes.c_long, (ctypes.c_int,)
    return {level: max(0, libc.sysconf(number)) for level, number in enumerate(LIBC_NAMES, 1)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
