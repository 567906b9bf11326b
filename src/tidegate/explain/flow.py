"""Gradient by lag: how strongly a loss depends on the states of earlier steps, beside what bounds it.

One backward run of the engine leaves dL/ds[t] of every state at every step; nothing is computed twice.

References:
    Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen, TU München.
    Bengio, Simard & Frasconi 1994, Learning Long-Term Dependencies with Gradient Descent is Difficult, IEEE Trans.
        Neural Networks 5.
    Pascanu, Mikolov & Bengio 2013, On the Difficulty of Training Recurrent Neural Networks, arXiv 1211.5063: the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.explain.bound import Bound, bounds
from tidegate.explain.curve import GradientByLag, LagCurve
from tidegate.explain.loss import Loss, one_number
from tidegate.explain.probe import LayerCall, Probe, captured, probe
from tidegate.explain.step import StepFunction
from tidegate.language import say
from tidegate.runtime import watch_adjoints

LAYER_ABOVE = say("the layer above reads its output at every step; the stack as a whole has a bound")
EVERY_STEP = say("the loss, or what stands behind the layer, reads its output at more steps than one")


def gradient_by_lag(
    model: torch.nn.Module | Probe,
    loss: Loss,
    x: Any,
    *,
    bounded: int = 0,
    bounded_lags: int | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    **named: Any,
) -> GradientByLag:
    """Measure how strongly a loss depends on the states of earlier steps: |dL/ds[t]| of every layer, by lag.

    It takes one forward and one backward run of a copy of the model in evaluation mode. ``s[t]`` is what step t hands
    to the next one. Of one step and the next ``dL/ds[t-1] = J[t]^T dL/ds[t]``, with the Jacobian J of a step, so that

        |dL/ds[t-k]| <= |dL/ds[t]| prod_j |J[j]| <= |dL/ds[t]| sup_j |J[j]|^k,

    if the loss reads the output of the last step alone. For cells of the form h' = f(W x + U h) the supremum of the
    textbooks is stated instead, beta_f beta_W, the largest |f'| along the run times the spectral norm of U.

    Args:
        model: any torch model that holds our layers or torch.nn's, or a ``Probe``.
        loss: a function from what the model answers to one number; or to the losses of all steps, of which each
            sequence of the batch then gets one, so that its curve has one end: [T, B], or [B, T] where the layer is
            ``batch_first``. Or a target: ``"last"``, a step (negative ones from the end), or ``"all"``, which gives
            each sequence one step, spread over its length: then the loss is the answer there in a random direction.
        x: the argument of the model, or a tuple of several.
        bounded: of how many sequences the bounds are computed, from the first one on; each costs the Jacobians of all
            its steps.
        bounded_lags: up to which lag; None for all.
        dtype: in which the copy computes; float32 gradients underflow below 1e-38.
        seed: of the directions.
        **named: further arguments of the model, such as ``lengths=`` or ``reset=``.

    Returns:
        A curve for each layer and direction.

    Raises:
        InputError: the model has no such layer, the loss is no number or depends on no layer, a target is no step, or
            the engine cannot run the layers here.

    Example:
        >>> import torch, tidegate as tg
        >>> _ = torch.manual_seed(0)
        >>> flow = tg.explain.gradient_by_lag(tg.nn.LSTM(3, 16), "last", torch.randn(40, 8, 3))
        >>> curve = flow.curves[0]
        >>> curve.lags, curve.at(1)
        (40, 0.0)
        >>> curve.slope < -0.2, curve.at(30) < -4  # an LSTM as torch initialises it forgets thirty steps
        (True, True)
    """
    _check_bounded(bounded, bounded_lags)
    probed = probe(model, dtype=dtype)
    arguments = x if type(x) is tuple else (x,)
    with torch.enable_grad(), watch_adjoints() as watched:
        answer, calls = captured(probed, *arguments, watched=watched, **named)
        goal = one_number(loss, answer, calls, seed)
        if not goal.requires_grad:
            raise InputError("EXPLAIN_LOSS", "the loss depends on no layer", fix="compute it from the model's answer")
        outputs = [call.output.data if isinstance(call.output, PackedSequence) else call.output for call in calls]
        leaves = [one.parameters[0] for call in calls for one in call.watched]  # so that their backward runs come
        found = torch.autograd.grad(goal, [*outputs, *leaves], allow_unused=True)
    left = dict(probed.left)
    left |= dict.fromkeys(probed.layers.keys() - {call.name for call in calls}, say("the model did not call it"))
    curves: dict[str, list[LagCurve]] = {}
    for call, inflow in zip(calls, found, strict=False):
        if call.name in curves:
            left[call.name] = say("it was called again; the curve is that of its first call")
            continue
        if not call.watched:
            curves[call.name], left[call.name] = [], say("the model runs it without gradients")
            continue
        try:
            curves[call.name] = [_curve(part, bounded, bounded_lags) for part in _parts_of(call, inflow)]
        except InputError as error:
            if error.code != "WATCH":
                raise
            curves[call.name], left[call.name] = [], say("the loss does not depend on it, or not on all of its layers")
    return GradientByLag(tuple(chain(*curves.values())), goal.item(), left)


def _check_bounded(sequences: Any, lags: Any) -> None:
    if not all(isinstance(number, int) and number >= 0 for number in (sequences, lags or 0)):
        raise InputError(
            "EXPLAIN_BOUND",
            f"bounded is {sequences!r:.40} and bounded_lags {lags!r:.40}",
            fix="pass a number of sequences, e.g. 1, and of lags",
        )


class Part(NamedTuple):
    """One direction of one layer in a call, or a stack as a whole.

    Attributes:
        call: of the layer.
        number: which layer of the stack, from 0; None for the stack, or its only layer.
        reverse: whether it reads sequences from the end.
        adjoints: dL/ds[t] of each state, [T, B, width].
        read: [T, B], where the loss or what stands behind the layer reads its output; None where the layer above does.
    """

    call: LayerCall
    number: int | None
    reverse: bool
    adjoints: Mapping[str, torch.Tensor]
    read: torch.Tensor | None

    @property
    def sign(self) -> int:
        """The direction of lags: -1 towards the first step."""
        return 1 if self.reverse else -1


def _parts_of(call: LayerCall, inflow: torch.Tensor | None) -> Iterator[Part]:
    """Every layer and direction of a call, and behind them a stack that reads in one direction.

    Raises:
        InputError: no backward run came to it.
    """
    found = [[_padded(one.states) for one in of_layer.directions] for of_layer in call.watched]
    many, both = len(found) > 1, call.layer.bidirectional
    if inflow is None:
        reads = [torch.zeros_like(call.valid)] * (1 + both)
    else:
        reads = [(part != 0).any(-1) for part in _time_first(call, inflow).chunk(1 + both, -1)]
    for k, directions in enumerate(found):
        for d, states in enumerate(directions):
            yield Part(call, k if many else None, bool(d), states, reads[d] if k == len(found) - 1 else None)
    if many and not both:
        stack = _of_stack(call, [states for (states,) in found])
        yield Part(call, None, reverse=False, adjoints=stack, read=reads[0])


def _padded(states: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """[T, B, width] of each state."""
    return {n: pad_packed_sequence(v)[0] if isinstance(v, PackedSequence) else v for n, v in states.items()}


def _time_first(call: LayerCall, values: torch.Tensor) -> torch.Tensor:
    """[T, B, width] of values laid out as the output of the layer."""
    if isinstance(call.output, PackedSequence):
        padded, _ = pad_packed_sequence(call.output._replace(data=values))
        return padded
    if values.dim() == 2:
        return values.unsqueeze(1)
    return values.transpose(0, 1) if call.layer.batch_first else values


def _of_stack(call: LayerCall, found: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Adjoints of the state that one step of a stack hands to the next.

    The engine counts what the layer above reads within the same step as well. So those of the layers below are
    ``J[t+1]^T dL/ds[t+1]`` with the Jacobian of each layer by itself, for all steps at once.
    """
    named: dict[str, torch.Tensor] = {}
    for k, states in enumerate(found):
        own = dict(states)
        if k < len(found) - 1:
            step, run = StepFunction(call.layer, k, dtype=call.x.dtype), call.trajectory(k)
            rows = torch.cat([*states.values()], -1)
            pulled = torch.zeros_like(rows)
            pulled[:-1] = step.vjp(*(v[1:].flatten(0, 1) for v in (run.x, run.before, rows))).view_as(rows[1:])
            if call.reset is not None:
                pulled[:-1].masked_fill_(call.reset[1:, :, None], 0)
            own = {name: pulled[..., at] for (_, name), at in step.slices.items()}
        named |= {attribute(name, k, reverse=False): values for name, values in own.items()}
    return named


def _curve(part: Part, bounded: int, bounded_lags: int | None) -> LagCurve:
    """The curve of one part, with bounds for the first sequences."""
    call, sign = part.call, part.sign
    each = {name: _log_norm(values) for name, values in part.adjoints.items()}
    together = _together([*each.values()])
    ends = _ends(together, call.valid, reverse=part.reverse)
    counts = _counts(call, ends, reverse=part.reverse)
    lag = torch.arange(int(counts.max()) if len(counts) else 0)[:, None]
    at = (ends + sign * lag).clamp(0, len(together) - 1)

    def by_lag(values: torch.Tensor) -> torch.Tensor:
        return values.gather(0, at).masked_fill(lag >= counts, torch.nan)

    bound, unbounded = None, ""
    if part.read is None:
        unbounded = LAYER_ABOVE
    elif (part.read & (torch.arange(len(together))[:, None] != ends)).any():
        unbounded = EVERY_STEP
    elif bounded and len(lag):
        most = counts.max() if bounded_lags is None else bounded_lags + 1
        bound = _bound(part, ends[:bounded], counts[:bounded].clamp(max=most))
    states = {name: by_lag(norms) for name, norms in each.items()}
    return LagCurve(call.name, part.number, part.reverse, by_lag(together), states, ends, bound, unbounded)


def _bound(part: Part, ends: torch.Tensor, counts: torch.Tensor) -> Bound:
    """The bounds of the first sequences."""
    layer = part.call.layer
    number = 0 if layer.bidirectional and part.number is None else part.number
    step = StepFunction(layer, number, reverse=part.reverse, dtype=part.call.x.dtype)
    run = part.call.trajectory(number, reverse=part.reverse)
    return bounds(step, run, ends, counts, part.sign)


def _log_norm(values: torch.Tensor) -> torch.Tensor:
    """log10 of the norm over the last axis; squares of what is very small or large would not be numbers."""
    largest = values.abs().amax(-1)
    size = torch.where((largest > 0) & largest.isfinite(), largest, 1)
    norms: torch.Tensor = torch.linalg.vector_norm(values / size[..., None], dim=-1)
    return norms.log10() + size.log10()


def _together(norms: list[torch.Tensor]) -> torch.Tensor:
    """log10 of the norm of several vectors side by side, given those of each."""
    if len(norms) == 1:
        return norms[0]
    stacked = torch.stack(norms)
    largest = stacked.amax(0)
    size = torch.where(largest.isfinite(), largest, 0)
    return size + (10 ** (2 * (stacked - size))).sum(0).log10() / 2


def _ends(norms: torch.Tensor, valid: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    """[B]: the last step, in the direction of the run, that the loss depends on; -1 if it depends on none."""
    reached = (norms != -torch.inf) & valid
    steps = torch.arange(len(norms))[:, None]
    if not reverse:
        return torch.where(reached, steps, -1).amax(0)
    first = torch.where(reached, steps, len(norms)).amin(0)
    return torch.where(first < len(norms), first, -1)


def _counts(call: LayerCall, ends: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    """[B]: the number of steps from the beginning of a sequence, or from its last reset, to its end."""
    steps, resets = torch.arange(len(call.x))[:, None], call.reset
    if reverse:
        begins = call.lengths - 1
        if resets is not None:
            begins = torch.where(resets & (steps >= ends), steps, begins).amin(0)
        counts = begins - ends + 1
    else:
        begins = torch.zeros_like(ends)
        if resets is not None:
            begins = torch.where(resets & (steps <= ends), steps, begins).amax(0)
        counts = ends - begins + 1
    return torch.where(ends >= 0, counts, 0)
