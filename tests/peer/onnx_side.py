"""ONNX's own operators: float32 by onnxruntime, float64 by the reference evaluator of onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.peer.case import Case, Draw, H
from tidegate.convert import OnnxNode

OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "peepholelstm": "LSTM", "cifg": "LSTM", "gru": "GRU"}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


class OnnxSide:
    def why_not(self, case: Case) -> str | None:
        if case.dtype == "float64" and case.cell in ("cifg", "rnn/relu"):
            return "onnxruntime has no float64, and onnx's reference no input_forget and no Relu"
        return None

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        return _run(case, model(case, weights), x)

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        kind, draw, nodes = OPERATORS[case.family], Draw(case), []
        gates, D = GATES[kind], case.directions
        for width in case.widths:
            weights = {"W": draw(D, gates * H, width), "R": draw(D, gates * H, H)}
            if case.bias:
                weights["B"] = draw(D, 2 * gates * H)
            if case.family in ("peepholelstm", "cifg"):
                weights["P"] = draw(D, 3 * H)
            nodes.append(OnnxNode(kind, _attributes(case), weights))
        made = model(case, nodes)
        return made, _run(case, made, x)


def _attributes(case: Case) -> dict[str, Any]:
    """As a model from elsewhere has them: defaults are left out."""
    attributes: dict[str, Any] = {"hidden_size": H}
    if case.bidirectional:
        attributes["direction"] = "bidirectional"
    if case.cell == "gru":
        attributes["linear_before_reset"] = 1
    if case.cell == "rnn/relu":
        attributes["activations"] = ["Relu"] * case.directions
    if case.cell == "cifg":
        attributes["input_forget"] = 1
    return attributes


def model(case: Case, nodes: list[OnnxNode]) -> onnx.ModelProto:
    """The nodes on each other; [T, D, B, H] of one becomes [T, B, D*H] of the next."""
    operators, held, x = [], [numpy_helper.from_array(np.array([0, 0, -1]), "joined")], "x"
    for k, node in enumerate(nodes):
        held += [numpy_helper.from_array(value, f"{name}{k}") for name, value in node.weights.items()]
        given = {name: f"{name}{k}" for name in node.weights}
        names = [x, *(given.get(name, "") for name in ("W", "R", "B", "lengths", "h", "c", "P"))]
        while not names[-1]:
            names.pop()
        operators += [
            helper.make_node(node.kind, names, [f"deep{k}"], **node.attributes),
            helper.make_node("Transpose", [f"deep{k}"], [f"turned{k}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"turned{k}", "joined"], [f"y{k}"]),
        ]
        x = f"y{k}"
    real = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    given_x = helper.make_tensor_value_info("x", real, [None, None, case.widths[0]])
    made_y = helper.make_tensor_value_info(x, real, [None, None, H * case.directions])
    graph = helper.make_graph(operators, str(case), [given_x], [made_y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def _run(case: Case, made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    if case.dtype == "float64":
        return ReferenceEvaluator(made).run(None, {"x": x})[0]
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]
