"""A layer as a dynamical system: Jacobians of its step, and Lyapunov exponents.

References:
    Benettin, Galgani, Giorgilli & Strelcyn 1980, Lyapunov Characteristic Exponents for Smooth Dynamical Systems,
        Meccanica 15: exponents by repeated orthogonalisation.
    Vogt, Puelma Touzel, Shlizerman & Lajoie 2022, On Lyapunov Exponents for RNNs, arXiv 2006.14123.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from tidegate.errors import InputError
from tidegate.explain.probe import captured, probe
from tidegate.explain.step import MOST_NUMBERS, StepFunction, as_recurrent

DISCARD = 50  # steps, unless the run is short
DOUBTFUL = 1e-4  # of the greatest length: if one is so short, a direction may have been lost
ROUNDING = 4  # so many roundings a state are left of zero
Feed = Callable[[torch.Tensor], torch.Tensor]


class Run(NamedTuple):
    """What each step of a run read.

    Attributes:
        x: inputs [T, B, I].
        before: states before each step, [T, B, S].
        feed: makes the inputs of the outputs before; None where they come from outside.
    """

    x: torch.Tensor
    before: torch.Tensor
    feed: Feed | None = None


def jacobian(
    layer: torch.nn.Module, x: torch.Tensor, state: Any = None, *, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """The Jacobian of one step of a layer, ``J[i, j] = ds'_i / ds_j``, of all its states side by side.

    ``StepFunction(layer).slices`` says which rows belong to which state; to compute many Jacobians, call its
    ``jacobians``.

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
    given: Mapping[str, torch.Tensor] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Exponents:
    """Lyapunov exponents along a run: driven by data, or of the layer running by itself after them.

    k orthonormal directions go along with the run, ``Q <- J[t] Q``, and are made orthonormal again, ``J[t] Q = Q' R``;
    the exponents are the mean logarithms of the diagonal of R. All together they are the mean of log |det J|.

    Args:
        layer: a layer or stack of Tidegate's or torch.nn's, in one direction.
        x: inputs in the layout of the layer, [T, B, I] or [T, I].
        k: how many, the largest ones; all S by default.
        every: steps between two orthogonalisations. Over many, small exponents drown in rounding and read as -inf.
        discard: steps that are not counted, at the beginning, until the state has settled and the directions have
            turned; 50 by default, or a quarter of the steps if those are fewer.
        free_running: None to be driven by x. Else the layer reads x first, and what follows is counted: ``"zeros"``
            drives it by zeros, a function or module gives the next input [B, I] from the output [B, H], row by row.
        steps: of the free run; as many as x has by default.
        hx: the state before x, as the layer takes it.
        given: what the cell reads beside x, as the layer takes it. Such a layer does not run by itself.
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
    if not isinstance(x, torch.Tensor) or x.dim() not in {2, 3} or not x.numel():
        raise InputError("EXPLAIN_INPUT", "expected inputs [T, B, I] or [T, I]", fix="pass one tensor with steps")
    with torch.no_grad():
        beside: dict[str, Any] = {} if given is None else {"given": given}
        _, (call,) = captured(probed, x, hx, **beside)
    driven = call.trajectory()
    if free_running is not None and step.graph.given:
        names = " and ".join(value.name for value in step.graph.given)
        raise InputError(
            "EXPLAIN_FREE", f"{step.graph.name} reads {names} at every step, so it does not run by itself",
            fix="leave free_running out",
        )  # fmt: skip
    if free_running is None:
        if steps is not None:
            raise InputError("EXPLAIN_STEPS", "steps= is for a free run", fix="pass free_running=, or cut x")
        run = Run(driven.x, driven.before)
    else:
        count = len(x) if steps is None else steps
        run = _free(step, _feed(free_running, step), driven.after[-1], count)
    sizes = _checked(len(run.x), step.size, k, every, discard)
    return Exponents(_along(step, run, *sizes, seed), len(run.x) - sizes[2], free_running is not None)


def _checked(count: int, size: int, k: int | None, every: int, discard: int | None) -> tuple[int, int, int]:
    """The three numbers, if they fit the run."""
    k = size if k is None else k
    discard = min(DISCARD, count // 4) if discard is None else discard
    rules = {
        f"k must lie between 1 and {size}, the width of the state, got {k!r:.40}": 1 <= k <= size,
        f"every must be at least 1, got {every!r:.40}": every >= 1,
        f"of {count} steps none is left once {discard!r:.40} are discarded": 0 <= discard < count,
    }
    for text, holds in rules.items():
        if not holds:
            raise InputError("EXPLAIN_EXPONENTS", text, fix="choose another number, or a longer run")
    return k, every, discard


def _feed(free_running: Feed | str, step: StepFunction) -> Feed | None:
    """From outputs [N, H] to the next inputs [N, I]; None for zeros."""
    if isinstance(free_running, torch.nn.Module):
        free_running = copy.deepcopy(free_running).to("cpu", step.dtype).eval()
    if isinstance(free_running, str) and free_running == "zeros":
        return None
    if not callable(free_running):
        raise InputError(
            "EXPLAIN_FREE",
            f"free_running is {free_running!r:.40}",
            fix="pass 'zeros', or a function from outputs [B, H] to the next inputs [B, I]",
        )
    return free_running


def _free(step: StepFunction, feed: Feed | None, state: torch.Tensor, count: int) -> Run:
    """A free run from these states [B, S]."""
    inputs, states, nothing = [], [], state.new_zeros(len(state), step.features)
    with torch.no_grad():
        for _ in range(count):
            inputs.append(nothing if feed is None else _fed(feed, state[:, step.output], step))
            states.append(state)
            state = step(inputs[-1], state)
    if not states:
        return Run(nothing[None][:0], state[None][:0], feed)
    return Run(torch.stack(inputs), torch.stack(states), feed)


def _fed(feed: Feed, output: torch.Tensor, step: StepFunction) -> torch.Tensor:
    """The next inputs, if they are some."""
    x = feed(output)
    if not isinstance(x, torch.Tensor) or x.shape != (len(output), step.features):
        got = list(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise InputError(
            "EXPLAIN_FREE",
            f"free_running gave {got} for {len(output)} outputs, expected [{len(output)}, {step.features}]",
            fix="return the next input of each sequence",
        )
    return x.to(step.dtype)


def _jacobians(step: StepFunction, run: Run, at: slice) -> torch.Tensor:
    """Of some steps, [steps, B, S, S]; of a run that feeds itself, by way of the input too."""
    x, state = run.x[at].flatten(0, 1), run.before[at].flatten(0, 1)
    found, of_input = step.derivatives(x, state, of_input=run.feed is not None)
    if run.feed is not None and of_input is not None:
        with torch.enable_grad():
            output = state[:, step.output].detach().requires_grad_()
            fed = _fed(run.feed, output, step)
            rows = [_row(fed[:, i], output) for i in range(step.features)]
        found[..., step.output] += of_input @ torch.stack(rows, 1)
    return found.reshape(-1, run.x.shape[1], *found.shape[1:])


def _row(fed: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The derivative of one feature of the next input by each output, [N, H]."""
    if not fed.requires_grad:
        return torch.zeros_like(output)
    row: torch.Tensor
    (row,) = torch.autograd.grad(fed.sum(), output, retain_graph=True, materialize_grads=True)
    return row


def _along(step: StepFunction, run: Run, k: int, every: int, discard: int, seed: int) -> torch.Tensor:
    """[B, k]: the exponents of each sequence."""
    count, batch, size = run.before.shape
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(batch, size, k, generator=generator, dtype=step.dtype)
    frame, total, found = drawn, drawn.new_zeros(batch, k), drawn
    at_once = max(1, MOST_NUMBERS // (batch * size**2))
    for t in range(count):
        if t % at_once == 0:
            found = _jacobians(step, run, slice(t, t + at_once))
        if t == discard:  # what was forgotten before does not count
            frame = torch.linalg.qr(torch.where(torch.isinf(total)[:, None], drawn, frame))[0]
            total = torch.zeros_like(total)
        frame = found[t % at_once] @ frame
        if (t + 1 - discard) % every == 0 or t + 1 == count:
            frame, total = _orthonormal(frame, total)
    return (total / (count - discard)).sort(descending=True).values


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

    Singular values tell that there is one, and the vector of the least of them which one adds the least.
    """
    nothing = ROUNDING * len(frame) * torch.finfo(frame.dtype).eps
    for last in range(int((total > -torch.inf).sum()) - 1, -1, -1):
        _, sizes, right = torch.linalg.svd(frame[:, : last + 1], full_matrices=False)
        if sizes[-1] > nothing * sizes[0]:
            break
        gone = int(right[-1].abs().argmax())
        for values in (frame.T, total):
            values[gone:last] = values[gone + 1 : last + 1].clone()
        frame[:, last], total[last] = 0, -torch.inf
