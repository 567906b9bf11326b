"""Are drawn cells of drawn shapes right as ONNX? In onnxruntime within 1e-5 of float64, or as near as float32 can be.

    nice python -m benchmarks.ship.fuzz_onnx --count 2000    # again: only what is left
    python -m benchmarks.ship.fuzz_onnx --only 1234          # one again, which was reported

Cells come from tests/property/random_cell.py and, every third time, from the zoo with drawn options. Each is written in
a drawn form (native or not, step or sequences, resets, lengths, optional inputs, opset) and called with drawn sizes,
lengths and states. Some drawn equations, such as layer norms of two or three nearly equal numbers, lose more than 1e-5
in float32 by themselves: twenty times what they lose, or what a change of all weights in the seventh digit does, is
allowed.
Ends with a line of counts, and with 1 unless all are right.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.property.random_cell import random_cells
from tests.reference import shipped_onnx as shipped

import tidegate as tg
from tidegate import zoo

CLOSE = 1e-5
SLOW = list(HealthCheck)
OPTIONS = [
    {},
    {"learn_initial_state": True},
    {"zoneout": 0.2},
    {"state_clip": 0.5},
    {"layer_norm": True},
    {"layer_norm": "each", "learn_initial_state": True},
]


def drawn_cell(number: int):
    """A cell by its number."""
    found = []

    @seed(number)
    @settings(
        max_examples=3, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(random_cells())
    def draw(made):
        found.append(made.cell)

    draw()
    return found[-1]  # the first one is the simplest


def configuration(number: int) -> tuple:
    """A layer, how it is written, and a call."""
    draw = random.Random(number)  # noqa: S311  not for secrets
    rng = np.random.default_rng(number)
    own = number % 3 != 0
    cell = drawn_cell(number) if own else draw.choice([*zoo.CELLS])
    graph = zoo.graph_of(cell)
    units = draw.choice([1, 2, 3, 5, 8, 17, 70])
    inputs = units if graph.input_axis == "H" else draw.choice([1, 2, 4, 9])
    both, layers = draw.random() < 0.4, draw.choice([1, 1, 2])
    if graph.input_axis == "H" and both:
        layers = 1
    options = {} if own and draw.random() < 0.7 else draw.choice(OPTIONS)
    torch.manual_seed(number)
    layer = tg.nn.Recurrent(
        cell, inputs, units, num_layers=layers, bidirectional=both, bias=draw.random() < 0.8,
        batch_first=draw.random() < 0.2, **options,
    )  # fmt: skip
    layer = shipped.scaled(layer)
    writing = {
        "step": draw.random() < 0.25 and not both,
        "reset": draw.random() < 0.3,
        "native": draw.random() < 0.7,
        "lengths": draw.random() < 0.8,
        "optional": draw.random() < 0.8,
        "opset": draw.choice([15, 17, 17, 18, 21, 26]),
    }
    T, B = draw.choice([0, 1, 1, 2, 3, 6, 13, 40]), draw.choice([1, 2, 3, 5])
    if writing["step"]:
        T = max(T, 1)
    ragged = writing["lengths"] and not writing["step"] and (draw.random() < 0.7 or not writing["optional"])
    lengths = [draw.choice([0, 1, T, draw.randint(0, T)]) if T else 0 for _ in range(B)] if ragged else None
    states = draw.random() < 0.6 or not writing["optional"]
    return layer, writing, shipped.drawn(layer, rng, T, B, lengths=lengths, states=states, resets=writing["reset"])


def judged(number: int) -> dict:
    """How one configuration ends."""
    try:
        layer, writing, call = configuration(number)
    except tg.errors.TidegateError as error:
        return {"seed": number, "outcome": "no layer", "detail": str(error)[:200]}
    model = tg.ship.onnx(layer, **writing)
    running = shipped.session(model)
    wanted = shipped.exact(layer, call)
    got = _walked(layer, running, call) if writing["step"] else shipped.answers(running, shipped.feeds(layer, call))
    off, tested = shipped.difference(got, wanted), tg.ship.selftest(model)
    lost = 0.0 if max(off, tested) <= CLOSE else _lost(layer, call, wanted)
    right = off <= max(CLOSE, 20 * lost) and tested <= max(1e-3, 100 * lost)
    kinds = sorted({how.partition(":")[0] for how in shipped.lowerings(model)})
    outcome = "right" if right else "different"
    return {"seed": number, "outcome": outcome, "error": off, "float32": lost, "lowering": ", ".join(kinds)}


def _lost(layer, call, wanted) -> float:
    """What float32 loses: by its own arithmetic, and by what a change of all weights in the seventh digit does."""
    lost = shipped.difference(shipped.exact(layer, call, single=True), wanted)
    rng, moved = np.random.default_rng(0), copy.deepcopy(layer).double()
    for _ in range(2):
        with torch.no_grad():
            for one, other in zip(moved.parameters(), layer.parameters(), strict=True):
                one.copy_(other.double() * torch.from_numpy(1 + 6e-8 * rng.choice([-1, 1], tuple(other.shape))))
        lost = max(lost, shipped.difference(shipped.exact(moved, call), wanted))
    return lost


def _walked(layer, running, call) -> dict:
    """The answers of a model of a step, called once for each step."""
    T, names = len(call.x), shipped.names(layer, "state")
    states = {} if call.first is None else {name: call.first[s][at] for name, s, at in names}
    rows = []
    for t in range(T):
        reset = {} if call.reset is None else {"reset": call.reset[t]}
        got = shipped.answers(running, {"x": call.x[t], **reset, **states})
        rows.append(got.pop("y"))
        states = {name.replace("next", "state", 1): value for name, value in got.items()}
    y = np.stack(rows, 1 if layer.batch_first else 0)
    return {"y": y, **{name.replace("state", "next", 1): value for name, value in states.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--only", type=int, nargs="+")
    parser.add_argument("--results", type=Path, default=Path("fuzz_onnx.jsonl"))
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    known = {} if asked.only or not asked.results.exists() else _known(asked.results)
    for number in asked.only or range(asked.count):
        if number in known:
            continue
        try:
            found = judged(number)
        except Exception as error:  # noqa: BLE001  no cell may end in one
            found = {"seed": number, "outcome": "traceback", "detail": f"{type(error).__name__}: {error}"[:300]}
        known[number] = found
        if not asked.only:
            with asked.results.open("a") as file:
                file.write(json.dumps(found) + "\n")
        if found["outcome"] not in ("right", "no layer") or asked.only:
            print(found, flush=True)
    counts = Counter(found["outcome"] for found in known.values())
    kinds = Counter(found.get("lowering", "") for found in known.values() if found["outcome"] == "right")
    far = sum(found.get("error", 0) > CLOSE for found in known.values())
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())), dict(kinds), f"above 1e-5: {far}")
    return 1 if counts["different"] + counts["traceback"] else 0


def _known(path: Path) -> dict[int, dict]:
    return {found["seed"]: found for found in map(json.loads, path.read_text().splitlines())}


if __name__ == "__main__":
    sys.exit(main())
