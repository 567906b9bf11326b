"""Small sound files of every format, to be damaged."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import tidegate as tg

os.environ.setdefault("KERAS_BACKEND", "torch")
I, H = 3, 8
Arrays = Mapping[str, Any]


def arrays() -> dict[str, Any]:
    """Of a GRU, by the names of torch."""
    rng = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (3 * H, I), "weight_hh_l0": (3 * H, H), "bias_ih_l0": (3 * H,), "bias_hh_l0": (3 * H,)}
    return {f"gru.{name}": rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def torch_file() -> bytes:
    stream = io.BytesIO()
    torch.save({name: torch.from_numpy(value) for name, value in arrays().items()}, stream)
    return stream.getvalue()


def old_torch_file() -> bytes:
    stream = io.BytesIO()
    state = {name: torch.from_numpy(value) for name, value in arrays().items()}
    torch.save(state, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def torchscript() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.GRU(I, H))), stream)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays())
    return stream.getvalue()


def safetensors() -> bytes:
    return tg.ship.safetensors({"gru": tg.nn.GRU(I, H)})


def onnx() -> bytes:
    return onnx_model().SerializeToString()


def onnx_model(**attributes: Any) -> Any:
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"W": (1, 3 * H, I), "R": (1, 3 * H, H), "B": (1, 6 * H)}
    held = [numpy_helper.from_array(rng.uniform(-1, 1, s).astype(np.float32), name) for name, s in shapes.items()]
    node = helper.make_node("GRU", ["X", *shapes], ["Y"], name="gru", **{"hidden_size": H, **attributes})
    ends = [helper.make_tensor_value_info(name, 1, None) for name in ("X", "Y")]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def keras_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"kernel": (I, 4 * H), "recurrent_kernel": (H, 4 * H), "bias": (4 * H,)}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def keras_config(**changes: Any) -> dict[str, Any]:
    config = {"name": "lstm_1", "units": H, "activation": "tanh", "recurrent_activation": "sigmoid", **changes}
    return {"class_name": "Sequential", "config": [{"class_name": "LSTM", "config": config}]}


def hdf5(config: Any = None, held: Arrays | None = None, change: Callable[[Any], Any] = lambda _: None) -> bytes:
    """As Keras 2 wrote a model; ``change`` is given the open file."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["keras_version"] = b"2.9.0"
        file.attrs["model_config"] = config if isinstance(config, bytes) else json.dumps(config or keras_config())
        for name, value in (held or keras_arrays()).items():
            file[f"model_weights/lstm_1/lstm_1/{name}:0"] = value
        change(file)
    return stream.getvalue()


def keras() -> bytes:
    return zipped(keras_members())


def keras_members() -> dict[str, bytes]:
    """Of an archive as Keras 3 writes it."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for k, value in enumerate(keras_arrays().values()):
            file[f"layers/lstm/cell/vars/{k}"] = value
    return {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
        "config.json": json.dumps(
            {"class_name": "Sequential", "config": {"layers": keras_config()["config"]}}
        ).encode(),
        "model.weights.h5": stream.getvalue(),
    }


def zipped(members: Mapping[str, bytes], deflated: bool = False) -> bytes:
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def nam_file(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return {**json.loads(tg.ship.nam(tg.nn.LSTM(1, H), torch.nn.Linear(H, 1), 48000)), **changes}


def nam() -> bytes:
    return json.dumps(nam_file()).encode()


def rtneural() -> bytes:
    return tg.ship.rtneural(tg.nn.GRU(1, H), torch.nn.Linear(H, 1)).encode()


def dnnw() -> bytes:
    return tg.ship.dnnw({"gru": tg.nn.GRU(8, H)})


SOUND: Mapping[str, Callable[[], bytes]] = {  # by the suffix of the file
    ".pt": torch_file,
    ".pth": old_torch_file,
    ".ts": torchscript,
    ".npz": npz,
    ".safetensors": safetensors,
    ".onnx": onnx,
    ".h5": hdf5,
    ".keras": keras,
    ".nam": nam,
    ".json": rtneural,
    ".bin": dnnw,
}
