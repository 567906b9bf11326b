"""Fixed points of a layer under an input that stays: where its state comes to rest, and whether it stays there.

References:
    Sussillo & Barak 2013, Opening the Black Box, Neural Computation 25: slow points as minima of q.
    Golub & Sussillo 2018, FixedPointFinder, Journal of Open Source Software 3.
    Moré 1978, The Levenberg-Marquardt Algorithm, Lecture Notes in Mathematics 630.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch

from tidegate.errors import InputError
from tidegate.explain.step import StepFunction

FLAT = 100  # a minimum above zero is that much less sharp
FIXED, SLOW = 1e-20, 1e-8  # the speed q below which a point rests, or nearly does
DAMPING, MOST_DAMPING, LEAST_DAMPING = 1e-3, 1e10, 1e-14
AWAY = 1e6  # states beyond have run away, and are not shown
ROUNDS_BEFORE = 10  # every other start first runs so many steps, which brings it near what attracts


@dataclass(frozen=True)
class FixedPoints:
    """Points s = F(x, s), apart from each other, the most often reached first; q = |s - F(x, s)|^2 / 2.

    Attributes:
        points: [n, S], all states side by side as ``StepFunction`` has them.
        speed: q of each, [n].
        reached: how many starts came to each, [n].
        eigenvalues: those of the Jacobian there, complex, the largest first, [n, S].
        slow: points where q has a minimum below 1e-8 but above 1e-20, [m, S].
        slow_speed: q of those, [m].
        lost: the number of starts that came to neither.
        centre: the mean of the states, [S].
        axes: the two directions in which the states vary most, [2, S].
        share: the share of their variance in each, [2].
    """

    points: torch.Tensor
    speed: torch.Tensor
    reached: torch.Tensor
    eigenvalues: torch.Tensor
    slow: torch.Tensor
    slow_speed: torch.Tensor
    lost: int
    centre: torch.Tensor
    axes: torch.Tensor
    share: torch.Tensor

    @property
    def unstable_modes(self) -> torch.Tensor:
        """How many directions lead away from each point, [n]: eigenvalues beyond the unit circle."""
        return (self.eigenvalues.abs() > 1).sum(1)

    @property
    def stable(self) -> torch.Tensor:
        """Whether every small difference fades, [n]: all eigenvalues within the unit circle."""
        return (self.eigenvalues.abs() < 1).all(1)

    def place(self, states: torch.Tensor) -> torch.Tensor:
        """Where states [..., S] lie in the plane in which they vary most, [..., 2]."""
        return (states.to(self.centre) - self.centre) @ self.axes.T


def fixed_points(
    layer: torch.nn.Module,
    inputs: float | torch.Tensor = 0.0,
    starts: int | torch.Tensor = 256,
    *,
    states: torch.Tensor | None = None,
    rounds: int = 100,
    apart: float = 1e-4,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> FixedPoints:
    """Find the fixed points of a layer under an input that stays, by damped Newton steps from many starts at once.

    Each step solves
    ``((I - J)^T (I - J) + mu I) d = -(I - J)^T (s - F(s))``; mu falls where q falls and rises where it would not.

    Args:
        layer: a layer or stack of Tidegate's or torch.nn's, in one direction.
        inputs: the input, one number for all features or [I].
        starts: states to start from, [n, S], e.g. visited ones; or how many to draw: standard normal, every other one
            run for ten steps, which also finds points at which no run on data comes to rest.
        states: states that the layer visits, [..., S], for the plane; where the starts lie after ten steps by default.
        rounds: the most steps of Newton.
        apart: points that are no further apart are one; slow ones at a hundred times that.
        seed: of the starts.
        dtype: in which it is computed.

    Returns:
        The points, their stability, and how often each was reached.

    Raises:
        InputError: a layer of two directions, or shapes that do not fit.

    Example:
        >>> import torch, tidegate as tg
        >>> _ = torch.manual_seed(0)
        >>> found = tg.explain.fixed_points(tg.nn.GRU(3, 8), starts=32)
        >>> len(found.points), found.stable.tolist(), found.reached.tolist()  # untrained: one point attracts all
        (1, [True], [32])
    """
    step = StepFunction(layer, dtype=dtype)
    x = _input(inputs, step)
    begun, settled = _starts(step, x, starts, seed)
    found, speed = _descended(step, x, begun, rounds)
    rest, slow = speed < FIXED, (speed >= FIXED) & (speed < SLOW)
    points, reached = _unique(found[rest], speed[rest], apart)
    slow_points, _ = _unique(found[slow], speed[slow], FLAT * apart)
    at = x.expand(len(points), -1)
    eigenvalues = torch.linalg.eigvals(step.jacobians(at, points))
    order = eigenvalues.abs().argsort(1, descending=True)
    visited = settled if states is None else states.detach().to(dtype).reshape(-1, step.size)
    return FixedPoints(
        points,
        _speed(step, x, points),
        reached,
        eigenvalues.gather(1, order),
        slow_points,
        _speed(step, x, slow_points),
        int((~(rest | slow)).sum()),
        *_plane(visited),
    )


def _input(inputs: float | torch.Tensor, step: StepFunction) -> torch.Tensor:
    """The input as [1, I]."""
    known = isinstance(inputs, (torch.Tensor, Real))
    x = torch.as_tensor(inputs if known else (), dtype=step.dtype).detach()
    if x.shape not in {(), (step.features,)} or not x.isfinite().all():
        got = f"has the shape {list(x.shape)}" if known and x.dim() else f"is {inputs!r:.40}"
        raise InputError(
            "EXPLAIN_INPUT",
            f"the input {got}, expected one finite number or [{step.features}] of them",
            fix="pass the input under which the state is to rest",
        )
    return x.expand(1, step.features).clone()


def _starts(
    step: StepFunction, x: torch.Tensor, starts: int | torch.Tensor, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """States [n, S] to start from, and where they are after some steps."""
    if isinstance(starts, torch.Tensor):
        if not starts.dim() or starts.shape[-1] != step.size:
            raise InputError(
                "EXPLAIN_STATE",
                f"starts have the shape {list(starts.shape)}, expected [n, {step.size}]",
                fix="put all states side by side, as StepFunction(layer).slices has them",
            )
        begun = starts.detach().to(step.dtype).reshape(-1, step.size)
    else:
        if not isinstance(starts, int) or starts < 1:
            raise InputError("EXPLAIN_STATE", f"starts is {starts!r:.40}", fix="pass a number of starts, e.g. 256")
        generator = torch.Generator().manual_seed(seed)
        begun = torch.randn(starts, step.size, generator=generator, dtype=step.dtype)
    settled = begun
    with torch.no_grad():
        for _ in range(ROUNDS_BEFORE):
            settled = step(x.expand(len(begun), -1), settled)
    if not isinstance(starts, torch.Tensor):
        begun = torch.where(torch.arange(len(begun))[:, None] % 2 == 1, settled, begun)
    return begun, settled


def _descended(
    step: StepFunction, x: torch.Tensor, state: torch.Tensor, rounds: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the starts end, [n, S], and their speed, [n]."""
    state, speed = state.clone(), _speed(step, x, state)
    damping, identity = torch.full_like(speed, DAMPING), torch.eye(step.size, dtype=state.dtype)
    for _ in range(rounds):
        going = ((speed >= FIXED / 100) & (damping < MOST_DAMPING)).nonzero().flatten()
        if not len(going):
            break
        s, rows = state[going], x.expand(len(going), -1)
        slope = identity - step.jacobians(rows, s)
        with torch.no_grad():
            missing = (s - step(rows, s))[..., None]
        turned = slope.transpose(1, 2)
        square = turned @ slope + damping[going, None, None] * identity
        trial = s - torch.linalg.solve(square, turned @ missing)[..., 0]
        now = _speed(step, x, trial)
        better = now < speed[going]  # not where it is no number
        state[going] = torch.where(better[:, None], trial, s)
        speed[going] = torch.where(better, now, speed[going])
        damping[going] = (damping[going] * torch.where(better, 0.1, 10.0)).clamp(min=LEAST_DAMPING)
    return state, speed


def _speed(step: StepFunction, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """How fast each state moves: q, [n]."""
    with torch.no_grad():
        return (state - step(x.expand(len(state), -1), state)).square().sum(1) / 2


def _unique(found: torch.Tensor, speed: torch.Tensor, apart: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Points that are further apart than this, the most often reached first, and how often each was."""
    distance = torch.cdist(found, found, compute_mode="donot_use_mm_for_euclid_dist")
    free, chosen, counts = torch.ones_like(speed, dtype=torch.bool), [], []
    for index in speed.argsort().tolist():
        if free[index]:
            near = free & (distance[index] <= apart)
            free &= ~near
            chosen.append(index)
            counts.append(int(near.sum()))
    reached = torch.tensor(counts, dtype=torch.int64)
    order = reached.argsort(descending=True, stable=True)
    return found[torch.tensor(chosen, dtype=torch.int64)[order]], reached[order]


def _plane(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre [S], axes [2, S] and shares [2] of the two principal components."""
    states = states[(states.abs() <= AWAY).all(1)]
    centre = states.mean(0) if len(states) else states.new_zeros(states.shape[1])
    _, sizes, axes = torch.linalg.svd(states - centre, full_matrices=False)
    whole = sizes.square().sum()
    share = sizes[:2].square() / torch.where(whole > 0, whole, 1)
    lacking = max(0, 2 - len(share))  # of a state of one number, or of one state
    axes = torch.cat([axes[:2], axes.new_zeros(lacking, axes.shape[1])])
    return centre, axes, torch.cat([share, share.new_zeros(lacking)])
