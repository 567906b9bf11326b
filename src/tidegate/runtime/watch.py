"""What a backward run knows of every step: adjoints of states and of products, and what matrices were applied to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from tidegate.cell import Graph
from tidegate.emit.layout import Operand, beside
from tidegate.emit.plan import Kind, Place
from tidegate.errors import InputError
from tidegate.runtime.call import Forward, Series
from tidegate.runtime.job import Job, Tensors
from tidegate.runtime.path import Obstacle, strict

Key = TypeVar("Key")


@dataclass(frozen=True)
class Product:
    """A matrix M that a step applies to one operand: ``p[t] = M o[t] + b``.

    Of this use of M the gradients are sums over steps and sequences, ``dL/dM = sum dL/dp[t] o[t]^T`` and
    ``dL/db = sum dL/dp[t]``. Kept apart by sequences they are the gradients of each sample, and their norms need no
    gradient at all: of one sequence ``|dL/dM|^2 = sum over t and u of (dL/dp[t] . dL/dp[u]) (o[t] . o[u])``.

    Attributes:
        matrix: the name of M in the equations: ``"W"``, applied to the input, ``"U"``, or another.
        adjoints: for each block of rows of M, by its name (a gate), dL/dp[t], [T, B, rows of the block].
        heads: of M. Where there are several, all of this is true of each: the k-th part of a block's adjoints meets the
            k-th part of the operand, and no other.
    """

    matrix: str
    adjoints: Mapping[str, Any]
    heads: int
    _operand: Callable[[], Any] = field(repr=False)

    @cached_property
    def operand(self) -> Any:
        """o[t], [T, B, columns of M]: the input, the output of the step before, or a value such as r * h."""
        return self._operand()


@dataclass(frozen=True)
class Adjoints:
    """Adjoints of every step of one direction of a layer.

    All are laid out as the layer's output before ``batch_first`` is applied: [T, B, width], zeros after the end of a
    sequence; [B, width] of a single step by ``LSTMCell`` and the like; or a PackedSequence if the input was one. A
    value of the reverse direction has the index of the step whose input it read.

    Attributes:
        states: for each state s, by its name, dL/ds[t], [T, B, width of s], where s[t] is what step t hands to the next
            one (and, of the output state, to the loss). What one new state adds to another within a step is part of the
            other's. So of all states together ``dL/ds[t-1] = J[t]^T dL/ds[t] + dL/dy[t-1]``, with the Jacobian J of a
            step; the norms of these show how far back a loss reaches.
        products: of each matrix with each of its operands.
        vectors: for each block of each vector parameter, by the names of both, the summands of its gradient,
            [T, B, width]: ``dL/dv`` is the sum over steps and sequences.
    """

    states: Mapping[str, Any]
    products: tuple[Product, ...]
    vectors: Mapping[tuple[str, str], Any]


class WatchedRun(NamedTuple):
    """A watched backward run, and what it read."""

    job: Job
    x: torch.Tensor
    first: Tensors | None
    output: torch.Tensor
    saved: torch.Tensor
    series: Sequence[Series]
    given: Sequence[torch.Tensor] = ()


class WatchedCall:
    """One call of one layer inside ``watch_adjoints``.

    Attributes:
        graph: the equations of its cell.
        parameters: the tensors that it read, direction after direction, each in the order of the cell.
    """

    def __init__(self, graph: Graph, parameters: Tensors) -> None:
        self.graph, self.parameters = graph, parameters
        self._run: WatchedRun | None = None

    @cached_property
    def directions(self) -> tuple[Adjoints, ...]:
        """For each direction the adjoints that the last backward run left.

        Raises:
            InputError: there was none.
        """
        if self._run is None:
            raise InputError(
                "WATCH", "no backward run of the engine came to this call", fix="call loss.backward() first"
            )
        return tuple(_direction(self._run, d) for d in range(self._run.job.directions))

    def keep(
        self, job: Job, x: torch.Tensor, first: Tensors | None, forward_run: Forward, series: Sequence[Series]
    ) -> None:
        """Take what a backward run read and wrote; it is brought into the caller's layout when somebody reads it."""
        assert forward_run.saved is not None
        first = None if first is None else tuple([state.detach() for state in first])
        job = job._replace(watch=None)  # which would refer to this call: memory would be freed late
        own = len(job.cell.parameters)
        given = [rows.detach() for rows in self.parameters[own : own + len(self.graph.given)]]
        self._run = WatchedRun(job, x.detach(), first, forward_run.output.detach(), forward_run.saved, series, given)
        self.__dict__.pop("directions", None)


class Block(NamedTuple):
    """What a block of code keeps of the backward runs of its calls.

    Attributes:
        apart: what gradients of parameters are made of, instead of these; see ``apart.py``.
        calls: where not, those that are watched.
    """

    calls: list[WatchedCall]
    apart: bool = False


_block: ContextVar[Block | None] = ContextVar("watched", default=None)


@contextmanager
def block(kept: Block) -> Iterator[None]:
    """Inside this block of code, only calls that the engine runs are allowed, and this is kept of them."""
    token = _block.set(kept)
    try:
        with strict():
            yield
    finally:
        _block.reset(token)


@contextmanager
def watch_adjoints() -> Iterator[list[WatchedCall]]:
    """Keep what backward runs of the layers that are called inside this block find at every step.

    The engine computes these series anyway; here it writes them into tensors instead of scratch memory. Nothing is
    computed twice, results are the same, gradients too but for roundings, and outside of the block nothing is kept.

    Yields:
        A list that gets one ``WatchedCall`` for each layer of each call that is recorded for autograd, in the order of
        the calls. The backward run may be inside the block or behind it.

    Raises:
        InputError, BackendError: inside the block, for a call that the engine cannot run, or that torch compiles or
            transforms; see ``strict``.

    Example:
        >>> import torch, tidegate as tg
        >>> layer, x = tg.nn.LSTM(4, 8, dtype=torch.float64), torch.randn(5, 3, 4, dtype=torch.float64)
        >>> with tg.runtime.watch_adjoints() as calls:
        ...     layer(x)[0][-1].sum().backward()
        >>> adjoints = calls[0].directions[0]
        >>> adjoints.states["c"].shape
        torch.Size([5, 3, 8])
        >>> U = next(product for product in adjoints.products if product.matrix == "U")
        >>> gradient = torch.einsum("tbi,tbj->ij", U.adjoints["f"], U.operand)
        >>> torch.allclose(gradient, layer.weight_hh_l0.grad[8:16])
        True
    """
    calls: list[WatchedCall] = []
    with block(Block(calls)):
        yield calls


def watching() -> bool:
    """Whether ``watch_adjoints`` or ``withhold`` is on."""
    return _block.get() is not None


def watched_call(graph: Graph, parameters: Sequence[torch.Tensor]) -> WatchedCall | None:
    """A new entry for a call that is recorded for autograd; None where nobody watches adjoints."""
    kept = _block.get()
    if kept is None or kept.apart:
        return None
    kept.calls.append(WatchedCall(graph, tuple(parameters)))
    return kept.calls[-1]


def refuse_watched(obstacle: Obstacle) -> None:
    """Refuse a call that leaves no adjoints, where ``watch_adjoints`` or ``withhold`` is on.

    Raises:
        InputError: it is on.
    """
    if watching():
        raise InputError(
            "WATCH",
            f"adjoints come from the engine's own backward run, got {obstacle.path}",
            fix=obstacle.fix or "leave eager_only, or the block",
        )


def _direction(run: WatchedRun, d: int) -> Adjoints:
    job, shape, known = run.job, run.x.shape[:-1], dict[tuple[int, int], Any]()

    def laid(rows: torch.Tensor) -> Any:
        values = rows.view(*shape, rows.shape[-1])
        return values if job.restore is None else job.restore(values)

    def taken(columns: Mapping[Key, slice]) -> dict[Key, Any]:
        """W and U often have the same adjoints: they are brought into order once."""
        for at in columns.values():
            if (at.start, at.stop) not in known:
                known[at.start, at.stop] = laid(run.series[d].chunk[:, at])
        return {name: known[at.start, at.stop] for name, at in columns.items()}

    def operand(where: slice | Operand | int) -> Any:
        return laid(_operand(run, where, d))

    of, states = job.cell.watched, zip(job.cell.graph.states, run.series[d].states, strict=True)
    heads = {matrix.name: matrix.heads for matrix in job.cell.graph.matrices}
    products = [Product(p.matrix, taken(p.adjoints), heads[p.matrix], partial(operand, p.operand)) for p in of.products]
    return Adjoints({state.name: laid(rows) for state, rows in states}, tuple(products), taken(of.vectors))


def _operand(run: WatchedRun, where: slice | Operand | int, d: int) -> torch.Tensor:
    """What a matrix was applied to, in rows."""
    if isinstance(where, slice):
        return run.saved[d, : run.job.steps.rows, where].to(run.output.dtype)  # bfloat16, if the cell saves so
    if isinstance(where, int):
        return run.given[where]
    if where is Operand.INPUT:
        return run.x.flatten(0, -2)
    if where is Operand.OUTPUT:
        return _output(run, d)
    return _step_before(run.job, _output(run, d), None if run.first is None else run.first[0][d], reverse=bool(d))


def _output(run: WatchedRun, d: int) -> torch.Tensor:
    width = run.job.cell.output_width
    return run.output.flatten(0, -2)[:, d * width : (d + 1) * width]


def operand_at(run: WatchedRun, at: Place, columns: int, d: int) -> torch.Tensor:
    """So many columns of what a matrix was applied to in direction d, in rows, as a plan says where it lies."""
    names = beside(run.job.cell.graph)
    where: slice | Operand | int = slice(None)
    if at.kind is Kind.PREVIOUS:
        where = Operand.PREVIOUS
    elif at.tensor in names:
        where = names.index(at.tensor)
    elif at.tensor in {Operand.INPUT.value, Operand.OUTPUT.value}:
        where = Operand(at.tensor)
    return _operand(run, where, d)[:, at.offset : at.offset + columns]


def _step_before(job: Job, output: torch.Tensor, first: torch.Tensor | None, *, reverse: bool) -> torch.Tensor:
    """For each row the output of the step before, in the direction of the run; zeros where the states are reset."""
    steps = job.steps
    of_row = np.repeat(np.arange(steps.count), steps.sizes)
    sequence = np.arange(steps.rows) - steps.offsets[of_row]
    before = of_row + (1 if reverse else -1)
    sizes = np.concatenate([steps.sizes, [0]])  # behind the last step, and before the first one, nobody runs
    there = sequence < sizes[before]
    index = np.where(there, steps.offsets[before] + sequence, steps.rows + sequence)
    initial = output.new_zeros(job.sequences, output.shape[-1]) if first is None else first
    rows = torch.cat([output, initial]).index_select(0, torch.from_numpy(index))
    return rows if job.resets is None else rows.masked_fill_(job.resets.bool()[:, None], 0)
