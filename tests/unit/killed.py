"""A comparison whose busiest worker is killed while it trains: ``python -m tests.unit.killed ENGINE FOLDER``."""

import os
import signal
import sys
from pathlib import Path

from tidegate import compare, report, tasks
from tidegate.records import ComparisonRecord
from tidegate.tasks.forecast.setting import ForecastSetting

EPOCHS = 30
MARKS = {"process": b"multiprocessing.forkserver", "dask": b"multiprocessing.spawn", "ray": b"ray::_work"}


class Killer(compare.Progress):
    """Kills the worker that has worked most as soon as one has finished an epoch."""

    def __init__(self, mark: bytes) -> None:
        self.mark, self.killed = mark, 0

    def epoch(self, cell, seed, setting, record) -> None:
        if not self.killed:
            workers = [pid for pid in _descendants(os.getpid()) if self.mark in _read(pid, "cmdline")]
            forked = [pid for pid in workers if _parent(pid) in workers] or workers  # and not the server of forks
            self.killed = max(forked, key=lambda pid: int(_stat(pid)[11]))
            os.kill(self.killed, signal.SIGKILL)


def compared(engine: str, folder: Path, progress: compare.Progress) -> ComparisonRecord:
    """Two cells, two seeds, two workers; writes ``runs.csv``."""
    task = tasks.load("elnino", setting=ForecastSetting(epochs=EPOCHS, patience=EPOCHS))
    record = compare.run(
        task,
        ["gru", "mgu"],
        folder=folder,
        seeds=2,
        trials=1,
        parameters=2000,
        workers=compare.Workers(engine, 2),
        progress=progress,
    )
    report.write_runs_csv(record.runs, folder / "runs.csv")
    return record


def killed(engine: str, folder: Path) -> ComparisonRecord:
    """Compare with a worker killed in the middle of its trial."""
    killer = Killer(MARKS[engine])
    record = compared(engine, folder, killer)
    assert killer.killed
    return record


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended
        return b""


def _stat(pid: int) -> list[bytes]:
    """The fields after the name of the program; ended processes have zeros."""
    return _read(pid, "stat").rpartition(b")")[2].split() or [b"0"] * 50


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _descendants(pid: int) -> list[int]:
    parents = {int(path.name): _parent(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found, wave = [], [pid]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        found += wave
    return found


if __name__ == "__main__":
    result = killed(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.write(f"{result.machine['workers']}\n")
