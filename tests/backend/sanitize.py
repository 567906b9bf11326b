"""The engine built with sanitizers and run from Python: ``python -m tests.backend.sanitize --count 200``.

``TIDEGATE_FLAGS`` asks for the build, ``LD_PRELOAD`` brings the sanitizers into a Python that was built without them.
What torch allocates they watch too, so a read or a write behind the end of a tensor is seen. The engine's workspace is
one tensor: what runs from one of its parts into the next is not. Nor are the masked instructions of AVX-512, by which
the widest instruction set reads and writes parts of vectors; the other two do it number by number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.backend.drawn import draw
from tidegate.runtime.library import ISAS, _available_isas, compiler

ROOT = Path(__file__).parents[2]
COMMON = ["-g", "-fno-omit-frame-pointer"]
FLAGS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O0", *COMMON],
    "thread": ["-fsanitize=thread", "-O1", *COMMON],
}
RUNTIMES = {"address": ["libasan.so", "libubsan.so"], "thread": ["libtsan.so"]}
REPORT = 4000  # characters of what a sanitizer says


@dataclass
class Outcome:
    """Which seeds ran to their end, and what went wrong."""

    seeds: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    running: int | None = None
    status: int = 0
    said: str = ""


def runtimes(kind: str) -> list[Path] | None:
    """The sanitizers' libraries, if the compiler has them."""
    found = []
    for name in RUNTIMES[kind]:
        command = [*compiler(), f"-print-file-name={name}"]
        path = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
        if not path.is_absolute() or not path.exists():
            return None
        found.append(path.resolve())
    return found


def environment(kind: str, isa: str, tiles: str = "") -> dict[str, str]:
    libraries = runtimes(kind)
    assert libraries, f"the compiler has no {kind} sanitizer"
    return os.environ | {
        "LD_PRELOAD": " ".join(map(str, libraries)),
        "TIDEGATE_FLAGS": " ".join(FLAGS[kind]),
        "TIDEGATE_ISA": isa,
        "TIDEGATE_TILES": tiles,
        # Python and torch leave memory to the end of the process.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TIDEGATE_THREADS": "own",  # those of torch's OpenMP would meet where the race detector does not look
        "TSAN_OPTIONS": f"exitcode=66 suppressions={Path(__file__).with_name('thread_sanitizer.txt')}",
    }


def run(seeds: Sequence[int], kind: str, isa: str, products: str = "", tiles: str = "") -> Outcome:
    """Draw and run these, with everything that a sanitizer finds ending the process.

    Products in the type of the layer are compared with the definition, those of fewer bits need only be numbers.
    """
    what = ["tests.backend.fewer", products] if products else ["tests.backend.agreement"]
    command = [sys.executable, "-m", *what, *map(str, seeds)]
    settings = environment(kind, isa, tiles)
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    outcome = Outcome(status=done.returncode, said=done.stderr)
    for line in done.stdout.splitlines():
        verdict = json.loads(line)
        outcome.running = verdict.get("start", outcome.running)
        if "start" not in verdict:
            outcome.seeds.append(verdict["seed"])
            outcome.complaints += [f"seed {verdict['seed']}: {said}" for said in verdict["complaints"]]
    if done.returncode:  # the thread sanitizer's comes at the end, for any of them
        outcome.complaints.append(f"seed {outcome.running} ended the process with {done.returncode}")
    return outcome


def seeds_of(cells: Sequence[str], count: int, first: int = 1) -> list[int]:
    """The first so many seeds that draw one of these cells, as each must be compiled; any cell if none is named.

    A cell with layer norm is named with it, as ``rnn|all``.
    """

    def seeds() -> Iterator[int]:
        seed = first
        while True:
            drawn = draw(seed)
            if not cells or (f"{drawn.cell}|{drawn.norm}" if drawn.norm else drawn.cell) in cells:
                yield seed
            seed += 1

    return [seed for seed, _ in zip(seeds(), range(count), strict=False)]


def main(arguments: argparse.Namespace) -> int:
    wrong = 0
    for isa in arguments.isa:
        seeds = seeds_of(arguments.cells, arguments.count, arguments.seed)
        outcome = run(seeds, arguments.kind, isa, arguments.products, arguments.tiles)
        wrong += len(outcome.complaints)
        sys.stdout.write(f"{arguments.kind} {isa}: {len(outcome.seeds)} configurations\n")
        for complaint in outcome.complaints:
            sys.stdout.write(f"  {complaint}\n")
        if outcome.status:
            sys.stdout.write(outcome.said[-REPORT:])
    return 1 if wrong else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--cells", nargs="*", default=[], help="draw these only")
    parser.add_argument("--kind", choices=FLAGS, default="address")
    parser.add_argument("--products", choices=("bfloat16", "float16", "int8"), default="", help="of fewer bits")
    parser.add_argument("--tiles", default="", help="TIDEGATE_TILES")
    parser.add_argument("--isa", nargs="+", default=[isa for isa in ISAS if isa in _available_isas()])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
