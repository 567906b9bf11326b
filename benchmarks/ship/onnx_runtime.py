"""Run the self-tests of ONNX files in one runtime: a process of its own, because some of them end it.

    python -m benchmarks.ship.onnx_runtime onnxruntime FILE ...

Prints one line of JSON for each: the error, or what the runtime said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import tidegate as tg


def onnxruntime(content: bytes, given: dict) -> dict:
    from tidegate.ship.onnx.selftest import by_onnxruntime

    return by_onnxruntime(content, given)


def reference(content: bytes, given: dict) -> dict:
    from onnx.reference import ReferenceEvaluator

    runtime = ReferenceEvaluator(content)
    return dict(zip(runtime.output_names, runtime.run(None, given), strict=True))


def openvino(content: bytes, given: dict) -> dict:
    import openvino

    core = openvino.Core()
    model = core.compile_model(core.read_model(content, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = model(given)
    return {output.get_any_name(): results[output] for output in model.outputs}


def tract(content: bytes, given: dict) -> dict:
    import tempfile

    import tract as library

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        loaded = library.onnx().load(str(path))
    for k in range(loaded.input_count()):  # shapes are fixed: what it does of itself is not asked here
        value = given[loaded.input_name(k)]
        kind = {"f": "f32", "i": "i64", "b": "bool"}[value.dtype.kind]
        loaded.set_input_fact(k, ",".join([*map(str, value.shape), kind]))
    names = [loaded.output_name(k) for k in range(loaded.output_count())]
    inputs = [given[loaded.input_name(k)] for k in range(loaded.input_count())]
    results = loaded.into_model().into_runnable().run(inputs)
    return dict(zip(names, [value.to_numpy() for value in results], strict=True))


RUNTIMES = {"onnxruntime": onnxruntime, "onnx reference": reference, "OpenVINO": openvino, "tract": tract}


def main(name: str, *paths: str) -> None:
    for path in paths:
        found = {"path": path}
        try:
            found["error"] = tg.ship.selftest(path, RUNTIMES[name])
        except Exception as error:  # noqa: BLE001  whatever a runtime raises is what is asked
            found["said"] = " ".join(str(error).split())[:300] or type(error).__name__
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main(*sys.argv[1:])
