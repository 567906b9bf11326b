"""textgenrnn: which character comes next? Two LSTMs over 40 characters and an average of what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from benchmarks.real.its_keras import JUDGE, compiled, keras
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("textgenrnn", "2.0.0")
TEXT = "What is the best thing that has happened to you in the last year? I was asked this by my mother on the phone."
WINDOW = 40


def load(path: Path, name: str) -> Any:
    return tg.convert.read(path)[name].layer(batch_first=True)


def from_cudnn(file: h5py.File, name: str) -> list[Any]:
    """The arrays of an LSTM of Keras 3, which cannot read the file."""
    kernel, recurrent, bias = (file[f"{name}/{name}/{k}:0"][:] for k in ("kernel", "recurrent_kernel", "bias"))
    width = recurrent.shape[0]
    kernel = np.hstack([gate.T.reshape(gate.shape, order="F") for gate in np.hsplit(kernel, 4)])
    recurrent = np.hstack([gate.T for gate in np.hsplit(recurrent, 4)])
    return [kernel, recurrent, bias[: 4 * width] + bias[4 * width :]]


def subjects(folder: Path) -> Iterator[Subject]:
    numbers = json.loads((folder / "textgenrnn" / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    ids = np.array([numbers[character] for character in TEXT])
    windows = np.lib.stride_tricks.sliding_window_view(ids, WINDOW)[:-1]
    path = folder / "textgenrnn" / "textgenrnn_weights.hdf5"
    with h5py.File(path) as file:
        theirs = compiled(its_network(file, len(numbers) + 1))
        ours = Writer(file, [load(path, name) for name in ("rnn_1", "rnn_2")])
    said = np.log(np.asarray(theirs(windows)))[np.arange(len(windows)), ids[WINDOW:]]
    for x in (windows[:1], windows):
        yield Subject(
            f"textgenrnn, {len(x)} window{'s' if len(x) > 1 else ''}", "2 LSTM 128", "Keras 2 HDF5, as CuDNNLSTM",
            JUDGE, f"{len(x)} x {WINDOW} characters", (load,),
            lambda x=x: theirs(x), lambda x=x: ours(torch.from_numpy(x)),
            note=f"English text costs {-said.mean():.2f} nats a character, so the weights are read rightly",
        )  # fmt: skip


def its_network(file: h5py.File, symbols: int) -> keras.Model:
    """As its ``textgenrnn_model`` builds it."""
    words = keras.Input((WINDOW,), dtype="int32")
    seen = [keras.layers.Embedding(symbols, 100, name="embedding")(words)]
    for name in ("rnn_1", "rnn_2"):
        seen.append(keras.layers.LSTM(128, return_sequences=True, name=name)(seen[-1]))
    joined = keras.layers.Concatenate()(seen)
    score = keras.layers.Dense(1, use_bias=False, name="attention")(joined)
    share = keras.layers.Softmax(axis=1)(score)
    mean = keras.ops.sum(joined * share, axis=1)
    model = keras.Model(words, keras.layers.Dense(symbols, activation="softmax", name="output")(mean))
    model.get_layer("embedding").set_weights([file["embedding/embedding/embeddings:0"][:]])
    for name in ("rnn_1", "rnn_2"):
        model.get_layer(name).set_weights(from_cudnn(file, name))
    model.get_layer("attention").set_weights([file["attention/attention/attention_W:0"][:]])
    model.get_layer("output").set_weights([file[f"output/output/{k}:0"][:] for k in ("kernel", "bias")])
    return model


class Writer:
    """Its network in torch, with our LSTMs."""

    def __init__(self, file: h5py.File, lstms: list[tg.nn.LSTM]) -> None:
        def tensor(path: str) -> torch.Tensor:
            return torch.from_numpy(file[path][:])

        self.embedding, self.attention = (
            tensor("embedding/embedding/embeddings:0"),
            tensor("attention/attention/attention_W:0"),
        )
        self.weight, self.bias = tensor("output/output/kernel:0"), tensor("output/output/bias:0")
        self.lstms = lstms

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        seen = [self.embedding[ids]]
        for lstm in self.lstms:
            seen.append(lstm(seen[-1])[0])
        joined = torch.cat(seen, -1)
        mean = (joined * (joined @ self.attention).softmax(1)).sum(1)
        return (mean @ self.weight + self.bias).softmax(-1)
