"""``torch.nn``'s own layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.module import HALF, fill, prepared, torch_type
from benchmarks.engine.peer.peer import Peer, Prepared
from benchmarks.engine.problem import Problem
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LAYERS: dict[str, Callable[..., torch.nn.RNNBase]] = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


class TorchLayer(Peer):
    """A ragged batch is packed and padded again within the call, as a user with padded data must do."""

    name = "torch.nn"
    stacks = True
    products = HALF

    def supports(self, item: Item) -> str | None:
        return None if item.cell in LAYERS else "no such cell"

    def prepare(self, problem: Problem) -> Prepared:
        item = problem.item
        options: dict[str, Any] = {"num_layers": item.layers, "bidirectional": item.bidirectional}
        options |= {"proj_size": item.proj} if item.proj else {}
        layer = LAYERS[item.cell](item.I, item.H, dtype=torch_type(item), **options)
        parameters = fill(layer, problem)
        if problem.lengths is None:
            return prepared(problem, layer, parameters)
        lengths = torch.tensor(problem.lengths)

        def packed(x: torch.Tensor) -> tuple[torch.Tensor, Any]:
            y, states = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
            return pad_packed_sequence(y, total_length=item.T)[0], states

        return prepared(problem, packed, parameters)
