"""madmom: beats, onsets and notes of music; recurrent networks of many kinds over frames of 10 ms."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from benchmarks.real.files import Record, environment, installed, unpickled
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("madmom", "0.16.1", tool="cython")
JUDGE = "its layers, built by Cython"
CELLS = {"LSTMLayer": tg.nn.PeepholeLSTM, "GRULayer": tg.nn.GRU, "RecurrentLayer": tg.nn.RNN}
GATES = {
    "LSTMLayer": {"i": "input_gate", "f": "forget_gate", "g": "cell", "o": "output_gate"},
    "GRULayer": {"r": "reset_gate", "z": "update_gate", "n": "cell"},
    "RecurrentLayer": {"h": ""},
}
WEIGHTS = {"weights": "W", "recurrent_weights": "U", "bias": "b", "peephole_weights": "p"}
STATES = {"init": "h", "hid_init": "h", "cell_init": "c"}
KINDS = ("rnn", "lstm", "gru")  # in the names of its files; the others have convolutions or tables
NETWORKS = {
    "beats/2015/beats_blstm_1": "3 bidirectional peephole LSTM 25",
    "downbeats/2016/downbeats_bgru_rhythmic_0": "2 bidirectional GRU 25, update writes, initial states",
    "onsets/2013/onsets_brnn_1": "3 bidirectional RNN 25",
    "notes/2013/notes_brnn": "3 bidirectional RNN 88",
    "beats/2016/beats_lstm_1": "3 peephole LSTM 25",
}


def load(layer: tg.nn.Recurrent, stack: Sequence[Record]) -> None:
    sides = [(one.fwd_layer, one.bwd_layer) if layer.bidirectional else (one,) for one in stack]
    tg.convert.load(layer, "gates", [[pieces(one) for one in of_layer] for of_layer in sides])


def pieces(its: Record) -> dict[str, Any]:
    gates = {gate: getattr(its, name, its) for gate, name in GATES[its.kind].items()}
    arrays = {f"{s}.{g}": getattr(gate, name, None) for g, gate in gates.items() for name, s in WEIGHTS.items()}
    arrays = {name: v.T if name[0] in "WU" else np.ravel(v) for name, v in arrays.items() if v is not None}
    return arrays | {f"initial.{state}": getattr(its, name) for name, state in STATES.items() if hasattr(its, name)}


def subjects(folder: Path) -> Iterator[Subject]:
    its_layers, models = its_code(folder), folder / "madmom" / "models"
    about: dict[str, Any] = {"source": "pickled objects", "judge": JUDGE, "glue": (load, pieces)}
    for name, cells in NETWORKS.items():
        pair = Pair(its_layers, models / f"{name}.pkl", 1000)
        yield Subject(
            name=f"madmom {pair.name}", cells=cells, work="10 s, 1000 frames",
            theirs=pair.theirs, ours=pair.ours, **about,
        )  # fmt: skip
    yield Subject(
        name=f"madmom {pair.name}, online", cells=cells, work="1000 single frames",
        theirs=pair.theirs_online, ours=pair.ours_online, **about,
    )  # fmt: skip
    files = [path for path in sorted(models.rglob("*.pkl")) if any(kind in path.stem for kind in KINDS)]
    every = [Pair(its_layers, path, 100) for path in files]
    yield Subject(
        name=f"madmom, all {len(every)}", cells="peephole LSTM, GRU, RNN", work=f"{len(every)} x 100 frames",
        theirs=lambda: [pair.theirs() for pair in every], ours=lambda: [pair.ours() for pair in every], **about,
    )  # fmt: skip


class Pair:
    """A network as the package's layers and as ours, with frames to read; the last layer is a plain one."""

    def __init__(self, its_layers: ModuleType, path: Path, frames: int) -> None:
        *stack, head = unpickled(path, records="madmom").layers
        self.name = path.stem
        self.its = [revived(layer, its_layers) for layer in (*stack, head)]
        first = getattr(stack[0], "fwd_layer", stack[0])
        gate = getattr(first, "cell", first)
        inputs, width = gate.weights.shape
        options = {"bidirectional": stack[0].kind == "BidirectionalLayer", "learn_initial_state": True}
        options |= {"update": "write"} if first.kind == "GRULayer" else {}
        self.layer = CELLS[first.kind](inputs, width, len(stack), **options)
        load(self.layer, stack)
        self.session = None if self.layer.bidirectional else tg.Session(self.layer)
        self.x = np.abs(np.random.default_rng(0).standard_normal((frames, inputs))).astype(np.float32)
        self.head = self.its[-1]

    def theirs(self) -> Any:
        x = self.x
        for layer in self.its:
            x = layer(x)
        return x

    def ours(self) -> Any:
        return self.head(self.layer(torch.from_numpy(self.x)[:, None])[0][:, 0].numpy())

    def theirs_online(self) -> Any:
        found = []
        for layer in self.its:
            layer.reset()
        for k in range(len(self.x)):
            x = self.x[k : k + 1]
            for layer in self.its[:-1]:
                x = layer(x, reset=False)
            found.append(self.head(x))
        return np.concatenate(found)

    def ours_online(self) -> Any:
        assert self.session is not None
        self.session.reset()
        return np.stack([self.head(self.session.step(x).numpy()) for x in torch.from_numpy(self.x)])


def revived(record: Any, code: ModuleType) -> Any:
    """A record as the object of the package's class that it stands for, with its attributes."""
    if isinstance(record, type):  # a function
        return getattr(code, record.kind)
    if not isinstance(record, Record):
        return record
    made = (cls := getattr(code, record.kind)).__new__(cls)
    state = {name: revived(value, code) for name, value in vars(record).items()}
    getattr(made, "__setstate__", made.__dict__.update)(state)
    return made


def its_code(folder: Path) -> ModuleType:
    """Its layers, compiled as its setup does; the rest of the package, which needs an older Python, stays away."""
    source = folder / "madmom" / "ml" / "nn"
    if not list(source.glob("layers.*.so")):
        setup = (
            "from setuptools import setup, Extension; from Cython.Build import cythonize; "
            "setup(script_args=['build_ext', '--inplace'], ext_modules=cythonize(["
            "Extension('madmom.ml.nn.layers', ['madmom/ml/nn/layers.py'])], force=True))"
        )
        tools = installed(PACKAGE.tool, folder.parent)
        subprocess.run([sys.executable, "-c", setup], cwd=folder, env=environment(tools), check=True, stdout=2)
    for name, place in {"madmom": ".", "madmom.ml": "ml", "madmom.ml.nn": "ml/nn"}.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder / "madmom" / place)]
    layers = importlib.import_module("madmom.ml.nn.layers")
    functions = importlib.import_module("madmom.ml.nn.activations")
    for name in ("linear", "softmax", "relu"):
        setattr(layers, name, getattr(functions, name))
    return layers
