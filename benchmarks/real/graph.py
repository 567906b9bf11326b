"""Parts of ONNX graphs, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnxruntime
import torch


def part(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The nodes between tensors of these names."""
    return onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model)).extract_model([*inputs], [*outputs])


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """On as many threads as torch uses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, **given: Any) -> Mapping[str, Any]:
    """All outputs by name, once."""
    names = [output.name for output in model.graph.output]
    return dict(zip(names, session(model).run(names, given), strict=True))
