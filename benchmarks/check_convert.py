"""Do other frameworks compute the same with converted weights, and ours with theirs?

    python benchmarks/check_convert.py              # every framework, cell and stack; writes results/convert.md
    python benchmarks/check_convert.py keras onnx   # some of them; writes nothing

For each framework and cell: ours with random weights, dumped and run by the other side; theirs with random weights,
loaded and run by ours. One and two layers, in one and in both directions. Errors are relative to the largest output;
tests/reference/tolerance.py says how large they may be. Ends with 1 if one is larger.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the other sides are those of the tests
os.environ.setdefault("KERAS_BACKEND", "torch")  # all are read at the first import
os.environ.setdefault("JAX_PLATFORMS", "cpu")
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)  # Keras
warnings.filterwarnings("ignore", "the arrays do not say it", UserWarning)  # the other side is made with them
warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN", UserWarning)  # torch

from tests.peer import activation  # noqa: E402
from tests.peer.agreement import PAIRS, error_of_dump, error_of_load, side  # noqa: E402
from tests.peer.case import stacks  # noqa: E402
from tests.reference import tolerance  # noqa: E402

PAGE = ROOT / "benchmarks" / "results" / "convert.md"
LIMIT = {"float32": tolerance.CONVERT_FLOAT32, "float64": tolerance.FLOAT64}
PACKAGES = ("torch", "keras", "flax", "jax", "onnx", "onnxruntime")
HEAD_OF_ACTIVATIONS = ("framework", "row", "activations of gates, candidate, output", "to, float32", "from, float32")
HEAD = ("framework", "cell", "to, float32", "from, float32", "to, float64", "from, float64")

ABOUT = """\
# Conversion of weights

`python benchmarks/check_convert.py`; {packages}; Keras on {backend}.

Worst difference between the outputs of the other side's own run and ours, relative to the largest output, over stacks
of one and two layers, in one and both directions. *To*: ours with random weights, dumped and run there. *From*: theirs
with random weights, loaded and run here. Allowed: {float32:.0e} in float32, {float64:.0e} in float64. A dash: the other
side does not compute that in this precision, as `why_not` in `tests/peer` explains.
"""

ACTIVATIONS = """
## Other activations

Cells that differ from those above in activations alone, of one layer, in one and in both directions.
"""


def worst(target: str, cell: str) -> dict[str, tuple[float, float] | str]:
    """For each dtype the worst errors of both ways, or why there are none."""
    found: dict[str, tuple[float, float] | str] = {}
    for dtype in LIMIT:
        cases = [case for case in stacks(target, cell) if case.dtype == dtype]
        reason = next(filter(None, map(side(target).why_not, cases)), None)
        errors = [] if reason else [(error_of_dump(case), error_of_load(case)) for case in cases]
        found[dtype] = reason or (max(to for to, _ in errors), max(back for _, back in errors))
    return found


def rows(targets: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """For each framework and cell whether both ways are near enough, and its line of the table."""
    for target, cell in PAIRS:
        if targets and target not in targets:
            continue
        kept, line = True, [target, cell]
        for dtype, errors in worst(target, cell).items():
            kept &= isinstance(errors, str) or max(errors) <= LIMIT[dtype]
            line += ["-", "-"] if isinstance(errors, str) else [f"{error:.1e}" for error in errors]
        yield kept, line


def of_activations(targets: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """The same of cells with other activations, in one and in both directions, in float32."""
    for target, row, activations in activation.CASES:
        if targets and target not in targets:
            continue
        both = [activation.errors(target, row, activations, bidirectional=both_ways) for both_ways in (False, True)]
        to, back = map(max, zip(*both, strict=True))
        shown = [target, row, " ".join(map(str, activations)), f"{to:.1e}", f"{back:.1e}"]
        yield max(to, back) <= LIMIT["float32"], shown


def table(head: tuple[str, ...], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), ["---"] * len(head), *lines])


def page(lines: list[list[str]], further: list[list[str]]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    about = ABOUT.format(packages=packages, backend=os.environ["KERAS_BACKEND"], **LIMIT)
    return "\n".join([about, table(HEAD, lines), ACTIVATIONS, table(HEAD_OF_ACTIVATIONS, further)])


def main(targets: list[str]) -> int:
    kept, lines = True, []
    print(*(f"{title:<16}" for title in HEAD))
    for near, line in rows(targets):
        kept &= near
        lines.append(line)
        print(*(f"{part:<16}" for part in line), "" if near else "TOO FAR", flush=True)
    further: list[list[str]] = []
    for near, line in of_activations(targets):
        kept &= near
        further.append(line)
        print(*line, "" if near else "TOO FAR", flush=True)
    if not targets:
        PAGE.write_text(page(lines, further) + "\n", encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*")
    sys.exit(main(parser.parse_args().targets))
