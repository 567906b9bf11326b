"""Keras: .h5 and .keras files of all its versions. Their configurations and arrays are read as data, nothing is run."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert import activation
from tidegate.convert.activation import SIGMOID, TANH, Activation
from tidegate.convert.file.archive import opened, refusing
from tidegate.convert.file.hdf5 import Content, Unit, content
from tidegate.convert.found import FoundLayer
from tidegate.convert.layout import Array, Arrays, Pieces, check, to_pieces
from tidegate.convert.table import GROUPS, KERAS
from tidegate.errors import InputError
from tidegate.plain import read_json

KINDS = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}  # gates
CUDNN = "CuDNN"
CLASS = re.compile(rf"({CUDNN})?({'|'.join(KINDS)})(Cell)?")
NESTED = ("layer", "cell")  # where wrappers keep what they wrap


@dataclass(frozen=True)
class Slot:
    """A recurrent layer in a configuration.

    Attributes:
        names: of it and of the models around it.
        path: the same as Keras 3 numbers them by their classes.
        kind: its class.
        config: its settings.
        wrapper: the settings of a ``Bidirectional`` around it.
    """

    names: tuple[str, ...]
    path: tuple[str, ...]
    kind: str
    config: Mapping[str, Any]
    wrapper: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> list[FoundLayer]:
    """The recurrent layers of a model, or of a file of its weights alone.

    Raises:
        InputError: it is damaged.
        MissingError: the package h5py is not installed.
    """
    with refusing(path, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        held, version = _opened(path)
        config = _json(path, held.config) if held.config else {}
        slots = list(_slots(config, (), ())) if config else []
        found = [(_slot_of(unit, slots), unit) for unit in held.units]
        found.sort(key=lambda pair: slots.index(pair[0]) if pair[0] else len(slots))
        layers = [_found(unit, slot, version, configured=bool(slots)) for slot, unit in found]
        return layers + [_without_weights(slot) for slot in slots if slot not in [slot for slot, _ in found]]


def _opened(path: Path) -> tuple[Content, str]:
    """What the file holds, and the version of Keras that wrote it."""
    if not zipfile.is_zipfile(path):
        held = content(path)
        numbered = any(unit.path != unit.names for unit in held.units)
        return held, held.version or ("3" if numbered else "")
    with opened(path) as archive:
        held = content(path, archive.read("model.weights.h5"))
        said = _json(path, archive.read("metadata.json"))
        return Content(held.units, "", archive.read("config.json").decode()), str(said["keras_version"])


def _json(path: Path, text: str | bytes) -> Any:
    try:
        return read_json(text)
    except InputError as error:
        raise InputError("READ_FILE", f"the JSON in {path.name} is damaged: {error.message}") from error


# --- the configuration ---


def _slots(layer: Any, names: tuple[str, ...], path: tuple[str, ...], wrapper: Any = None) -> Iterator[Slot]:
    """The recurrent layers in a layer or model, depth first."""
    kind, config = layer["class_name"], layer["config"]
    if CLASS.fullmatch(kind):
        yield Slot(names, path, kind, config, wrapper or {})
        return
    if isinstance(config, list) or "layers" in config:
        counted: Counter[str] = Counter()
        for inner in config if isinstance(config, list) else config["layers"]:
            plain = _snake(inner["class_name"])
            number = f"{plain}_{counted[plain]}" if counted[plain] else plain
            counted[plain] += 1
            yield from _slots(
                inner,
                (*names, inner["config"]["name"] if isinstance(inner["config"], dict) else plain),
                (*path, number),
            )
        return
    for where in NESTED:
        inner = config.get(where)
        if isinstance(inner, dict):
            yield from _slots(inner, names, path, config if kind == "Bidirectional" else wrapper)
    for cell in config.get("cells") or ():
        yield from _slots(cell, (*names, cell["config"]["name"]), (*path, _snake(cell["class_name"])), wrapper)


def _snake(name: str) -> str:
    """As Keras 3 names a group after a class."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name)))
    return spaced.lower()


def _matches(slot: Slot, unit: Unit) -> bool:
    """Whether a unit's names lead through the slot's, in order; or its path where files do not have names."""
    return _leads(slot.names, unit.names) or (unit.names == unit.path and _leads(slot.path, unit.path))


def _leads(wanted: tuple[str, ...], names: tuple[str, ...]) -> bool:
    rest = iter(names)
    return bool(wanted) and all(any(name == one for name in rest) for one in wanted)


def _slot_of(unit: Unit, slots: list[Slot]) -> Slot | None:
    return max((slot for slot in slots if _matches(slot, unit)), key=lambda slot: len(slot.names), default=None)


def _without_weights(slot: Slot) -> FoundLayer:
    return FoundLayer(
        "/".join(slot.names), "lstm", (), (), where=slot.kind, fault="the file has no weights of this layer"
    )


# --- a layer ---


def _found(unit: Unit, slot: Slot | None, version: str, *, configured: bool) -> FoundLayer:
    name = "/".join(slot.names if slot else unit.names)
    blank = FoundLayer(name, "lstm", (), (), where="/".join(unit.names))
    try:
        if configured and slot is None:
            raise _refused("its class, which the configuration says, is none of Keras's own")
        layer = Layer(unit, slot, version)
        return FoundLayer(
            name, layer.row, (layer.passes(),), layer.activations(), layer.where, layer.is_reverse, layer.fault,
            layer.assumed, is_aligned=False,
        )  # fmt: skip
    except InputError as error:
        return FoundLayer(**{**vars(blank), "fault": error.message})


class Layer:
    """One layer: its arrays, with or without its configuration."""

    def __init__(self, unit: Unit, slot: Slot | None, version: str) -> None:
        self.unit, self.slot, self.version = unit, slot, version
        arrays = next(iter(unit.sides.values()))
        recurrent = arrays["recurrent_kernel"]
        if recurrent.ndim != 2 or not recurrent.shape[0] or recurrent.shape[1] % recurrent.shape[0]:
            raise _refused(f"its recurrent kernel is of shape {recurrent.shape}")
        self.gates, self.bias = recurrent.shape[1] // len(recurrent), arrays.get("bias")
        self.width = len(recurrent)
        self.config = slot.config if slot else {}
        self.kind = next((kind for kind, gates in KINDS.items() if gates == self.gates), "")
        said = CLASS.fullmatch(slot.kind) if slot else None
        if not self.kind or (said and said[2] != self.kind):
            raise _refused(f"it has {self.gates} gates, and is called {slot.kind if slot else 'nothing'}")
        stored = self.gates > 1 and self.bias is not None and self.bias.shape == (2 * self.gates * self.width,)
        self.is_cudnn = stored or bool(said and said[1])
        self.is_version_2 = bool(self.version) and not self.version.startswith("3")

    @property
    def row(self) -> str:
        """Of the table of conversions."""
        if self.kind != "GRU":
            return {"SimpleRNN": "rnn", "LSTM": "lstm"}[self.kind]
        if self.slot and not self.is_cudnn:
            return "gru" if self.config.get("reset_after", not self.is_version_2) else "gru/before"
        if self.bias is None:
            raise _refused("it has no bias and no configuration, so where it resets is not known")
        return "gru" if self.is_cudnn or self.bias.ndim == 2 else "gru/before"

    def passes(self) -> list[Pieces]:
        """Of each direction."""
        sides = [self.unit.sides[side] for side in sorted(self.unit.sides)]
        if len(sides) != (2 if self.slot and self.slot.wrapper else len(sides)):
            raise _refused("a half of it is missing")
        layout, found = KERAS[self.row], []
        for arrays in sides:
            plain = self._plain(arrays) if self.is_cudnn else arrays
            if plain.get("kernel", np.empty(0)).ndim != 2:
                raise _refused("its kernel is missing or no matrix")
            check(layout, plain, {"I": len(plain["kernel"]), "H": self.width}, "it")
            found.append(to_pieces(layout, {name: np.ascontiguousarray(_wide(value)) for name, value in plain.items()}))
        return found

    def _plain(self, arrays: Arrays) -> Arrays:
        """Arrays as CuDNN keeps them, as Keras does: each gate's kernels are transposed, and there are two biases."""
        kernel, recurrent, bias = (arrays[name] for name in ("kernel", "recurrent_kernel", "bias"))
        count, shape = self.gates, (-1, self.gates * self.width)
        if kernel.ndim != 2 or kernel.shape[1] != shape[1] or recurrent.shape != (self.width, shape[1]):
            raise _refused(f"its kernels are of shape {kernel.shape} and {recurrent.shape}")
        if bias.shape != (2 * shape[1],):
            raise _refused(f"its bias is of shape {bias.shape}, CuDNN's are of {(2 * shape[1],)}")
        return {
            "kernel": np.hstack([gate.T.reshape(gate.shape, order="F") for gate in np.hsplit(kernel, count)]),
            "recurrent_kernel": np.hstack([gate.T for gate in np.hsplit(recurrent, count)]),
            "bias": bias.reshape(2, -1).sum(0) if self.kind == "LSTM" else bias.reshape(2, -1),
        }

    def activations(self) -> tuple[Activation, ...]:
        """One for each group of gates of the row."""
        gate, rest = SIGMOID, TANH
        if self.slot and not self.slot.kind.startswith(CUDNN):
            gate = self._named("recurrent_activation", "sigmoid") if self.gates > 1 else gate
            rest = self._named("activation", "tanh")
        elif self._is_hard:
            gate = activation.KERAS2["hard_sigmoid"]
        groups = len(GROUPS[self.row])
        return (rest,) if groups == 1 else (gate, *[rest] * (groups - 1))

    def _named(self, setting: str, default: str) -> Activation:
        said = self.config.get(setting, default)
        said = {None: "linear", "swish": "silu"}.get(said, said) if not isinstance(said, dict) else said
        names = activation.KERAS2 if self.is_version_2 else activation.KERAS
        if not isinstance(said, str) or said not in names:
            shown = said.get("class_name") if isinstance(said, dict) else said
            raise _refused(f"it has {setting}={shown!r:.60}, which is no activation that is known here and is not run")
        return names[said]

    @property
    def _is_hard(self) -> bool:
        """Whether gates of that version are piecewise linear by default."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        old = numbers is not None and (int(numbers[1]), int(numbers[2])) < (2, 3) and "tf" not in self.version
        return old and self.gates > 1 and not self.is_cudnn

    @property
    def assumed(self) -> str:
        """What a file without a configuration does not say."""
        if self.slot or self.is_cudnn:
            return ""
        of_gates = f"{'hard_sigmoid' if self._is_hard else 'sigmoid'} and " if self.gates > 1 else ""
        return (
            f"the file does not say its activations; {of_gates}tanh are assumed, the defaults of Keras {self.version}"
        )

    @property
    def is_reverse(self) -> bool:
        return bool(self.config.get("go_backwards")) and len(self.unit.sides) == 1

    @property
    def where(self) -> str:
        """Its class."""
        return self.slot.kind if self.slot else f"{CUDNN * self.is_cudnn}{self.kind}"

    @property
    def fault(self) -> str:
        """Why a Bidirectional cannot be one of ours."""
        wrapper = self.slot.wrapper if self.slot else {}
        merge = wrapper.get("merge_mode", "concat")
        if merge != "concat":
            return f"it merges its directions by {merge!r}; load passes[0] with tidegate.convert.load, as gates"
        other = (wrapper.get("backward_layer") or {}).get("config", self.config)
        differs = [key for key in ("activation", "recurrent_activation") if other.get(key) != self.config.get(key)]
        return f"its directions have different {differs[0]}" if differs else ""


def _wide(value: Array) -> Array:
    return value if value.dtype == np.float64 else value.astype(np.float32)


def _refused(what: str) -> InputError:
    return InputError("READ_LAYER", what, fix="load it with tidegate.convert.load")
