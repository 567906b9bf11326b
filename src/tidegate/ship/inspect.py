"""``inspect``: what a shipped file is, how large it is and how fast, what it remembers, and what runs it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.errors import InputError, explain_missing, visible
from tidegate.phase import phase
from tidegate.ship.c import Source
from tidegate.ship.check.compiled import Compiled
from tidegate.ship.check.proof import Tested, c_tested, onnx_tested
from tidegate.ship.onnx.selftest import KEY, inputs_of
from tidegate.ship.target import FORMATS

if TYPE_CHECKING:
    from tidegate.ship.ship import Shipped

SECONDS = 0.2  # that a measurement of latency takes
STEPS = 64  # of C between two looks at the clock
LARGEST = 1 << 31  # bytes of a file that is read
MULTIPLYING = {"RNN": (1, 2), "GRU": (1, 2), "LSTM": (1, 2), "DynamicQuantizeLSTM": (1, 2), "Gemm": (0, 1), "MatMul": (0, 1)}
MULTIPLYING |= {"MatMulInteger": (0, 1), "DynamicQuantizeMatMul": (0, 1)}
PRODUCT = re.compile(r"(?:for \(int j = 0; j < (\d+); \+\+j\)[^}]*?)?add_product\w*\([^;]*?, (\d+), (\d+)\);")
SIZES = {
    "flash": re.compile(r"Flash: ([\d,]+) bytes"),
    "RAM": re.compile(r"_state has (?:about )?([\d,]+) bytes"),
    "stack": re.compile(r"at most ([\d,]+) bytes of stack"),
}


@dataclass(frozen=True)
class Inspection:
    """What is known of a file.

    Attributes:
        path: of the file.
        format: what it is.
        bytes: its size.
        facts: what the file says of itself, and sizes, in words.
        inputs, outputs, states: names and shapes.
        layers: the recurrent layers, in words.
        multiplies: multiplications of weights in a step; None where unknown.
        latency: seconds a step takes here; None where it was not run.
        how: how the latency was measured.
        tested: the self-test; None for a file without one, or which was not run.
        runs: what runs it.
        beware: what is known to run it wrong.
    """

    path: Path
    format: str
    bytes: int
    facts: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[tuple[str, str]] = ()
    outputs: Sequence[tuple[str, str]] = ()
    states: Sequence[tuple[str, str]] = ()
    layers: Sequence[str] = ()
    multiplies: int | None = None
    latency: float | None = None
    how: str = ""
    tested: Tested | None = None
    runs: str = ""
    beware: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts, for a table."""
        rows = [("format", self.format), ("size", f"{self.bytes:,} bytes"), *self.facts.items()]
        for label, values in (("input", self.inputs), ("output", self.outputs), ("state", self.states)):
            rows += [(label, f"{name} {shape}") for name, shape in values]
        rows += [("layer", text) for text in self.layers]
        if self.multiplies is not None:
            rows.append(("a step", f"{self.multiplies:,} multiplications of weights"))
        if self.latency is not None:
            rows.append(("latency", f"{duration(self.latency)} a step: {self.how}"))
        if self.tested is not None:
            rows.append(("self-test", f"{VERDICTS[self.tested.passed]}: {self.tested.says}"))
        rows += [(label, text) for label, text in (("runs in", self.runs), ("beware", self.beware)) if text]
        return rows

    def __str__(self) -> str:
        return "\n".join([str(self.path), *(f"  {label:10}{text}" for label, text in self.lines())])


VERDICTS = {True: "passed", False: "FAILED", None: "not run"}


def inspect(path: str | os.PathLike[str], *, run_c: bool = False) -> Inspection:
    """What a file for another place is.

    Args:
        path: of an .onnx, a .c or .h of ours, a .nam, a .json of RTNeural, a "DNNw" file, or a .safetensors.
        run_c: compile and run a .c file, for its self-test and its latency: pass True only for a file that you trust.
            ONNX files of ours are run in any case, if onnxruntime is installed.

    Returns:
        Sizes, inputs, outputs, states, layers, operations, latency, the self-test, and what runs the file. ``print``
        shows it.

    Raises:
        InputError: there is no such file, it is damaged, or of no format that is known here.
        MissingError: a package that reads it is not installed.
    """
    file = Path(path)
    content = _content(file)
    if file.suffix in (".c", ".h"):
        return _c(file, Source(file.stem, *(_text(file.with_suffix(suffix)) for suffix in (".h", ".c"))), run=run_c)
    if file.suffix == ".onnx":
        return _onnx(file, content)
    return _weights(file, content)


def inspected(shipped: Shipped) -> list[Inspection]:
    """The same of what ``ship`` made, before or after it is written; the self-tests are run."""
    found = []
    for name, content in shipped.files.items():
        if name.endswith(".onnx"):
            found.append(_onnx(Path(name), content))
        elif name.endswith(".c"):
            texts = (shipped.files[f"{name[:-2]}{suffix}"].decode() for suffix in (".h", ".c"))
            found.append(_c(Path(name), Source(name[:-2], *texts), run=True))
    return found


def duration(seconds: float) -> str:
    """A short time in words, such as ``"0.71 us"``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} us"


def shortest(run: Callable[[], Any], steps: int = 1) -> float:
    """Processor seconds of a step, the shortest of many short runs."""
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / steps


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise InputError("INSPECT", f"{visible(str(file))} has {file.stat().st_size:,} bytes", fix="pass a smaller file")
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            "INSPECT", f"{visible(str(file))} cannot be read: {error.strerror}", fix="check the path"
        ) from error


def damaged(file: Path, what: object) -> InputError:
    """The error of a file that is not what its name says."""
    text = " ".join(str(what).split())[:160]
    return InputError("INSPECT_DAMAGED", f"{visible(str(file))} is damaged: {visible(text)}", fix="ship it again")


# --- ONNX ---


def _onnx(file: Path, content: bytes) -> Inspection:
    with explain_missing():
        import onnx
        from google.protobuf.message import DecodeError
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise damaged(file, error) from error
    if not model.graph.node:
        raise damaged(file, "its graph has no nodes")
    told = {entry.key.removeprefix("tidegate."): entry.value for entry in model.metadata_props}
    given = {tensor.name for tensor in model.graph.initializer}
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    facts = {"opset": f"{opset}, IR {model.ir_version}", **_told(told, model)}
    try:
        lowering = [str(text) for text in json.loads(told.get("lowering", "[]"))]
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in _initializers(model.graph)}
        found = Inspection(
            file, f"ONNX, {told.get('kind', 'a graph')}", len(content), facts,
            _values(one for one in model.graph.input if not one.name.startswith("state.") and one.name not in given - {"lengths"}),
            _values(one for one in model.graph.output if not one.name.startswith("next.")),
            _values(one for one in model.graph.input if one.name.startswith("state.")),
            lowering or _nodes(model.graph), _multiplies(model.graph, sizes),
            runs=FORMATS["onnx"].runs, beware=FORMATS["onnx"].beware,
        )  # fmt: skip
        if f"tidegate.{KEY.removeprefix('tidegate.')}" not in {entry.key for entry in model.metadata_props}:
            return found
        tested = onnx_tested(file.name, content)
        if tested.passed is None:
            return replace(found, tested=tested)
        latency, how = _latency(content, told)
        return replace(found, tested=tested, latency=latency, how=how)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file, error) from error


def _told(told: Mapping[str, str], model: Any) -> dict[str, str]:
    """What the metadata say, of ours or of another writer."""
    if "version" not in told:
        producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
        return {"made by": producer or "unknown", **{k: v[:120] for k, v in list(told.items())[:8]}}
    own = json.loads(told.get("facts", "{}"))
    named = {key: str(own[key]) for key in ("task", "cell", "data") if key in own}
    if "metric" in own:
        named["metric"] = f"{own['metric']['name']} {own['metric']['value']:.4g} {own['metric']['unit']}".strip()
    return {"made by": f"Tidegate {told['version']}", **named}


def _values(values: Any) -> list[tuple[str, str]]:
    shown = []
    for one in values:
        kind = one.type.tensor_type
        dims = [part.dim_param or str(part.dim_value) for part in kind.shape.dim]
        shown.append((one.name, f"[{', '.join(dims)}]{' int' if kind.elem_type in (6, 7) else ''}"))
    return shown


def _graphs(graph: Any) -> list[Any]:
    """A graph and those inside its nodes."""
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [graph, *(deep for one in inner for deep in _graphs(one))]


def _initializers(graph: Any) -> list[Any]:
    """All tensors that are known, constants included."""
    own = [tensor for one in _graphs(graph) for tensor in one.initializer]
    for one in _graphs(graph):
        for node in one.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                tensor = node.attribute[0].t
                tensor.name = node.output[0]
                own.append(tensor)
    return own


def _nodes(graph: Any) -> list[str]:
    """The recurrent nodes of a file of others."""
    kinds = ("RNN", "GRU", "LSTM", "DynamicQuantizeLSTM", "Scan", "Loop")
    return [f"{node.op_type} {node.name}".strip() for one in _graphs(graph) for node in one.node if node.op_type in kinds]


def _multiplies(graph: Any, sizes: Mapping[str, int]) -> int:
    return sum(
        sizes.get(node.input[k], 0)
        for one in _graphs(graph)
        for node in one.node
        for k in MULTIPLYING.get(node.op_type, ())
        if k < len(node.input)
    )


def _latency(content: bytes, told: Mapping[str, str]) -> tuple[float, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given, steps = {}, 1
    phase("measuring")
    for name, value in inputs_of(content).items():
        if told.get("kind") == "step":
            given[name] = value[:1]
        elif name == "lengths":
            steps = 100
            given[name] = np.array([100], value.dtype)
        elif name.startswith("state."):
            given[name] = value[:1]
        else:
            given[name] = np.repeat(value[:1, :1], 100, 0)
            steps = 100
    what = "one call of onnxruntime" if steps == 1 else "100 steps in one call of onnxruntime"
    return shortest(lambda: session.run(None, given), steps), f"{what}, one sequence, one thread"


# --- C ---


def _c(file: Path, source: Source, *, run: bool) -> Inspection:
    if "Made by Tidegate" not in source.header or f"{source.name}_state;" not in source.header:
        raise InputError(
            "INSPECT", f"{visible(str(file))} is no C of Tidegate", fix="pass a file of tidegate ship, with its NAME.h beside it"
        )
    facts = {"made by": _first(source.header)}
    facts |= {name: f"{found[1]} bytes" for name, pattern in SIZES.items() if (found := pattern.search(source.header))}
    shown = Inspection(
        file,
        "C99",
        len(source.header.encode()) + len(source.body.encode()),
        facts,
        states=_members(source, "state"),
        inputs=_members(source, "input"),
        outputs=_members(source, "output"),
        layers=[line.strip(" *:") for line in re.findall(r"^ \* \w+, \d+ units.*$", source.header, re.MULTILINE)],
        multiplies=sum(int(times or 1) * int(m) * int(n) for times, m, n in PRODUCT.findall(source.body)) or None,
        runs=FORMATS["c"].runs,
        beware=FORMATS["c"].beware,
    )
    if not run:
        return replace(shown, tested=Tested(file.name, None, "it would compile and run the file; pass run_c=True if you trust it"))
    shown = replace(shown, tested=c_tested(source))
    if shown.tested is None or not shown.tested.passed:
        return shown
    compiled = Compiled(source)
    if not compiled.streams:
        return shown
    phase("measuring")
    state, rows = compiled.begun(), np.zeros(STEPS, compiled.read)
    latency = shortest(lambda: compiled.run(state, rows), STEPS)
    return replace(shown, latency=latency, how="C compiled here with -O2, one thread")


def _text(file: Path) -> str:
    try:
        return _content(file).decode()
    except UnicodeDecodeError as error:
        raise damaged(file, "it is not UTF-8") from error


def _first(header: str) -> str:
    found = re.search(r"Made by (Tidegate [\w.+-]+?)\.?\n", header)
    return found[1] if found else "Tidegate"


def _members(source: Source, kind: str) -> list[tuple[str, str]]:
    from tidegate.ship.check.compiled import MEMBER, STRUCTURE

    texts = {title: text for text, title in STRUCTURE.findall(source.header)}
    plain = re.sub(r"/\*.*?\*/", "", texts.get(f"{source.name}_{kind}", ""), flags=re.DOTALL)
    return [
        (name, f"[{size or 1}]{'' if dtype == 'float' else ' ' + dtype}") for dtype, name, size in MEMBER.findall(plain)
    ]


# --- weights of others ---


def _weights(file: Path, content: bytes) -> Inspection:
    """Formats whose layers ``tidegate.convert.read`` lists."""
    from tidegate.convert import read

    to = {".nam": "nam", ".json": "rtneural", ".safetensors": "safetensors"}.get(file.suffix, "")
    to = "dnnw" if content[:4] == b"DNNw" else to
    if not to:
        known = ".onnx, .c, .h, .nam, .json, .safetensors and DNNw files"
        raise InputError("INSPECT", f"{visible(str(file))} is of no format that is known here", fix=f"pass one of {known}")
    reading = read(file)
    facts: dict[str, str] = {}
    for found in reading:
        facts |= {str(key): str(value)[:80] for key, value in found.facts.items()}
    return Inspection(
        file,
        FORMATS[to].says.removeprefix("a "),
        len(content),
        facts,
        layers=[_line(found) for found in reading],
        multiplies=sum(_weighed(found) for found in reading) or None,
        runs=FORMATS[to].runs,
        beware=FORMATS[to].beware,
    )


def _line(found: Any) -> str:
    if found.fault:
        return f"{found.name}: {found.fault}"
    stack = f", {found.layers} layers" if found.layers > 1 else ""
    head = f", linear head of {len(found.head['weight'])}" if found.head else ""
    return f"{found.name} {found.kind} {found.input_size} -> {found.hidden_size}{stack}, {found.directions}{head}"


def _weighed(found: Any) -> int:
    """Multiplications of a step."""
    matrices = [
        value.size
        for of_layer in found.passes
        for pieces in of_layer
        for name, value in pieces.items()
        if getattr(value, "ndim", 0) == 2
    ]
    return int(sum(matrices)) + (found.head["weight"].size if found.head else 0)
