"""Recurrent layers among arrays by name: as torch calls their parameters, and gate by gate as ``dump`` does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.convert.found import FoundLayer, usual
from tidegate.convert.layout import Arrays, Layout, Pieces, Stored, check, each, to_pieces
from tidegate.convert.table import TORCH
from tidegate.errors import InputError

ROWS = {1: "rnn", 3: "gru", 4: "lstm"}  # by how many gates the recurrent matrix has
SHORT = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
OF_TORCH = re.compile(
    r"(?P<at>.*?)[._/]?(?P<what>(?:weight|bias|w|b)_(?:ih|hh|hr)|p_[ifo]|initial_[hc])(?:_l(?P<layer>\d{1,3}))?(?P<back>_reverse)?"
)
BY_GATE = re.compile(r"(?:(?P<at>.+)\.)?(?P<piece>(?:[WUbdp]|initial)\.[a-z])")
NUMBERED = re.compile(r"\w+_l\d+(?:_reverse)?")
MATRICES = {"weight_ih", "weight_hh"}
LSTM_GATES = {f"{source}.{gate}" for source in "WU" for gate in "ifgo"}
UNSAID = "the file does not say whether it has tanh or relu; tanh is assumed"
COPIES = "_flat_weights"  # where torch keeps its parameters a second time


@dataclass
class _Group:
    """What stands under one name: arrays by layer and direction, and what is none of a layer."""

    first: str
    passes: dict[tuple[int, bool], Arrays] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def layers_of(arrays: Mapping[str, object]) -> list[FoundLayer]:
    """The recurrent layers among arrays by name, in their order.

    Args:
        arrays: NumPy's, by names such as ``encoder.lstm.weight_ih_l0``, ``cell.weight_ih`` or ``encoder.W.i``.
    """
    groups: dict[str, _Group] = {}
    pieces: dict[str, Pieces] = {}
    for name, array in arrays.items():
        if found := OF_TORCH.fullmatch(name):
            group = groups.setdefault(found["at"], _Group(name))
            of_pass = group.passes.setdefault((int(found["layer"] or 0), bool(found["back"])), {})
            what = SHORT.get(found["what"], found["what"])
            group.others += [name] * (what in of_pass)
            of_pass[what] = array  # type: ignore[assignment]
        elif found := BY_GATE.fullmatch(name):
            pieces.setdefault(found["at"] or "", {})[found["piece"]] = array  # type: ignore[assignment]
    for name in arrays:
        owner = _owner(name, groups)
        if owner is not None and not OF_TORCH.fullmatch(name):
            groups[owner].others.append(name)
    whole = [
        _layer(at, group) for at, group in groups.items() if any(MATRICES & a.keys() for a in group.passes.values())
    ]
    return [*whole, *(_by_gate(at, own) for at, own in pieces.items() if own.keys() >= LSTM_GATES or "W.h" in own)]


def _owner(name: str, groups: Mapping[str, _Group]) -> str | None:
    """The layer that an array belongs to by its name: its weights may belong to another cell than they look."""
    parents = name.split(".")[:-1]
    if COPIES in parents:
        return None
    if not parents and "" in groups and NUMBERED.fullmatch(name):
        return ""
    return next((at for k in range(len(parents), 0, -1) if (at := ".".join(parents[:k])) in groups), None)


def _layer(at: str, group: _Group) -> FoundLayer:
    found = FoundLayer(at, "lstm", (), (), where=group.first)
    if group.others:
        return replace(found, fault=f"it also has {_listed(group.others)}, which no layer of torch has")
    try:
        row, passes = _read(group.passes)
    except InputError as error:
        return replace(found, fault=error.message)
    return replace(found, row=row, passes=passes, activations=usual(row), assumed=UNSAID if row == "rnn" else "")


def _read(passes: Mapping[tuple[int, bool], Arrays]) -> tuple[str, list[list[Pieces]]]:
    """Row and pieces.

    Raises:
        InputError: the arrays are not all there, or do not fit each other.
    """
    layers, directions = max(k for k, _ in passes) + 1, 1 + any(back for _, back in passes)
    order = [[passes.get((k, back), {}) for back in (False, True)[:directions]] for k in range(layers)]
    for array in (array for of_layer in order for arrays in of_layer for array in arrays.values()):
        if array.dtype.kind != "f":
            raise _misfit(f"numbers of the type {array.dtype}")
    first = order[0][0]
    if not first.keys() >= MATRICES or first["weight_ih"].ndim != 2 or first["weight_hh"].ndim != 2:
        raise _misfit("no two matrices in its first layer")
    H = first["weight_hr"].shape[-1] if "weight_hr" in first else first["weight_hh"].shape[1]
    gates, odd = divmod(len(first["weight_hh"]), H) if H else (0, 1)
    if odd or gates not in ROWS:
        raise _misfit(
            f"a recurrent matrix of {len(first['weight_hh'])} rows for {H} units, as no layer of torch has it"
        )
    has_peepholes = any(name.startswith("p_") for name in first)
    row = ("peephole" if has_peepholes else "") + ROWS[gates] + ("/projected" if "weight_hr" in first else "")
    if row not in TORCH:
        raise _misfit("parameters that no layer of torch has")
    layout = _layout(row, first)
    output = first["weight_hr"].shape[0] if "weight_hr" in first else H
    read = []
    for k, of_layer in enumerate(order):
        widths = {"I": first["weight_ih"].shape[1] if k == 0 else output * directions, "H": H, "P": output}
        for arrays in of_layer:
            if ("bias_ih" in arrays) != ("bias_hh" in arrays):
                raise _misfit("only one of its two biases")
            check(layout, arrays, widths, f"layer {k}")
        read.append([to_pieces(layout, arrays) for arrays in of_layer])
    return row, read


def _layout(row: str, arrays: Arrays) -> Layout:
    """Torch's layout, with what ours have besides: all of a kind or none."""
    own: list[Stored] = []
    if any(name.startswith("p_") for name in arrays):
        own += [Stored(f"p_{gate}", each("p", gate)) for gate in "ifo"]
    if any(name.startswith("initial_") for name in arrays):
        own += [Stored(f"initial_{state}", each("initial", state)) for state in ("hc" if "lstm" in row else "h")]
    return replace(TORCH[row], arrays=(*TORCH[row].arrays, *own))


def _by_gate(at: str, pieces: Pieces) -> FoundLayer:
    has_peepholes = any(name.startswith("p.") for name in pieces)
    row = "rnn" if "W.h" in pieces else "peepholelstm" if has_peepholes else "lstm"
    where = f"{at}.W".lstrip(".")
    assumed = UNSAID if row == "rnn" else "the file does not say its activations; sigmoid and tanh are assumed"
    return FoundLayer(at, row, ((pieces,),), usual(row), where=where, assumed=assumed)


def _misfit(what: str) -> InputError:
    return InputError("READ_LAYER", f"it has {what}", fix="load it with tidegate.convert.load")


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:4], *["..."] * (len(names) > 4)])
