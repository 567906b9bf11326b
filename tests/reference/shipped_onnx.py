"""Shipped ONNX models beside the layer they were made of: onnxruntime in float32, the equations in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

import tidegate as tg


@dataclass
class Call:
    """What a layer and its model are called with.

    Attributes:
        x: [T, B, I] float32.
        first: for each state [L*D, B, width] float32; None for the default.
        lengths: of the sequences, or None.
        reset: booleans [T, B], or None.
    """

    x: np.ndarray
    first: list[np.ndarray] | None = None
    lengths: list[int] | None = None
    reset: np.ndarray | None = None


def drawn(layer, rng, T, B, *, lengths=None, states=False, resets=False) -> Call:
    """A call with numbers of the order of 1."""
    runs = layer.num_layers * (1 + layer.bidirectional)
    x = rng.standard_normal((T, B, layer.input_size), np.float32)
    widths = layer.cells[0].state_widths
    first = [rng.uniform(-0.5, 0.5, (runs, B, width)).astype(np.float32) for width in widths] if states else None
    return Call(x, first, lengths, rng.random((T, B)) < 0.3 if resets else None)


def names(layer, kind) -> list[tuple[str, int, int]]:
    """The names of all states, which state each is, and its place along L*D."""
    directions = 1 + layer.bidirectional
    return [
        (f"{kind}.{k}.{state.name}{'.reverse' if d else ''}", s, k * directions + d)
        for k in range(layer.num_layers)
        for d in range(directions)
        for s, state in enumerate(layer.graph.states)
    ]


def feeds(layer, call) -> dict[str, np.ndarray]:
    """The inputs of the model."""
    given = {"x": call.x.swapaxes(0, 1) if layer.batch_first else call.x}
    if call.lengths is not None:
        given["lengths"] = np.array(call.lengths)
    if call.reset is not None:
        given["reset"] = call.reset.T if layer.batch_first else call.reset
    if call.first is not None:
        given |= {name: call.first[s][at] for name, s, at in names(layer, "state")}
    return {name: np.ascontiguousarray(value) for name, value in given.items()}


def exact(layer, call, *, single=False) -> dict[str, np.ndarray]:
    """The outputs of the model in float64, or in float32, by the equations. No step leaves all as it is."""
    kind = torch.float32 if single else torch.float64
    double = copy.deepcopy(layer).to(kind).eval()
    double.batch_first = False
    B, runs = call.x.shape[1], layer.num_layers * (1 + layer.bidirectional)
    first = None if call.first is None else tuple(torch.from_numpy(state).to(kind) for state in call.first)
    if not len(call.x):
        first = first or double.learned_states(B) or [torch.zeros(runs, B, w) for w in layer.cells[0].state_widths]
        y, last = torch.zeros(0, B, layer.output_size), first
    else:
        hx = first[0] if first is not None and len(first) == 1 else first
        reset = None if call.reset is None else torch.from_numpy(call.reset)
        with torch.no_grad(), tg.runtime.eager_only():
            y, last = double(torch.from_numpy(call.x).to(kind), hx, lengths=call.lengths, reset=reset)
        last = last if isinstance(last, tuple) else (last,)
    y = y.transpose(0, 1) if layer.batch_first else y
    ends = {name: last[s][at].detach().double().numpy() for name, s, at in names(layer, "next")}
    return {"y": y.double().numpy(), **ends}


def session(model):
    """The model in onnxruntime, on one thread and without its warnings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def error(layer, running, call) -> float:
    """The largest difference of an output, relative to 1 or to its value."""
    got = answers(running, feeds(layer, call))
    return difference(got, exact(layer, call))


def answers(running, given) -> dict[str, np.ndarray]:
    """The outputs of a model by name."""
    return dict(zip([output.name for output in running.get_outputs()], running.run(None, given), strict=True))


def difference(got, expected) -> float:
    """The same of outputs by name."""
    assert got.keys() == expected.keys()
    worst = 0.0
    for name, value in expected.items():
        assert got[name].shape == value.shape, (name, got[name].shape, value.shape)
        off = np.abs(got[name] - value) / np.maximum(1.0, np.abs(value))
        worst = max(worst, np.inf if np.isnan(off).any() else off.max(initial=0.0))
    return float(worst)


def flow_error(flow, running, inputs, lengths, states, answer) -> float:
    """The largest difference of an answer of a flow, relative to 1 or to its value."""
    given = {
        one.name: np.asarray(inputs[one.name]).astype(np.int64 if one.limit else np.float32) for one in flow.inputs
    }
    given |= {f"state.{name}": np.asarray(value, np.float32) for name, value in (states or {}).items()}
    if lengths is not None:
        given["lengths"] = np.array(lengths)
    got = answers(running, given)
    outputs = {name if name in got else f"next.{name}": value for name, value in answer.outputs.items()}
    return difference(got, outputs | {f"next.{name}": value for name, value in answer.states.items()})


def lowerings(model) -> list[str]:
    """How each layer was written."""
    import json

    return json.loads({entry.key: entry.value for entry in model.metadata_props}["tidegate.lowering"])


def scaled(layer, by=1.0):
    """The layer in evaluation, all of its parameters drawn, learned initial states too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial") or by != 1.0:
                parameter.copy_(by * (torch.rand(parameter.shape, generator=generator) - 0.5))
    return layer.eval()
