"""How exact are the functions of emitted C?

    python -m benchmarks.ship.c_functions             # every 13th float: a minute
    python -m benchmarks.ship.c_functions --step 1    # every float: a quarter of an hour

Compiles the functions of ``emit/c99_function.py`` beside a loop over bit patterns that holds them against the C library
in double. Infinity counts as the next power of two. Writes benchmarks/results/ship/c_functions.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tidegate.emit.c99_function import functions

RESULTS = Path(__file__).parents[1] / "results" / "ship"
EXACT = {
    "exp": "exp(x)",
    "sigmoid": "1 / (1 + exp(-x))",
    "tanh": "tanh(x)",
    "log": "log(x)",
    "log_sigmoid": "fmin(x, 0) - log1p(exp(-fabs(x)))",
    "sqrt": "sqrt(x)",
}
HEAD = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""
# The unit is that of the last place of the exact result in float; NaN must meet NaN, and infinity the largest power.
LOOP = """
static double clipped(double v) { return v > 0x1p128 ? 0x1p128 : v < -0x1p128 ? -0x1p128 : v; }
static void see_@(uint32_t step)
{
    double worst = 0, at = 0, absolute = 0, absolute_at = 0;
    uint64_t count = 0, wrong = 0;
    for (uint64_t word = 0; word < 0x100000000u; word += step) {
        const float v = f_number((uint32_t)word);
        const double x = v, exact = (EXACT);
        const float got = f_@(v);
        ++count;
        if (exact != exact || got != got) { wrong += (exact != exact) != (got != got); continue; }
        int exponent;
        frexp(clipped(exact), &exponent);
        const double unit = ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
        const double error = fabs(clipped(got) - clipped(exact)), ulp = error / unit;
        if (ulp > worst) { worst = ulp; at = x; }
        if (error > absolute && fabs(exact) < 0x1p128) { absolute = error; absolute_at = x; }
    }
    printf("| @ | %.4f | %.9g | %.3g | %.9g | %llu | %llu |\\n", worst, at, absolute, absolute_at,
           (unsigned long long)count, (unsigned long long)wrong);
    fflush(stdout);
}
"""
TABLE = """\
| function | worst ulp | at | worst absolute | at | floats tried | NaN where there is none, or none where there is |
|---|---|---|---|---|---|---|
"""
INTRODUCTION = """\
# How exact the functions of emitted C are

Written by `python -m benchmarks.ship.c_functions --step {step}`: every {step}th bit pattern of float32, subnormal
numbers, infinities and NaN among them, against the C library in double. `-std=c99 -O2 -ffp-contract=off`: the same bits
as with any other flags, so these are the errors everywhere. sqrt is rightly rounded.

"""


def program() -> str:
    """A C program that prints one row for each function."""
    loops = [LOOP.replace("EXACT", text).replace("@", name) for name, text in EXACT.items()]
    loops = [loops[0], *(loop[loop.index("static void") :] for loop in loops[1:])]
    calls = "".join(f"    see_{name}(step);\n" for name in EXACT)
    main = (
        f"int main(int argc, char **argv)\n{{\n    const uint32_t step = (uint32_t)atoi(argv[argc - 1]);\n{calls}}}\n"
    )
    return HEAD + functions(EXACT, "f_") + "\n".join(loops) + main


def measured(step: int) -> str:
    """The rows, from a program compiled here."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "functions.c"), Path(folder, "functions")
        source.write_text(program())
        subprocess.run(["gcc", "-std=c99", "-O2", "-ffp-contract=off", source, "-o", binary, "-lm"], check=True)
        return subprocess.run([binary, str(step)], check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--step", type=int, default=13, help="every how manieth float is tried")
    parser.add_argument("--print", action="store_true", help="write no file")
    chosen = parser.parse_args()
    table = TABLE + measured(chosen.step)
    print(table, end="")
    if not chosen.print:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "c_functions.md").write_text(INTRODUCTION.format(step=chosen.step) + table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
