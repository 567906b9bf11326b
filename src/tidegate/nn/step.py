"""The cells that have names of their own: those of torch.nn, and the peephole LSTM, as single steps."""

from __future__ import annotations

from typing import Any

import torch

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.nn import contract
from tidegate.nn.argument import States, variant
from tidegate.nn.cell import RecurrentCell
from tidegate.nn.document import documented
from tidegate.nn.twin import Conventions
from tidegate.runtime import SizedCell


@documented(zoo.RNN)
class RNNCell(RecurrentCell, torch.nn.RNNCell):
    """One step of the simple recurrent network, as torch.nn.RNNCell. See ``RecurrentCell`` for shapes.

    Equations:
        {equations}

    Args:
        {arguments}

    Raises:
        RuntimeError: an unknown ``nonlinearity``; as in torch.nn, the call raises it, not the constructor.

    References:
        Elman, "Finding structure in time", 1990.

    Example:
        >>> import torch, tidegate as tg
        >>> tg.nn.RNNCell(3, 4, nonlinearity="relu")(torch.zeros(2, 3)).shape
        torch.Size([2, 4])
    """

    _torch_class = torch.nn.RNNCell
    autocast_keeps_dtype = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(zoo.RNN, input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def set_cell(self, graph: Graph) -> None:
        """Make this the cell, prepared for each nonlinearity."""
        super().set_cell(graph)
        variants = {name: zoo.RNN.variant(nonlinearity=name) for name in zoo.RNN.options["nonlinearity"]}
        self._by_nonlinearity = {name: self._sized_as(cell.graph) for name, cell in variants.items()}

    def definition(self) -> SizedCell:
        if self.nonlinearity not in self._by_nonlinearity:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._by_nonlinearity[self.nonlinearity]

    def _states_of(self, hx: Any, *, batched: bool) -> States:  # noqa: ARG002  one state reads the same either way
        return self._only_state(hx)


@documented(zoo.LSTM)
class LSTMCell(RecurrentCell, torch.nn.LSTMCell):
    """One step of long short-term memory, as torch.nn.LSTMCell. See ``RecurrentCell`` for shapes.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Gers, Schmidhuber and Cummins, "Learning to forget", 2000.

    Example:
        >>> import torch, tidegate as tg
        >>> h, c = tg.nn.LSTMCell(3, 4)(torch.zeros(2, 3))
        >>> h.shape, c.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    _torch_class = torch.nn.LSTMCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(zoo.LSTM, input_size, hidden_size, bias, device, dtype)

    def _states_of(self, hx: Any, *, batched: bool) -> States:
        for k, state in enumerate(hx):
            contract.check_step_rank(type(self).__name__, f"hx[{k}]", state)
        contract.check_lstm_states(hx, batched=batched)
        return hx[0], hx[1]


@documented(zoo.PeepholeLSTM)
class PeepholeLSTMCell(RecurrentCell):
    """One step of the LSTM whose gates see the cell state: an ``LSTMCell`` with three peephole vectors.

    See ``RecurrentCell`` for shapes.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Gers and Schmidhuber, "Recurrent nets that time and count", 2000.

    Example:
        >>> import torch, tidegate as tg
        >>> cell = tg.nn.PeepholeLSTMCell(3, 4)
        >>> [name for name, _ in cell.named_parameters()][-3:]
        ['p_i', 'p_f', 'p_o']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(zoo.PeepholeLSTM, input_size, hidden_size, bias, device, dtype)


@documented(zoo.GRU)
class GRUCell(Conventions, RecurrentCell, torch.nn.GRUCell):
    """One step of the gated recurrent unit, as torch.nn.GRUCell. See ``RecurrentCell`` for shapes.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Example:
        >>> import torch, tidegate as tg
        >>> tg.nn.GRUCell(3, 4, reset="before")
        GRUCell(3, 4, reset=before)
    """

    _torch_class = torch.nn.GRUCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        update: str = "keep",
    ) -> None:
        cell = variant(zoo.GRU, reset=reset, update=update)
        super().__init__(cell, input_size, hidden_size, bias, device, dtype)
        self.reset, self.update = reset, update

    def _states_of(self, hx: Any, *, batched: bool) -> States:  # noqa: ARG002  one state reads the same either way
        return self._only_state(hx)
