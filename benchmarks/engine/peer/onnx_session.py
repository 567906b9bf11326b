"""onnxruntime: our weights in native RNN, LSTM or GRU nodes, one for each layer. Inference only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
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
    stacks = True

    def supports(self, item: Item) -> str | None:
        if item.mode != "inference":
            return "inference only"
        if item.cell not in NODES or item.proj:
            return "no such operator"
        return None if item.dtype == "float32" else f"no {item.dtype}"

    def made(self, problem: Problem) -> bytes:
        """The file that it runs."""
        return model(problem)

    def prepare(self, problem: Problem) -> Prepared:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = problem.item.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(self.made(problem), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, value in inputs(problem).items():
            binding.bind_cpu_input(name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name)

        def read(_: Any) -> Arrays:
            y, *states = binding.copy_outputs_to_cpu()
            names = [f"final {state.name}" for state in problem.item.graph.states]
            final = {name: np.concatenate(states[k :: len(names)]) for k, name in enumerate(names)}
            return {"y": y.swapaxes(1, 2).reshape(problem.upstream.shape), **final}

        return Prepared(lambda: session.run_with_iobinding(binding), read)


class DynamicQuantisation(OnnxRuntime):
    """Weights of eight bits with a scale for each column; each call finds the scales of what they multiply."""

    name = "onnxruntime int8"
    products = ("int8",)

    def supports(self, item: Item) -> str | None:
        if item.products != "int8" or NODES.get(item.cell, NODES["rnn"]).kind != "LSTM":
            return "quantises LSTM alone"
        return super().supports(item)

    def made(self, problem: Problem) -> bytes:
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        logging.getLogger().setLevel(logging.ERROR)  # it advises further passes, which change no LSTM
        with TemporaryDirectory() as folder:
            path = Path(folder, "int8.onnx")
            quantize_dynamic(onnx.load_from_string(model(problem)), path, per_channel=True)
            return path.read_bytes()


def inputs(problem: Problem) -> dict[str, Array]:
    """What the model takes: x, and the lengths of a ragged batch."""
    if problem.lengths is None:
        return {"x": problem.x}
    return {"x": problem.x, "lengths": np.array(problem.lengths, np.int32)}


def model(problem: Problem) -> bytes:
    """An ONNX model that holds the weights: a recurrent node for each layer."""
    from onnx import helper, numpy_helper

    item = problem.item
    operators, constants, made, x = [], {}, {}, "x"
    for k in range(item.layers):
        held = _constants(problem, k)
        constants |= held
        y, states = f"y{k}", [f"{state.name}{k}" for state in item.graph.states]
        operators.append(_operator(problem, [x, *held], [y, *states]))
        made |= dict.fromkeys(states, (1 + item.bidirectional, item.B, item.H))
        if k + 1 < item.layers:  # directions stand before the batch
            x = f"x{k}"
            operators.append(helper.make_node("Transpose", [y], [f"turned{k}"], perm=[0, 2, 1, 3]))
            operators.append(helper.make_node("Reshape", [f"turned{k}", "shape"], [x]))
            constants["shape"] = np.array([0, 0, -1])
    made = {y: (item.T, 1 + item.bidirectional, item.B, item.H), **made}
    given = [_value(name, value.dtype, value.shape) for name, value in inputs(problem).items()]
    results = [_value(name, problem.x.dtype, shape) for name, shape in made.items()]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(operators, item.cell, given, results, tensors)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return bytes(built.SerializeToString())


def _operator(problem: Problem, names: list[str], outputs: list[str]) -> Any:
    """The node of a layer, from x, W, R, B and, where it has them, its peepholes."""
    from onnx import helper

    item, node = problem.item, NODES[problem.item.cell]
    x, w, r, b, *peepholes = names
    inputs = [x, w, r, b, "lengths" if problem.lengths else "", "", "", *peepholes]
    while not inputs[-1]:
        inputs.pop()
    directions = {"direction": "bidirectional"} if item.bidirectional else {}
    return helper.make_node(node.kind, inputs, outputs, hidden_size=item.H, **directions, **node.options)


def _value(name: str, dtype: Any, shape: Sequence[int]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _constants(problem: Problem, layer: int) -> dict[str, Array]:
    """W, R, B and, where the node has them, P of a layer, each with the directions first."""
    item, node = problem.item, NODES[problem.item.cell]
    found: dict[str, list[Array]] = {}
    for reverse in (False, True)[: 1 + item.bidirectional]:
        weights = problem.weights_of(layer, reverse=reverse)
        arrays = {"W": _rows(item, weights, "W"), "R": _rows(item, weights, "U"), "B": _biases(item, weights)}
        if node.peepholes:
            arrays["P"] = np.concatenate([weights.get(name, np.zeros(item.H)) for name in node.peepholes])
        for name, array in arrays.items():
            found.setdefault(f"{name}{layer}", []).append(array.astype(item.dtype))
    return {name: np.stack(arrays) for name, arrays in found.items()}


def _rows(item: Item, weights: Arrays, matrix: str) -> Array:
    """The row blocks of a matrix in the order of the node."""
    blocks = _blocks(item, matrix, weights[f"weight_{matrix}"])
    nothing = np.zeros_like(next(iter(blocks.values())))
    return np.concatenate([blocks.get(gate, nothing) for gate in NODES[item.cell].gates])


def _biases(item: Item, weights: Arrays) -> Array:
    """The biases of W, then those of U, zero where the cell has none."""
    found = []
    for matrix in ("W", "U"):
        bias = weights.get(f"bias_{matrix}")
        blocks = {} if bias is None else _blocks(item, matrix, bias)
        found += [blocks.get(gate, np.zeros(item.H)) for gate in NODES[item.cell].gates]
    return np.concatenate(found)


def _blocks(item: Item, matrix: str, value: Array) -> dict[str, Array]:
    names = [block.name for block in item.graph.matrix(matrix).blocks]
    return dict(zip(names, np.split(value, len(names)), strict=True))
