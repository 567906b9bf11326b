"""Run both sides of a conversion on the same input and measure how far apart they are."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
import torch

from tests.peer.case import Case, Draw, H, I, P, Side, inputs
from tests.reference.compare import relative_error
from tidegate import convert
from tidegate.nn import Recurrent

SIDES = {
    "torch": ("torch_side", "TorchSide"),
    "keras": ("keras_side", "KerasSide"),
    "linen": ("flax_side", "LinenSide"),
    "linen/optimized": ("flax_side", "LinenOptimizedSide"),
    "nnx": ("flax_side", "NnxSide"),
    "nnx/optimized": ("flax_side", "NnxOptimizedSide"),
    "onnx": ("onnx_side", "OnnxSide"),
}
FORMAT = {"linen/optimized": "linen"}  # where two classes of the other side share one storage
CELLS = {
    "torch": ("rnn", "rnn/relu", "lstm", "lstm/projected", "gru"),
    "keras": ("rnn", "rnn/relu", "lstm", "gru", "gru/before"),
    "linen": ("rnn", "rnn/relu", "lstm", "gru"),
    "linen/optimized": ("lstm",),
    "nnx": ("rnn", "rnn/relu", "lstm", "gru"),
    "nnx/optimized": ("lstm",),
    "onnx": ("rnn", "rnn/relu", "lstm", "peepholelstm", "cifg", "gru", "gru/before"),
}
PAIRS = [(target, cell) for target, cells in CELLS.items() for cell in cells]


@cache
def side(target: str) -> Side:
    """The other side.

    Raises:
        ImportError: its framework is not installed.
    """
    module, name = SIDES[target]
    return getattr(importlib.import_module(f"tests.peer.{module}"), name)()


def format_of(case: Case) -> str:
    """What ``dump`` and ``load`` call the other side."""
    return FORMAT.get(case.target, case.target)


def our_layer(case: Case) -> Recurrent:
    """Every parameter drawn, those that the other side lacks zero."""
    layer = Recurrent(
        case.cell.removesuffix("/projected"),
        I,
        H,
        case.layers,
        bias=case.bias,
        bidirectional=case.bidirectional,
        proj_size=P if case.projected else 0,
        dtype=getattr(torch, case.dtype),
    )
    draw = Draw(case)
    values = {name: torch.from_numpy(draw(*value.shape)) for name, value in layer.state_dict().items()}
    if (case.target, case.family) == ("nnx", "gru"):
        for name, value in values.items():
            value[2 * H :] *= not name.startswith("bias_hh")  # its GRU has no second bias of the candidate
    layer.load_state_dict(values)
    return layer


def our_output(layer: Recurrent, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return layer(torch.from_numpy(x))[0].numpy()


def error_of_dump(case: Case) -> float:
    """Ours, dumped, and run by the other side."""
    layer, x = our_layer(case), inputs(case)
    theirs = side(case.target).run(case, convert.dump(layer, format_of(case)), x)
    return _error(theirs, our_output(layer, x))


@cache
def drawn(case: Case) -> tuple[Any, np.ndarray]:
    """Their layers with weights of their own, and their output."""
    return side(case.target).drawn(case, inputs(case))


def loaded(case: Case) -> Recurrent:
    """Ours with the weights of theirs; it starts from others, which must all be replaced."""
    layer = our_layer(case)
    convert.load(layer, format_of(case), drawn(case)[0])
    return layer


def error_of_load(case: Case) -> float:
    """Theirs, loaded, and run by us."""
    return _error(our_output(loaded(case), inputs(case)), drawn(case)[1])


def _error(got: np.ndarray, expected: np.ndarray) -> float:
    return relative_error(torch.from_numpy(np.array(got)), torch.from_numpy(np.array(expected)))
