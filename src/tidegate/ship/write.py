"""The files of each format: a row of ``WRITERS`` for each row of ``FORMATS``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.c import Source, c
from tidegate.ship.calibrate import whole_layers
from tidegate.ship.chain import chain_of
from tidegate.ship.dnnw import BLOCK_IN, BLOCK_OUT, dnnw
from tidegate.ship.flow import Flow
from tidegate.ship.int8.stack import Quantised
from tidegate.ship.nam import nam
from tidegate.ship.onnx import onnx
from tidegate.ship.rtneural import rtneural
from tidegate.ship.safetensors import safetensors


@dataclass(frozen=True)
class Order:
    """What shall be written.

    Attributes:
        model: the estimator; None for bare layers.
        layer, head: bare layers, and a linear map behind them; None for an estimator.
        name: of the files.
        weights: their kind.
        target: the processor; empty where there is no choice.
        rate: samples a second; None where there is none.
        data: for calibration; None for the usual ones.
        flows: what whole models compute, by the names of their files.
    """

    model: Any
    layer: Recurrent | None
    head: Any
    name: str
    weights: str
    target: str
    rate: float | None = None
    data: Any = None
    flows: Mapping[str, Flow] = field(default_factory=dict)

    def chain(self, to: str) -> tuple[Recurrent, Any]:
        """Layers and head."""
        return chain_of(self.model, to) if self.layer is None else (self.layer, self.head)


@dataclass
class Made:
    """Files, what each of them is, how each layer was written, and files that there are none of, with the reason."""

    files: dict[str, bytes] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    layers: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, content: str | bytes, says: str) -> None:
        """A file."""
        self.files[name] = content.encode() if isinstance(content, str) else content
        self.says[name] = says


def _onnx(order: Order) -> Made:
    made = Made()
    for name, flow in order.flows.items():
        subject: Any = order.layer if order.layer is not None and order.head is None else flow
        whole = onnx(subject)
        made.add(f"{name}.onnx", whole.SerializeToString(), "sequences [T, B, ...] of any lengths")
        if flow.streams:
            made.add(
                f"{name}_step.onnx", onnx(subject, step=True).SerializeToString(), "one step [B, ...], for streams"
            )
        else:
            made.missing.append(
                f"{name}_step.onnx: {flow.name} reads each sequence from its end, too, so it has no steps"
            )
        lowered = json.loads(next(entry.value for entry in whole.metadata_props if entry.key == "tidegate.lowering"))
        if len(flow.recurrent) == 1:  # whose name says nothing then
            lowered = [line.removeprefix(f"{flow.recurrent[0].name}: ") for line in lowered]
        made.layers += _listed(name, flow, lowered)
    return made


def _c(order: Order) -> Made:
    made, whole = Made(), _whole(order)
    for name, flow in order.flows.items():
        source = _source(order, name, flow, whole)
        made.add(f"{name}.h", source.header, "what can be called, with sizes and how to compile")
        made.add(f"{name}.c", source.body, "weights and code")
        written = "C, weights of 8 bits" if whole else "C, float32"
        made.layers += _listed(name, flow, [written] * sum(_count(layer) for layer in _recurrent(flow)))
    return made


def _whole(order: Order) -> Mapping[str, Quantised]:
    """The layers in whole numbers, by their names; none for float32."""
    if order.weights != "int8":
        return {}
    if order.model is None:
        raise InputError(
            "SHIP_INT8", "bare layers bring no data to be calibrated on", fix="call tidegate.ship.quantise(layer, data)"
        )
    return whole_layers(order.model, order.data)


def _source(order: Order, name: str, flow: Flow, whole: Mapping[str, Quantised]) -> Source:
    """The C of one flow."""
    subject = order.layer if order.layer is not None and order.head is None else flow
    own = {node.name: whole[node.name] for node in flow.recurrent if node.name in whole}
    return c(subject, name, target=order.target, weights=own or None)


def _rtneural(order: Order) -> Made:
    layer, head = order.chain("rtneural")
    made = Made(layers=_network(layer, f"{layer.graph.name.lower()} of RTNeural"))
    text = rtneural(layer, torch.nn.Sequential() if head is None else head)
    made.add(f"{order.name}.json", text, "layers and head")
    return made


def _nam(order: Order) -> Made:
    layer, head = order.chain("nam")
    if head is None:
        raise InputError(
            "SHIP_HEAD", "nam holds a linear head, and these layers have none", fix="tidegate.ship.nam takes one"
        )
    made = Made(layers=_network(layer, "LSTM of Neural Amp Modeler"))
    made.add(f"{order.name}.nam", nam(layer, head, order.rate or 0.0), "layers, first states and head")
    return made


def _dnnw(order: Order) -> Made:
    layer, head = order.chain("dnnw")
    parts: dict[str, Any] = {"layer": layer}
    floating: list[str] = []
    for k, module in enumerate(head if isinstance(head, torch.nn.Sequential) else filter(None, [head])):
        name = "head" if k == 0 else f"head{k + 1}"
        parts[name] = module
        if module.in_features % BLOCK_IN or module.out_features % BLOCK_OUT:
            floating.append(name)
    made = Made(layers=_network(layer, f"GRU of nnet.c, {order.weights}"))
    own = f", float32 alone in {', '.join(floating)}, whose sizes no block fits" if floating else ""
    made.add(f"{order.name}.bin", dnnw(parts, order.weights, floating), f"{', '.join(parts)}{own}")
    return made


def _safetensors(order: Order) -> Made:
    if order.model is not None:
        network = order.model.model_
        layers = [module for module in network.modules() if isinstance(module, Recurrent)]
        parts: dict[str, Any] = {"model": network}
    else:
        layers = [layer for layer in [order.layer] if layer is not None]
        parts = {"layer": order.layer, **({"head": order.head} if order.head is not None else {})}
    made = Made(layers=[line for layer in layers for line in _network(layer, "its arrays")])
    made.add(f"{order.name}.safetensors", safetensors(parts), "all arrays of the network, and what each cell is")
    return made


def _recurrent(flow: Flow) -> Iterator[Recurrent]:
    return (node.recurrent for node in flow.recurrent)


def _count(layer: Recurrent) -> int:
    return layer.num_layers


def _listed(name: str, flow: Flow, written: list[str]) -> list[dict[str, str]]:
    """A line for each layer of a flow."""
    lines = []
    for node in flow.recurrent:
        layer = node.recurrent
        lines += [{"model": name, "layer": f"{node.name} {k}", **_described(layer, k)} for k in range(layer.num_layers)]
    return [{**line, "written": text} for line, text in zip(lines, written, strict=True)]


def _network(layer: Recurrent, written: str) -> list[dict[str, str]]:
    """A line for each layer of a network alone."""
    return [
        {"model": "", "layer": f"layer {k}", **_described(layer, k), "written": written}
        for k in range(layer.num_layers)
    ]


def _described(layer: Recurrent, k: int) -> dict[str, str]:
    features = layer.input_size if k == 0 else layer.output_size
    both = ", both directions" if layer.bidirectional else ""
    return {"cell": layer.graph.name, "size": f"{features} -> {layer.output_size}{both}"}


WRITERS: Mapping[str, Callable[[Order], Made]] = {
    "onnx": _onnx,
    "c": _c,
    "rtneural": _rtneural,
    "nam": _nam,
    "dnnw": _dnnw,
    "safetensors": _safetensors,
}
