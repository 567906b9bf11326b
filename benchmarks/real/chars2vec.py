"""chars2vec: words as vectors, alike for alike spelling; two LSTMs over the letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from benchmarks.real.files import unpickled
from benchmarks.real.its_keras import JUDGE, compiled, its_hard_sigmoid, keras
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("chars2vec", "0.1.7")
LETTERS = "etaoinshrdlucmfwypvbgk"
LONGEST, WIDTH = 12, 50


def load(path: Path, name: str) -> Any:
    return tg.convert.read(path)[name].layer()


def subjects(folder: Path) -> Iterator[Subject]:
    files = folder / "chars2vec" / "trained_models" / "eng_50"
    _, numbers = unpickled(files / "model.pkl")
    with h5py.File(files / "weights.h5") as file:
        names = ("kernel", "recurrent_kernel", "bias")
        arrays = [[file[f"{lstm}/{lstm}/{name}:0"][:] for name in names] for lstm in ("lstm_1", "lstm_2")]
    theirs = compiled(its_network(arrays))
    ours = [load(files / "weights.h5", name) for name in ("lstm_1", "lstm_2")]
    drawn = np.random.default_rng(0).choice([numbers[letter] for letter in LETTERS], (500, LONGEST))
    letters = np.eye(len(numbers), dtype=np.float32)[drawn]

    for rows in (1, 500):
        x, given = letters[:rows], torch.from_numpy(letters[:rows]).transpose(0, 1)
        vectors = Vectors(ours, rows)
        yield Subject(
            f"chars2vec, {rows} word{'s' if rows > 1 else ''}", "2 LSTM 50 with hard sigmoid", "Keras 2 HDF5", JUDGE,
            f"{rows} x {LONGEST} letters", (load,),
            lambda x=x: theirs(x), lambda vectors=vectors, given=given: vectors(given),
            note="the file has no configuration; the hard sigmoid is assumed, the default of its Keras 2.2.0",
        )  # fmt: skip


class Vectors:
    """Its network: the last output of two LSTMs, for so many words at once."""

    def __init__(self, layers: list[tg.nn.Recurrent], rows: int) -> None:
        self.sessions = [tg.Session(layer, rows) for layer in layers]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for session in self.sessions:
            session.reset()
            x = session.run(x)
        return x[-1]


def its_network(arrays: list[list[Any]]) -> keras.Model:
    """As its ``Chars2Vec`` builds it, with the default activation of that time."""
    x = letters = keras.Input((None, len(arrays[0][0])))
    for k in range(2):
        x = keras.layers.LSTM(WIDTH, return_sequences=k == 0, recurrent_activation=its_hard_sigmoid)(x)
    model = keras.Model(letters, x)
    model.set_weights([array for weights in arrays for array in weights])
    return model
