"""A layer as a dynamical system: Jacobians of its step, and Lyapunov exponents.

References:
    Benettin, Galgani, Giorgilli & Strelcyn 1980, Lyapunov Characteristic Exponents for Smooth Dynamical Systems,
        Meccanica 15: exponents by repeated orthogonalisation.
    Vogt, Puelma Touzel, Shlizerman & Lajoie 2022, On Lyapunov Exponents for RNNs, arXiv 2006.14123.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.explain.probe import captured, probe
from tidegate.explain.step import StepFunction, as_recurrent, pulled_back

DISCARD = 50  # steps at either end, unless the run is short
DOUBTFUL = 1e-8  # of the greatest length: a direction that is so short may be nothing but rounding
ROUNDING = 4
Feed = Callable[[torch.Tensor], torch.Tensor]
Moment = tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]  # a step as a function of the state, and the state


def jacobian(
    layer: torch.nn.Module, x: torch.Tensor, state: Any = None, *, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """The Jacobian of one step of a layer, ``J[i, j] = ds'_i / ds_j``, of all its states side by side.

    One backward run over S copies of the state gives all rows at once. ``StepFunction(layer).slices`` says which rows
    belong to which state; to compute many Jacobians, call its ``jacobians``.

    Args:
        layer: a layer or stack of Tidegate's or torch.nn's, in one direction.
        x: the input of the step, [I], or [B, I] for several.
        state: the state before it: as the layer takes it, each [L, B, width], or side by side, [S] or [B, S]; zeros by
            default.
        dtype: in which it is computed.

    Returns:
        [S, S], or [B, S, S] for several.

    Raises:
        InputError: a layer of two directions, or shapes that do not fit.

    Example:
        >>> import torch, tidegate as tg
        >>> J = tg.explain.jacobian(tg.nn.GRU(3, 8), torch.zeros(3))
        >>> J.shape, torch.linalg.eigvals(J).abs().max() < 1
        (torch.Size([8, 8]), tensor(True))
    """
    step = StepFunction(layer, dtype=dtype)
    rows = _inputs(x, step)
    states = step.join(state, len(rows))
    if len(states) != len(rows):
        raise InputError(
            "EXPLAIN_STATE", f"got {len(states)} states for {len(rows)} inputs", fix="pass one state for each input"
        )
    found = step.jacobians(rows, states)
    return found if x.dim() == 2 else found[0]


def _inputs(x: torch.Tensor, step: StepFunction) -> torch.Tensor:
    """[B, I] from [I] or [B, I]."""
    if not isinstance(x, torch.Tensor) or x.dim() not in {1, 2} or x.shape[-1] != step.features:
        got = list(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise InputError(
            "EXPLAIN_INPUT",
            f"the input of a step is {got}, expected [{step.features}] or [B, {step.features}]",
            fix="pass the input of one step",
        )
    return x.detach().to("cpu", step.dtype).reshape(-1, step.features)


@dataclass(frozen=True)
class Exponents:
    """Lyapunov exponents of a layer: how quickly small differences between states grow, in each direction.

    Attributes:
        each: those of each sequence, [B, k], the largest first, in 1 / step (natural logarithm). -inf for a direction
            that a step forgets at once: so many as the product of the Jacobians lacks of full rank.
        steps: the number of steps that were counted.
        free: whether the layer ran by itself; else its data drove it, and the exponents say whether runs on the same
            data meet.
    """

    each: torch.Tensor
    steps: int
    free: bool

    @property
    def values(self) -> torch.Tensor:
        """The mean over the sequences, [k]."""
        return self.each.mean(0)

    @property
    def top(self) -> float:
        """The largest exponent: above 0 the layer is chaotic, below 0 it forgets where it began."""
        return self.values[0].item()

    @property
    def spread(self) -> torch.Tensor:
        """The standard deviation over the sequences, [k]; 0 for one sequence."""
        return self.each.std(0, unbiased=False).nan_to_num()


def lyapunov(
    layer: torch.nn.Module,
    x: torch.Tensor,
    k: int | None = None,
    *,
    every: int = 1,
    discard: int | None = None,
    free_running: Feed | str | None = None,
    steps: int | None = None,
    hx: Any = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Exponents:
    """Lyapunov exponents along a run: driven by data, or of the layer running by itself after them.

    k orthonormal directions go back through the run, ``Q <- J[t]^T Q`` by a backward run of the engine, and are made
    orthonormal again by ``Q R``; the exponents are the mean logarithms of the diagonal of R. Transposed or not, the
    exponents are the same, and all together they are the mean of log |det J|.

    Args:
        layer: a layer or stack of Tidegate's or torch.nn's, in one direction.
        x: inputs in the layout of the layer, [T, B, I] or [T, I].
        k: how many, the largest ones; all S by default.
        every: steps between two orthogonalisations. Over many, small exponents drown in rounding and read as -inf.
        discard: steps that are not counted at either end of the run: the first ones, until the state has settled, and
            the last ones, until the directions have turned. 50 by default, at most a quarter of the steps.
        free_running: None to be driven by x. Else the layer reads x first, and what follows is counted: ``"zeros"``
            drives it by zeros, a function or module gives the next input [B, I] from the output [B, H].
        steps: of the free run; as many as x has by default.
        hx: the state before x, as the layer takes it.
        seed: of the first directions.
        dtype: in which it is computed.

    Returns:
        The exponents of each sequence.

    Raises:
        InputError: a layer of two directions, numbers that do not fit the layer or the run.

    Example:
        >>> import torch, tidegate as tg
        >>> _ = torch.manual_seed(0)
        >>> found = tg.explain.lyapunov(tg.nn.GRU(3, 16), torch.randn(300, 3), k=4)
        >>> found.values.shape, found.top < 0
        (torch.Size([4]), True)
    """
    layer = as_recurrent(layer)
    step = StepFunction(layer, dtype=dtype)
    probed = probe(layer, dtype=dtype)
    if not isinstance(x, torch.Tensor) or x.dim() not in {2, 3}:
        raise InputError("EXPLAIN_INPUT", "expected inputs [T, B, I] or [T, I]", fix="pass one tensor")
    with torch.no_grad():
        _, (call,) = captured(probed, x, hx)
    run = call.trajectory()
    if free_running is None:
        if steps is not None:
            raise InputError("EXPLAIN_STEPS", "steps= is for a free run", fix="pass free_running=, or cut x")
        moments: list[Moment] = [_driven(step, *pair) for pair in zip(run.x, run.before, strict=True)]
    else:
        feed = _feed(free_running, step)
        moments = [*_free(step, feed, run.after[-1], len(run.x) if steps is None else steps)]
    sizes = _checked(len(moments), step.size, k, every, discard)
    return Exponents(_along(moments, *sizes, seed), len(moments) - 2 * sizes[2], free_running is not None)


def _checked(count: int, size: int, k: int | None, every: int, discard: int | None) -> tuple[int, int, int]:
    """The three numbers, if they fit the run."""
    k = size if k is None else k
    discard = min(DISCARD, count // 4) if discard is None else discard
    rules = {
        f"k must lie between 1 and {size}, the width of the state, got {k!r:.40}": 1 <= k <= size,
        f"every must be at least 1, got {every!r:.40}": every >= 1,
        f"of {count} steps none is left once {discard!r:.40} are discarded at either end": 0 <= 2 * discard < count,
    }
    for text, holds in rules.items():
        if not holds:
            raise InputError("EXPLAIN_EXPONENTS", text, fix="choose another number, or a longer run")
    return k, every, discard


def _driven(step: StepFunction, x: torch.Tensor, state: torch.Tensor) -> Moment:
    return lambda s: step(x.repeat_interleave(len(s) // len(x), 0), s), state


def _feed(free_running: Feed | str, step: StepFunction) -> Feed:
    """From states [N, S] to the next inputs [N, I]."""
    if isinstance(free_running, torch.nn.Module):
        free_running = copy.deepcopy(free_running).to("cpu", step.dtype).eval()
    if free_running == "zeros":
        return lambda state: state.new_zeros(len(state), step.features)
    if not callable(free_running):
        raise InputError(
            "EXPLAIN_FREE",
            f"free_running is {free_running!r:.40}",
            fix="pass 'zeros', or a function from outputs [B, H] to the next inputs [B, I]",
        )
    return lambda state: free_running(state[:, step.output])


def _free(step: StepFunction, feed: Feed, state: torch.Tensor, count: int) -> Iterator[Moment]:
    """The moments of a free run from these states [B, S]."""

    def closed(s: torch.Tensor) -> torch.Tensor:
        x = feed(s)
        if not isinstance(x, torch.Tensor) or x.shape != (len(s), step.features):
            got = list(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise InputError(
                "EXPLAIN_FREE",
                f"free_running gave {got} for {len(s)} outputs, expected [{len(s)}, {step.features}]",
                fix="return the next input of each sequence",
            )
        return step(x.to(step.dtype), s)

    for _ in range(count):
        yield closed, state
        with torch.no_grad():
            state = closed(state)


def _along(moments: list[Moment], k: int, every: int, discard: int, seed: int) -> torch.Tensor:
    """[B, k]: the exponents of each sequence, from the last moment back to the first."""
    batch, size = moments[0][1].shape
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(batch, size, k, generator=generator, dtype=moments[0][1].dtype)
    frame, total = drawn, drawn.new_zeros(batch, k)
    counted = range(discard, len(moments) - discard)
    for t in range(len(moments) - 1, discard - 1, -1):
        if t == counted.stop - 1:  # what was forgotten before does not count
            frame = torch.linalg.qr(torch.where(torch.isinf(total)[:, None], drawn, frame))[0]
            total = torch.zeros_like(total)
        function, state = moments[t]
        rows = frame.transpose(1, 2).reshape(batch * k, size)
        rows = pulled_back(function, state.repeat_interleave(k, 0), rows)
        frame = rows.view(batch, k, size).transpose(1, 2)
        if t in (counted.start, counted.stop) or t % every == 0:
            frame, total = _orthonormal(frame, total)
    return (total / len(counted)).sort(descending=True).values


def _orthonormal(frame: torch.Tensor, total: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The frames [B, S, k] made orthonormal, and the logarithms [B, k] of their lengths added.

    Directions that are lost stand last, as zeros with -inf: the others must not be held apart from them.
    """
    frame, stretch = torch.linalg.qr(given := frame)
    lengths = stretch.diagonal(dim1=-2, dim2=-1).abs()
    doubtful = (lengths <= DOUBTFUL * lengths.amax(-1, keepdim=True)) & (total > -torch.inf)
    if doubtful.any():
        given, total = given.clone(), total.clone()
        for b in doubtful.any(1).nonzero().flatten().tolist():
            _lose(given[b], total[b])
        frame, stretch = torch.linalg.qr(given)
        lengths = stretch.diagonal(dim1=-2, dim2=-1).abs()
    lost = torch.isinf(total)
    return frame.masked_fill(lost[:, None], 0), total + lengths.masked_fill(lost, 0).log()


def _lose(frame: torch.Tensor, total: torch.Tensor) -> None:
    """Move directions of one frame [S, k] that the others span already to its end, in place.

    How many there are the singular values say, which rounding blurs less than the lengths; which, the lengths do.
    """
    count = int((total > -torch.inf).sum())
    sizes = torch.linalg.svdvals(frame[:, :count])
    rank = int((sizes > ROUNDING * len(frame) * torch.finfo(frame.dtype).eps * sizes[0]).sum())
    for last in range(count - 1, rank - 1, -1):
        lengths = torch.linalg.qr(frame[:, : last + 1])[1].diagonal().abs()
        gone = int(lengths.argmin())
        for values in (frame.T, total):
            values[gone:last] = values[gone + 1 : last + 1].clone()
        frame[:, last], total[last] = 0, -torch.inf
