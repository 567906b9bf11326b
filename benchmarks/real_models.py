"""Public models with trained weights on our layers: the same outputs? how fast? how much glue?

    python -m benchmarks.real_models --work FOLDER

Each package is downloaded without what it depends on and unpacked into the folder, never installed; the files of
benchmarks/real load its weights into our layers. Every package has a process of its own, in which both sides take
turns. A package that was measured is not measured again, so the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.engine.host import LIMITS
from benchmarks.engine.machine import cores, processor
from benchmarks.real.page import Row, line, page

MODULES = (
    *("medaka", "silero", "g2p_en", "g2pm", "madmom", "rnnoise"),
    *("deepfilter", "dksplit", "textgenrnn", "chars2vec", "crema"),
)
RESULTS = Path(__file__).parent / "results" / "real_models"
PATIENCE_SECONDS = 900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "tidegate-real-models")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES, help="packages; all by default")
    parser.add_argument("--threads", type=int, default=1, help="of both sides; 1 by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="for the rounds of a row; 5 by default")
    parser.add_argument("--again", action="store_true", help="also measure what has been measured")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results, a file for each processor")
    arguments = parser.parse_args()
    if not 1 <= arguments.threads <= cores():
        parser.error(f"--threads {arguments.threads}: there are {cores()} cores here")
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.work.mkdir(parents=True, exist_ok=True)
    raw = arguments.out / f"{processor().slug}.json"
    rows: list[Row] = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else []
    for module in arguments.only:
        before = [row for row in rows if row["module"] == module and row["threads"] == arguments.threads]
        if before and not arguments.again and not any(row["reason"] for row in before):
            continue
        found = measured(module, arguments.work, arguments.threads, arguments.seconds)
        rows = [row for row in rows if row not in before] + found
        rows.sort(key=lambda row: (row["threads"], MODULES.index(row["module"])))
        raw.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        raw.with_suffix(".md").write_text(page(rows), encoding="utf-8")
        for row in found:
            print(" | ".join(line(row)), flush=True)


def measured(module: str, work: Path, threads: int, seconds: float) -> list[Row]:
    """The rows of a package, or one that says why there are none."""
    about: Row = {
        "module": module, "threads": threads, "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    limits = dict.fromkeys(LIMITS, str(threads))
    command = [sys.executable, "-m", "benchmarks.real", module, str(work), str(threads), str(seconds)]
    try:
        run = subprocess.run(
            command, env={**os.environ, **limits, "JAX_PLATFORMS": "cpu"},
            capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [{**about, "name": module, "reason": f"no answer within {PATIENCE_SECONDS} s"}]
    if run.returncode:
        last = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        return [{**about, "name": module, "reason": last[:200]}]
    return [{**json.loads(text), **about} for text in run.stdout.splitlines()]


if __name__ == "__main__":
    main()
