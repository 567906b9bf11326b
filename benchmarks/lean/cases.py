"""New cells and lean options as layers in float32, each beside equations in float64 that share nothing with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tests.reference import shipped_onnx as shipped
from tests.reference.compare import public
from tests.reference.equations import REFERENCES
from tests.reference.irregular import DELAYED, TIMED, unrolled
from tests.reference.lean import LEAN
from tests.reference.peers import PEERS
from tests.reference.unroll import forward
from torch import Tensor

import tidegate as tg
from tidegate.nn import Recurrent
from tidegate.zoo import graph_of

I, H, BOUND = 5, 8, 0.9
CELLS = (*TIMED, *LEAN, *PEERS, *DELAYED)
"""Those that came with lean cells: those that are given something first."""
Tensors = dict[str, Tensor]
States = tuple[Tensor, ...]
Run = Callable[[Tensor, States, Mapping[str, Tensor]], tuple[Tensor, States]]


@dataclass(frozen=True)
class Case:
    """A layer in float32, and its equations in float64 for sequences of one length."""

    name: str
    cell: str
    layer: Recurrent
    run: Run
    options: Mapping[str, Any] = field(default_factory=dict)
    density: float = 1.0

    def given(self, T: int, B: int) -> Tensors:
        """Times since the step before, and what was observed, as far as the cell reads them."""
        drawn = {"dt": 3 * torch.rand(T, B, 1), "m": (torch.rand(T, B, self.layer.input_size) > 0.4).float()}
        return {value.name: drawn[value.name] for value in self.layer.graph.given}

    def call(self, T: int, *, ragged: bool = False) -> tuple[shipped.Call, Tensors]:
        lengths = [T, 0, (T + 1) // 2] if ragged else None
        rng = np.random.default_rng(T)
        return shipped.drawn(self.layer, rng, T, 3, lengths=lengths, states=ragged), self.given(T, 3)

    @torch.no_grad()
    def exact(self, call: shipped.Call, given: Tensors) -> dict[str, np.ndarray]:
        """y and the last states by the equations, each sequence by itself."""
        x, (T, B) = torch.from_numpy(call.x).double(), call.x.shape[:2]
        runs = self.layer.num_layers * (1 + self.layer.bidirectional)
        widths = self.layer.cells[0].state_widths
        first = [torch.from_numpy(s).double() for s in call.first or [np.zeros((runs, B, w)) for w in widths]]
        y, last = torch.zeros(T, B, self.layer.output_size, dtype=torch.float64), [s.clone() for s in first]
        for b, n in enumerate(call.lengths or [T] * B):
            if n:
                own, beside = slice(b, b + 1), {name: v[:n, b : b + 1].double() for name, v in given.items()}
                y[:n, own], states = self.run(x[:n, own], tuple(s[:, own] for s in first), beside)
                for value, state in zip(last, states, strict=True):
                    value[:, own] = state
        return self.named(y, last)

    def named(self, y: Tensor, last: Any) -> dict[str, np.ndarray]:
        """The outputs as a model of ONNX names them."""
        states = last if isinstance(last, tuple | list) else (last,)
        return {"y": y.numpy(), **{n: states[s][at].numpy() for n, s, at in shipped.names(self.layer, "next")}}


def drawn(layer: Recurrent) -> Recurrent:
    """The layer in evaluation, with every parameter as large as torch draws it."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_((2 * torch.rand(parameter.shape) - 1) / H**0.5)
    return layer.eval()


def of_cell(cell: str) -> Case:
    wide = graph_of(cell).input_axis == "H"
    widths = TIMED[cell].widths(H) if cell in TIMED else {}
    layer = drawn(Recurrent(cell, H if wide else I, H, widths=widths or None))
    p = {public(name): value.detach().double() for name, value in layer.named_parameters()}
    plain = {name.removesuffix("_l0"): value for name, value in p.items()}

    def run(x: Tensor, first: States, given: Mapping[str, Tensor]) -> tuple[Tensor, States]:
        states = tuple(state[0] for state in first)
        if cell in TIMED:
            y, last = unrolled(TIMED[cell], plain, x, states, given)
        else:
            y, last = forward(REFERENCES[cell], p, x, states)
        return y, tuple(state[None] for state in last)

    name = f"given {' '.join(TIMED[cell].given)}: `{cell}`" if cell in TIMED else f"`{cell}`"
    return Case(name, cell, layer, run, {"widths": widths} if widths else {})


def heads(p: Tensors) -> Tensors:
    gates = [torch.block_diag(*gate.chunk(2)) for gate in p["weight_hh_l0"].chunk(3)]
    return p | {"weight_hh_l0": torch.cat(gates)}


def rank(p: Tensors) -> Tensors:
    return p | {"weight_hh_l0": p["weight_hh_l0"] @ p.pop("weight_U_rank_l0")}


def semi_tied(p: Tensors) -> Tensors:
    tied = p.pop("tied_l0")[:, None]
    return p | {name: tied * p[name].repeat(3, 1) for name in ("weight_ih_l0", "weight_hh_l0")}


def both_layers(p: Tensors) -> Tensors:
    return p | {name.replace("_l0", "_l1"): value for name, value in p.items()}


def both_directions(p: Tensors) -> Tensors:
    return p | {f"{name}_reverse": value for name, value in p.items()}


OPTIONS: dict[str, tuple[dict[str, Any], Callable[[Tensors], Tensors]]] = {
    "heads": ({"heads": 2}, heads),
    "rank": ({"rank": 3}, rank),
    "semi-tied": ({"semi_tied": True}, semi_tied),
    "share layers": ({"share": "layers", "num_layers": 2}, both_layers),
    "share directions": ({"share": "directions", "bidirectional": True}, both_directions),
    "spectral": ({"spectral": BOUND}, dict),
    "density": ({}, dict),
}


def of_option(name: str) -> Case:
    """A GRU with the option, and torch's with its matrices written out."""
    options, written_out = OPTIONS[name]
    layer = drawn(Recurrent("gru", H if options.get("share") == "layers" else I, H, **options))
    if name == "density":
        tg.sparsify(layer, 0.3, 8)
        assert sum(int((p == 0).sum()) for p in layer.parameters()) > 100, "nothing was pruned"
    p = {public(key): getattr(layer, public(key).rpartition(".")[2]) for key, _ in layer.named_parameters()}
    p = {key: value.detach().double() for key, value in p.items()}
    if name == "spectral":
        norms = [torch.linalg.matrix_norm(gate, 2) for gate in p["weight_hh_l0"].chunk(3)]
        assert max(norms) < 1.005 * BOUND < torch.linalg.matrix_norm(original(layer), 2), "no bound acts here"
    shape = {key: value for key, value in options.items() if key in ("num_layers", "bidirectional")}
    plain = torch.nn.GRU(layer.input_size, H, dtype=torch.float64, **shape)
    plain.load_state_dict(written_out(p))

    def run(x: Tensor, first: States, given: Mapping[str, Tensor]) -> tuple[Tensor, States]:  # noqa: ARG001
        y, last = plain(x, first[0].contiguous())
        return y, (last,)

    return Case(f"{name}: `gru`", "gru", layer, run, options, 0.3 if name == "density" else 1.0)


def original(layer: Recurrent) -> Tensor:
    return layer.parametrizations.weight_hh_l0.original[:H].detach()  # type: ignore[union-attr]
