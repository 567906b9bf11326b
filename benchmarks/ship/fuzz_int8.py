"""Do all compilers give drawn layers in whole numbers the same bits?

    python -m benchmarks.ship.fuzz_int8 --count 2000

The layers are those of ``fuzz_c``: cells whose equations are drawn, and layers of the zoo with drawn options. Each is
calibrated on its own input; then its C runs 20 steps in every build below, and every output must have the bits that the
simulation in NumPy gives. Layers that whole numbers cannot say are refused by name, and counted by what it is. The end
is one line of counts, and 1 where a bit differs or a self-test fails. Cortex-M is held to the same simulation by
``benchmarks.ship.devices``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from benchmarks.ship.fuzz_c import TOGETHER, Case, cases, compiled, run

import tidegate as tg
from tidegate.errors import EmitError, InputError

BUILDS = (("gcc", "-O0"), ("gcc", "-O2"), ("gcc", "-O3 -march=native"), ("clang", "-O0"), ("clang", "-O3"))
Whole = dict[str, tuple[Case, np.ndarray, tg.ship.Source]]


def whole(some: list[Case], counts: Counter[str]) -> Whole:
    """Those that whole numbers can say, each with the outputs of the simulation."""
    found: Whole = {}
    for case in some:
        try:
            made = tg.ship.quantise(case.layer, case.x[:, None])
            source = tg.ship.c(case.layer, f"c{case.seed}", weights=made)
        except (EmitError, InputError) as error:
            counts[f"refused: {error.message.partition(': ')[2] or error.message}"] += 1
            continue
        found[source.name] = case, np.asarray(made.run(case.x[:, None])[0], np.float32)[:, 0], source
    return found


def judge(found: Whole, counts: Counter[str]) -> None:
    """Run all of them in every build."""
    wrong = set[str]()
    for compiler, level in BUILDS:
        if shutil.which(compiler) is None:
            counts[f"{compiler} is not installed"] += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            sources = [source for _, _, source in found.values()]
            library = compiled(sources, Path(folder), level, "all", compiler)
            for name, (case, wanted, _) in found.items():
                got = run(case, name, library)
                if got.tobytes() != wanted.tobytes() or library[f"{name}_selftest"]():
                    wrong.add(name)
                    print(f"{compiler} {level}: {case.what}", flush=True)
    counts["different"] += len(wrong)
    counts["equal"] += len(found) - len(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    counts, waiting = Counter[str](), list[Case]()
    for case in cases(chosen.count, chosen.seed):
        waiting.append(case)
        if len(waiting) == TOGETHER:
            judge(whole(waiting, counts), counts)
            waiting.clear()
    if waiting:
        judge(whole(waiting, counts), counts)
    print(f"{chosen.count} layers, {len(BUILDS)} builds: {counts['equal']} equal, {counts['different']} different")
    for what, count in counts.most_common():
        if what not in ("equal", "different"):
            print(f"{count:5d} {what}")
    return int(counts["different"] > 0)


if __name__ == "__main__":
    sys.exit(main())
