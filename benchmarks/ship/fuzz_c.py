"""Does emitted C compute what drawn cells say?

    python -m benchmarks.ship.fuzz_c --count 2000    # about five minutes on one core
    python -m benchmarks.ship.fuzz_c --count 100 --seed 7

Three of four are cells whose equations tests/property/random_cell.py draws, held to their step called by itself on
float64 tensors; the fourth is a layer of the zoo with drawn options, layers, projection and directions, held to the
eager definition in float64. Outputs of 20 steps may be off by 1e-5, of larger ones than 1 by that share. What is off
further counts as rounding where the same equations are so, within a factor of 8: on float32 tensors, or in float64 when
the last bits of input and weights change (chaotic cells). What is infinite or not a number counts as overflow where it
is so in the same equations on float32 tensors. Warnings are errors, and each self-test has to pass. Results go to a
file, a line each; the end is one line of counts, and 1 unless all are one of these.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random

import hypothesis
import numpy as np
import torch
from benchmarks.ship.c_bits import WARNINGS
from tests.property.random_cell import RandomCell, random_cells

import tidegate as tg
from tidegate.errors import TidegateError
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

STEPS, NEAR, NOISE = 20, 1e-5, 8.0
DRAWS = 6  # of changed last bits
ALIKE = 15  # cells of one draw of hypothesis, which resemble each other
TOGETHER = 50  # sources of one compilation
OPTIONS = (
    {"zoneout": 0.3},
    {"state_clip": 0.5},
    {"learn_initial_state": True},
    {"layer_norm": True},
    {"layer_norm": "each"},
    {},
)
Change = Callable[[torch.Tensor], torch.Tensor]
Reference = Callable[[Change], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A layer, its input [T, I], and its output by other means, with all numbers changed first."""

    seed: int
    what: str
    layer: Recurrent
    x: np.ndarray
    reference: Reference


def drawn_cells(count: int, seed: int) -> list[RandomCell]:
    found: list[RandomCell] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(random_cells())
    def collect(made: RandomCell) -> None:
        found.append(made)

    collect()
    return found[:count]


def nearby(seed: int) -> Change:
    """Numbers whose last bit of float32 changes."""
    g = torch.Generator().manual_seed(seed)
    return lambda v: v.double() * (1 + (torch.rand(v.shape, generator=g, dtype=torch.float64) - 0.5) * 2.0**-22)


def noise(case: Case, exact: np.ndarray) -> float:
    """How far off rounding makes the same equations."""
    changes = [torch.Tensor.float, *map(nearby, range(DRAWS))]
    return max(float(np.abs(case.reference(change) - exact).max()) for change in changes)


def weights(layer: Recurrent, seed: int) -> Recurrent:
    """Drawn, of the size that keeps sums near 1."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if not name.startswith("norm"):
                parameter.copy_(torch.randn(parameter.shape, generator=g) / parameter.shape[-1] ** 0.5)
    return layer.eval()


def own_case(seed: int, made: RandomCell) -> Case:
    r = Random(seed)  # noqa: S311
    H = r.randint(1, 24)
    features = H if made.cell.graph.input_axis == "H" else r.randint(1, 9)
    own = {axis: r.randint(1, 9) for axis in made.cell.graph.own_axes}
    layer = weights(Recurrent(made.cell, features, H, widths=own or None), seed)
    x = np.random.default_rng(seed).normal(size=(STEPS, features)).astype(np.float32)

    def reference(change: Change) -> np.ndarray:
        params = {name: change(p.detach()) for name, p in layer.named_parameters()}
        rows = change(torch.from_numpy(x)).unsqueeze(1)
        states = tuple(rows.new_zeros(1, width) for width in layer.cells[0].state_widths)
        return made.run(params, rows, states)[0].squeeze(1).numpy()

    return Case(seed, made.source, layer, x, reference)


def zoo_case(seed: int) -> Case:
    r = Random(seed)  # noqa: S311
    cell, options = CELLS[r.choice([*CELLS])], r.choice(OPTIONS)
    H, layers = r.randint(1, 24), r.choice([1, 1, 2, 3])
    features = H if cell.graph.input_axis == "H" else r.randint(1, 9)
    both = r.random() < 0.2 and (layers == 1 or cell.graph.input_axis == "I")
    projected = cell.name.startswith("LSTM") and H > 2 and r.random() < 0.5
    shape = {"num_layers": layers, "bidirectional": both, "proj_size": H // 2 if projected else 0}
    bias = r.random() < 0.8
    layer = weights(Recurrent(cell, features, H, bias=bias, **shape, **options), seed)
    x = np.random.default_rng(seed).normal(size=(STEPS, features)).astype(np.float32)

    def reference(change: Change) -> np.ndarray:
        rows = change(torch.from_numpy(x)).unsqueeze(1)
        copied = deepcopy(layer).to(rows.dtype)
        with eager_only(), torch.no_grad():
            for ours, theirs in zip(copied.parameters(), layer.parameters(), strict=True):
                ours.copy_(change(theirs.detach()))
            return copied(rows)[0].squeeze(1).numpy()

    return Case(seed, str(layer), layer, x, reference)


def cases(count: int, seed: int) -> Iterator[Case]:
    wanted = count - count // 4
    own = (made for k in range(wanted // ALIKE + 1) for made in drawn_cells(ALIKE, 1000 * seed + k))
    for k in range(count):
        number = 100_000 * seed + k
        made = None if k % 4 == 3 else next(own, None)
        yield zoo_case(number) if made is None else own_case(number, made)


def compiled(
    sources: list[tg.ship.Source], folder: Path, level: str, target: str, compiler: str = "gcc"
) -> ctypes.CDLL:
    for source in sources:
        source.write(folder)
    everything = "".join(f'#include "{source.name}.c"\n' for source in sources)
    (folder / "all.c").write_text(everything)
    flags = ["-std=c99", *level.split(), "-ffp-contract=off", *WARNINGS, "-fPIC", "-shared"]
    library = folder / f"{target}.so"
    subprocess.run([compiler, *flags, str(folder / "all.c"), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def run(case: Case, name: str, library: ctypes.CDLL) -> np.ndarray:
    y = np.zeros((STEPS, case.layer.output_size), np.float32)
    state = np.full(65536, np.nan, np.float32)
    at = [array.ctypes.data_as(ctypes.c_void_p) for array in (state, case.x, y, np.zeros_like(y))]
    if case.layer.bidirectional:
        library[f"{name}_sequence"](at[1], at[2], ctypes.c_size_t(STEPS), at[3])
    else:
        library[f"{name}_reset"](at[0])
        library[f"{name}_block"](*at[:3], ctypes.c_size_t(STEPS))
    return y


def judged(case: Case, name: str, library: ctypes.CDLL) -> dict:
    """What came out, and how far off."""
    got, exact = run(case, name, library), case.reference(torch.Tensor.double)
    wrong, usual = library[f"{name}_selftest"](), "right"
    if not np.isfinite(got).all():  # numbers may grow beyond float32, also by hand
        there = np.isfinite(case.reference(torch.Tensor.float))
        got, exact, usual = got[there], exact[there], "different" if there.all() else "overflow"
    largest = max(1.0, float(np.abs(exact).max(initial=0.0)))
    error = float(np.abs(got - exact).max(initial=0.0) / largest)
    outcome = usual if error <= NEAR else "rounding"
    if wrong and usual == "right":
        outcome = "selftest"
    elif not error <= NEAR and not error <= NOISE * noise(case, exact) / largest:
        outcome = "different"
    return {"seed": case.seed, "outcome": outcome, "error": error, "selftest": wrong}


def judge_all(some: list[Case]) -> Iterator[dict]:
    """All of these in one compilation."""
    named: dict[str, tuple[Case, tg.ship.Source]] = {}
    for case in some:
        try:
            name = f"c{case.seed}"
            named[name] = case, tg.ship.c(case.layer, name, target="cortex-m4" if case.seed % 5 == 4 else "host")
        except TidegateError as error:
            yield {"seed": case.seed, "outcome": "error", "what": case.what, "detail": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        library = compiled([source for _, source in named.values()], Path(folder), "-O1", f"all{some[0].seed}")
        for name, (case, _) in named.items():
            found = judged(case, name, library)
            yield found if found["outcome"] == "right" else found | {"what": case.what}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="takes a line of JSON for each")
    chosen = parser.parse_args()
    counts, worst, waiting = Counter[str](), 0.0, list[Case]()
    torch.set_num_threads(1)

    def settle() -> None:
        nonlocal worst
        for found in judge_all(waiting):
            counts[found["outcome"]] += 1
            worst = max(worst, found.get("error", 0.0) if found["outcome"] == "right" else 0.0)
            if chosen.results:
                with chosen.results.open("a") as file:
                    file.write(json.dumps(found) + "\n")
            if found["outcome"] != "right":
                print(json.dumps(found), flush=True)
        waiting.clear()

    for case in cases(chosen.count, chosen.seed):
        waiting.append(case)
        if len(waiting) == TOGETHER:
            settle()
    if waiting:
        settle()
    print(f"{chosen.count} layers: " + ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common()))
    print(f"the largest error of those that are right: {worst:.1e}")
    fine = ("right", "rounding", "overflow", "error")
    return 1 if counts.total() > sum(counts[outcome] for outcome in fine) else 0


if __name__ == "__main__":
    sys.exit(main())
