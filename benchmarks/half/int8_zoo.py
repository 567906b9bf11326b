"""Every cell of the zoo as a session in int8 against its equations, whose products NumPy makes of whole numbers.

    python -m benchmarks.half.int8_zoo

Ends with 1 if a cell is further off than float32 explains, or no nearer to whole numbers than to plain float64.
Writes benchmarks/results/half/PROCESSOR-int8_zoo.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.engine import processor
from tests.reference import whole_zoo

RESULTS = Path(__file__).parents[1] / "results" / "half"


def main() -> int:
    found = {cell: whole_zoo.errors(cell) for cell in whole_zoo.CELLS}
    bad = [c for c, (exact, plain) in found.items() if exact > whole_zoo.EXACT or plain < whole_zoo.TELLS * exact]
    worst = max(found, key=lambda cell: found[cell][0])
    lines = [
        "# Every cell in int8", "", "`python -m benchmarks.half.int8_zoo`", "",
        f"{len(found)} cells, {whole_zoo.SHAPE}: each step begun from the session's own states. Errors are",
        f"relative to the largest number of a state. Worst: {worst}. Failed: {', '.join(bad) or 'none'}.", "",
        "| cell | against whole numbers | against float64 without rounding |", "|---|---|---|",
        *(f"| {cell} | {exact:.1e} | {plain:.1e} |" for cell, (exact, plain) in found.items()), "",
    ]  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{processor().slug}-int8_zoo.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
