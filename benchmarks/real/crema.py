"""crema: the chords of music; two bidirectional GRUs over the features of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from benchmarks.real.its_keras import JUDGE, compiled, its_hard_sigmoid, keras
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("crema", "0.2.0")
FRAMES, FEATURES, WIDTH = 430, 72, 128  # of 40 s of music
EPSILON = 0.001
LAYERS = ("bidirectional_1", "batch_normalization_4", "bidirectional_2")
HEADS = {"chord_pitch": (12, "sigmoid"), "chord_root": (13, "softmax"), "chord_bass": (13, "softmax")}
PATHS = {
    **{
        f"bidirectional_{k}": [
            f"bidirectional_{k}/{side}_gru_{k}/{name}"
            for side in ("forward", "backward")
            for name in ("kernel", "recurrent_kernel", "bias")
        ]
        for k in (1, 2)
    },
    "batch_normalization_4": [
        f"batch_normalization_4/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")
    ],
    **{name: [f"{name}/{part}" for part in ("kernel", "bias")] for name in HEADS},
}


def load(path: Path, name: str) -> Any:
    return tg.convert.read(path)[name].layer(batch_first=True)


def subjects(folder: Path) -> Iterator[Subject]:
    path = folder / "crema" / "models" / "chord" / "model.h5"
    with h5py.File(path) as file:
        weights = {name: read(file["model_weights"], name) for name in (*LAYERS, *HEADS)}
    grus = {name: load(path, name) for name in LAYERS if name.startswith("bidirectional")}
    theirs, ours = compiled(its_network(weights)), Chords(weights, grus)
    x = np.random.default_rng(0).standard_normal((1, FRAMES, FEATURES)).astype(np.float32)
    yield Subject(
        "crema chord", "2 x bidirectional GRU 128, reset before, hard sigmoid", "Keras 2 HDF5", JUDGE,
        f"{FRAMES} frames", (load,), lambda: theirs(x), lambda: ours(torch.from_numpy(x)),
        note="from its features (drawn here) to the scores of pitch, root and bass",
    )  # fmt: skip


def read(group: h5py.Group, name: str) -> list[Any]:
    """The arrays of a layer in the order in which Keras sets them."""
    return [group[f"{name}/{path}:0"][:] for path in PATHS[name]]


def its_network(weights: dict[str, list[Any]]) -> keras.Model:
    """As its configuration describes it, from the squeezed features on."""
    x = features = keras.Input((None, FEATURES))
    for name in LAYERS:
        if name.startswith("batch"):
            x = keras.layers.BatchNormalization(epsilon=EPSILON, name=name)(x)
        else:
            gru = keras.layers.GRU(
                WIDTH, return_sequences=True, reset_after=False, recurrent_activation=its_hard_sigmoid
            )
            x = keras.layers.Bidirectional(gru, name=name)(x)
    heads = [keras.layers.Dense(size, how, name=name)(x) for name, (size, how) in HEADS.items()]
    model = keras.Model(features, heads)
    for name, arrays in weights.items():
        model.get_layer(name).set_weights(arrays)
    return model


class Chords:
    """The same in torch, with our layers."""

    def __init__(self, weights: dict[str, list[Any]], grus: dict[str, tg.nn.Recurrent]) -> None:
        self.grus = grus
        self.rest = {name: [*map(torch.from_numpy, weights[name])] for name in weights if name not in self.grus}

    def __call__(self, x: torch.Tensor) -> list[torch.Tensor]:
        for name in LAYERS:
            if name in self.grus:
                x, _ = self.grus[name](x)
            else:
                gamma, beta, mean, variance = self.rest[name]
                x = (x - mean) * (variance + EPSILON).rsqrt() * gamma + beta
        scores = [x @ self.rest[name][0] + self.rest[name][1] for name in HEADS]
        return [
            score.sigmoid() if how == "sigmoid" else score.softmax(-1)
            for score, (_, how) in zip(scores, HEADS.values(), strict=True)
        ]
