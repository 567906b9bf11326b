"""Cells stepped in a loop, sessions, and many short calls: ``python -m benchmarks.cell_steps``.

Three tables. In each, numbers are compared before anything is timed, and contestants take turns, round by round:

- ``cells``: LSTMCell, GRUCell and RNNCell of ``tidegate.nn`` and of torch.nn, which ``accelerate`` swaps. One step of a
  loop, in inference and in training.
- ``sessions``: one step of a ``Session`` of a cell, and one product of torch as large as the step's; audio sample by
  sample and in blocks.
- ``short``: a stack in two directions on one short sequence after the other: by a ``Session``, inside
  ``tidegate.frozen``, by the layer, by torch.nn and, where it is installed, by onnxruntime.

Times are the lowest of many rounds and, in brackets, their median; ratios are those of each contestant to the first.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.engine.machine import machine, processor

import tidegate as tg

Work = Callable[[], Any]
Works = dict[str, Work]
TRAINED, RUN = 20, 50  # steps of a loop
BLOCKS = (32, 128, 512)  # samples of audio
AGAIN, FEWEST = 100, 8  # steps that are timed together, and rounds


def timed(title: str, works: Works, units: int, seconds: float) -> str:
    """A row: times in microseconds of one of ``units``, as the works take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds < FEWEST:
        rounds += 1
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - begin) / units * 1e6)
    first, *others = times
    cells = [title, *(f"{name} {min(own):.1f} ({median(own):.1f})" for name, own in times.items())]
    for name in others:
        lowest, middle = (of(times[name]) / of(times[first]) for of in (min, median))
        cells.append(f"{name} / {first}: {lowest:.2f} ({middle:.2f})")
    return f"| {' | '.join(cells)} |"


def check(works: Works) -> None:
    """Refuse to time what has other numbers than the last of the works."""
    *found, wanted = [work() for work in works.values()]
    for one in found:
        torch.testing.assert_close(one, wanted, atol=1e-4, rtol=1e-4)


def quiet(work: Work) -> Work:
    """The work in inference."""

    def without_gradients() -> Any:
        with torch.no_grad():
            return work()

    return without_gradients


def stepped(cell: torch.nn.Module, steps: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The first state after these steps."""
    state: Any = None
    for x in steps:
        state = cell(x, state)
    return state if isinstance(state, torch.Tensor) else state[0]


def trained(cell: torch.nn.Module, steps: tuple[torch.Tensor, ...]) -> list[torch.Tensor | None]:
    """The gradients of a loop."""
    cell.zero_grad()
    stepped(cell, steps).sum().backward()
    return [parameter.grad for parameter in cell.parameters()]


def again(work: Callable[..., Any], *arguments: Any) -> None:
    """The same so many times."""
    for _ in range(AGAIN):
        work(*arguments)


def one_by_one(session: tg.Session, samples: torch.Tensor) -> torch.Tensor:
    """Sample by sample what ``run`` does with a block."""
    return torch.stack([session.step(x) for x in samples])


def output(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The output of a stack."""
    return layer(x)[0]  # type: ignore[no-any-return]


def cells(seconds: float) -> Iterator[str]:
    """Loops of our cells and of torch's."""
    kinds, run = ("LSTMCell", "GRUCell", "RNNCell"), {"inference": (stepped, RUN), "training": (trained, TRAINED)}
    for kind, hidden, batch, (mode, (loop, count)) in product(kinds, (64, 128, 256), (1, 32), run.items()):
        theirs = getattr(torch.nn, kind)(hidden, hidden)
        ours = tg.accelerate(copy.deepcopy(theirs)).model
        steps = torch.randn(count, batch, hidden).unbind(0)
        works: Works = {"tidegate": partial(loop, ours, steps), "torch": partial(loop, theirs, steps)}
        if mode == "inference":
            works = {name: quiet(work) for name, work in works.items()}
        check(works)
        yield timed(f"{kind}, H {hidden}, B {batch}, {mode}", works, count, seconds)


def sessions(seconds: float) -> Iterator[str]:
    """Sessions of cells, by steps and in blocks."""
    for kind, hidden in product(("LSTMCell", "GRUCell"), (16, 64, 256)):
        cell = getattr(tg.nn, kind)(hidden, hidden)
        session, x = tg.Session(cell), torch.randn(1, hidden)
        weight, both = torch.randn(cell.weight_ih.shape[0], 2 * hidden), torch.randn(2 * hidden)
        check({"session": partial(session.step, x), "cell": quiet(partial(stepped, cell, (x,)))})
        works: Works = {"step": partial(again, session.step, x), "torch.mv": partial(again, torch.mv, weight, both)}
        yield timed(f"Session({kind}), H {hidden}", works, AGAIN, seconds)
    for block in BLOCKS:
        amplifier, samples = tg.Session(tg.nn.LSTMCell(1, 16)), torch.randn(block, 1, 1)
        works = {
            "run": partial(amplifier.run, samples),
            "steps": partial(one_by_one, copy.deepcopy(amplifier), samples),
        }
        check(works)
        yield timed(f"audio, LSTM of 16, blocks of {block}", works, block, seconds)


def short(seconds: float) -> Iterator[str]:
    """Three layers of 384 in two directions, one sequence after the other."""
    theirs = torch.nn.LSTM(384, 384, 3, bidirectional=True).eval()
    layer = tg.accelerate(copy.deepcopy(theirs)).model
    kept = copy.deepcopy(layer)
    session, foreign = tg.Session(layer, bidirectional=True), onnx_session(layer)
    with tg.frozen(kept):
        for steps in (1, 13):
            x = torch.randn(steps, 1, 384)
            works: Works = {"Session": partial(session.run, x), "frozen": partial(output, kept, x)}
            works["layer"] = partial(output, layer, x)
            if foreign is not None:
                works["onnxruntime"] = partial(foreign, x)
            works["torch"] = partial(output, theirs, x)
            works = {name: quiet(work) for name, work in works.items()}
            check(works)
            yield timed(f"3 x BiLSTM 384, B 1, T {steps}", works, 1, seconds)


def onnx_session(layer: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The stack in onnxruntime, on as many threads as torch has."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        return None
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, name = [], [numpy_helper.from_array(torch.tensor([0, 0, -1]).numpy(), "flat")], "x"
    for k, node in enumerate(tg.convert.dump(layer, "onnx")):
        weights += [numpy_helper.from_array(value, f"{part}{k}") for part, value in node.weights.items()]
        inputs = [name, *(f"{part}{k}" for part in node.weights)]
        nodes.append(helper.make_node(node.kind, inputs, [f"both{k}"], **node.attributes))
        nodes.append(helper.make_node("Transpose", [f"both{k}"], [f"side{k}"], perm=[0, 2, 1, 3]))  # [T, B, D, H]
        nodes.append(helper.make_node("Reshape", [f"side{k}", "flat"], [f"y{k}"]))
        name = f"y{k}"
    x, y = (helper.make_tensor_value_info(of, TensorProto.FLOAT, ["T", 1, None]) for of in ("x", name))
    graph = helper.make_graph(nodes, "stack", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: torch.from_numpy(session.run(None, {"x": rows.numpy()})[0])


TABLES = {"cells": cells, "sessions": sessions, "short": short}


def main(arguments: argparse.Namespace) -> int:
    """Print the tables, and write them to a file of this processor."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    facts = [f"{name}: {value}" for name, value in machine().items()]
    lines = ["# Cells in a loop, sessions, short calls", "", *facts, f"threads: {arguments.threads}"]
    lines += ["", "Microseconds of one step, sample or call: the lowest and, in brackets, the median."]
    for table in arguments.tables:
        lines += ["", f"## {table}", ""]
        for row in TABLES[table](arguments.seconds):
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
            lines.append(row)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"{processor().slug}-{arguments.threads}.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a folder, e.g. benchmarks/results/cell_steps")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
