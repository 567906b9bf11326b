"""Is every cell in bfloat16 and float16 what its equations say, to the accuracy of float32?

    python -m benchmarks.half.exact --output FILE    # about fifteen minutes
    python -m benchmarks.half.exact --only lstm "gru, 4 heads" --products bfloat16
    python -m benchmarks.half.exact --isa baseline --few         # two shapes of each, with the tiles of that set

All cells of the zoo, and layers with options and cells of one's own (``cases``), are taken apart step by step: each
step in float64 from the layer's own states, with products that round their factors, forward and every gradient
(tests/reference/stepping.py). Sequences are full, ragged with lengths of 0, and begin anew. Besides, results must have
the same bits with 1, 2 and 3 threads, whether these share sequences or units. And whole runs are held against a whole
run of the emulation: sequences agree to the accuracy of float32 until a rounding falls to the other side.

Ends with 1 unless all is right. A share is the error over what is allowed: 8 times the error of float32 with the
same decisions, and 16 units in the last place.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.half.cases import FEW, FULL, LENGTHS, LONG, ONE, OWN, RAGGED, Made, made, sharing
from tests.backend.choices import choices
from tests.backend.tiles import names as tiles_here
from tests.reference import stepping
from tests.reference.half import EPS, FORMATS, Rounding
from tests.reference.half_zoo import Shape, examined
from tests.reference.stepping import Call, Results, Verdict

from tidegate.runtime.library import isa
from tidegate.zoo import CELLS

ROOT = Path(__file__).parents[2]
THREADS = (1, 2, 3)


def verdicts(name: str, products: str, *, few: bool) -> Iterator[tuple[str, Verdict]]:
    """What is found of a cell, by what was called."""
    whole = FEW if few else (*FULL, ONE)
    calls: list[tuple[str, Shape, dict[str, Any]]] = [(f"{shape}", shape, {}) for shape in whole]
    calls.append(("ragged with resets", RAGGED, {"lengths": LENGTHS, "resets": True}))
    for what, shape, how in calls:
        with choices(unpacked_rows=10**6 if shape is ONE else 0):  # so that some steps have the bits of the whole
            case, layer = made(name, shape, **how)
            found = stepping.compare(
                case.call, examined(layer, products), case.step, case.parameters, FORMATS[products]
            )
        if layer.last_path != "fused":
            found.note(layer.last_path, float("inf"), 0.0, "")
        if found.unlike:
            found.note(f"{found.unlike} of fewer steps", float("inf"), 0.0, "")
        yield what, found


def every(found: Results) -> list[torch.Tensor]:
    return [found.y, *found.last, found.dx, *found.dfirst, *found.parameters.values()]


def other_bits(name: str, products: str, tiles: str | None) -> list[str]:
    """Calls that have other bits with more threads."""
    wrong = []
    for shape in (LONG, ONE, *FEW):
        seen = []
        for threads in THREADS:
            with sharing(threads, tiles):
                case, layer = made(name, shape)
                seen.append(every(examined(layer, products)(case.call)))
        if not all(all(map(stepping.same, seen[0], other)) for other in seen[1:]):
            wrong.append(f"{shape}")
    return wrong


def end_to_end(made_: Made, products: str) -> tuple[int, int, float]:
    """Sequences, how many of them agree to the accuracy of float32 to their end, and the median error of outputs."""
    case, layer = made_
    call = case.call
    double = Call(
        call.x.double(), call.lengths, tuple(s.double() for s in call.first), call.dy.double(),
        tuple(s.double() for s in call.dlast), call.reset, call.given,
    )  # fmt: skip
    own = {n: p.double() for n, p in case.parameters.items()}
    exact = stepping.imitation(case.step, own, lambda: Rounding(FORMATS[products]))(double).y
    error = (examined(layer, products)(call).y.double() - exact).abs()
    by_sequence = error.amax((0, 2)) / exact.abs().max()
    return len(by_sequence), int((by_sequence < 32 * EPS).sum()), float(error.median() / exact.abs().max())


def judged(name: str, products: str, *, few: bool, tiles: str | None) -> dict[str, object]:
    """One line of the results."""
    wrong, forward, backward, steps, draws, medians, share = [], 0.0, 0.0, 0, 0, [], 0.0
    for what, found in verdicts(name, products, few=few):
        if not found.share <= 1:
            wrong.append(f"{what}: {found.where} is off by {found.share:.3g} times what is allowed")
        share, steps, draws = max(share, found.share), steps + found.steps, draws + found.draws
        forward = max([forward, *(e for n, e in found.errors.items() if not n.startswith("d "))])
        backward = max([backward, *(e for n, e in found.errors.items() if n.startswith("d "))])
        medians.append(found.typical)
    wrong += [f"{shape}: other bits with more threads" for shape in other_bits(name, products, tiles)]
    sequences, agree, typical = end_to_end(made(name, FULL[4]), products)
    return {
        "cell": name, "products": products, "isa": isa(), "tiles": tiles, "share": share, "forward": forward,
        "backward": backward, "median": median(medians), "steps": steps, "draws": draws, "sequences": sequences,
        "agree": agree, "end": typical, "wrong": wrong,
    }  # fmt: skip


def child(arguments: argparse.Namespace) -> None:
    """Print a line of JSON for each cell, in this process's instruction set."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for tiles in arguments.tiles or [None]:
        for products in arguments.products if tiles is None else ["bfloat16"]:
            for name in arguments.only or [*CELLS, *OWN]:
                with sharing(1, tiles):
                    found = judged(name, products, few=arguments.few, tiles=tiles)
                sys.stdout.write(json.dumps(found) + "\n")
                sys.stdout.flush()


def lines_of(isa_: str, extra: Sequence[str]) -> Iterator[dict]:
    """What a process in an instruction set finds."""
    command = [sys.executable, "-m", "benchmarks.half.exact", "--child", *extra]
    environment = os.environ | {"TIDEGATE_ISA": isa_}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            found = json.loads(line)
            for complaint in found["wrong"]:
                sys.stdout.write(f"{found['cell']}, {found['products']}, {isa_}, {found['tiles']}: {complaint}\n")
            sys.stdout.flush()
            yield found
    if process.returncode:
        raise SystemExit(f"the process of {isa_} ended with {process.returncode}")


COLUMNS = (
    "cell", "products", "tiles", "worst share", "forward", "gradients", "median", "rows of steps", "other decisions",
    "to the end",
)  # fmt: skip


def table(found: Iterable[dict]) -> Iterator[str]:
    """The results as Markdown, a row for each cell and type."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for f in found:
        tiles = f"{f['isa']}{', ' + f['tiles'] if f['tiles'] else ''}"
        errors = f"{f['share']:.2f}", f"{f['forward']:.1e}", f"{f['backward']:.1e}", f"{f['median']:.0e}"
        counts = f["steps"], f["draws"], f"{f['agree']} of {f['sequences']}"
        yield f"| {' | '.join(map(str, (f['cell'], f['products'], tiles, *errors, *counts)))} |"


def main(arguments: argparse.Namespace) -> int:
    if arguments.child:
        child(arguments)
        return 0
    passed = [*(["--few"] if arguments.few else []), "--products", *arguments.products]
    passed += ["--only", *arguments.only] if arguments.only else []
    passed += ["--tiles", *arguments.tiles] if arguments.tiles else []
    found = []
    for line in (line for name in arguments.isa or [isa()] for line in lines_of(name, passed)):
        found.append(line)
        if arguments.output:  # what is known so far
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text("\n".join(table(found)) + "\n")
    sys.stdout.write("\n".join(table(found)) + "\n")
    return 1 if any(line["wrong"] for line in found) else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of cells or of cases")
    parser.add_argument("--products", nargs="+", choices=FORMATS, default=[*FORMATS])
    parser.add_argument("--isa", nargs="+", help="instruction sets; by default the widest")
    parser.add_argument(
        "--tiles", nargs="+", help=f"of bfloat16, here {', '.join(tiles_here())}; by default the quickest"
    )
    parser.add_argument("--few", action="store_true", help="two shapes of each cell instead of six")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
