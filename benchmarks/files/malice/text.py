"""JSON with sizes that cannot be, nested without end, and RNNoise's records that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from benchmarks.files import sound
from benchmarks.files.damage import Bad
from benchmarks.files.malice.code import DEEP
from benchmarks.files.sound import H, nam_file


def texts() -> Iterator[Bad]:
    config = {"input_size": 1, "hidden_size": H, "num_layers": 1}
    for key in config:
        for value in (10**9, 10**30, -1, 0, 1.5, "8", None, True, [8], {}):
            if value is True and key != "hidden_size":
                continue  # true is taken for no number, but the others are 1 already
            yield Bad(f"{key}={str(value)[:12]}", ".nam", _json(nam_file(config={**config, key: value})))
    for what, changes in {
        "no version": {"version": None},
        "a version of tomorrow": {"version": "9.0.0"},
        "a version that is a list": {"version": [0, 5]},
        "another architecture": {"architecture": "WaveNet"},
        "no configuration": {"config": None},
        "no weights": {"weights": None},
        "weights in lists": {"weights": [[1.0]]},
        "weights of text": {"weights": ["1"] * 361},
        "weights that are objects": {"weights": [{}]},
        "infinite weights": {"weights": [float("inf")] * 361},
        "weights that are no numbers": {"weights": [float("nan")] * 361},
        "huge weights": {"weights": [1e300] * 361},
        "integers without end": {"weights": [10**400] * 361},
        "too many weights": {"weights": [0.0] * 362},
        "too many channels": {"config": {**config, "out_channels": 10**9}},
        "a container of nothing": {"architecture": "SlimmableContainer", "config": {"submodels": []}},
        "a container of numbers": {"architecture": "SlimmableContainer", "config": {"submodels": [1]}},
    }.items():
        yield Bad(what, ".nam", _json(nam_file(**changes)))
    inside = nam_file(architecture="WaveNet")
    text = json.dumps(
        nam_file(architecture="SlimmableContainer", config={"submodels": [{"model": "HERE"}]}, weights=[])
    )
    content = json.dumps(inside)
    for _ in range(150):
        content = text.replace('"HERE"', content)
    yield Bad("150 containers in each other", ".nam", content.encode())
    for suffix in (".nam", ".json"):
        yield Bad("nested lists", suffix, b'{"a": ' + b"[" * DEEP)
        yield Bad("nested objects", suffix, b'{"a": ' * DEEP)
        yield Bad("a number of many digits", suffix, b'{"a": ' + b"9" * DEEP + b"}")
        yield Bad("another encoding", suffix, b'{"a": "\xff"}')
    for what, weights in {
        "nothing": [],
        "numbers": [1, 2, 3],
        "rows of different lengths": [[[1, 2], [3]], [[1]], [[1]]],
        "text": [["a"], ["b"], ["c"]],
        "null": [None, None, None],
        "objects": [{}, {}, {}],
        "another width": [np.ones((1, 24)).tolist(), np.ones((8, 21)).tolist(), np.ones((2, 24)).tolist()],
        "40 axes": [json.loads("[" * 40 + "1" + "]" * 40)] * 3,
        "70 axes": [json.loads("[" * 70 + "1" + "]" * 70)] * 3,
    }.items():
        layer = {"type": "gru", "activation": "", "shape": [None, None, H], "weights": weights}
        yield Bad(f"{what} as weights", ".json", _json({"in_shape": [None, None, 1], "layers": [layer]}))
    for what, file in {
        "layers that are numbers": {"layers": [1]},
        "no layers": {"layers": []},
        "a layer of another kind": {"layers": [{"type": "conv1d", "weights": []}]},
        "nothing": {},
        "a state_dict that is a list": {"state_dict": [1]},
        "names of torch without arrays": {"state_dict": {"rec.weight_hh_l0": "x"}},
        "a matrix of torch alone": {"state_dict": {"rec.weight_hh_l0": [[1.0, 2.0]]}},
        "integers without end": {"rec.weight_hh_l0": [[10**400]]},
    }.items():
        yield Bad(what, ".json", _json(file))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def records() -> Iterator[Bad]:
    whole = sound.dnnw()
    index = whole.index(b"gru_input_weights_idx") - 20

    def head(**changes: int | bytes) -> bytes:
        magic, version, kind, size, room, name = struct.unpack_from("<4siiii44s", whole, index)
        fields = {"magic": magic, "version": version, "kind": kind, "size": size, "room": room, "name": name, **changes}
        return whole[:index] + struct.pack("<4siiii44s", *fields.values()) + whole[index + 64 :]

    for what, content in {
        "another magic": head(magic=b"DNNx"),
        "another version": head(version=7),
        "a negative size": head(size=-4),
        "a size beyond its room": head(size=1 << 30),
        "room beyond the end": head(room=1 << 30),
        "a negative room": head(room=-64),
        "an index of floats": head(kind=0),
        "an index of bytes": head(kind=3),
        "a second name": head(name=b"gru_input_bias"),
    }.items():
        yield Bad(what, ".bin", content)
    for what, number in {
        "a block at a huge place": 0x7FFFFFFC,
        "a block before the first": -4,
        "a block between": 2,
        "blocks without end": 1 << 30,
    }.items():
        at = index + 64 + (0 if "end" in what else 4)
        yield Bad(what, ".bin", whole[:at] + struct.pack("<i", number) + whole[at + 4 :])
