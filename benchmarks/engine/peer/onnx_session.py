"""onnxruntime: our weights in one native RNN, LSTM or GRU node. Inference only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from benchmarks.engine.item import Item
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Array, Arrays, Problem

OPSET, IR = 14, 8  # the newest recurrent operators, and a file version that every recent runtime reads


@dataclass(frozen=True)
class Node:
    """How a cell stands in an ONNX node.

    Attributes:
        kind: the operator.
        gates: our name of each of its gates, in its order; "" for one that it computes but does not use.
        peepholes: the same for its peephole vectors.
        options: its attributes.
    """

    kind: str
    gates: tuple[str, ...]
    peepholes: tuple[str, ...] = ()
    options: Mapping[str, int] = field(default_factory=dict)


NODES = {
    "rnn": Node("RNN", ("h",)),
    "lstm": Node("LSTM", ("i", "o", "f", "g")),
    "peepholelstm": Node("LSTM", ("i", "o", "f", "g"), ("p_i", "p_o", "p_f")),
    "cifg": Node("LSTM", ("i", "o", "", "g"), ("p_i", "p_o", ""), {"input_forget": 1}),
    "gru": Node("GRU", ("z", "r", "n"), options={"linear_before_reset": 1}),
    "gru/before": Node("GRU", ("z", "r", "n"), options={"linear_before_reset": 0}),
}


class OnnxRuntime(Peer):
    """Inputs and outputs are bound once, which is its quickest way to be called."""

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")

    def supports(self, item: Item) -> str | None:
        if item.mode != "inference":
            return "inference only"
        if item.cell not in NODES or item.proj:
            return "no such operator"
        return None if item.dtype == "float32" else f"no {item.dtype}"

    def prepare(self, problem: Problem) -> Prepared:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = problem.item.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model(problem), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, value in inputs(problem).items():
            binding.bind_cpu_input(name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name)

        def read(_: Any) -> Arrays:
            y, *states = binding.copy_outputs_to_cpu()
            names = [f"final {state.name}" for state in problem.item.graph.states]
            return {"y": y[:, 0], **dict(zip(names, states, strict=True))}

        return Prepared(lambda: session.run_with_iobinding(binding), read)


def inputs(problem: Problem) -> dict[str, Array]:
    """What the model takes: x, and the lengths of a ragged batch."""
    if problem.lengths is None:
        return {"x": problem.x}
    return {"x": problem.x, "lengths": np.array(problem.lengths, np.int32)}


def model(problem: Problem) -> bytes:
    """An ONNX model of one recurrent node that holds the weights."""
    from onnx import helper, numpy_helper

    item, node = problem.item, NODES[problem.item.cell]
    constants = {"W": _rows(problem, "W", node), "R": _rows(problem, "U", node), "B": _biases(problem, node)}
    if node.peepholes:
        constants["P"] = _joined([problem.weights.get(name, np.zeros(item.H)) for name in node.peepholes])
    lengths = "lengths" if problem.lengths else ""
    names = ["x", "W", "R", "B", lengths, "", "", "P" if node.peepholes else ""]
    states = [state.name for state in item.graph.states]
    while not names[-1]:
        names.pop()
    operator = helper.make_node(node.kind, names, ["y", *states], hidden_size=item.H, **node.options)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs(problem).items()
    ]
    real = helper.np_dtype_to_tensor_dtype(problem.x.dtype)
    shapes = {"y": (item.T, 1, item.B, item.H), **dict.fromkeys(states, (1, item.B, item.H))}
    made = [helper.make_tensor_value_info(name, real, shape) for name, shape in shapes.items()]
    tensors = [numpy_helper.from_array(value.astype(item.dtype), name) for name, value in constants.items()]
    graph = helper.make_graph([operator], item.cell, given, made, tensors)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return bytes(built.SerializeToString())


def _rows(problem: Problem, matrix: str, node: Node) -> Array:
    """The row blocks of a matrix in the order of the node."""
    blocks = _blocks(problem, matrix, problem.weights[f"weight_{matrix}"])
    nothing = np.zeros_like(next(iter(blocks.values())))
    return _joined([blocks.get(gate, nothing) for gate in node.gates])


def _biases(problem: Problem, node: Node) -> Array:
    """The biases of W, then those of U, zero where the cell has none."""
    found = []
    for matrix in ("W", "U"):
        bias = problem.weights.get(f"bias_{matrix}")
        blocks = {} if bias is None else _blocks(problem, matrix, bias)
        found += [blocks.get(gate, np.zeros(problem.item.H)) for gate in node.gates]
    return _joined(found)


def _blocks(problem: Problem, matrix: str, value: Array) -> dict[str, Array]:
    names = [block.name for block in problem.item.graph.matrix(matrix).blocks]
    return dict(zip(names, np.split(value, len(names)), strict=True))


def _joined(parts: list[Array]) -> Array:
    """One direction, its parts below each other."""
    return np.concatenate(parts)[None]
