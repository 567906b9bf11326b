"""A layer in fewer bits against its equations, one step at a time from the layer's own states.

Over many steps one rounding that falls to the other side leads to another sequence, as near to the truth as the first:
end to end a layer and its emulation agree only until then. So states are taken from the layer itself, by runs over
the first k steps, and adjoints of states by runs over the others. From there each step is emulated alone, forward and
backward, and must agree to the accuracy of float32. ``Rounding`` says how a decision that is nobody's fault is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tests.reference.half import EPS, Format, Rounding

Tensors = dict[str, Tensor]
States = tuple[Tensor, ...]
NOISE_FACTOR, ROUNDINGS, OF_ONE = 8.0, 16.0, 4.0  # of the error that float32 makes with the same decisions
DRAWS = 300
FEWER_DRAWS = 24


@dataclass(frozen=True)
class Call:
    """One direction of a layer: inputs [T, B, I], lengths, resets, what is given, first states, upstream gradients."""

    x: Tensor
    lengths: tuple[int, ...]
    first: States
    dy: Tensor
    dlast: States
    reset: Tensor | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)
    begin: int = 0  # the number of its first step in the call that it was cut from

    def cut(self, begin: int, end: int, first: States | None = None) -> Call:
        """The steps from ``begin`` to ``end`` alone."""
        return replace(
            self,
            x=self.x[begin:end],
            lengths=tuple(min(max(n - begin, 0), end - begin) for n in self.lengths),
            first=self.first if first is None else first,
            dy=self.dy[begin:end],
            reset=None if self.reset is None else self.reset[begin:end],
            given={name: value[begin:end] for name, value in self.given.items()},
            begin=self.begin + begin,
        )


@dataclass(frozen=True)
class Results:
    """What a layer makes of a call."""

    y: Tensor
    last: States
    dx: Tensor
    dfirst: States
    parameters: Tensors


Layer = Callable[[Call], Results]
Step = Callable[[Tensors, int, Tensor, Tensor, States], States]
"""(parameters, number of the step, rows that are alive, their x, their states) to new states, the output first."""


@dataclass
class Verdict:
    """The worst of all steps.

    Attributes:
        share: of what float32 may be off, the most that was found; of 1 at most if all is right.
        errors: by result, the largest error over the largest element.
        typical: the median error of single numbers over the largest element of their row.
        steps: rows of steps that were compared.
        draws: those that needed other decisions than the first.
    """

    share: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)
    where: str = ""
    steps: int = 0
    draws: int = 0
    unlike: tuple[str, ...] = ()
    medians: list[float] = field(default_factory=list)

    @property
    def typical(self) -> float:
        return sorted(self.medians)[len(self.medians) // 2] if self.medians else 0.0

    def note(self, name: str, share: float, error: float, where: str) -> None:
        self.errors[name] = max(self.errors.get(name, 0.0), error)
        if not share <= self.share:
            self.share, self.where = share, f"{name} {where}"


@dataclass(frozen=True)
class _Walk:
    """States and adjoints before each step in the order of the steps, one more of each behind the last one."""

    states: list[States]
    adjoints: list[States]
    whole: Results
    dx: list[Tensor]


def _walk(call: Call, layer: Layer, *, reverse: bool) -> tuple[_Walk, list[str]]:
    T = len(call.x)
    begun = [call.cut(T - k, T) if reverse else call.cut(0, k) for k in range(1, T + 1)]
    states, unlike = [call.first, *(layer(part).last for part in begun)], list[str]()
    adjoints, dx = [call.dlast] * (T + 1), [call.x[0]] * T
    whole = None
    for k in range(T):
        found = layer(call.cut(0, T - k, states[k]) if reverse else call.cut(k, T, states[k]))
        whole = whole or found
        adjoints[k], dx[k] = found.dfirst, found.dx[-1 if reverse else 0]
    assert whole is not None
    order = range(T - 1, -1, -1) if reverse else range(T)
    for k, t in enumerate(order):
        alive = torch.tensor(call.lengths) > t
        ours = {"y": (whole.y[t], states[k + 1][0]), "d x": (whole.dx[t], dx[k])}
        unlike += [name for name, (a, b) in ours.items() if not same(a[alive], b[alive])]
    return _Walk(states, adjoints, whole, dx), unlike


def same(a: Tensor, b: Tensor) -> bool:
    """Equal to the last bit; whatever is no number counts as equal."""
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def compare(
    call: Call,
    layer: Layer,
    step: Step,
    parameters: Tensors,
    to: Format | None,
    *,
    reverse: bool = False,
    draws: int = DRAWS,
) -> Verdict:
    """The layer's steps against the equations.

    Args:
        call: in float32.
        layer: what is examined.
        step: the equations.
        parameters: of the layer, in float32, by the names that the equations use.
        to: the format of the products.
        reverse: from the last step to the first.
        draws: how often to draw the decisions of a row that does not fit.
    """
    walk, unlike = _walk(call, layer, reverse=reverse)
    verdict = Verdict(unlike=tuple(sorted(set(unlike))))
    sums = _Sums.zeros(parameters)
    places, T = [], len(call.x)
    for k, t in enumerate(range(T - 1, -1, -1) if reverse else range(T)):
        rows = (torch.tensor(call.lengths) > t).nonzero()[:, 0]
        if len(rows):
            places.append(_Place(call, walk, step, parameters, to, k, t, rows))
            _compare_step(places[-1], verdict, sums, draws)
    sums.judge(verdict, walk.whole.parameters, places, min(draws, FEWER_DRAWS))
    return verdict


@dataclass(frozen=True)
class _Place:
    """One step of a walk."""

    call: Call
    walk: _Walk
    step: Step
    parameters: Tensors
    to: Format | None
    k: int
    t: int
    rows: Tensor

    def ours(self) -> Tensors:
        walk, k, rows = self.walk, self.k, self.rows
        found = {f"state{i}": value[rows] for i, value in enumerate(walk.states[k + 1])}
        found |= {f"d state{i}": value[rows] for i, value in enumerate(walk.adjoints[k])}
        return found | {"d x": walk.dx[k][rows]}

    def by_hand(self, rounding: Rounding, dtype: torch.dtype, chosen: Tensor | None = None) -> tuple[Tensors, Tensors]:
        """Results by row, and the gradients of the parameters, of the chosen rows alone."""
        call, walk, k, t, rows = self.call, self.walk, self.k, self.t, self.rows
        own = {name: value.detach().to(dtype).requires_grad_() for name, value in self.parameters.items()}
        x = call.x[t, rows].to(dtype).requires_grad_()
        old = tuple(value[rows].to(dtype).requires_grad_() for value in walk.states[k])
        upstream = [value[rows].to(dtype) for value in walk.adjoints[k + 1]]
        upstream[0] = upstream[0] + call.dy[t, rows].to(dtype)
        if chosen is not None:
            upstream = [torch.where(chosen[:, None], value, 0) for value in upstream]
        with rounding:
            new = self.step(own, t, rows, x, old)
        wanted = [x, *old, *own.values()]
        pairs = [(n, u) for n, u in zip(new, upstream, strict=True) if n.requires_grad]
        found = torch.autograd.grad([n for n, _ in pairs], wanted, [u for _, u in pairs], allow_unused=True)
        grads = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
        results = {f"state{i}": value.detach() for i, value in enumerate(new)}
        results |= {"d x": grads[0]} | {f"d state{i}": grads[1 + i] for i in range(len(old))}
        return results, dict(zip(own, grads[1 + len(old) :], strict=True))


@dataclass
class _Choice:
    """Decisions, and the rows whose results they explain best so far."""

    place: _Place
    rounding: Rounding
    rows: Tensor  # of the place, a mask

    def gradients(self) -> Tensors:
        """Of the parameters, of these rows: their adjoints as they were decided, those of the others zero."""
        decided = {
            key: torch.where(self.rows[:, None], value, 0) if key[1] == "dp" else value
            for key, value in self.rounding.made.items()
        }
        again = Rounding(self.place.to, decided=decided if self.place.to else None)
        return self.place.by_hand(again, torch.float64, self.rows)[1]


def _shake(draw: int) -> float:
    """Little at first, so that no decision changes which need not; rests of larger numbers may need more."""
    return float(2 << 2 * min(draw // 60, 3))


def _compare_step(place: _Place, verdict: Verdict, sums: _Sums, draws: int) -> None:
    """Find for each row the decisions that fit it; add what they say of the parameters to ``sums``."""
    ours, first = {n: v.double() for n, v in place.ours().items()}, Rounding(place.to)
    exact, gradients = place.by_hand(first, torch.float64)
    single = place.by_hand(Rounding(place.to, decided=first.made if place.to else None), torch.float32)
    for name, value in gradients.items():
        sums.noise[name] += (single[1][name].double() - value).abs()
    limits = {name: _Limit.of(value, single[0][name].double()) for name, value in exact.items()}
    best = torch.stack([limits[n].share(ours[n], exact[n]) for n in exact]).amax(0)
    choices = [_Choice(place, first, torch.ones_like(best, dtype=torch.bool))]
    for draw in range(1, draws if place.to else 1):
        left = (~(best <= 1)).nonzero()[:, 0]
        if not len(left):
            break
        part, rounding = replace(place, rows=place.rows[left]), Rounding(place.to, _shake(draw), draw)
        found = part.by_hand(rounding, torch.float64)[0]
        shares = torch.stack([limits[n].share(ours[n], found[n], left) for n in found]).amax(0)
        better = shares < best[left]
        for choice in choices:
            choice.rows = choice.rows & ~torch.isin(choice.place.rows, part.rows[better])
        choices.append(_Choice(part, rounding, better))
        best[left] = torch.where(better, shares, best[left])
        for name, value in found.items():
            exact[name] = exact[name].index_copy(0, left[better], value[better])
    verdict.steps += len(best)
    verdict.draws += int(sum(int(choice.rows.sum()) for choice in choices[1:]))
    for name, value in exact.items():
        limits[name].note(verdict, name, ours[name], value, f"at step {place.t}")
    for choice in choices:
        if bool(choice.rows.any()):
            for name, value in choice.gradients().items():
                sums.exact[name] += value


@dataclass(frozen=True)
class _Limit:
    """How far each row may be off: a few times as far as float32 is, with the same decisions.

    Attributes:
        allowed: for each row.
        fine: where float64 and float32 have a number, and none that is about to become infinite.
        lost: where neither has one.
    """

    allowed: Tensor
    fine: Tensor
    lost: Tensor

    @staticmethod
    def of(exact: Tensor, single: Tensor) -> _Limit:
        most = torch.finfo(torch.float32).max / 1e6
        fine = exact.isfinite() & single.isfinite() & (exact.abs() < most) & (single.abs() < most)
        size = torch.where(fine, exact, 0).abs().amax(1)
        noise = torch.where(fine, single - exact, 0).abs().amax(1)
        allowed = NOISE_FACTOR * noise + EPS * (ROUNDINGS * size + OF_ONE)
        return _Limit(allowed, fine, exact.isnan() & single.isnan())

    def error(self, ours: Tensor, exact: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """Of some rows; infinite where there should be a number and is none."""
        fine = self.fine[rows] & exact.isfinite()
        return torch.where(fine, (ours[rows] - exact).abs(), 0.0).nan_to_num(torch.inf, torch.inf)

    def share(self, ours: Tensor, exact: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """For each row its error over what is allowed."""
        return (self.error(ours, exact, rows) / self.allowed[rows, None]).amax(1)

    def note(self, verdict: Verdict, name: str, ours: Tensor, exact: Tensor, where: str) -> None:
        """Add the result of a step to what was found before."""
        error, size = self.error(ours, exact), float(torch.where(self.fine, exact, 0.0).abs().max())
        hidden = not name.startswith("d ") and bool((self.lost & ours.isfinite()).any())
        share = torch.inf if hidden else float(self.share(ours, exact).max())
        verdict.note(name, share, float(error.max()) / size if size else 0.0, where)
        if size:
            verdict.medians.append(float(error.median()) / size)


@dataclass(frozen=True)
class _Sums:
    """Gradients of parameters, added up over steps.

    Attributes:
        exact: by the equations.
        noise: how far float32 may be off with the same decisions.
    """

    exact: Tensors
    noise: Tensors

    @staticmethod
    def zeros(parameters: Tensors) -> _Sums:
        return _Sums(*({n: torch.zeros_like(p, dtype=torch.float64) for n, p in parameters.items()} for _ in "en"))

    def judge(self, verdict: Verdict, ours: Tensors, places: Sequence[_Place], draws: int) -> None:
        """Note the worst error of each gradient.

        A decision that moves an adjoint by half a unit may show here alone. So where a number is off, it may be so
        by what other decisions change in this very place.
        """
        errors, undecided = {}, dict[str, Tensor]()
        for name, exact in self.exact.items():
            if exact.numel() and bool(exact.isfinite().all()):
                errors[name] = (ours[name].double() - exact).abs().nan_to_num(torch.inf)
        allowed = {n: self._allowed(n) for n in errors}
        if any(bool((errors[n] > allowed[n]).any()) for n in errors) and places and places[0].to:
            undecided = _undecided(places, draws)
        for name, error in errors.items():
            size = float(self.exact[name].abs().max())
            share = error / (allowed[name] + undecided.get(name, 0.0))
            verdict.note(f"d {name}", float(share.max()), float(error.max()) / size if size else 0.0, "")

    def _allowed(self, name: str) -> float:
        size = float(self.exact[name].abs().max())
        return NOISE_FACTOR * float(self.noise[name].max()) + EPS * (ROUNDINGS * size + OF_ONE)


def _undecided(places: Sequence[_Place], draws: int) -> Tensors:
    """How much of each gradient of the parameters depends on decisions that a few units of float32 change."""
    found: Tensors = {}
    for place in places:
        plain = place.by_hand(Rounding(place.to), torch.float64)[1]
        most = {name: torch.zeros_like(value) for name, value in plain.items()}
        for draw in range(draws):
            other = place.by_hand(Rounding(place.to, _shake(draw * 10), draw), torch.float64)[1]
            most = {name: torch.maximum(m, (other[name] - plain[name]).abs()) for name, m in most.items()}
        found = {name: found.get(name, 0.0) + value for name, value in most.items()}
    return found


def imitation(step: Step, parameters: Tensors, rounding: Callable[[], Rounding], *, reverse: bool = False) -> Layer:
    """A layer made of the equations in float32, to try the comparison on."""

    def run(call: Call) -> Results:
        own = {name: value.detach().clone().requires_grad_() for name, value in parameters.items()}
        x, old = call.x.clone().requires_grad_(), [s.clone().requires_grad_() for s in call.first]
        states, T = list(old), len(x)
        ys = [torch.zeros_like(old[0])] * T
        with rounding():
            for t in range(T - 1, -1, -1) if reverse else range(T):
                rows = (torch.tensor(call.lengths) > t).nonzero()[:, 0]
                new = step(own, call.begin + t, rows, x[t, rows], tuple(s[rows] for s in states))
                states = [s.index_copy(0, rows, n) for s, n in zip(states, new, strict=True)]
                ys[t] = ys[t].index_copy(0, rows, new[0])
            y = torch.stack(ys)
        wanted = [x, *old, *own.values()]
        found = torch.autograd.grad([y, *states], wanted, [call.dy, *call.dlast], allow_unused=True)
        grads = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
        last = tuple(s.detach() for s in states)
        split = 1 + len(old)
        return Results(y.detach(), last, grads[0], tuple(grads[1:split]), dict(zip(own, grads[split:], strict=True)))

    return run


def full(x: Tensor, first: Sequence[Tensor], dy: Tensor, dlast: Sequence[Tensor]) -> Call:
    """A call of sequences that are equally long."""
    return Call(x, (x.shape[0],) * x.shape[1], tuple(first), dy, tuple(dlast))
