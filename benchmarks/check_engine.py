"""Does the engine agree with the definition, whatever the layer and however it is called?

    python benchmarks/check_engine.py                  # 2,000 configurations, in every instruction set this CPU has
    python benchmarks/check_engine.py --count 200 --isa baseline
    python benchmarks/check_engine.py --only 1234      # one again, which was reported

Draws cells, widths, layouts, types and threads at random; tests/backend/drawn.py says which, tests/backend/agreement.py
what is compared, and tests/reference/tolerance.py how near it must be. Each instruction set gets a share of the
configurations, in processes of its own. Ends with 1 if anything disagrees, crashes or hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def available() -> list[str]:
    """The instruction sets that this CPU runs, the widest first."""
    from tidegate.runtime.library import ISAS, _available_isas

    return [isa for isa in ISAS if isa in _available_isas()]


def run(seeds: Sequence[int], isa: str) -> Iterator[dict]:
    """What each seed came to; one that ends its process is a complaint, and the rest go on in another."""
    left = list(seeds)
    while left:
        done, running = 0, None
        command = [sys.executable, "-m", "tests.backend.agreement", *map(str, left)]
        environment = os.environ | {"TIDEGATE_ISA": isa}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                verdict = json.loads(line)
                running = verdict.get("start", running)
                if "start" not in verdict:
                    done += 1
                    yield verdict | {"isa": isa}
        if done == len(left):
            return
        if running is None:
            raise SystemExit(f"the process for {isa} did not start: exit status {child.returncode}")
        yield crashed(running, isa, child.returncode)
        left = left[done + 1 :]


def crashed(seed: int, isa: str, status: int) -> dict:
    complaint = f"the process ended with {status}"
    return {"seed": seed, "isa": isa, "cell": "?", "dtype": "?", "complaints": [complaint]} | dict.fromkeys(
        ("results", "gradients", "unlucky", "by_unit"), 0
    )


def shared(seeds: Sequence[int], isas: Sequence[str]) -> dict[str, list[int]]:
    """Half of them for the first instruction set, the rest spread over the others."""
    if len(isas) == 1:
        return {isas[0]: list(seeds)}
    others = list(isas[1:])
    shares: dict[str, list[int]] = {isa: [] for isa in isas}
    for number, seed in enumerate(seeds):
        shares[isas[0] if number % 2 == 0 else others[number // 2 % len(others)]].append(seed)
    return shares


def table(verdicts: Sequence[dict]) -> Iterator[str]:
    """The worst of each cell and type, as a share of what is allowed."""
    worst: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for verdict in verdicts:
        row = worst[verdict["cell"], verdict["dtype"]]
        row[0] += 1
        row[1:] = max(row[1], verdict["results"]), max(row[2], verdict["gradients"])
    yield f"{'cell':<18} {'type':<8} {'runs':>5} {'results':>8} {'gradients':>9}   worst share of the allowed error"
    for (cell, dtype), (runs, results, gradients) in sorted(worst.items()):
        yield f"{cell:<18} {dtype:<8} {runs:>5} {results:>8.3f} {gradients:>9.3f}"
    yield ""
    for isa, count in Counter(verdict["isa"] for verdict in verdicts).items():
        yield f"{isa:<18} {count} configurations"
    yield f"{sum(v['by_unit'] for v in verdicts)} ran unit by unit"
    yield f"{sum(v['unlucky'] for v in verdicts)} results in float32 needed neighbouring problems to be judged"


def main(arguments: argparse.Namespace) -> int:
    seeds = arguments.only or range(arguments.seed, arguments.seed + arguments.count)
    shares = {isa: list(seeds) for isa in arguments.isa} if arguments.only else shared(seeds, arguments.isa)
    verdicts, wrong = [], 0
    for isa, own in shares.items():
        for verdict in run(own, isa):
            verdicts.append(verdict)
            wrong += bool(verdict["complaints"])
            if verdict["complaints"]:
                print(f"--only {verdict['seed']} --isa {isa}: {verdict['cell']} {verdict['dtype']}", flush=True)
                print(*(f"    {complaint}" for complaint in verdict["complaints"]), sep="\n", flush=True)
    print(*table(verdicts), sep="\n")
    print(f"{len(verdicts)} configurations, {wrong} disagree")
    return 1 if wrong else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the first configuration")
    parser.add_argument("--only", type=int, nargs="+", help="these seeds, each in every instruction set")
    parser.add_argument("--isa", nargs="+", default=available())
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
