"""Does a killed training end as an uninterrupted one, bit for bit?

    python benchmarks/check_train_resume.py                   # ten kills of each task, writes results/resume.md
    python benchmarks/check_train_resume.py --task music --kills 2

Trains once in peace. Then starts the same command in another folder, kills it with SIGKILL at a random moment after
a new checkpoint, and starts it again, until the kills are used up. The weights must be the same bytes; model.json and
log.csv must be equal but for seconds.
"""

import argparse
import csv
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "resume.md"
SHARED = ["--dropout", "0.2", "--recurrent-dropout", "0.1", "--patience", "100"]
COMMANDS = {
    "language": ["language", "shakespeare", "--hidden-size", "96", "--layers", "2", "--epochs", "5", *SHARED],
    "music": ["music", "jsb", "--hidden-size", "192", "--layers", "2", "--epochs", "30", *SHARED],
}


@dataclass(frozen=True)
class Found:
    """What came out for one task."""

    task: str
    kills: int
    within: int  # kills that struck between the first and the last step of an epoch
    steps: int
    weights: bool
    record: bool
    log: bool


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    """The command, as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "train", *command, "--out", str(folder)], stdout=subprocess.DEVNULL
    )


def stand(folder: Path) -> dict:
    """How far the checkpoint of a training is."""
    path = folder / "checkpoint.safetensors"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {"steps": 0, "now": {"steps": 0}}
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["data"])["state"]


def wait_for_step(process: subprocess.Popen, folder: Path, step: int) -> bool:
    """Until a checkpoint is beyond that step; False if the training ends before."""
    while process.poll() is None:
        if stand(folder)["steps"] > step:
            return True
        time.sleep(0.05)
    return False


def record(folder: Path) -> dict:
    """model.json without what the clock says."""
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for epoch in card["curve"]:
        epoch.pop("seconds")
    return card


def log(folder: Path) -> list[dict]:
    """log.csv without what the clock says."""
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def check(task: str, command: list[str], kills: int, seed: int, folder: Path) -> Found:
    """Run, kill, compare; prints what it sees."""
    draw = random.Random(seed)  # noqa: S311  not for secrets
    assert start(folder / "whole", command).wait() == 0
    done = within = 0
    for _ in range(kills):
        process = start(folder / "killed", command)
        if not wait_for_step(process, folder / "killed", stand(folder / "killed")["steps"]):
            break
        time.sleep(draw.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        now = stand(folder / "killed")
        done, within = done + 1, within + (now["now"]["steps"] > 0)
        print(f"{task}: kill {done}; the checkpoint is in epoch {len(now['curve']) + 1}, step {now['now']['steps']}")
    assert start(folder / "killed", command).wait() == 0
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    return Found(
        task,
        done,
        within,
        len(log(folder / "whole")),
        weights[0] == weights[1],
        record(folder / "whole") == record(folder / "killed"),
        log(folder / "whole") == log(folder / "killed"),
    )


def write(found: list[Found]) -> None:
    """The table of all tasks."""
    lines = [
        "# A training that is killed",
        "",
        "`python benchmarks/check_train_resume.py`: the same command, killed with SIGKILL and started again, against",
        "one that ran in peace. Dropout and recurrent dropout are on, two layers; the language model carries its state",
        "from batch to batch. Weights must be the same bytes, model.json and log.csv equal but for seconds.",
        "",
        "| task | kills | within an epoch | epochs | weights | model.json | log.csv |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        task, kills, within, epochs, *same = astuple(one)
        words = " | ".join("equal" if equal else "**differ**" for equal in same)
        lines.append(f"| {task} | {kills} | {within} | {epochs} | {words} |")
    RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")


def main() -> int:
    """Exit code 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(COMMANDS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = []
    for task in [options.task] if options.task else COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            found.append(check(task, COMMANDS[task], options.kills, options.seed, Path(folder)))
        print(found[-1])
    if not options.task:
        write(found)
    return 0 if all(one.weights and one.record and one.log and one.kills == options.kills for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
