"""Small networks with one planted fault each, healthy ones, and the task that both are about.

A sequence has a number at every step and one marker; the answer is the number at the marked step, ``lag`` steps before
the end. Always answering the mean costs 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tidegate.cell.parameter import attribute
from tidegate.explain.change import KeepUnits, SetBias
from tidegate.nn import Recurrent
from tidegate.option.parameter import recurrent_matrices


class Net(torch.nn.Module):
    """A recurrent layer and a linear map of its final state, of both directions if it has two."""

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(layer.output_size, 1)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        _, states = self.layer(x, lengths=lengths)
        last = states if isinstance(states, Tensor) else states[0]
        return self.head(torch.cat([*last[-1 - self.layer.bidirectional :]], -1))[:, 0]


@dataclass(frozen=True)
class Size:
    """Of a network and its batches."""

    hidden: int = 32
    steps: int = 60
    lag: int = 30
    batch: int = 32


@dataclass(frozen=True)
class Batch:
    """Inputs [T, B, 2], what is right [B], and how long the sequences are."""

    x: Tensor
    y: Tensor
    named: dict[str, Any] = field(default_factory=dict)

    def loss(self, answer: Tensor) -> Tensor:
        return (answer - self.y).square().mean()


def recall(
    size: Size, generator: torch.Generator, *, noise: float = 1.0, ragged: bool = False, centred: bool = False
) -> Batch:
    """A batch of the task. For two directions the marker is as far from both ends as it can be."""
    lengths = torch.full((size.batch,), size.steps)
    if ragged:
        lengths = torch.randint(size.lag + 2, size.steps + 1, (size.batch,), generator=generator)
    x = torch.zeros(size.steps, size.batch, 2)
    x[..., 0] = noise * torch.randn(size.steps, size.batch, generator=generator)
    rows = torch.arange(size.batch)
    at = lengths // 2 if centred else lengths - 1 - size.lag
    x[at, rows, 0] /= noise
    x[at, rows, 1] = 1
    x[torch.arange(size.steps)[:, None] >= lengths] = 0
    return Batch(x, x[at, rows, 0], {"lengths": lengths} if ragged else {})


Plant = Callable[[Net], None]


def nothing(_: Net) -> None:
    """Plant no fault."""


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        expected: the verdict that should be the first one; empty for a healthy network.
        cell: of the zoo.
        options: of the layer.
        plant: the fault, done to the network in place.
        hidden: its units; those of the size unless given.
        trained: whether it has learnt the task before it is judged.
        noise: the standard deviation of the numbers that are not marked.
        ragged: sequences of different lengths.
    """

    name: str
    expected: str
    cell: str
    options: dict[str, Any] = field(default_factory=dict)
    plant: Plant = nothing
    hidden: int = 0
    trained: bool = False
    noise: float = 1.0
    ragged: bool = False
    bidirectional: bool = False

    def net(self, size: Size, seed: int) -> Net:
        """A network of this kind."""
        torch.manual_seed(seed)
        net = Net(Recurrent(self.cell, 2, self.hidden or size.hidden, bidirectional=self.bidirectional, **self.options))
        with torch.no_grad():
            self.plant(net)
        return net

    def batch(self, size: Size, generator: torch.Generator) -> Batch:
        return recall(size, generator, noise=self.noise, ragged=self.ragged, centred=self.bidirectional)


def shut(gate: str, value: float) -> Plant:
    """The bias of a gate, with a tenth of the weights of its rows: nothing opens it again."""

    def plant(net: Net) -> None:
        SetBias(gate, value).apply(net, "layer")
        for matrix in net.layer.graph.matrices:
            names = [block.name for block in matrix.blocks]
            if gate in names:
                weight = getattr(net.layer, attribute(f"weight_{matrix.name}", 0, reverse=False))
                weight.chunk(len(names))[names.index(gate)].mul_(0.1)

    return plant


def gain(value: float) -> Plant:
    """Recurrent weights drawn from N(0, value^2 / H)."""

    def plant(net: Net) -> None:
        for matrix in recurrent_matrices(net.layer.graph):
            weight = getattr(net.layer, attribute(f"weight_{matrix}", 0, reverse=False))
            weight.normal_(0, value / weight.shape[1] ** 0.5)

    return plant


def loud(times: float) -> Plant:
    """Input weights so many times as large."""

    def plant(net: Net) -> None:
        net.layer.weight_ih_l0.mul_(times)

    return plant


def half_read(net: Net) -> None:
    """A read-out that sees half of the units."""
    net.head.weight[:, : net.head.in_features // 2] = 0


def harmless(net: Net, seed: int) -> Net:
    """The same network for all that matters: units in another order, and an answer three times as large, plus one."""
    if net.layer.bidirectional:
        return net
    order = torch.randperm(net.layer.hidden_size, generator=torch.Generator().manual_seed(seed))
    KeepUnits(tuple(order.tolist())).apply(net, "layer")
    with torch.no_grad():
        net.head.weight.mul_(3)
        net.head.bias.add_(1)
    return net


def kinds(size: Size) -> list[Kind]:
    """All kinds that the thresholds were chosen for. Faults of gates are planted in networks that are healthy else."""
    chrono = {"chrono": 2 * size.lag}
    many = max(64, size.hidden)  # few units settle instead of exploding: of 64 at gain 2, one network in eight
    return [
        Kind("RNN as torch has it", "vanishing", "rnn", noise=0.1),
        Kind("LSTM as torch has it", "vanishing", "lstm"),
        Kind("RNN, gain 2.5", "exploding", "rnn", plant=gain(2.5), noise=0.1, hidden=many),
        Kind("LSTM, forget gate shut", "forget_shut", "lstm", chrono, shut("f", -6.0)),
        Kind("LSTM, output gate shut", "output_shut", "lstm", chrono, shut("o", -6.0)),
        Kind("GRU, update gate dead", "frozen", "gru", chrono, shut("z", 9.0)),
        Kind("RNN, input weights x 600", "saturated", "rnn", {"orthogonal": True}, loud(600), noise=0.1),
        Kind("LSTM, input weights x 1000", "saturated", "lstm", chrono, loud(1000)),
        Kind("LSTM, half of it read", "unused_units", "lstm", chrono, half_read),
        Kind("chrono LSTM", "", "lstm", chrono),
        Kind("trained LSTM", "", "lstm", chrono, trained=True),
        Kind("orthogonal RNN", "", "rnn", {"orthogonal": True}),
        Kind("chrono JANET", "", "janet", chrono),
        Kind("bidirectional LSTM", "", "lstm", chrono, bidirectional=True),
        Kind("ragged LSTM", "", "lstm", chrono, ragged=True),
    ]


def others(size: Size) -> list[Kind]:
    """Cells that the thresholds were not chosen for."""
    chrono = {"chrono": 2 * size.lag}
    return [
        Kind("MGU as it begins", "vanishing", "mgu"),
        Kind("MGU, gate dead", "frozen", "mgu", chrono, shut("f", -9.0)),
        Kind("MGU, gate open to all", "forget_shut", "mgu", chrono, shut("f", 6.0)),
        Kind("MGU, input weights x 1000", "saturated", "mgu", chrono, loud(1000)),
        Kind("MGU, half of it read", "unused_units", "mgu", chrono, half_read),
        Kind("peephole LSTM as it begins", "vanishing", "peepholelstm"),
        Kind("peephole LSTM, forget gate shut", "forget_shut", "peepholelstm", chrono, shut("f", -6.0)),
        Kind("peephole LSTM, output gate shut", "output_shut", "peepholelstm", chrono, shut("o", -6.0)),
        Kind("peephole LSTM, input weights x 1000", "saturated", "peepholelstm", chrono, loud(1000)),
        Kind("peephole LSTM, half of it read", "unused_units", "peepholelstm", chrono, half_read),
        Kind("chrono MGU", "", "mgu", chrono),
        Kind("chrono peephole LSTM", "", "peepholelstm", chrono),
    ]
