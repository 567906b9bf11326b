"""Training on files larger than memory: ``python benchmarks/larger_than_memory.py --gigabytes 20 --minutes 10``.

A synthetic file is written, then one process after another trains on it, each with at most 3 GB of private memory
(RLIMIT_DATA): the first writes the cache, the second trains for some minutes and scores, four more compare the steps
with those on a small file in memory, and the last ones are killed with SIGKILL and go on. What is measured: MB/s of the
passes, the largest anonymous memory of a process, items per second of processor time, and whether the weights of the
killed run are those of one that ran in peace. The file and its cache are deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from tidegate.data.large import LARGE

LIMIT = 3_000_000_000  # bytes of private memory
LINES, QUARTERS, LETTERS = 100_000, 4, "etaoinshrdlcumwfgypbvkjxqz"
WARM = 20  # steps that are not timed
SETTINGS = {"language": {"hidden_size": 256}, "classification": {}}
SHORT = {"language": {"scored_size": 20_000}, "classification": {}}  # for runs whose scores nobody reads
NAMES = {"language": "data.txt", "classification": "data.jsonl"}


def write(path: Path, size: int) -> None:
    """Lines of words whose frequencies fall as Zipf's, as text or as JSON lines with a class that the words tell."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list(LETTERS), random.integers(1, 10))) for _ in range(30_000)]
    ranks = (random.zipf(1.3, (LINES, QUARTERS, 4)) - 1) % len(words)
    quarters = [
        np.array([" ".join(words[rank] for rank in row) for row in ranks[:, k]], dtype=object) for k in range(QUARTERS)
    ]
    texts = path.suffix == ".txt"
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            orders = [random.permutation(LINES) for _ in quarters]
            rows = zip(*(quarter[order] for quarter, order in zip(quarters, orders, strict=True)), strict=True)
            if texts:
                file.writelines(f"{' '.join(row)}.\n" for row in rows)
            else:
                kinds = ranks[orders[0], 0].sum(1) % 3
                file.writelines(
                    f'{{"text": "{" ".join(row)}", "label": {kind}}}\n' for row, kind in zip(rows, kinds, strict=True)
                )


class EnoughError(Exception):
    """The steps are taken; scores are not needed."""


def child(task: str, path: str, out: str | None, options: dict[str, object]) -> None:
    """Train under the limit, and print what was seen as JSON; without a folder, only take the steps of an epoch."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    from tidegate.tasks import ESTIMATORS
    from tidegate.train.watch import Watch

    phases: dict[str, list[float]] = {}
    steps: list[tuple[float, float, int]] = []
    began = time.monotonic()

    def on_phase(name: str, done: int, _: int) -> None:
        span = phases.setdefault(name, [time.monotonic() - began, 0.0, 0.0])
        span[1:] = [time.monotonic() - began, float(done)]

    def on_step(record) -> None:
        steps.append((time.monotonic(), time.process_time(), record.items))
        if out is None and len(steps) == record.steps:
            raise EnoughError

    estimator = ESTIMATORS[task].estimator(**SETTINGS[task], **options)
    with suppress(EnoughError):
        estimator.fit(path, folder=out, watch=Watch(on_step=on_step, on_phase=on_phase))
    timed = steps[WARM:]
    items = sum(step[2] for step in timed[1:])
    trained = {} if out is None else {
        "split": estimator.data_.split,
        "notes": estimator.data_.warnings,
        "scores": {score.name: [score.value, score.baselines] for score in estimator.scores_},
    }  # fmt: skip
    print(json.dumps(trained | {
        "phases": phases,
        "steps": len(steps),
        "seconds": timed[-1][0] - timed[0][0] if timed else 0,
        "items per second": items / (timed[-1][0] - timed[0][0]) if len(timed) > 1 else 0,
        "items per processor second": items / (timed[-1][1] - timed[0][1]) if len(timed) > 1 else 0,
        "minutes": (time.monotonic() - began) / 60,
    }))  # fmt: skip


def anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process and those it started."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0
    own = next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Anonymous:"))
    return own + sum(anonymous(int(child)) for child in children)


def run(task: str, path: Path, out: Path | None, kill_after: float = 0, **options: object) -> dict:
    """A child process with these settings, watched; killed when its checkpoint is so many seconds old."""
    command = [sys.executable, __file__, "--child", json.dumps([task, str(path), out and str(out), options])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = [0]

    def watch() -> None:
        seen = 0.0
        while process.poll() is None:
            peak[0] = max(peak[0], anonymous(process.pid))
            if kill_after and out and (out / "checkpoint.safetensors").exists():
                seen = seen or time.monotonic()
                if time.monotonic() - seen > kill_after:
                    process.send_signal(signal.SIGKILL)
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    output, _ = process.communicate()
    thread.join()
    if process.returncode == -signal.SIGKILL and kill_after:
        return {"killed": True, "peak MB": peak[0] / 1e6}
    if process.returncode:
        sys.exit(f"the run ended with {process.returncode}")
    return json.loads(output.splitlines()[-1]) | {"peak MB": peak[0] / 1e6}


def measure(task: str, folder: Path, size: int, minutes: float) -> None:
    """All measurements of a task."""
    path = folder / NAMES[task]
    begun = time.monotonic()
    write(path, size)
    print(
        f"{task}: {path.stat().st_size / 1e9:.2f} GB written in {(time.monotonic() - begun) / 60:.1f} min", flush=True
    )
    first = run(task, path, None, epochs=1, steps=3 * WARM)
    for name, (start, end, done) in first["phases"].items():
        if name.endswith("MB"):
            print(f"  {name}: {(end - start) / 60:.2f} min, {done / 1e6 / max(1e-9, end - start):,.0f} MB/s")
    caches = sum(file.stat().st_size for file in Path(f"{path}.cache").rglob("*"))
    print(f"  cache {caches / 1e9:.2f} GB; peak {first['peak MB']:,.0f} MB", flush=True)
    steps = max(2 * WARM, int(minutes * 60 * (2 * WARM - 1) / first["seconds"]))
    long = run(task, path, folder / "long", epochs=1, steps=steps)
    speed = f"{long['steps']:,} steps in {long['seconds'] / 60:.1f} min, {long['items per second']:,.0f} items/s"
    print(f"  {speed}; with all else {long['minutes']:.1f} min; peak {long['peak MB']:,.0f} MB")
    print(f"  {long['split']}\n  {long['notes']}\n  {long['scores']}", flush=True)
    small = folder / f"small{path.suffix}"
    with path.open("rb") as file:
        small.write_bytes(file.read(LARGE).rpartition(b"\n")[0])
    pairs = [[run(task, data, None, epochs=1, steps=200)["items per processor second"] for data in (path, small)]
             for _ in range(2)]  # fmt: skip
    ratio = sum(disk for disk, _ in pairs) / sum(memory for _, memory in pairs)
    print(f"  items per processor second, from the disk and from memory: {pairs}; ratio {ratio:.3f}", flush=True)
    settings = {"epochs": 2, "steps": 150} | SHORT[task]
    run(task, path, folder / "peace", **settings)
    kills = [run(task, path, folder / "killed", kill_after=wait, **settings) for wait in (3, 6)]
    run(task, path, folder / "killed", **settings)
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("peace", "killed")]
    equal = "equal" if weights[0] == weights[1] else "DIFFER"
    print(f"  killed {sum('killed' in kill for kill in kills)} times: weights {equal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--tasks", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on a disk with space for it")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(*json.loads(arguments.child))
    size = int(arguments.gigabytes * 1e9)
    free = shutil.disk_usage(arguments.folder).free
    if free < 2.5 * size:
        sys.exit(f"{arguments.folder} has {free / 1e9:.0f} GB free, but {2.5 * size / 1e9:.0f} GB are needed")
    for task in arguments.tasks:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            measure(task, Path(folder), size, arguments.minutes)
    return None


if __name__ == "__main__":
    main()
