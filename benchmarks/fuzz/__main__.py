"""Damage small files of every kind and read them, each in a process of its own.

python -m benchmarks.fuzz --count 10000          # goes on where it stopped
python -m benchmarks.fuzz --only 4711            # one mutant again, with what it printed
python -m benchmarks.fuzz --count 500 --kind csv # kinds whose names have this in them
"""

import argparse
import sys
from pathlib import Path

from .drive import Fuzz


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if there was no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("build/fuzz"), help="results.jsonl, and a folder for each fault"
    )
    parser.add_argument("--only", type=int, help="the number of one mutant")
    parser.add_argument("--kind", default="", help="part of the name of a kind")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--reading", action="store_true", help="only what reads data to learn from; makes no models")
    asked = parser.parse_args(arguments)
    fuzz = Fuzz(asked.out.absolute(), asked.seed, asked.kind, asked.processes, reading=asked.reading)
    return fuzz.again(asked.only) if asked.only is not None else fuzz.run(asked.count)


if __name__ == "__main__":
    sys.exit(main())
