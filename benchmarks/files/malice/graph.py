"""ONNX models with tensors that lie elsewhere, cannot be, or would fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.files.damage import Bad
from benchmarks.files.sound import H, I, onnx_model


def models(canary: Path) -> Iterator[Bad]:
    from onnx import TensorProto, helper, numpy_helper

    def changed(change: Callable[[Any], None], beside: dict[str, bytes] | None = None, **attributes: Any) -> Any:
        model = onnx_model(**attributes)
        change(model)
        return model.SerializeToString(), beside or {}

    def external(location: str, **entries: str) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            tensor = model.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in {"location": location, **entries}.items():
                tensor.external_data.add(key=key, value=value)

        return change

    def computed(*nodes: Any, **held: Any) -> Callable[[Any], None]:
        """W is computed by these nodes."""

        def change(model: Any) -> None:
            model.graph.initializer[0].name = "w"
            model.graph.initializer.extend(numpy_helper.from_array(np.array(v), name) for name, v in held.items())
            node = model.graph.node.pop()
            model.graph.node.extend([*nodes, node])

        return change

    node = helper.make_node
    held = 4 * 3 * H * I
    doubled = [node("Concat", ["w" if k == 0 else f"w{k}"] * 2, [f"w{k + 1}"], axis=0) for k in range(50)]
    chain = [node("Identity", ["w" if k == 0 else f"w{k}"], [f"w{k + 1}"]) for k in range(5000)]
    for what, change in {
        "data outside its folder": external("../secret"),
        "data at an absolute path": external(str(canary.with_name("secret"))),
        "data in a device": external("/dev/zero", length=str(held)),
        "data in its own folder's parent": external("./x/../../secret"),
        "data in a folder": external("."),
        "data in a missing file": external("missing"),
        "data beyond the end": external("weights", offset="9", length=str(held)),
        "data of a huge length": external("weights", length=str(1 << 62)),
        "data at no number": external("weights", offset="-1"),
        "data of too few bytes": external("weights", length="8"),
        "tensors that double": computed(*doubled, node("Identity", ["w50"], ["W"])),
        "a chain of 5000 nodes": computed(*chain, node("Identity", ["w5000"], ["W"])),
        "a tensor computed of itself": computed(node("Add", ["W", "w"], ["W"])),
        "a circle": computed(node("Neg", ["V"], ["W"]), node("Neg", ["W"], ["V"])),
        "a huge expansion": computed(node("Expand", ["w", "size"], ["W"]), size=[1 << 20, 3 * H, I]),
        "a huge constant": computed(node("ConstantOfShape", ["size"], ["W"]), size=[1 << 40]),
        "a negative constant": computed(node("ConstantOfShape", ["size"], ["W"]), size=[-5, 3 * H, I]),
        "a product of shapes": computed(node("Mul", ["w", "wide"], ["W"]), wide=np.ones((4096, 1, 1, 1), np.float32)),
        "random numbers": computed(node("RandomNormal", [], ["W"], shape=[1, 3 * H, I])),
        "shapes that do not fit": computed(node("Reshape", ["w", "size"], ["W"]), size=[7, 7]),
        "an operator of somebody's": computed(node("Run", ["w"], ["W"], domain="evil", command=f"touch {canary}")),
        "a cut without bounds": computed(node("Slice", ["w"], ["W"])),
        "a constant without a value": computed(node("Constant", [], ["W"])),
        "text as weights": lambda m: m.graph.initializer[0].CopyFrom(helper.make_tensor("W", 8, [1], [b"a"])),
        "integers as weights": lambda m: m.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(np.ones((1, 24, 3), int), "W")
        ),
        "a shape that lies": lambda m: m.graph.initializer[0].dims.__setitem__(0, 1 << 40),
        "a negative shape": lambda m: m.graph.initializer[0].dims.__setitem__(0, -1),
        "no shape": lambda m: m.graph.initializer[0].ClearField("dims"),
        "an unknown dtype": lambda m: setattr(m.graph.initializer[0], "data_type", 999),
        "no weights": lambda m: m.graph.node[0].ClearField("input"),
        "missing weights": lambda m: m.graph.initializer.pop(),
        "weights of another width": lambda m: m.graph.initializer[1].CopyFrom(
            numpy_helper.from_array(np.ones((1, 24, 5), np.float32), "R")
        ),
    }.items():
        content, beside = changed(change, {"weights": bytes(64)})
        yield Bad(what, ".onnx", content, beside)
    for what, attributes in {
        "clip": {"clip": 1.0},
        "a direction of its own": {"direction": "sideways"},
        "a direction as number": {"direction": 3},
        "activations as numbers": {"activations": [1, 2]},
        "one activation": {"activations": "Tanh"},
        "an activation of its own": {"activations": ["Sigmoid", "os.system"]},
        "alpha as text": {"activation_alpha": "x", "activations": ["HardSigmoid", "Tanh"]},
        "linear_before_reset as text": {"linear_before_reset": "no", "direction": "bidirectional"},
    }.items():
        yield Bad(f"{what} as attribute", ".onnx", changed(lambda _: None, **attributes)[0])
    inner = onnx_model().graph
    for _ in range(30):
        branch = node(
            "If", ["yes"], ["Y"], then_branch=inner, else_branch=helper.make_graph([], "e", [], []), name="if"
        )
        inner = helper.make_graph([branch], "outer", [], [])
    deep = helper.make_model(inner).SerializeToString()
    yield Bad("30 graphs in each other, cut", ".onnx", deep[:-1])
    yield Bad("200 messages in each other", ".onnx", _messages(200))
    yield Bad("5000 messages in each other", ".onnx", _messages(5000))


def _messages(count: int) -> bytes:
    """Graphs in attributes of nodes of graphs."""
    content = b""
    for k in range(count):
        content = bytes([(0x0A, 0x2A, 0x32)[k % 3]]) + _varint(len(content)) + content
    return b"\x08\x08\x3a" + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
