"""Does a killed private training end as an uninterrupted one, with the same noise, and does its secret die?

    python -m benchmarks.private.resume                   # ten kills of each kind, writes results/private/resume.md
    python -m benchmarks.private.resume --kills 2 --kind insecure

"insecure": a training whose noise has a known seed, so that two of them can be compared. One runs in peace; another
is killed with SIGKILL at random moments, whatever it is doing, and started again, until the kills are used up. The
weights must be the same bytes, and model.json and log.csv the same texts.

"secret": a training as users start it. It is killed in the same way. The key must be the same in every checkpoint of
it and the position of the stream must never go back; what was spent must be what the record of an uninterrupted one
says; and no file of the finished model may hold the key.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "private" / "resume.md"
COMMAND = [
    *("classification", "names", "--epsilon", "8", "--public", "classes,vocabulary,unit", "--hidden-size", "24"),
    *("--epochs", "12", "--batch-size", "256", "--dropout", "0.2", "--recurrent-dropout", "0.1"),
]
KINDS = {"insecure": ["--insecure-seed", "11"], "secret": []}
LONGEST = 6.0  # seconds between a new checkpoint and a kill


@dataclass(frozen=True)
class Found:
    """What came out for one kind."""

    kind: str
    kills: int
    early: int  # kills before this start had written a checkpoint
    within: int  # kills after which the checkpoint is inside an epoch
    weights: str
    record: str
    log: str
    epsilon: str
    key: str


def start(folder: Path, kind: str) -> subprocess.Popen:
    """The command, as a user starts it."""
    command = [sys.executable, "-m", "tidegate", "train", *COMMAND, *KINDS[kind], "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def stand(folder: Path) -> dict[str, Any]:
    """The plain data of the checkpoint of a training; empty where there is none."""
    try:
        raw = (folder / "checkpoint.safetensors").read_bytes()
    except FileNotFoundError:
        return {}
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    data: dict[str, Any] = json.loads(header["__metadata__"]["data"])
    return data


def killed(folder: Path, kind: str, draw: random.Random) -> tuple[bool, bool, dict[str, Any]]:
    """Start, wait a random time, kill; whether it was killed, whether before a checkpoint, and how far it is."""
    before = stand(folder)
    process, limit = start(folder, kind), None
    if (
        draw.random() < 0.8
    ):  # the others die wherever they are: while torch is loaded, data are read, noise is looked for
        while process.poll() is None and stand(folder) == before:
            time.sleep(0.02)
        limit = draw.uniform(0.0, LONGEST)
    time.sleep(draw.uniform(0.0, 12.0) if limit is None else limit)
    process.send_signal(signal.SIGKILL)
    code, after = process.wait(), stand(folder)
    return code != 0, after == before, after


def holders(folder: Path, keys: set[str]) -> list[str]:
    """The files that hold a key, as digits or as bytes."""
    forms = [form for key in keys for form in (key.encode(), bytes.fromhex(key))]
    return [
        file.name for file in folder.rglob("*") if file.is_file() and any(one in file.read_bytes() for one in forms)
    ]


def check(kind: str, kills: int, seed: int, home: Path) -> Found:
    """Run, kill, compare; prints what it sees."""
    draw = random.Random(seed)  # noqa: S311  not for secrets
    whole, cut = home / "whole", home / "cut"
    assert start(whole, kind).wait() == 0
    done = early = within = 0
    keys, places = set[str](), [0]
    while done < kills:
        alive, first, now = killed(cut, kind, draw)
        if not alive:
            break
        done, early = done + 1, early + first
        if now:
            stream, state = now["step"]["stream"], now["state"]
            within += state["now"]["steps"] > 0
            if stream:
                keys.add(stream["key"])
                places.append(stream["position"])
            print(f"{kind}: kill {done}; epoch {len(state['curve']) + 1}, step {state['now']['steps']}", flush=True)
    assert start(cut, kind).wait() == 0
    texts = {name: [(home / name / file).read_bytes() for file in FILES] for name in ("whole", "cut")}
    same = [one == other for one, other in zip(texts["whole"], texts["cut"], strict=True)]
    weights, card, log = (words(equal) if kind == "insecure" else "differ, as they should" for equal in same)
    promises = [json.loads((home / name / "model.json").read_text())["privacy"] for name in ("whole", "cut")]
    steady = len(keys) == 1 and sorted(places) == places
    left = f"; left in {', '.join(holders(cut, keys)) or 'no file'}" if kind == "secret" else ""
    return Found(
        kind, done, early, within, weights, card, log,
        f"{promises[1]['epsilon']}, {words(promises[0] == promises[1])}",
        f"one, never back: {'yes' if steady else '**no**'}{left}",
    )  # fmt: skip


FILES = ("model.safetensors", "model.json", "log.csv")


def words(equal: bool) -> str:
    """How the table says it."""
    return "equal" if equal else "**differ**"


def write(found: list[Found]) -> None:
    """The table of all kinds."""
    lines = [
        "# A private training that is killed",
        "",
        "`python -m benchmarks.private.resume`: the same command, killed with SIGKILL at random moments and started",
        "again, and",
        f"beside one that ran in peace: `tidegate train {' '.join(COMMAND)}`.",
        "Files are compared byte by byte. Epsilon stands in model.json, beside that of the uninterrupted training.",
        "Early kills struck before this start had written a checkpoint: while torch was loaded, data were read or the",
        "noise was looked for.",
        "",
        "| kind | kills | early | within an epoch | weights | model.json | log.csv | epsilon | key of the stream |",
        "|---|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, astuple(one)))} |" for one in found),
    ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")


def main() -> int:
    """Exit code 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = []
    for kind in [options.kind] if options.kind else KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found.append(check(kind, options.kills, options.seed, Path(folder)))
        print(found[-1])
    if not options.kind:
        write(found)
    text = " ".join(word for one in found for word in map(str, astuple(one)))
    return 0 if "**" not in text and all(one.key.endswith(("yes", "no file")) for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
