"""One step of a layer as a function of its input and of all its states, and its Jacobians."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch

from tidegate.cell.graph import all_widths
from tidegate.errors import InputError
from tidegate.explain.tangent import Tangent, evaluated, placed, variable
from tidegate.nn import Recurrent
from tidegate.nn.accelerate import accelerate
from tidegate.nn.argument import as_states
from tidegate.runtime import Rows, SizedCell, Steps, run_layer, run_step

INPUT = "x"
MOST_NUMBERS = 1 << 20  # of Jacobians that are computed at once: 8 MiB


class StepFunction:
    """One step ``s' = F(x, s)`` of a stack of layers in evaluation, as they are now; later changes are not seen.

    Layers above read what those below have just made, so the state s is that of all layers together: for each layer,
    from the lowest on, all states of its cell, in the cell's order. Its width is S.

    Args:
        layer: a layer of Tidegate's, or a torch.nn.RNN, LSTM or GRU.
        number: which layer of the stack alone, from 0; None for all of them.
        reverse: of a layer with two directions, the one that reads sequences from the end.
        dtype: in which it computes.

    Attributes:
        size: the width S of the state.
        features: the width I of the input, and of what a cell reads beside it: it stands behind the input.
        output: where the output of the topmost layer lies in the state.
        slices: from the number of a layer and the name of a state to where it lies.
        graph: the cell as it runs, the same in all layers.

    Raises:
        InputError: it is no recurrent layer; or it has two directions, which have no common step, and ``number`` is
            not given.

    Example:
        >>> import torch, tidegate as tg
        >>> step = tg.explain.StepFunction(tg.nn.LSTM(3, 4, num_layers=2))
        >>> step.size, step.slices[1, "h"]
        (16, slice(8, 12, None))
        >>> step.jacobians(torch.zeros(5, 3), torch.zeros(5, 16)).shape
        torch.Size([5, 16, 16])
    """

    def __init__(
        self,
        layer: torch.nn.Module,
        number: int | None = None,
        *,
        reverse: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        layer = as_recurrent(layer)
        if number is None and layer.bidirectional:
            raise InputError(
                "EXPLAIN_DIRECTIONS",
                f"{layer} reads sequences from both ends, so there is no step from one state of it to the next",
                fix="name one layer of the stack by number=, and its direction by reverse=",
            )
        if not (number is None or 0 <= number < layer.num_layers) or (reverse and not layer.bidirectional):
            raise InputError(
                "EXPLAIN_NUMBER",
                f"{layer} has {layer.num_layers} layers in {1 + layer.bidirectional} directions, got "
                f"number={number!r:.40}, reverse={reverse}",
                fix="count layers from 0",
            )
        self.dtype = dtype
        self.slices: dict[tuple[int, str], slice] = {}
        self._parts: list[tuple[SizedCell, list[torch.Tensor], list[slice]]] = []
        at = 0
        for k in range(layer.num_layers) if number is None else (number,):
            cell = layer.cells[k]
            own = layer.layer_parameters(k)[reverse * len(cell.parameters) :][: len(cell.parameters)]
            tensors = [parameter.detach().to("cpu", dtype).contiguous() for parameter in own]
            where = []
            for state, width in zip(layer.graph.states, cell.state_widths, strict=True):
                where.append(slice(at, at + width))
                self.slices[k, state.name] = where[-1]
                at += width
            self._parts.append((cell, tensors, where))
        self.size, self.output = at, self._parts[-1][2][0]
        first, axes = self._parts[0][0], all_widths(self._parts[0][0].widths)
        self._read = [first.features, *(axes[value.axis] for value in first.graph.given)]
        self.features, self.graph = sum(self._read), first.graph

    def __call__(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """New states [B, S] from inputs [B, I] and states [B, S]."""
        (x, *given), state = x.to(self.dtype).split(self._read, -1), state.to(self.dtype)
        made: list[torch.Tensor] = []
        for cell, parameters, where in self._parts:
            new = _step(cell, x, [state[:, at] for at in where], [*parameters, *given])
            x = new[0]
            made += new
        return torch.cat(made, -1)

    @property
    def alone(self) -> bool:
        """Whether it is the step of one layer."""
        return len(self._parts) == 1

    def nodes(self, x: torch.Tensor, state: torch.Tensor) -> list[Tangent]:
        """Every value of one layer in a step, and its derivatives by the states before it.

        Args:
            x: inputs [N, I].
            state: states [N, S].
        """
        ((cell, parameters, where),) = self._parts
        states = [variable(state[:, at].to(self.dtype), k) for k, at in enumerate(where)]
        first, *given = (Tangent(part, {}) for part in x.to(self.dtype).split(self._read, -1))
        return evaluated(cell, parameters, first, states, given)

    def join(self, hx: Any, sequences: int = 1) -> torch.Tensor:
        """States [B, S] from what a layer takes and returns as its states; zeros from None.

        Args:
            hx: of all layers of the stack, each [L, B, width]; or states that lie side by side already, [B, S].
            sequences: how many, for None.
        """
        if hx is None:
            return torch.zeros(sequences, self.size, dtype=self.dtype)
        if isinstance(hx, torch.Tensor) and hx.dim() < 3 and hx.shape[-1] == self.size:
            return hx.detach().to(self.dtype).reshape(-1, self.size)
        states = as_states(hx, [state.name for state in self.graph.states])
        expected = [(len(self._parts), width) for width in self._parts[0][0].state_widths]
        if [(state.shape[0], state.shape[-1]) for state in states] != expected or any(s.dim() != 3 for s in states):
            got = ", ".join(str(list(state.shape)) for state in states)
            wanted = ", ".join(f"[{layers}, B, {width}]" for layers, width in expected)
            raise InputError(
                "EXPLAIN_STATE",
                f"states have the shapes {got}, expected {wanted}",
                fix=f"pass what the layer returned as its states, or [B, {self.size}] with all states side by side",
            )
        parts = [state[k] for k in range(len(self._parts)) for state in states]
        return torch.cat(parts, -1).detach().to(self.dtype)

    def vjp(self, x: torch.Tensor, state: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """``J^T v`` for each row v: [N, S] from inputs [N, I], states [N, S] and rows [N, S]."""
        with torch.enable_grad():
            leaf = state.detach().to(self.dtype).requires_grad_()
            (found,) = torch.autograd.grad(self(x, leaf), leaf, rows.to(self.dtype), materialize_grads=True)
        return found

    def jacobians(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """``J[n, i, j] = ds'_i / ds_j`` at each of N states: [N, S, S].

        Args:
            x: inputs [N, I].
            state: states [N, S].
        """
        return self.derivatives(x, state)[0]

    def in_parts(self, count: int) -> Iterator[slice]:
        """Slices of so many states whose Jacobians need little memory."""
        at_once = max(1, MOST_NUMBERS // self.size**2)
        return (slice(begin, begin + at_once) for begin in range(0, count, at_once))

    def derivatives(
        self, x: torch.Tensor, state: torch.Tensor, *, of_input: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same, and ``ds'_i / dx_j``, [N, S, I], if it is asked for."""
        x, state = x.detach().to(self.dtype), state.detach().to(self.dtype)
        parts = enumerate(x.split(self._read, -1))
        read, *given = (_read(part, k) if of_input else Tangent(part, {}) for k, part in parts)
        columns: dict[Hashable, slice] = {}
        made: list[Tangent] = []
        for k, (cell, parameters, where) in enumerate(self._parts):
            own = {(k, index): at for index, at in enumerate(where)}
            states = [variable(state[:, at], name) for name, at in own.items()]
            values = evaluated(cell, parameters, read, states, given)
            new = [values[index] for index in cell.graph.updates]
            read, columns = new[0], columns | own
            made += new
        if of_input:
            ends = [self.size + end for end in accumulate(self._read)]
            columns |= {(INPUT, k): slice(end - self._read[k], end) for k, end in enumerate(ends)}
        whole = placed(made, columns, len(state))
        return whole[..., : self.size], whole[..., self.size :] if of_input else None


def _read(value: torch.Tensor, number: int) -> Tangent:
    """What a step reads, as a variable; one number a row as a matrix of one column, since it meets all units."""
    made = variable(value, (INPUT, number))
    return made if value.shape[-1] > 1 else Tangent(value, {name: one[..., None] for name, one in made.by.items()})


def as_recurrent(layer: torch.nn.Module) -> Recurrent:
    """The layer itself, or a copy of torch's as one of ours.

    Raises:
        InputError: it is no recurrent layer, or one that Tidegate cannot take over.
    """
    if isinstance(layer, Recurrent):
        return layer
    if isinstance(layer, torch.nn.RNNBase):
        taken = accelerate(copy.deepcopy(layer).to("cpu", torch.float64))
        if isinstance(taken.model, Recurrent):
            return taken.model
        raise InputError("EXPLAIN_LAYER", f"{layer} cannot be explained: {taken.left['']}", fix="use a layer of ours")
    raise InputError(
        "EXPLAIN_LAYER",
        f"expected one recurrent layer, got {type(layer).__name__}",
        fix="pass e.g. model.layer; tidegate.explain.probe(model).layers lists those of a model",
    )


def _step(
    cell: SizedCell, x: torch.Tensor, states: Sequence[torch.Tensor], parameters: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """New states, each [B, width]."""
    new = run_step(cell, x, states, parameters)
    if new is None:  # no engine, or a transform of torch: the layer of one step knows what to do
        rows = Rows(x, Steps.uniform(1, len(x)))
        _, (_, *last) = run_layer(cell, rows, len(x), tuple(state[None] for state in states), parameters)
        new = tuple(state[0] for state in last)
    return new
