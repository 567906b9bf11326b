"""ONNX files: of ours, and of other writers as far as ONNX says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.errors import explain_missing
from tidegate.phase import phase
from tidegate.ship.check.proof import onnx_tested
from tidegate.ship.inspect.inspection import Inspection, damaged, shortest
from tidegate.ship.onnx.selftest import KEY, inputs_of
from tidegate.ship.target import FORMATS

MULTIPLYING = {
    "RNN": (1, 2),
    "GRU": (1, 2),
    "LSTM": (1, 2),
    "DynamicQuantizeLSTM": (1, 2),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
}
MULTIPLYING |= {"MatMulInteger": (0, 1), "DynamicQuantizeMatMul": (0, 1)}


def onnx_file(file: Path, content: bytes) -> Inspection:
    with explain_missing():
        import onnx
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # of protobuf, whose classes are no part of what onnx shows
        raise damaged(file, error) from error
    if not model.graph.node:
        raise damaged(file, "its graph has no nodes")
    told = {entry.key.removeprefix("tidegate."): entry.value for entry in model.metadata_props}
    held = {tensor.name for tensor in model.graph.initializer} - {"lengths"}
    given = [one for one in model.graph.input if one.name not in held or one.name.startswith("state.")]
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    facts = {"opset": f"{opset}, IR {model.ir_version}", **_told(told, model)}
    try:
        lowering = [str(text) for text in json.loads(told.get("lowering", "[]"))]
        sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in _initializers(model.graph)}
        found = Inspection(
            file, f"ONNX, {told.get('kind', 'a graph')}", len(content), facts,
            _values(one for one in given if not one.name.startswith("state.")),
            _values(one for one in model.graph.output if not one.name.startswith("next.")),
            _values(one for one in given if one.name.startswith("state.")),
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
    return [
        f"{node.op_type} {node.name}".strip() for one in _graphs(graph) for node in one.node if node.op_type in kinds
    ]


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
