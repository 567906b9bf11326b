"""Where and with what a run was made, without the names of machines or people."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from benchmarks.engine.peer import PEERS

from tidegate._version import __version__


def machine() -> dict[str, str]:
    """Processor, cores, system, Python, and how busy the machine was."""
    return {
        "processor": _processor(),
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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    pairs = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    wide = "AVX-512" if "avx512f" in facts.get("flags", "") else "AVX2" if "avx2" in facts.get("flags", "") else ""
    name = facts.get("model name", "unknown")
    return f"{name} (family {facts.get('cpu family', '?')}, {wide})" if wide else name
