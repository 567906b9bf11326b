"""A self-test inside a file: inputs, states and the answers to them, which every runtime can be held to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import BackendError, InputError, explain_missing

if TYPE_CHECKING:
    from onnx import ModelProto

KEY = "tidegate.selftest"
Array = NDArray[Any]
Arrays = Mapping[str, Array]
Run = Callable[[bytes, dict[str, Array]], Arrays]


def selftest(model: ModelProto | bytes | str | Path, run: Run | None = None) -> float:
    """Run the self-test of an ONNX file that Tidegate has written.

    The file holds inputs, states and the answers to them, computed in float64 from the equations. So a file can be
    proven on every machine and in every runtime that is to run it.

    Args:
        model: the model, its content, or the path of its file.
        run: what runs it: a function of the content of the file and of arrays by the names of the inputs, which
            returns arrays by the names of the outputs. onnxruntime on the CPU by default.

    Returns:
        The largest difference of an output from its answer, relative to 1 or to the largest number of the answer.
        About 1e-7 is rounding; above 1e-4 the runtime is not right.

    Raises:
        InputError: the file has no self-test.
        BackendError: an output is missing or of another shape.
        MissingError: onnxruntime is not installed, and no ``run`` was passed.

    Example:
        >>> import tidegate as tg
        >>> model = tg.ship.onnx(tg.nn.GRU(3, 4))
        >>> tg.ship.selftest(model) < 1e-5
        True
    """
    if isinstance(model, str | Path):
        content = Path(model).read_bytes()
    else:
        content = model if isinstance(model, bytes) else model.SerializeToString()
    test = _stored(content)
    given = {name: _array(value) for name, value in test["inputs"].items()}
    answers = (run or by_onnxruntime)(content, given)
    return max(_difference(name, _array(value), answers) for name, value in test["outputs"].items())


def inputs_of(content: bytes) -> dict[str, Array]:
    """The inputs of the self-test of a file.

    Raises:
        InputError: it has none.
    """
    return {name: _array(value) for name, value in _stored(content)["inputs"].items()}


def _stored(content: bytes) -> dict[str, Any]:
    with explain_missing():
        import onnx  # optional, and only this needs it
    properties = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    if KEY not in properties:
        raise InputError("SHIP_SELFTEST", "the file has no self-test", fix="write it with tidegate.ship.onnx")
    stored: dict[str, Any] = json.loads(properties[KEY])
    return stored


def by_onnxruntime(content: bytes, given: dict[str, Array]) -> Arrays:
    """Run a model in onnxruntime on the CPU."""
    with explain_missing():
        import onnxruntime  # optional, and only this needs it
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of each input that may be left out
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def written(inputs: Arrays, outputs: Arrays) -> str:
    """A self-test as text: JSON with the bytes of little-endian arrays."""
    parts = {"inputs": inputs, "outputs": outputs}
    return json.dumps({part: {name: _text(value) for name, value in of.items()} for part, of in parts.items()})


def _text(value: Array) -> dict[str, Any]:
    value = np.ascontiguousarray(value, np.dtype(value.dtype).newbyteorder("<"))
    data = base64.b64encode(value.tobytes()).decode()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def _array(value: Mapping[str, Any]) -> Array:
    kind = np.dtype(value["dtype"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(value["data"]), kind).reshape(value["shape"]).astype(value["dtype"])


def _difference(name: str, expected: Array, answers: Arrays) -> float:
    if name not in answers or np.shape(answers[name]) != expected.shape:
        got = np.shape(answers[name]) if name in answers else "nothing"
        raise BackendError(
            "SHIP_SELFTEST", f"the runtime gave {got} for {name}, expected {expected.shape}",
            fix="use another runtime, or ship with native=False",
        )  # fmt: skip
    difference = np.abs(answers[name] - expected).max(initial=0.0) / max(1.0, np.abs(expected).max(initial=0.0))
    return float("inf") if np.isnan(difference) else float(difference)
