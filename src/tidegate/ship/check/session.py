"""ONNX models of flows, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.errors import explain_missing
from tidegate.phase import phase
from tidegate.ship.flow import Answer, Flow

DTYPES = {"float": np.float32, "int": np.int64}


class OnnxRunner:
    """Runs a flow by the ONNX model of its sequences.

    Args:
        flow: the flow.
        content: of the file.

    Raises:
        MissingError: onnxruntime is not installed.
    """

    def __init__(self, flow: Flow, content: bytes) -> None:
        with explain_missing():
            import onnxruntime  # optional, and only this needs it
        phase(f"loading {flow.name}.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.flow = flow
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Sequence[int] | None = None,
        states: Mapping[str, Any] | None = None,
    ) -> Answer:
        """As ``Flow.run``."""
        given = {one.name: np.ascontiguousarray(inputs[one.name], DTYPES[one.kind.dtype]) for one in self.flow.inputs}
        if lengths is not None:
            given["lengths"] = np.asarray(lengths, np.int64)
        given |= {f"state.{name}": np.ascontiguousarray(value, np.float32) for name, value in (states or {}).items()}
        values = self._session.run(None, given)  # outputs, then states, in the order of the flow
        names, after = [one.name for one in self.flow.outputs], [state.name for state in self.flow.states]
        return Answer(dict(zip(names, values, strict=False)), dict(zip(after, values[len(names) :], strict=True)))
