"""Shipped ONNX: are all cells right, how quick are they, and who else runs the files?

    python -m benchmarks.ship.onnx errors              # the zoo in onnxruntime against float64, T up to 1,000
    python -m benchmarks.ship.onnx nodes               # the node cases of the package onnx, written back by us
    python -m benchmarks.ship.onnx speed               # against onnxruntime's own nodes
    python -m benchmarks.ship.onnx runtimes --python P # by P, which has openvino and tract; the file holds the table

Each part rewrites its section of benchmarks/results/ship/onnx.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from tests.reference import shipped_onnx as shipped

import tidegate as tg
from tidegate import zoo
from tidegate.convert import OnnxNode
from tidegate.convert.activation import write_onnx
from tidegate.ship.onnx.form import Form, form_of

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "ship" / "onnx.md"
FLOAT = onnx.TensorProto.FLOAT


def layer_of(cell, inputs=5, units=6, **options):
    torch.manual_seed(0)
    inputs = units if zoo.graph_of(cell).input_axis == "H" else inputs
    return shipped.scaled(tg.nn.Recurrent(cell, inputs, units, **options))


# --- errors ---


def errors() -> Iterator[str]:
    yield "Largest difference from float64, relative to 1 or to the value: T in 1, 7, 100, 1,000; lengths 0, 1, T and"
    yield "between; states given and left out; both directions. Scan: `native=False`. Resets: at 30 % of the steps."
    yield ""
    yield "| cell | lowering | native | Scan | resets | step by step |"
    yield "|---|---|---|---|---|---|"
    counts, worst = {"native": 0, "scan": 0}, 0.0
    for cell in zoo.CELLS:
        layer = layer_of(cell, bidirectional=True)
        found = form_of(layer.graph)
        native = _worst(layer) if isinstance(found, Form) else None
        scan, reset = _worst(layer, native=False), _worst(layer, (7, 100), reset=True)
        step = tg.ship.selftest(tg.ship.onnx(layer_of(cell), step=True))
        lowering = f"native: {found.kind}" if native is not None else f"Scan: {found}"
        counts["scan" if native is None else "native"] += 1
        worst = max(worst, scan, reset, step, native or 0)
        shown = ["" if value is None else f"{value:.1e}" for value in (native, scan, reset, step)]
        yield f"| {cell} | {lowering} | {' | '.join(shown)} |"
    yield ""
    yield f"{counts['native']} of {len(zoo.CELLS)} cells are native nodes. The worst error is {worst:.1e}."


def _worst(layer, steps=(1, 7, 100, 1000), **writing) -> float:
    rng, running, off = np.random.default_rng(0), shipped.session(tg.ship.onnx(layer, **writing)), 0.0
    for T in steps:
        for lengths, states in (([T, 0, 1], True), ([T, T // 2, T], False)):
            call = shipped.drawn(layer, rng, T, 3, lengths=lengths, states=states, resets=writing.get("reset", False))
            off = max(off, shipped.error(layer, running, call))
    return off


# --- node cases ---


class Sum(tg.Cell):
    """scan_sum, scan9_sum and scan9_scalar."""

    gates = "n"
    matrices = dict[str, str]()  # noqa: RUF012  a cell's declarations are read once
    biases = ""

    def step(self, x, h):
        n = x.n
        return h + n


class SumAndProduct(tg.Cell):
    """scan9_multi_state."""

    gates = "n"
    state = "h p"
    matrices = dict[str, str]()  # noqa: RUF012  a cell's declarations are read once
    biases = ""

    def step(self, x, h, p):
        n = x.n
        return h + n, p * n


def nodes() -> Iterator[str]:
    import warnings

    warnings.filterwarnings("ignore")
    from onnx.backend.test.case.node import collect_testcases

    kinds = ("test_gru", "test_lstm", "test_simple_rnn", "test_rnn", "test_scan")
    yield "The recurrent node cases of onnx and its Scans: read by `tg.convert.load` (Scans as own cells), written"
    yield "by `tg.ship.onnx`, and run by onnxruntime against the expected outputs. A single reverse direction is run on"
    yield "turned data."
    yield ""
    yield "| case | our layer | lowering | largest difference |"
    yield "|---|---|---|---|"
    right = 0
    cases = [case for case in collect_testcases(None) if case.name.startswith(kinds)]
    for case in cases:
        layer, call, expected = (_scan_case if "scan" in case.name else _node_case)(case)
        model = tg.ship.onnx(layer)
        running = shipped.session(model)
        got = shipped.answers(running, shipped.feeds(layer, call))
        off = max(np.abs(value(got) - wanted).max() for value, wanted in expected)
        right += off < 1e-5
        yield f"| {case.name.removeprefix('test_')} | {layer.graph.name} | {shipped.lowerings(model)[0]} | {off:.1e} |"
    yield ""
    yield f"{right} of {len(cases)} are right (below 1e-5)."


def _node_case(case):
    (node,) = case.model.graph.node
    inputs, outputs = case.data_sets[0]
    given = dict(zip(node.input, inputs, strict=False))
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    batch_first = attributes.get("layout", 0) == 1
    reverse, both = (attributes.get("direction") == name for name in (b"reverse", b"bidirectional"))
    attributes["direction"] = b"bidirectional" if both else b"forward"
    weights = {name: given[name] for name in ("W", "R", "B", "P") if name in given}
    cell = {"GRU": "gru/before", "LSTM": "peepholelstm" if "P" in weights else "lstm", "RNN": "rnn"}[node.op_type]
    directions, _, features = weights["W"].shape
    layer = tg.nn.Recurrent(
        cell, features, attributes["hidden_size"], bias="B" in weights, bidirectional=both, batch_first=batch_first
    ).eval()
    tg.convert.load(layer, "onnx", [OnnxNode(node.op_type, attributes, weights)])
    x = given["X"].swapaxes(0, 1) if batch_first else given["X"]
    states = [given[name] for name in ("initial_h", "initial_c") if name in given] or None
    lengths = [int(n) for n in given["sequence_lens"]] if "sequence_lens" in given else None
    call = shipped.Call(x[::-1] if reverse else x, states, lengths)

    def y(got):
        turned = got["y"][::-1] if reverse else got["y"]
        T, B, _ = turned.shape
        deep = turned.reshape(T, B, directions, -1)
        return deep if batch_first else deep.transpose(0, 2, 1, 3)

    def last(state):
        names = [f"next.0.{state}", f"next.0.{state}.reverse"][:directions]
        return lambda got: np.stack([got[name] for name in names], 1 if batch_first else 0)

    read = {"Y": y, "Y_h": last("h"), "Y_c": last("c")}
    return layer, call, [(read[name], value) for name, value in zip(filter(None, node.output), outputs, strict=True)]


def _scan_case(case):
    inputs, outputs = case.data_sets[0]
    *first, x = inputs
    batch_first, scalar = case.name == "test_scan_sum", case.name == "test_scan9_scalar"
    width = 1 if scalar else x.shape[-1]
    layer = tg.nn.Recurrent(SumAndProduct if len(first) > 1 else Sum, width, width, batch_first=batch_first).eval()
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(width))
    rows = x.reshape(-1, 1, width).astype(np.float32)
    call = shipped.Call(rows, [np.asarray(state, np.float32).reshape(1, 1, width) for state in first])
    names = [*["next.0.h", "next.0.p"][: len(first)], "y"]
    shapes = [value.shape for value in outputs]
    return (
        layer,
        call,
        [
            ((lambda got, name=name, shape=shape: got[name].reshape(shape)), value)
            for name, shape, value in zip(names, shapes, outputs, strict=True)
        ],
    )


# --- speed ---


def own_node(layer, activations=None):
    """The same operator and sizes as a bare node, as onnxruntime's users have it; with other activations if given."""
    (node,) = tg.convert.dump(layer, "onnx")
    held = [numpy_helper.from_array(value, name) for name, value in node.weights.items()]
    names = ["x", *(name if name in node.weights else "" for name in ("W", "R", "B", "lengths", "h", "c", "P"))]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 3 if node.kind == "LSTM" else 2]
    made = helper.make_node(node.kind, names, outputs, **{**node.attributes, **(activations or {})})
    x = helper.make_tensor_value_info("x", FLOAT, ["T", "B", layer.input_size])
    graph = helper.make_graph(
        [made], "own", [x], [helper.make_tensor_value_info(o, FLOAT, None) for o in outputs], held
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ratios(sessions, x, rounds, repeats) -> dict:
    """Of the least process time of each to that of the first, measured in turns."""
    best = dict.fromkeys(sessions, np.inf)
    for running in sessions.values():
        running.run(None, {"x": x})
    for _ in range(rounds):
        for name, running in sessions.items():
            start = time.process_time()
            for _ in range(repeats):
                running.run(None, {"x": x})
            best[name] = min(best[name], (time.process_time() - start) / repeats)
    first = next(iter(best.values()))
    return {name: (value / first, value / len(x) * 1e6) for name, value in best.items()}


EQUAL = {"GRU": "gru/before", "LSTM": "lstm", "RNN": "rnn"}


def speed(rounds: int) -> Iterator[str]:
    yield "Process time of one thread, the least of many short rounds in turns, beside onnxruntime's own node of the"
    yield f"same operator and size (I = H); in brackets microseconds a step. {rounds} rounds."
    yield ""
    columns = ["own", "own, the cell's activations", "ours", "ours, `lengths=False`", "Scan", "Scan, `lengths=False`"]
    yield f"| cell | lowering | T | H | B | {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    small = ["mingru", "minlstm", "indrnn"]
    cells = ["lstm", "peepholelstm", "gru", "gru/before", "mgu", "janet", "ugrnn"]
    sizes = [(100, 64, 1), (1000, 64, 1), (100, 128, 1), (1000, 128, 1), (100, 64, 32), (100, 128, 32)]
    for T, H, B in [*sizes, (100, 512, 1)]:  # where every cell without a recurrent matrix is a Scan
        for cell in [*(cells if H < 512 else []), *(small if T == 100 else [])]:
            layer = tg.nn.Recurrent(cell, H, H).eval()
            form, lowering = form_of(layer.graph), ""
            own = tg.nn.Recurrent(cell if cell in ("peepholelstm", "gru") else EQUAL[form.kind], H, H).eval()
            alike = own_node(own, write_onnx(form.activations))
            sessions = {"own": shipped.session(own_node(own)), "alike": shipped.session(alike)}
            for native in (True, False):
                for lengths in (True, False):
                    made = tg.ship.onnx(layer, native=native, lengths=lengths)
                    lowering = shipped.lowerings(made)[0] if native else lowering
                    sessions[native, lengths] = shipped.session(made)
            x = np.random.default_rng(0).standard_normal((T, B, H), np.float32)
            found = ratios(sessions, x, rounds, 3 if B == 1 and T == 100 else 1)
            shown = [f"{ratio:.2f} ({us:.1f})" for ratio, us in found.values()]
            yield f"| {cell} | {lowering[:20]} | {T} | {H} | {B} | {' | '.join(shown)} |"


# --- runtimes ---

FILES = {
    "RNN": ("rnn", {}),
    "RNN, both directions": ("rnn", {"bidirectional": True}),
    "GRU": ("gru", {}),
    "GRU, reset before": ("gru/before", {}),
    "GRU, both directions": ("gru", {"bidirectional": True}),
    "GRU of MGU": ("mgu", {}),
    "GRU of minGRU (Affine)": ("mingru", {}),
    "GRU of LiGRU (Relu)": ("ligru", {}),
    "LSTM": ("lstm", {}),
    "LSTM, both directions": ("lstm", {"bidirectional": True}),
    "LSTM, peepholes": ("peepholelstm", {}),
    "LSTM of CIFG (peepholes)": ("cifg", {}),
    "LSTM of JANET (Affine)": ("janet", {}),
    "LSTM of LSTM1997 (ScaledTanh)": ("lstm1997", {}),
    "Scan of FGR": ("fgr", {}),
    "Scan of sLSTM, both directions": ("slstm", {"bidirectional": True}),
    "Scan of peepholes, `native=False`": ("peepholelstm", {"native": False}),
    "Scan of LSTM, both directions, `native=False`": ("lstm", {"bidirectional": True, "native": False}),
    "Scan with layer norm": ("lstm", {"layer_norm": True}),
    "Scan with resets": ("gru", {"reset": True}),
    "step, LSTM": ("lstm", {"step": True}),
    "step, FGR": ("fgr", {"step": True}),
    "step, LSTM, `native=False`": ("lstm", {"step": True, "native": False}),
}
WRITING = {"native", "reset", "step"}
NAMES = ("onnxruntime", "onnx reference", "OpenVINO", "tract")


def runtimes(python: str) -> Iterator[str]:
    yield "The self-test of each file (`optional=False`) in four runtimes, with lengths 4 and 2 of 4 steps and with"
    yield "`lengths=False`: its error, **wrong** without a word, or `refused`. OpenVINO computes in float32 here."
    yield ""
    yield f"| file | lengths | {' | '.join(NAMES)} |"
    yield f"|---|---|{'---|' * len(NAMES)}"
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder))
        found = {name: _in_runtime(python, name, [*files]) for name in NAMES}
        said = dict[tuple[str, str], None]()
        for path, (label, lengths) in files.items():
            answers = [found[name][path] for name in NAMES]
            refusals = [not re.match(r"\d|\*", one) for one in answers]
            said |= {(n, one): None for n, one, refuses in zip(NAMES, answers, refusals, strict=True) if refuses}
            cells = ["refused" if refuses else one for one, refuses in zip(answers, refusals, strict=True)]
            yield f"| {label} | {lengths} | {' | '.join(cells)} |"
    yield ""
    yield "What those that refuse say:"
    yield ""
    for name, one in said:
        yield f"- {name}: {one}"


def _written(folder: Path) -> dict[str, tuple[str, str]]:
    """Files, with what they are and whether they take lengths."""
    files = {}
    for label, (cell, options) in FILES.items():
        writing = {name: value for name, value in options.items() if name in WRITING}
        layer = layer_of(cell, **{name: value for name, value in options.items() if name not in WRITING})
        for lengths in (True, False) if "step" not in writing else (False,):
            path = folder / f"{len(files)}.onnx"
            tg.ship.onnx(layer, path, lengths=lengths, optional=False, **writing)
            files[str(path)] = label, "yes" if lengths else "no"
    return files


def _in_runtime(python: str, name: str, paths: list[str]) -> dict[str, str]:
    """What a runtime makes of files; where it ends its process, another one takes the rest."""
    settings = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    found: dict[str, str] = {}
    while left := [path for path in paths if path not in found]:
        command = [python, "-m", "benchmarks.ship.onnx_runtime", name, *left]
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            if line.startswith('{"path"'):
                answer = json.loads(line)
                found[answer["path"]] = _shown(answer)
        if done.returncode and len(left) > (have := sum(path in found for path in left)):
            found[left[have]] = f"ends the process ({done.returncode})"
    return found


def _shown(answer: dict) -> str:
    if "said" in answer:
        return re.sub(r"/\S+/", "", answer["said"])[:160]
    return f"{answer['error']:.0e}" if answer["error"] < 1e-4 else f"**wrong: {answer['error']:.2g}**"


# --- the file of results ---


def write(part: str, lines: list[str]) -> None:
    """Replace a section."""
    head = "# ONNX files: right, quick, and read by whom\n\nWritten by `python -m benchmarks.ship.onnx PART`.\n"
    old = RESULTS.read_text() if RESULTS.exists() else head
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", old, flags=re.DOTALL | re.MULTILINE))
    sections[part] = "\n" + "\n".join(lines) + "\n\n"
    order = [name for name in ("errors", "nodes", "speed", "runtimes", "fuzz") if name in sections]
    text = head + "\n" + "".join(f"## {name}\n{sections[name]}" for name in order)
    RESULTS.write_text(text.rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=["errors", "nodes", "speed", "runtimes"])
    parser.add_argument("--python", default=sys.executable, help="that has openvino and tract")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    made = {"errors": errors, "nodes": nodes, "speed": lambda: speed(asked.rounds)}
    lines = []
    for line in made[asked.part]() if asked.part in made else runtimes(asked.python):
        print(line, flush=True)
        lines.append(line)
    write(asked.part, lines)


if __name__ == "__main__":
    main()
