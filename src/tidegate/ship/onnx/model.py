"""``onnx``: a layer or a whole model as an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tidegate.errors import InputError, explain_missing
from tidegate.nn import Recurrent
from tidegate.ship.flow import Flow
from tidegate.ship.kind import flows
from tidegate.ship.onnx.asked import Asked

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
REMEMBERING = frozenset({"window", "sum", "highest"})
OPSETS = range(15, 27)  # Shape has a part of a shape since 15; onnxruntime 1.31 ends at 26


def onnx(
    model: Any,
    path: str | Path | None = None,
    *,
    step: bool = False,
    lengths: bool = True,
    reset: bool = False,
    optional: bool = True,
    native: bool = True,
    opset: int = OPSET,
) -> ModelProto:
    """A layer or a whole trained model as an ONNX model, for sequences or for one step.

    Where the equations of a cell are those of an RNN, GRU or LSTM of ONNX, whatever their names, signs and missing
    gates, a layer is that node. Else it is a Scan, whose body is the equations. Nothing is unrolled. A model of a task
    becomes its whole flow: raw values in, answers in the user's units out.

    Shapes of a model of sequences of a layer ([B, T, ...] for one with ``batch_first``):
        - inputs: ``x`` [T, B, I]; ``lengths`` int64 [B]; ``reset`` bool [T, B] where asked for; ``state.K.S`` [B,
          width] for each state S of each layer K, and ``state.K.S.reverse`` in two directions.
        - outputs: ``y`` [T, B, D*H], zero after the end of each sequence; ``next.K.S`` for each state after the last
          step of each sequence. A sequence without a step leaves its states as they were; T may be 0. B may not:
          onnxruntime's LSTM and GRU end the process then.

    Of a flow the inputs and outputs have the names and widths of the flow's, and every state of ``Flow.states`` is an
    input ``state.NAME`` and an output ``next.NAME``, [B, *shape]; so is an output ``next.NAME`` that has the name of an
    input. A model of a step is the same without T and
    ``lengths``. Weights are the same bits in both.

    Args:
        model: a layer of ``tidegate.nn`` in float32; a flow; or what ``tidegate.ship.flows`` makes one flow of, such as
            the folder of a trained model. It is written as it runs in evaluation.
        path: where to write the file; nowhere by default.
        step: write the model of one step, for streams.
        lengths: the model takes lengths. Without, all sequences have T steps.
        reset: the model takes resets: before a step marked True all states return to their first values. No node of
            ONNX has them, so a layer is a Scan then, but a step may still be a node.
        optional: lengths and states need not be given. States then begin with zeros, or as learned. OpenVINO and
            tract make constants of such inputs; pass False for them.
        native: use the nodes of ONNX where they fit. False writes Scans, which are slower at small batches and right
            in runtimes whose nodes are not: see docs/howto/ship.md.
        opset: of the default domain, 15 to 26.

    Returns:
        The ``onnx.ModelProto``. Its metadata has the version, the equations or the flow, how each layer was written
        (``tidegate.lowering``), the states, and a self-test that ``tidegate.ship.selftest`` runs.

    Raises:
        InputError: no such model, another dtype, a step of two directions, a model of several flows, resets inside
            sequences of a flow that remembers more than its layers do, or an unknown opset.
        MissingError: the package onnx is not installed.

    Example:
        >>> import tidegate as tg
        >>> model = tg.ship.onnx(tg.nn.Recurrent("mgu", 3, 4))
        >>> [node.op_type for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM", "Scan")]
        ['GRU']
        >>> [value.name for value in model.graph.input]
        ['x', 'lengths', 'state.0.h']
    """
    if opset not in OPSETS:
        raise InputError(
            "SHIP_OPSET",
            f"opset is {opset!r:.20}, expected {OPSETS[0]} to {OPSETS[-1]}",
            fix=f"leave it at {OPSET}, which every runtime of the last years reads",
        )
    source = model if isinstance(model, Recurrent | Flow) else _one_flow(model)
    with explain_missing():
        from tidegate.ship.onnx.flow import FlowWriting  # these need the package onnx, which is optional
        from tidegate.ship.onnx.writing import Writing
    asked = Asked(step, lengths, reset, optional, native, opset)
    if isinstance(source, Recurrent):
        _check_layer(source, step=step)
        made = Writing(source, asked).model()
    else:
        _check_flow(source, step=step, reset=reset)
        made = FlowWriting(source, asked).model()
    if path is not None:
        Path(path).write_bytes(made.SerializeToString())
    return made


def _one_flow(model: Any) -> Flow:
    made = flows(model)
    if len(made) > 1:
        names = ", ".join(flow.name for flow in made)
        raise InputError(
            "SHIP_FLOWS",
            f"the model is several programs: {names}",
            fix="ship each of tidegate.ship.flows(model), and call them as their facts say",
        )
    return made[0]


def _check_flow(flow: Flow, *, step: bool, reset: bool) -> None:
    if step and not flow.streams:
        raise _no_step(f"{flow.name} has a layer in two directions, which")
    remembering = [node.name for node in flow.nodes if node.op in REMEMBERING]
    if reset and not step and remembering:
        raise InputError(
            "SHIP_RESET",
            f"{flow.name} remembers more than its layers do: {', '.join(remembering)}",
            fix="ship step=True with resets, or cut sequences where they are reset",
        )
    for node in flow.recurrent:
        _check_dtype(node.recurrent)


def _check_layer(layer: Recurrent, *, step: bool) -> None:
    _check_dtype(layer)
    if step and layer.bidirectional:
        raise _no_step("a layer in two directions")


def _check_dtype(layer: Recurrent) -> None:
    dtype = layer.layer_parameters(0)[0].dtype
    if dtype is not torch.float32:
        raise InputError(
            "SHIP_DTYPE",
            f"{layer} has {dtype}, for which onnxruntime has no RNN, LSTM and GRU",
            fix="ship copy.deepcopy(layer).float(): the file holds float32",
        )


def _no_step(what: str) -> InputError:
    return InputError(
        "SHIP_STEP",
        f"{what} needs the whole sequence before its first output, so it has no step",
        fix="leave step=False, or train in one direction for streams",
    )
