"""One question asked of two libraries in one process, and their answers compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence

from tidegate import nn as ours

I, H = 3, 4
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "rnn relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm projected": ("LSTM", {"proj_size": 2}),
    "gru": ("GRU", {}),
}
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn cell": ("RNNCell", {}),
    "rnn relu cell": ("RNNCell", {"nonlinearity": "relu"}),
    "lstm cell": ("LSTMCell", {}),
    "gru cell": ("GRUCell", {}),
}
TOLERANCE = 1e-12  # float64, of numbers about 1


class Side(NamedTuple):
    """A class of one library, with the options of its kind."""

    library: Any
    name: str
    options: dict[str, Any]

    @property
    def kind(self) -> type[torch.nn.Module]:
        return getattr(self.library, self.name)

    def make(self, *sizes: int, **options: Any) -> Any:
        """A module from the same seed each time, in float64 unless another type is given."""
        torch.manual_seed(0)
        return self.kind(*(sizes or (I, H)), **({"dtype": torch.float64} | self.options | options))


Row = Callable[[Side], Any]


def normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def state_for(module: Any, *rows: int, seed: int = 5) -> Any:
    """A state that goes with a layer, or a cell, for so many rows."""
    if isinstance(module, torch.nn.RNNCellBase):
        h, c = (normal(*rows, module.hidden_size, seed=seed + k) for k in (0, 1))
        return (h, c) if isinstance(module, torch.nn.LSTMCell) else h
    passes = module.num_layers * (2 if module.bidirectional else 1)
    h = normal(passes, *rows, module.proj_size or module.hidden_size, seed=seed)
    return (h, normal(passes, *rows, module.hidden_size, seed=seed + 1)) if isinstance(module, torch.nn.LSTM) else h


def gradients(module: Any, *arguments: Any) -> list[torch.Tensor | None]:
    """Of a weighted sum of all results, in every parameter and everything that wants one."""
    results = [value for value in tensors(module(*arguments)) if value.is_floating_point()]
    loss = sum((value * torch.linspace(-1, 2, value.numel()).view_as(value)).sum() for value in results)
    leaves = [value for value in (*tensors(arguments), *module.parameters()) if value.requires_grad]
    return [*results, *torch.autograd.grad(loss, leaves, allow_unused=True)]


def tensors(values: Any) -> list[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        return [values]
    return [t for value in values for t in tensors(value)] if isinstance(values, (tuple, list)) else []


def raised(call: Callable[[], Any]) -> Any:
    """What a call returns, or type and text of what it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  whatever it is
        return type(error), str(error)


def answers(row: Row, kind: str) -> tuple[Any, Any]:
    """What ours and torch's answer, each with the warnings on the way."""
    name, options = (KINDS | CELLS)[kind]
    found = []
    for library in (ours, torch.nn):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            answer = raised(lambda library=library: row(Side(library, name, options)))
        found.append((answer, [(w.category, str(w.message)) for w in seen if "oneDNN" not in str(w.message)]))
    return found[0], found[1]


def assert_same(mine: Any, theirs: Any, where: str = "answer") -> None:
    """The same structure, and numbers that differ by roundings at most.

    Raises:
        AssertionError: naming the part that differs.
    """
    if isinstance(theirs, torch.Tensor) and isinstance(mine, torch.Tensor):
        assert (mine.shape, mine.dtype, mine.device) == (theirs.shape, theirs.dtype, theirs.device), where
        assert mine.requires_grad == theirs.requires_grad, f"{where}: requires_grad is {mine.requires_grad}"
        if not theirs.is_meta:
            exact = theirs.dtype in {torch.float64, torch.complex128}
            rtol = TOLERANCE if exact else 4 * torch.finfo(theirs.dtype).eps if theirs.dtype.is_floating_point else 0
            torch.testing.assert_close(
                mine, theirs, rtol=rtol, atol=rtol, equal_nan=True, msg=lambda text: f"{where}: {text}"
            )
        return
    if isinstance(theirs, (tuple, list)) and not isinstance(theirs, torch.Size):
        assert isinstance(mine, PackedSequence) == isinstance(theirs, PackedSequence), where
        assert isinstance(mine, (tuple, list)), f"{where}: {mine!r}, expected {theirs!r}"
        assert len(mine) == len(theirs), f"{where}: {mine!r}, expected {theirs!r}"
        for k, parts in enumerate(zip(mine, theirs, strict=True)):
            assert_same(*parts, f"{where}[{k}]")
        return
    assert mine == theirs, f"{where}: {mine!r}, expected {theirs!r}"
