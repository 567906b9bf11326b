"""``onnx``: a layer as an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tidegate.errors import InputError, explain_missing
from tidegate.nn import Recurrent

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
OPSETS = range(14, 27)  # GRU, LSTM and RNN have their present form since 14; onnxruntime 1.31 ends at 26


def onnx(
    layer: Recurrent,
    path: str | Path | None = None,
    *,
    step: bool = False,
    lengths: bool = True,
    reset: bool = False,
    optional: bool = True,
    native: bool = True,
    opset: int = OPSET,
) -> ModelProto:
    """A layer as an ONNX model, for sequences or for one step.

    Where the equations of the cell are those of an RNN, GRU or LSTM of ONNX, whatever their names, signs and missing
    gates, the layer is that node. Else it is a Scan, whose body is the equations. Nothing is unrolled.

    Shapes of a model of sequences ([B, T, ...] for a layer with ``batch_first``):
        - inputs: ``x`` [T, B, I]; ``lengths`` int64 [B]; ``reset`` bool [T, B] where asked for; ``state.K.S`` [B,
          width] for each state S of each layer K, and ``state.K.S.reverse`` in two directions.
        - outputs: ``y`` [T, B, D*H], zero after the end of each sequence; ``next.K.S`` for each state after the last
          step of each sequence. A sequence without a step leaves its states as they were; T may be 0. B may not:
          onnxruntime's LSTM and GRU end the process then.

    A model of a step is the same without T and ``lengths``. Weights are the same bits in both.

    Args:
        layer: a layer of ``tidegate.nn`` in float32; it is written as it runs in evaluation.
        path: where to write the file; nowhere by default.
        step: write the model of one step, for streams.
        lengths: the model takes lengths. Without, all sequences have T steps.
        reset: the model takes resets: before a step marked True all states return to their first values. No node of
            ONNX has them, so the layer is a Scan then, but a step may still be a node.
        optional: lengths and states need not be given. States then begin with zeros, or as learned. OpenVINO and
            tract make constants of such inputs; pass False for them.
        native: use the nodes of ONNX where they fit. False writes a Scan, which is slower at small batches and right
            in runtimes whose nodes are not: see docs/ship.md.
        opset: of the default domain, 14 to 26.

    Returns:
        The ``onnx.ModelProto``. Its metadata has the version, the cell with its equations, how each layer was
        written (``tidegate.lowering``), the states, and a self-test that ``tidegate.ship.selftest`` runs.

    Raises:
        InputError: not a layer of ours, another dtype, a step of two directions, or an unknown opset.
        MissingError: the package onnx is not installed.

    Example:
        >>> import tidegate as tg
        >>> model = tg.ship.onnx(tg.nn.Recurrent("mgu", 3, 4))
        >>> [node.op_type for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM", "Scan")]
        ['GRU']
        >>> [value.name for value in model.graph.input]
        ['x', 'lengths', 'state.0.h']
    """
    _check(layer, step=step, opset=opset)
    with explain_missing():
        from tidegate.ship.onnx.writing import Writing  # needs the package onnx, which is optional
    writing = Writing(layer, reset=reset, optional=optional, native=native, opset=opset)
    made = writing.model(step=step, lengths=lengths)
    if path is not None:
        Path(path).write_bytes(made.SerializeToString())
    return made


def _check(layer: Any, *, step: bool, opset: int) -> None:
    """Refuse what cannot be written.

    Raises:
        InputError: with who can.
    """
    if not isinstance(layer, Recurrent):
        raise InputError(
            "SHIP_LAYER",
            f"expected a layer of tidegate.nn, got {type(layer).__name__}",
            fix="tidegate.accelerate makes torch's layers Tidegate's",
        )
    dtype = layer.layer_parameters(0)[0].dtype
    if dtype is not torch.float32:
        raise InputError(
            "SHIP_DTYPE",
            f"the layer has {dtype}, for which onnxruntime has no RNN, LSTM and GRU",
            fix="ship copy.deepcopy(layer).float(): the file holds float32",
        )
    if step and layer.bidirectional:
        raise InputError(
            "SHIP_STEP",
            "a layer in two directions needs the whole sequence before its first output, so it has no step",
            fix="leave step=False, or train a layer in one direction for streams",
        )
    if opset not in OPSETS:
        raise InputError(
            "SHIP_OPSET",
            f"opset is {opset!r:.20}, expected {OPSETS[0]} to {OPSETS[-1]}",
            fix=f"leave it at {OPSET}, which every runtime of the last years reads",
        )
