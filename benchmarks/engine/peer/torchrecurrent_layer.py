"""torchrecurrent: other cells for torch, each a loop over time."""

from __future__ import annotations

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import prepared
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Arrays, Problem

# Row blocks stand in the same order as ours; its vectors are one, in the order given here.
CELLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "peepholelstm": ("PeepholeLSTM", ("p_i", "p_f", "p_o")),
    "mgu": ("MGU", ()),
}
NAMES = {"weight_W": "weight_ih", "weight_U": "weight_hh", "bias_W": "bias_ih", "bias_U": "bias_hh"}


class TorchRecurrent(Peer):
    """The cells that it defines as the zoo does."""

    name = "torchrecurrent"
    packages = ("torchrecurrent",)

    def supports(self, item: Item) -> str | None:
        if item.cell not in CELLS:
            return "no such cell"
        return "no lengths, no projection" if item.ragged or item.proj else None

    def prepare(self, problem: Problem) -> Prepared:
        import torchrecurrent

        item = problem.item
        kind, vectors = CELLS[item.cell]
        layer = getattr(torchrecurrent, kind)(item.I, item.H, dtype=getattr(torch, item.dtype))
        weights = {NAMES[name]: torch.from_numpy(v) for name, v in problem.weights.items() if name in NAMES}
        if vectors:
            weights["weight_ph"] = torch.cat([torch.from_numpy(problem.weights[name]) for name in vectors])
        cell = layer.cells[0]
        own = dict(cell.named_parameters())
        for name, parameter in own.items():  # a bias that the zoo's cell lacks stays zero
            parameter.data.copy_(weights.get(name, torch.zeros_like(parameter)))

        def named(gradients: Arrays) -> Arrays:
            found = {name: gradients[theirs] for name, theirs in NAMES.items() if name in problem.weights}
            parts = [gradients["weight_ph"][k * item.H : (k + 1) * item.H] for k in range(len(vectors))]
            return {**found, **dict(zip(vectors, parts, strict=True))}

        return prepared(problem, layer, own, named=named)
