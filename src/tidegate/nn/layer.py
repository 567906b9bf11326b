"""The named layers, with torch.nn's constructors."""

from __future__ import annotations

from typing import Any

import torch

from tidegate import zoo
from tidegate.nn.argument import variant
from tidegate.nn.document import documented
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.twin import Conventions


@documented(zoo.RNN)
class RNN(Recurrent, torch.nn.RNN):
    """Simple recurrent network, as torch.nn.RNN. See ``Recurrent`` for shapes, parameters and errors.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Elman, "Finding structure in time", 1990.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.RNN(8, 16, nonlinearity="relu")
        >>> output, h = layer(torch.zeros(5, 3, 8))  # 5 steps of 3 sequences
        >>> output.shape, h.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    _torch_class = torch.nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        _refuse_projection(options)
        if nonlinearity not in zoo.RNN.options["nonlinearity"]:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        cell = zoo.RNN.variant(nonlinearity=nonlinearity)
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            **options,
        )  # fmt: skip
        self.nonlinearity = nonlinearity
        self.mode = f"RNN_{nonlinearity.upper()}"


@documented(zoo.LSTM)
class LSTM(Recurrent, torch.nn.LSTM):
    """Long short-term memory, as torch.nn.LSTM. See ``Recurrent`` for shapes, parameters and errors.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Gers, Schmidhuber and Cummins, "Learning to forget", 2000.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.LSTM(8, 16, zoneout={"c": 0.1})
        >>> output, (h, c) = layer(torch.zeros(5, 3, 8), lengths=[5, 2, 4])  # 3 sequences of up to 5 steps
        >>> output.shape, h.shape, c.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]), torch.Size([1, 3, 16]))
    """

    _torch_class = torch.nn.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            zoo.LSTM, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype, **options,
        )  # fmt: skip


@documented(zoo.PeepholeLSTM)
class PeepholeLSTM(Recurrent):
    """LSTM whose gates see the cell state: an ``LSTM`` with three peephole vectors a layer.

    See ``Recurrent`` for shapes, parameters and errors.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Gers and Schmidhuber, "Recurrent nets that time and count", 2000.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.PeepholeLSTM(8, 16)
        >>> [name for name, _ in layer.named_parameters()][-3:]
        ['p_i_l0', 'p_f_l0', 'p_o_l0']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            zoo.PeepholeLSTM, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype, **options,
        )  # fmt: skip


@documented(zoo.GRU)
class GRU(Conventions, Recurrent, torch.nn.GRU):
    """Gated recurrent unit, as torch.nn.GRU. See ``Recurrent`` for shapes, parameters and errors.

    Equations:
        {equations}

    Args:
        {arguments}

    References:
        Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.GRU(8, 16, reset="before")
        >>> output, h = layer(torch.zeros(5, 3, 8))  # 5 steps of 3 sequences
        >>> output.shape, h.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    _torch_class = torch.nn.GRU
    autocast_keeps_dtype = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        update: str = "keep",
        **options: Any,
    ) -> None:
        _refuse_projection(options)
        cell = variant(zoo.GRU, reset=reset, update=update)
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            **options,
        )  # fmt: skip
        self.reset, self.update = reset, update
        self.mode = "GRU"


def _refuse_projection(options: dict[str, Any]) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
