"""Where and with what a run was made, without the names of machines or people."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine.peer import PEERS

from tidegate._version import __version__

VECTORS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}  # flag of the kernel: name, the widest first
WORDLESS = r"\([^)]*\)|@.*|\b(cpu|processor|\d+-core)\b"  # what a model name says that names no model


class Processor(NamedTuple):
    """A model of processor, as the kernel describes it.

    Attributes:
        name: of the vendor and model.
        family, model: numbers that tell apart what has the same name; "?" where unknown.
        vectors: the widest vector or matrix instructions, "" where none is known.
    """

    name: str
    family: str = "?"
    model: str = "?"
    vectors: str = ""

    @staticmethod
    def read(cpuinfo: str) -> Processor:
        """The processor that the text of /proc/cpuinfo describes."""
        pairs = (line.partition(":") for line in cpuinfo.splitlines())
        facts = {name.strip(): value.strip() for name, _, value in pairs}
        flags = facts.get("flags", "").split()
        vectors = next((name for flag, name in VECTORS.items() if flag in flags), "")
        name = facts.get("model name", platform.machine())
        return Processor(name, facts.get("cpu family", "?"), facts.get("model", "?"), vectors)

    @property
    def slug(self) -> str:
        """A name for files, e.g. ``intel-xeon-6-106-avx512``: results of two processors never meet."""
        name = re.sub(WORDLESS, " ", self.name.casefold())
        parts = [*re.findall(r"[a-z0-9]+", name), self.family, self.model, self.vectors.casefold().replace("-", "")]
        return "-".join(part for part in parts if part not in {"", "?"})

    def __str__(self) -> str:
        return f"{self.name} (family {self.family}, model {self.model}, {self.vectors or 'no known vectors'})"


def processor() -> Processor:
    """The processor of this machine."""
    try:
        return Processor.read(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return Processor(platform.processor() or platform.machine())


def machine() -> dict[str, str]:
    """Processor, cores, system, Python, and how busy the machine was."""
    return {
        "processor": str(processor()),
        "cores": str(cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load when it began": f"{os.getloadavg()[0]:.1f}",
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the contestants' packages that are installed."""
    found = {package: version for name in names for package, version in PEERS[name].versions().items() if version}
    return {"tidegate": __version__, **dict(sorted(found.items()))}
