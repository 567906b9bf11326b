"""The adding problem, for a tanh RNN whose recurrent weights begin too large: four kinds of clipping, and the remedy.

Two of 60 numbers, drawn from U(0, 1), are marked, one in each half; the answer is their sum. Always answering 1 costs
1/6.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterable

import torch
from benchmarks.explain.network import Net, gain
from torch import Tensor

from tidegate.explain.measure import measure
from tidegate.explain.remedy import try_remedy
from tidegate.explain.verdict import verdicts
from tidegate.nn import Recurrent

STEPS, SIZE, HIDDEN, UPDATES, RATE = 60, 32, 64, 250, 1e-3
HELD_OUT, CHECKED = 4000, (210, 220, 230, 240, 250)  # sequences, and after which updates they are answered
GAIN = 2.0
LAG = 30
Clip = Callable[[torch.nn.Module], None]


def batch(generator: torch.Generator, size: int = SIZE) -> tuple[Tensor, Tensor]:
    x = torch.zeros(STEPS, size, 2)
    x[..., 0] = torch.rand(STEPS, size, generator=generator)
    rows, half = torch.arange(size), STEPS // 2
    for begin in (0, half):
        x[begin + torch.randint(half, (size,), generator=generator), rows, 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(0)


def by_norm(model: torch.nn.Module) -> None:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def by_value(model: torch.nn.Module) -> None:
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)


def adaptive(model: torch.nn.Module) -> None:
    """Row by row, to a hundredth of the norm of the weights (Brock et al. 2021, arXiv 2102.06171)."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            weight, gradient = (v.reshape(len(v), -1).norm(dim=1) for v in (parameter.detach(), parameter.grad))
            scale = (0.01 * weight.clamp(min=1e-3) / gradient.clamp(min=1e-9)).clamp(max=1)
            parameter.grad.mul_(scale.reshape(-1, *[1] * (parameter.dim() - 1)))


def by_history() -> Clip:
    """To the tenth percentile of all norms so far (Seetharaman et al. 2020, arXiv 2007.14469)."""
    seen: list[float] = []

    def clip(model: torch.nn.Module) -> None:
        norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
        seen.append(float(torch.stack(norms).norm()))
        largest = sorted(seen)[len(seen) // 10]
        torch.nn.utils.clip_grad_norm_(model.parameters(), max(largest, 1e-9))

    return clip


def trained(net: Net, clip: Clip | None, seed: int) -> float:
    """The mean error on held-out sequences over the last updates."""
    generator = torch.Generator().manual_seed(seed + 5000)
    given, right = batch(torch.Generator().manual_seed(1), HELD_OUT)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    errors = []
    for update in range(1, UPDATES + 1):
        x, y = batch(generator)
        loss = (net(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            clip(net)
        optimizer.step()
        if update in CHECKED:
            with torch.no_grad():
                errors.append((net(given) - right).square().mean().item())
    return statistics.fmean(errors)


def made(seed: int) -> Net:
    torch.manual_seed(seed)
    net = Net(Recurrent("rnn", 2, HIDDEN))
    with torch.no_grad():
        gain(GAIN)(net)
    return net


def mended(net: Net, seed: int) -> tuple[Net, Net] | None:
    """The network with each of the two remedies; None if the first verdict is not that it explodes."""
    x, y = batch(torch.Generator().manual_seed(seed + 9000))

    def loss(answer: Tensor) -> Tensor:
        return (answer - y).square().mean()

    found = verdicts(measure(net, loss, x), LAG)
    if not found or found[0].line.name != "exploding":
        return None
    first, other = (try_remedy(net, found[0], loss, x, lag=LAG, instead=instead)[0] for instead in (False, True))
    return first, other


def losses(seeds: Iterable[int], count: int) -> dict[str, list[float]]:
    """Final losses by what was done, of the first networks among these seeds that explode."""
    found: dict[str, list[float]] = {}
    for seed in seeds:
        net = made(seed)
        better = mended(net, seed)
        if better is None:
            continue
        if len(next(iter(found.values()), ())) == count:
            break
        ways: dict[str, tuple[Net, Clip | None]] = {
            "nothing": (net, None),
            "norm clipped to 1": (net, by_norm),
            "values clipped to 0.1": (net, by_value),
            "adaptive clipping, 0.01": (net, adaptive),
            "clipped to the 10th percentile of norms": (net, by_history()),
            "the remedy: orthogonal": (better[0], by_norm),
            "the other: multiplied by exp(-exponent)": (better[1], by_norm),
        }
        for name, (begun, clip) in ways.items():
            found.setdefault(name, []).append(trained(copy.deepcopy(begun), clip, seed))
    return found
