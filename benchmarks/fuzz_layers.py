"""Do layers agree with equations written by hand, whatever the sizes, options, numbers and memory of a call?

    python benchmarks/fuzz_layers.py --count 10000    # about half an hour on two cores; again: only what is left
    python benchmarks/fuzz_layers.py --only 1234      # one again, which was reported
    python benchmarks/fuzz_layers.py --results mine.jsonl --workers 4
    python benchmarks/fuzz_layers.py --products bfloat16 --count 1000 --results half.jsonl    # or float16

tests/reference/drawn.py draws the configurations and judges them, tests/reference/layers.py has the equations. Products
of fewer bits are judged by tests/reference/drawn_half.py, step by step; with --eager the definition is what runs. Each
seed runs in one of the instruction sets of this CPU. Results go to a file, one line each, and what the file has is not
run again. Ends with one line of counts, and with 1 unless all are right or a clear error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUTCOMES = ("right", "error", "traceback", "hang", "crash", "different")
BLOCK = 100  # seeds of a process
PATIENCE = 120  # as in tests/reference/drawn.py


def available() -> list[str]:
    """The instruction sets that this CPU runs, the widest first."""
    from tidegate.runtime.library import ISAS, _available_isas

    return [isa for isa in ISAS if isa in _available_isas()]


def run(seeds: Sequence[int], isa: str, judge: Sequence[str] = ("tests.reference.drawn",)) -> Iterator[dict]:
    """A line for each seed; where a process ends too early, another one takes the rest."""
    left = list(seeds)
    while left:
        running, since = None, time.monotonic()
        command = [sys.executable, "-m", *judge, *map(str, left)]
        settings = {"TIDEGATE_ISA": isa, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child:
            for line in child.stdout or ():
                found = json.loads(line)
                running, since = found.get("start"), time.monotonic()
                if running is None:
                    left.remove(found["seed"])
                    yield found | {"isa": isa}
        if left and running is None:
            raise SystemExit(f"a process ended with {child.returncode} before it began a configuration")
        if running is not None:
            left.remove(running)
            outcome = "hang" if time.monotonic() - since > PATIENCE - 1 else "crash"
            yield {"seed": running, "outcome": outcome, "detail": f"ended with {child.returncode}", "isa": isa}


def isa_of(seed: int, isas: Sequence[str]) -> str:
    """Every other one in the widest, the rest in turns."""
    return isas[0] if seed % 2 or len(isas) == 1 else isas[1:][seed // 2 % (len(isas) - 1)]


def blocks(seeds: Sequence[int], isas: Sequence[str]) -> list[tuple[list[int], str]]:
    shares = {isa: [seed for seed in seeds if isa_of(seed, isas) == isa] for isa in isas}
    cut = [(own[k : k + BLOCK], isa) for isa, own in shares.items() for k in range(0, len(own), BLOCK)]
    return sorted(cut)  # all instruction sets in turns


def known(path: Path) -> dict[int, dict]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {found["seed"]: found for found in map(json.loads, lines)}


def main(arguments: argparse.Namespace) -> int:
    wanted = arguments.only or range(arguments.seed, arguments.seed + arguments.count)
    results = {} if arguments.only else known(arguments.results)
    writing = threading.Lock()
    path = "eager" if arguments.eager else "fused"
    half = ("tests.reference.drawn_half", arguments.products, path)
    judge = half if arguments.products else ("tests.reference.drawn",)

    def work(block: tuple[list[int], str]) -> None:
        for found in run(*block, judge):
            with writing:
                results[found["seed"]] = found
                if not arguments.only:
                    with arguments.results.open("a") as file:
                        file.write(json.dumps(found) + "\n")
                if found["outcome"] not in ("right", "error"):
                    print(f"--only {found['seed']} ({found['isa']}): {found['outcome']}: {found['detail']}", flush=True)

    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(work, blocks([seed for seed in wanted if seed not in results], available())))
    counts = Counter(results[seed]["outcome"] for seed in wanted if seed in results)
    print(", ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES))
    return 1 if counts.total() > counts["right"] + counts["error"] else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first configuration")
    parser.add_argument("--only", type=int, nargs="+", help="these seeds, whatever the file has of them")
    parser.add_argument("--results", type=Path, default=Path("fuzz_layers.jsonl"))
    parser.add_argument("--products", choices=["bfloat16", "float16"], help="of fewer bits")
    parser.add_argument("--eager", action="store_true", help="with --products: the definition instead of the engine")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2)))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
