"""dksplit: where do words begin in a string without spaces? Three bidirectional LSTMs over its characters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from benchmarks.real.graph import part, session
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("dksplit", "1.0.2")
WORDS = (
    *("chat", "gpt", "login", "open", "key", "micro", "soft", "office", "cloud"),
    *("paint", "house", "garden", "river", "music", "train", "engine", "paper", "stone"),
)
BATCHES = (1, 32)
LENGTH, HIDDEN = 13, "/lstm/Transpose_4_output_0"


def load(path: Path) -> Any:
    return tg.convert.read(path).stacked().layer()


def subjects(folder: Path) -> Iterator[Subject]:
    sys.path.append(str(folder))
    from dksplit.split import Splitter, _text_to_ids_fast  # there once the path is known

    path = folder / "dksplit" / "models" / "dksplit-int8.onnx"
    model = onnx.load(path)
    splitter, own, floats = (
        Splitter(num_threads=torch.get_num_threads()),
        Splitting(model, load(path)),
        session(part(in_float(model), ["chars"], [HIDDEN])),
    )
    chosen = np.random.default_rng(0).choice(WORDS, (32, 6))
    every = np.stack([_text_to_ids_fast("".join(row)[:LENGTH]) for row in chosen])
    for rows in BATCHES:
        ids = every[:rows]
        yield Subject(
            f"dksplit, {rows} at once", "3 x bidirectional LSTM 384", "onnx, int8", "its int8 network on onnxruntime",
            f"{rows} x {LENGTH} characters", (load,),
            lambda ids=ids: splitter.session.run(None, {"chars": ids})[0], lambda ids=ids: own(ids),
            allowed=0.2, note="it rounds activations to int8, ours are float32",
        )  # fmt: skip
        yield Subject(
            f"dksplit's LSTMs in float32, {rows} at once", "3 x bidirectional LSTM 384", "onnx, int8",
            "the same as LSTM nodes of float32 on onnxruntime", f"{rows} x {LENGTH} characters", (load,),
            lambda ids=ids: floats.run(None, {"chars": ids})[0], lambda ids=ids: own.hidden(ids),
        )  # fmt: skip


def in_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """The package's network, the weights of its LSTMs in float32."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "DynamicQuantizeLSTM":
            node.op_type, node.domain = "LSTM", ""
            for k, at in ((1, 8), (2, 10)):
                value = floating(*(held[node.input[j]] for j in (k, at, at + 1)))
                node.input[k] += "_float"
                made.graph.initializer.append(onnx.numpy_helper.from_array(value, node.input[k]))
            del node.input[7:]
    return made


def floating(quantized: Any, scale: Any, zero: Any) -> Any:
    value = (quantized.astype(np.float32) - zero[:, None, None]) * scale[:, None, None]
    return np.ascontiguousarray(value.swapaxes(1, 2))


class Splitting:
    """Its network with float32 weights: embedding, our session, scores of the two tags."""

    def __init__(self, model: onnx.ModelProto, lstm: tg.nn.LSTM) -> None:
        held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

        def plain(name: str) -> torch.Tensor:
            value = held[f"{name}_quantized"].astype(np.float32) - held[f"{name}_zero_point"]
            return torch.from_numpy(value * held[f"{name}_scale"])

        self.embedding, self.head = plain("embedding.weight"), plain("onnx::MatMul_584")
        self.bias = torch.from_numpy(held["hidden2tag.bias"].copy())
        self.sessions = {rows: tg.Session(lstm, rows, bidirectional=True) for rows in BATCHES}

    def __call__(self, ids: Any) -> torch.Tensor:
        return self.hidden(ids) @ self.head + self.bias

    def hidden(self, ids: Any) -> torch.Tensor:
        return self.sessions[len(ids)].run(self.embedding[torch.from_numpy(ids).T]).transpose(0, 1)
