"""Run published rows again, or write down what was found.

python -m benchmarks.reproduce jsb adding200 --seeds 5   # finished seeds are not run again
python -m benchmarks.reproduce table
"""

import argparse
from pathlib import Path

from .case import RESULTS, run_row
from .row import ROWS
from .table import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+", choices=[*ROWS, "table"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    for name in asked.rows:
        if name == "table":
            write_table(asked.results)
        else:
            run_row(name, ROWS[name].cases, asked.seeds, asked.results)


if __name__ == "__main__":
    main()
