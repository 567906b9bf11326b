"""Does a killed comparison end as an uninterrupted one, without running anything twice?

    python benchmarks/check_resume.py            # five kills at random moments
    python benchmarks/check_resume.py --kills 2 --seed 7

Runs one comparison in peace. Then starts the same one in another folder, kills the whole command
with SIGKILL at a random moment of its second run, and starts it again, until the kills are used up. Compares
both runs.csv but for the timing columns, and checks that no finished run was written again.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tidegate.report import TIMING_COLUMNS

COMMAND = ["compare", "elnino", "--cells", "rnn,gru,lstm", "--seeds", "3", "--parameters", "2k", "--epochs", "40"]


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    """The command, as a user starts it; what it complains of goes to a file."""
    run = [sys.executable, "-c", "import sys; from tidegate.cli import main; sys.exit(main())"]
    with complaints(folder).open("a", encoding="utf-8") as file:
        return subprocess.Popen([*run, *command, "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=file)


def complaints(folder: Path) -> Path:
    """What the commands in a folder wrote on standard error."""
    return folder.with_suffix(".err")


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Each finished run's file: when it was written, and its inode."""
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (folder / "runs").glob("*.json")}


def left_behind(kill: int, patience: float) -> list[int]:
    """Processes of the killed command that outlive it for so many seconds.

    Workers watch their parent several times a second, once they have loaded torch.
    """
    deadline = time.monotonic() + patience
    while (alive := _marked(kill)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return alive


def _marked(kill: int) -> list[int]:
    alive = []
    for status in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TIDEGATE_CHECK={kill}".encode() in status.read_bytes():
                alive.append(int(status.parent.name))
        except OSError:  # it ended while we looked, or is not ours
            continue
    return alive


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of runs.csv."""
    with (folder / "runs.csv").open(encoding="utf-8") as file:  # cells of the zoo, which no spreadsheet computes
        return list(csv.DictReader(file))


def untimed(folder: Path) -> list[dict[str, str]]:
    """The rows without their timing columns."""
    return [{name: row[name] for name in row if name not in TIMING_COLUMNS} for row in rows(folder)]


def run(folder: Path, command: list[str]) -> None:
    """The command, uninterrupted."""
    assert start(folder, command).wait() == 0


def kill(folder: Path, command: list[str], number: int, moment: float) -> list[int]:
    """Start the command and kill it so long after it has written a run; the processes that it leaves behind."""
    os.environ["TIDEGATE_CHECK"] = str(number)
    before = finished(folder)
    process = start(folder, command)
    while finished(folder) == before and process.poll() is None:
        time.sleep(0.02)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return left_behind(number, patience=10.0)


def check(
    kills: int, seed: int, folder: Path, command: list[str], run: Callable[[Path, list[str]], None] = run
) -> bool:
    """Run, kill, compare; prints what it sees."""
    draw = random.Random(seed)  # noqa: S311  not for secrets
    run(folder / "whole", command)
    seconds = [float(row["train_seconds"]) for row in rows(folder / "whole")]
    print(f"uninterrupted: {len(seconds)} runs of {sum(seconds):.0f} s")
    rewritten = orphans = 0
    for number in range(kills):
        before = finished(folder / "killed")
        moment = draw.uniform(0.0, max(seconds) / 2)
        left = kill(folder / "killed", command, number, moment)
        orphans += len(left)
        after = finished(folder / "killed")
        rewritten += sum(after.get(name) != stamp for name, stamp in before.items())
        partial = len(list((folder / "killed" / "runs").rglob("*.safetensors")))
        print(
            f"kill {number + 1} at {moment:.1f} s: {len(before)} -> {len(after)} runs finished, "
            f"{partial} checkpoints, {len(left)} orphans"
        )
    before = finished(folder / "killed")
    run(folder / "killed", command)
    rewritten += sum(finished(folder / "killed")[name] != stamp for name, stamp in before.items())
    said = complaints(folder / "killed").read_text(encoding="utf-8")
    leaks = said.count("leaked")
    print(f"complaints of leaked semaphores: {leaks}")
    same = untimed(folder / "killed") == untimed(folder / "whole")
    print(f"runs.csv equal but for {', '.join(TIMING_COLUMNS)}: {same}; finished runs computed again: {rewritten}")
    return same and rewritten == orphans == leaks == 0


def main() -> int:
    """Exit code 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if check(options.kills, options.seed, Path(folder), COMMAND) else 1


if __name__ == "__main__":
    sys.exit(main())
