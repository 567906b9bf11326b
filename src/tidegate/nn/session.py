"""``Session``: a trained layer or cell with packed weights, which answers step by step or block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch

from tidegate.errors import InputError
from tidegate.nn.cell import RecurrentCell
from tidegate.nn.given import taken
from tidegate.nn.precision import working_type
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.sparse import with_lists
from tidegate.runtime import KINDS, Delta, Products, Sent, SizedCell, Stream

States = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Snapshot:
    """The states of a session at one moment, by name, each [L, B, width]."""

    states: Mapping[str, torch.Tensor]


class Session:
    """A layer or a cell for inference, with its weights packed once, that remembers its state from call to call.

    It holds a copy of the weights, so later changes of the layer have no effect on it. Blocks of zeros are not
    multiplied; ``sparsify`` makes such. It computes what the layer computes in evaluation, without gradients, and
    starts from zeros or from the learned initial states of the layer. A copy, also one loaded from a pickle, goes on
    alone from the same state.

    ``step`` takes one row a sequence and costs a few microseconds besides the products. ``run`` takes a block of steps
    and costs no more than one ``step`` besides the products of all: pass audio in the blocks in which it comes.

    A stack in two directions reads a sequence from both ends, so there is no single step and nothing to remember: with
    ``bidirectional=True``, each ``run`` is a whole sequence. This is the quick way to many short ones, since a call of
    the layer itself packs its weights each time.

    Args:
        layer: any recurrent layer or cell of tidegate.nn, on the CPU. One of bfloat16 or float16 takes input and gives
            output of that type; its states are float32.
        batch_size: how many sequences it follows at once (B).
        weights: the type of the products, by default that of the layer: ``"float32"``, ``"bfloat16"`` and ``"float16"``
            (factors rounded, all else float32, as in ``Recurrent`` under Half precision; matrices in half the memory),
            ``"int8"`` (in a quarter; see below). A layer of float64 has ``"float64"`` alone.
        bidirectional: whether the layer has two directions, so that each ``run`` is a whole sequence.
        delta: a threshold, or a pair of them for inputs and for states, to multiply only what changed; see below.

    **Weights of int8.** Each product M v is one of whole numbers, with a scale s_j for each row of M and a unit u for
    each row of an operand at each step, so no data are needed to calibrate it:

        s_j = max_k |M_jk| / 127;  w_jk = round(M_jk / s_j);  q_k = round(v_k / u);  (M v)_j := s_j u sum_k w_jk q_k
        what states are made of, the input of deeper layers too: 8 bits, u = max_k |v_k| / 127
        the input of a stack or cell and what is given, of any range: 16 bits, u = 2^e, 2^14 <= max_k |v_k| / u < 2^15

    w has 8 bits, ties are rounded to even, and sums are exact, so that all machines have the same whole numbers.
    Gates, states, biases and vectors are float32. A row of an operand with a number that is infinite or none gives NaN.
    Features whose columns of weights are 8 times smaller than the largest, or more, are divided by a power of two,
    and their columns multiplied by it: scales of the input that a model has inside its weights cost no accuracy.
    Blocks of zeros and what lies between heads are multiplied.

    **Delta networks** (Neil et al., ICML 2017). With ``delta=d``, each product M v is a sum that is kept from step to
    step. An element v_k whose value differs from the one that was last sent by more than d is sent again:

        change_k = v_k - sent_k if |v_k - sent_k| > d else 0;  sum += M change;  sent += change

    so columns of M whose v_k hardly moved are neither read nor multiplied. This holds for every product: with the
    input, with states, and with what a step makes of states, of any cell. What a deeper layer of a stack reads counts
    as a state. ``sent`` says which share was multiplied. With a threshold of 0 everything is, and with ``delta=0`` a
    session is the plain one to the last bit. Every 1,000 steps, and after ``restore``, sums are made afresh of whole
    operands, since their roundings add up; ``reset`` forgets what was sent. With weights of half precision, matrices
    are rounded and changes are not. Each sequence has changes of its own and is multiplied by itself, so that a batch
    gains less than one sequence does. Matrices called sparse are read in whole columns.

    Shapes:
        - step: x [B, I] to y [B, H], or [I] to [H] where B is 1. For a cell, y is its first state.
        - run: x [T, B, I] to y [T, B, D*H].
        - given: for a cell that reads more than its input, what it declares by name, [B] or [B, width] for a step and
          [T, B] or [T, B, width] for a run, as for the layer.
        - state: each [L*D, B, width]; L is 1 for a cell.

    Raises:
        InputError: another number of directions than ``bidirectional`` says, a layer not on the CPU, or of another
            dtype; weights of a type that there is not for the layer, int8 weights with ``delta`` or of more than
            66,000 columns; a threshold below 0; an input of another shape; a step of a stack in two directions.
        BackendError: the engine is not available here.

    Example:
        >>> import torch, tidegate as tg
        >>> session = tg.Session(tg.nn.GRU(8, 16))
        >>> y = session.step(torch.zeros(8))
        >>> before = session.snapshot()
        >>> y = session.run(torch.zeros(100, 1, 8))
        >>> session.restore(before)
        >>> y.shape, session.state["h"].shape
        (torch.Size([100, 1, 16]), torch.Size([1, 1, 16]))
        >>> amplifier = tg.Session(tg.nn.LSTMCell(1, 16))
        >>> for block in torch.zeros(480).split(64):  # samples of audio
        ...     y = amplifier.run(block.reshape(-1, 1, 1))
        >>> words = tg.Session(tg.nn.LSTM(8, 16, num_layers=3, bidirectional=True), bidirectional=True)
        >>> words.run(torch.zeros(13, 1, 8)).shape
        torch.Size([13, 1, 32])
        >>> lazy = tg.Session(tg.nn.GRU(8, 16), delta=(0.01, 0.05))
        >>> y = lazy.run(torch.ones(100, 1, 8))  # an input that never changes
        >>> lazy.sent.inputs
        0.01
    """

    def __init__(
        self,
        layer: Recurrent | RecurrentCell,
        batch_size: int = 1,
        *,
        weights: str | None = None,
        bidirectional: bool = False,
        delta: float | tuple[float, float] = 0.0,
    ) -> None:
        if not isinstance(layer, (Recurrent, RecurrentCell)):
            raise InputError(
                "SESSION_LAYER",
                f"{type(layer).__name__} is not a layer or a cell of tidegate.nn",
                fix="pass one of those; tidegate.accelerate makes one of a layer of torch.nn",
            )
        self.bidirectional = isinstance(layer, Recurrent) and layer.bidirectional
        if self.bidirectional is not bidirectional:
            raise InputError(
                "SESSION_DIRECTIONS",
                f"bidirectional is {bidirectional}, but the layer has {1 + self.bidirectional} direction(s)",
                fix="pass bidirectional=True, and whole sequences to run()"
                if self.bidirectional
                else "drop bidirectional=",
            )
        if batch_size < 1:
            raise InputError("SESSION_BATCH", f"batch_size is {batch_size}, expected 1 or more", fix="pass 1 or more")
        self.graph, self.batch_size, self.input_size = layer.graph, batch_size, layer.input_size
        self._row = torch.Size([batch_size, layer.input_size])
        with torch.inference_mode(mode=False), torch.no_grad():  # states are written at any time
            cells, parameters = _parts(layer, weights)
            self._cell, self._dtype = cells[0], next(layer.parameters()).dtype
            self._stream = Stream(cells, parameters, batch_size, _thresholds(delta, weights))
            self._casts = self._dtype is not self._stream.dtype
            learned = layer.learned_states(batch_size) if isinstance(layer, Recurrent) else None
            self._first = learned or tuple(torch.zeros_like(state) for state in self._stream.states)
            self.reset()

    def __copy__(self) -> Session:
        return deepcopy(self)  # a shallow copy would share its state

    @property
    def state(self) -> States:
        """The present states by name, each [L, B, width]; copies, so that later steps do not change them."""
        return {s.name: value.clone() for s, value in zip(self.graph.states, self._stream.states, strict=True)}

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed matrices and biases, all of which each step reads.

        A session keeps its copy of the parameters beside them, from which copies and pickles are packed anew.
        """
        return self._stream.packed_bytes

    @property
    def sent(self) -> Sent:
        """Which share of the multiplications by matrices was made in all steps so far: of inputs, of states, of all."""
        return self._stream.sent

    def step(self, x: torch.Tensor, given: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """Advance all sequences by one step.

        Args:
            x: input [B, I], or [I] where B is 1; of the dtype of the layer, on the CPU.
            given: what the cell reads beside it, such as ``{"dt": dt}``.

        Returns:
            The output [B, H], or [H].

        Raises:
            InputError: another shape, dtype or device, or given values that do not fit; a stack in two directions.
        """
        self._check_one_direction()
        own = self._entered(x) if self._casts else x
        if x.shape == self._row:
            y = self._stream.step(own, self._beside(given, x))
        elif self.batch_size == 1 and x.shape == (self.input_size,):
            y = self._stream.step(own, [value[None] for value in self._beside(given, x)])[0]
        else:
            raise self._wrong(x, f"[{self.batch_size}, {self.input_size}]")
        return y.to(self._dtype) if self._casts else y

    def run(self, x: torch.Tensor, given: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """Advance all sequences by several steps: the same as calling ``step`` for each, and quicker.

        In two directions: run whole sequences, each from the initial states.

        Args:
            x: input [T, B, I]; of the dtype of the layer, on the CPU.
            given: what the cell reads beside it, such as ``{"dt": dt}``.

        Returns:
            The output [T, B, D*H].

        Raises:
            InputError: another shape, dtype or device, or given values that do not fit.
        """
        if x.dim() != 3 or x.shape[1:] != (self.batch_size, self.input_size):
            raise self._wrong(x, f"[T, {self.batch_size}, {self.input_size}]")
        if self.bidirectional:
            self.reset()
        y = self._stream.run(self._entered(x) if self._casts else x, self._beside(given, x))
        return y.to(self._dtype) if self._casts else y

    def _entered(self, x: torch.Tensor) -> torch.Tensor:
        """The input of a layer in half precision, in the type in which the session computes."""
        if x.dtype is not self._dtype or not x.is_cpu:
            raise InputError(
                "SESSION_DTYPE",
                f"the input is {x.dtype} on {x.device}, the session {self._dtype} on cpu",
                fix=f"pass x.to('cpu', {self._dtype})",
            )
        return x.to(self._stream.dtype)

    def _beside(self, given: Mapping[str, torch.Tensor] | None, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """What is given, each shaped as the input but for its width."""
        if given is None and not self.graph.given:
            return ()
        return [value.to(self._stream.dtype) for value in taken(self._cell, given, x.shape[:-1], self._dtype)]

    def reset(self, rows: torch.Tensor | None = None) -> None:
        """Return to the initial states: zeros, or those that the layer has learned.

        Args:
            rows: a boolean tensor [B]; only the sequences marked True return. All of them by default.

        Raises:
            InputError: ``rows`` is not a boolean tensor with one element for each sequence.
        """
        if rows is not None and (rows.dtype != torch.bool or rows.shape != (self.batch_size,)):
            raise InputError(
                "SESSION_ROWS",
                f"rows is {list(rows.shape)} {rows.dtype}, expected {self.batch_size} booleans",
                fix="pass a boolean tensor with one element for each sequence",
            )
        for state, first in zip(self._stream.states, self._first, strict=True):
            if rows is None:
                state.copy_(first)
            else:
                state[:, rows] = first[:, rows]
        self._stream.forget(rows)

    def snapshot(self) -> Snapshot:
        """Copy the present states.

        Returns:
            The copy, for ``restore``; later steps do not change it.

        Raises:
            InputError: a stack in two directions.
        """
        self._check_one_direction()
        return Snapshot(self.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to the states of a snapshot.

        Args:
            snapshot: from this session, or from another one of the same cell and sizes.

        Raises:
            InputError: the snapshot lacks a state of this session, or has one of another shape; a stack in two
                directions.
        """
        self._check_one_direction()
        for declared, state in zip(self.graph.states, self._stream.states, strict=True):
            value = snapshot.states.get(declared.name)
            if value is None or value.shape != state.shape:
                got = "nothing" if value is None else list(value.shape)
                raise InputError(
                    "SESSION_SNAPSHOT",
                    f"the snapshot has {got} for {declared.name}, expected {list(state.shape)}",
                    fix="restore snapshots of a session of the same cell and sizes",
                )
            state.copy_(value)
        self._stream.start_afresh()

    def _check_one_direction(self) -> None:
        if self.bidirectional:
            raise InputError(
                "SESSION_DIRECTIONS",
                "a stack in two directions reads its input from the end: it has no single steps and remembers nothing",
                fix="pass whole sequences to run()",
            )

    def _wrong(self, x: torch.Tensor, expected: str) -> InputError:
        return InputError(
            "SESSION_INPUT", f"the input has shape {list(x.shape)}, expected {expected}", fix="pass that shape"
        )


def _thresholds(delta: float | tuple[float, float], weights: str | None) -> Delta:
    pair = delta if isinstance(delta, tuple) else (delta, delta)
    if len(pair) != 2 or not all(isinstance(value, int | float) and 0 <= value < math.inf for value in pair):
        raise InputError(
            "SESSION_DELTA",
            f"delta is {delta!r:.60}, expected a number from 0 on, or a pair of them",
            fix="pass 0.1, or (0.05, 0.1) for inputs and states",
        )
    if weights == "int8" and any(pair):
        raise InputError(
            "SESSION_DELTA",
            "what changed is multiplied column by column, and int8 weights lie four columns to a word",
            fix="drop delta=, or pass weights='bfloat16'",
        )
    return Delta(*map(float, pair))


def _products(dtype: torch.dtype, weights: str | None) -> Products | None:
    """The type of the products of a layer of this dtype."""
    work = working_type(dtype)
    own, given = _name(dtype), _name(work)
    products = {kind or given: kind for of, kind in KINDS if of == work}
    name = own if weights is None else weights
    if name not in products:
        allowed = " or ".join(map(repr, products)) or "nothing"
        raise InputError("SESSION_WEIGHTS", f"weights={weights!r} for a layer of {own}", fix=f"pass {allowed}")
    return products[name]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _parts(
    layer: Recurrent | RecurrentCell, weights: str | None
) -> tuple[Sequence[SizedCell], list[list[torch.Tensor]]]:
    """For each layer its cell, with lists where the weights have blocks of zeros, and its parameters."""
    if isinstance(layer, RecurrentCell):
        cells: Sequence[SizedCell] = [layer.definition()]
        tensors = [layer.step_parameters()]
    else:
        cells, tensors = layer.cells, [layer.layer_parameters(k) for k in range(layer.num_layers)]
    dtype = tensors[0][0].dtype
    products, work = _products(dtype, weights), working_type(dtype)
    tensors = [[tensor.to(work) for tensor in own] for own in tensors]
    return [with_lists(cell.with_products(products), own) for cell, own in zip(cells, tensors, strict=True)], tensors
