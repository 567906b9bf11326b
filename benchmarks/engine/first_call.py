"""How long a user's own cell takes to its first result: compiled, and read back from disk by another process."""

from __future__ import annotations

import tempfile

from benchmarks.engine.host import Host
from benchmarks.engine.item import OWN, Item
from benchmarks.engine.record import FirstCallRecord

ITEM = Item(OWN, 100, 32, 128, 128, "training")
FOLDERS = ("TIDEGATE_CACHE", "XDG_CACHE_HOME")  # where compiled cells may be kept


def first_call() -> FirstCallRecord:
    """Two processes, one after the other, with one cache that is empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_seconds(dict.fromkeys(FOLDERS, folder)) for _ in range(2))
    return FirstCallRecord(cold, warm)


def _seconds(environment: dict[str, str]) -> float:
    host = Host("tidegate", 1, environment)
    try:
        return host.prepare("own", ITEM)[1]
    finally:
        host.close()
