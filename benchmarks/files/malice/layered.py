"""Files of Keras with code in their configurations, and with data that are elsewhere or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.files import sound
from benchmarks.files.damage import Bad
from benchmarks.files.malice.code import DEEP
from benchmarks.files.sound import H, I, hdf5, keras_arrays, keras_config, zipped


def keras(canary: Path) -> Iterator[Bad]:
    import h5py

    code = {"class_name": "__lambda__", "config": {"code": f"open({str(canary)!r}, 'w')", "defaults": None}}
    for what, config in {
        "a Lambda as activation": keras_config(activation=code),
        "a Lambda as gate": keras_config(recurrent_activation=code),
        "a function of a module": keras_config(activation={"class_name": "function", "config": "os.system"}),
        "an unknown activation": keras_config(activation="os.system"),
        "a class of somebody's": {
            "class_name": "Sequential",
            "config": [
                {"class_name": "Evil", "config": {"name": "a"}},
                *keras_config()["config"][:0],
                {"class_name": "LSTM", "config": {"name": "b"}},
            ],
        },
        "layers that are no list": {"class_name": "Sequential", "config": {"layers": 3}},
        "a layer that is a number": {"class_name": "Sequential", "config": [3]},
        "a class that is a number": {"class_name": 3, "config": {}},
        "no class": {"config": {}},
        "a config that is text": {"class_name": "LSTM", "config": "x"},
        "a list": [1, 2],
        "a name that is a list": {
            "class_name": "Sequential",
            "config": [{"class_name": "LSTM", "config": {"name": ["a"]}}],
        },
        "another cell": {"class_name": "Sequential", "config": [{"class_name": "GRU", "config": {"name": "lstm_1"}}]},
        "a Bidirectional of one": {
            "class_name": "Bidirectional",
            "config": {"name": "lstm_1", "layer": keras_config()["config"][0]},
        },
        "wrappers in each other": _wrapped(60),
    }.items():
        yield Bad(f"{what} in its configuration", ".h5", hdf5(config))
    yield Bad("a configuration without end", ".h5", hdf5(b'{"class_name": ' + b"[" * 60_000))
    yield Bad("a configuration that is no text", ".h5", hdf5(b"\xff\xfe{}"))
    for what, held in {
        "integers": {"recurrent_kernel": np.ones((H, 4 * H), int)},
        "text": {"kernel": np.array([b"abc"])},
        "no rows": {"recurrent_kernel": np.ones((0, 4 * H), np.float32)},
        "a scalar": {"recurrent_kernel": np.float32(1)},
        "a row": {"kernel": np.ones(4 * H, np.float32)},
        "five gates": {"recurrent_kernel": np.ones((H, 5 * H), np.float32)},
        "three axes": {"recurrent_kernel": np.ones((3, 3, 4 * H), np.float32)},
        "another width": {"kernel": np.ones((I, 5), np.float32)},
        "half a bias": {"bias": np.ones(2 * H, np.float32)},
        "a bias of CuDNN's GRU": {"bias": np.ones(6 * H, np.float32)},
        "records": {"recurrent_kernel": np.ones(4, [("a", "f4"), ("b", "i4")])},
    }.items():
        yield Bad(f"{what} as weights", ".h5", hdf5(held={**keras_arrays(), **held}))

    def dataset(name: str, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        def change(file: Any) -> None:
            place = f"model_weights/lstm_1/lstm_1/{name}:0"
            del file[place]
            file.create_dataset(place, *arguments, **options)

        return change

    secret = str(canary.with_name("secret"))
    for what, change in {
        "data of another file": dataset("kernel", (I, 4 * H), "f4", external=[(secret, 0, 4 * I * 4 * H)]),
        "a huge empty dataset": dataset("recurrent_kernel", (1 << 20, 1 << 22), "f4", chunks=(64, 64)),
        "a huge compressed dataset": dataset(
            "kernel", (1 << 16, 1 << 12), "f4", chunks=(1 << 10, 1 << 10), compression="gzip", fillvalue=0
        ),
        "no kernel": lambda file: file.pop("model_weights/lstm_1/lstm_1/kernel:0"),
        "no weights": lambda file: file.pop("model_weights"),
        "a link to itself": lambda file: (
            file.pop("model_weights"),
            file.__setitem__("model_weights", h5py.SoftLink("/model_weights")),
        ),
        "a link to another file": lambda file: (
            file.pop("model_weights"),
            file.__setitem__("model_weights", h5py.ExternalLink(secret, "/a")),
        ),
        "a dataset as root": lambda file: (file.pop("model_weights"), file.__setitem__("model_weights", 3)),
        "two layers of one name": lambda file: file.copy(
            "model_weights/lstm_1/lstm_1", "model_weights/lstm_1/lstm_1/lstm_cell"
        ),
        "a version that is a list": lambda file: (
            file.attrs.__setitem__("keras_version", [1, 2]),
            file.attrs.__setitem__("model_config", [1]),
        ),
    }.items():
        yield Bad(what, ".h5", hdf5(change=change))
    whole = sound.keras_members()
    for what, members in {
        "no configuration of JSON": {**whole, "config.json": b"{"},
        "a nested configuration": {**whole, "config.json": b"[" * DEEP},
        "a configuration in another encoding": {**whole, "config.json": "{}".encode("utf-16")},
        "no metadata": {name: whole[name] for name in ("config.json", "model.weights.h5")},
        "metadata without a version": {**whole, "metadata.json": b"{}"},
        "metadata that are a list": {**whole, "metadata.json": b"[]"},
        "no weights": {**whole, "model.weights.h5": b""},
        "cut weights": {**whole, "model.weights.h5": whole["model.weights.h5"][:500]},
        "noise as weights": {**whole, "model.weights.h5": np.random.default_rng(0).bytes(4000)},
    }.items():
        yield Bad(what, ".keras", zipped(members))


def _wrapped(count: int) -> Any:
    layer: Any = {"class_name": "Evil", "config": {"name": "x"}}
    for k in range(count):
        layer = {"class_name": "TimeDistributed", "config": {"name": f"t{k}", "layer": layer}}
    return {"class_name": "Sequential", "config": [layer, {"class_name": "LSTM", "config": {"name": "gone"}}]}
