"""How fast interval bounds of a recurrent network become empty: ``python -m benchmarks.robust.intervals``.

An LSTM learns to tell two kinds of waves. Then each input may change by ``EPS``, and intervals are carried through its
equations (interval bound propagation, Gowal et al. 2018, arXiv 1810.12715): each state lies inside for sure. Beside
their mean width stands how far states really move under changes that were drawn from the corners of the same cube.
"""

from __future__ import annotations

from pathlib import Path

import torch

from tidegate.nn import LSTM

RESULTS = Path(__file__).parents[1] / "results" / "robust"
EPS, UNITS, DRAWN, SEEDS = 1e-5, 32, 200, 3
LENGTHS = (5, 10, 15, 20, 25, 30, 40, 50)
Interval = tuple[torch.Tensor, torch.Tensor]

NOTE = f"""\
`python -m benchmarks.robust.intervals`: mean width of the interval of h over units and 32 series, where every input
may change by {EPS:g}; the widest there can be is 2. An LSTM of {UNITS} units, trained on two kinds of waves of 50
steps, means over {SEEDS} seeds. Beside it the width that {DRAWN} changes drawn from the corners of the cube really
reach, and the same bound of an untrained network."""


def waves(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Two kinds of waves [50, count, 1], and which is which."""
    labels = torch.arange(count) % 2
    time, phase = torch.arange(50.0)[:, None], 6.3 * torch.rand(count, generator=generator)
    clean = torch.sin(time * (0.3 + 0.2 * labels) + phase)
    return (clean + 0.3 * torch.randn(clean.shape, generator=generator))[..., None], labels


def trained(seed: int, steps: int) -> tuple[LSTM, float]:
    """An LSTM that tells the kinds apart at every step of the second half, and its accuracy at the last."""
    torch.manual_seed(seed)
    layer, head = LSTM(1, UNITS), torch.nn.Linear(UNITS, 2)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x, labels = waves(64, generator)
        logits = head(layer(x)[0][25:]).flatten(0, 1)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels.repeat(25)).backward()
        optimizer.step()
    x, labels = waves(500, generator)
    with torch.no_grad():
        return layer, float((head(layer(x)[0][-1]).argmax(1) == labels).double().mean())


def product(a: Interval, b: Interval) -> Interval:
    """The products of all numbers of two intervals."""
    corners = torch.stack([x * y for x in a for y in b])
    return corners.amin(0), corners.amax(0)


def bounds(layer: LSTM, x: torch.Tensor) -> list[float]:
    """The mean width of h at each step, by the equations of an LSTM in float64, rounded outwards by nothing."""
    W, U, b, d = (parameter.detach().double() for parameter in layer.parameters())
    zero = torch.zeros(x.shape[1], UNITS, dtype=torch.float64)
    h, c, widths = (zero, zero), (zero, zero), []
    for step in x.double():
        middle, radius = (h[0] + h[1]) / 2, (h[1] - h[0]) / 2
        centre = step @ W.T + middle @ U.T + b + d
        reach = EPS * W.abs().sum(1) + radius @ U.abs().T
        low, high = (one.chunk(4, 1) for one in (centre - reach, centre + reach))
        i, f, o = ((low[k].sigmoid(), high[k].sigmoid()) for k in (0, 1, 3))
        kept, written = product(f, c), product(i, (low[2].tanh(), high[2].tanh()))
        c = (kept[0] + written[0], kept[1] + written[1])
        h = product(o, (c[0].tanh(), c[1].tanh()))
        widths.append(float((h[1] - h[0]).mean()))
    return widths


def reached(layer: LSTM, x: torch.Tensor) -> list[float]:
    """The mean width that drawn corners reach at each step."""
    low = high = layer(x.double())[0]
    for seed in range(DRAWN):
        sign = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        y = layer(x.double() + EPS * sign)[0]
        low, high = low.minimum(y), high.maximum(y)
    return (high - low).mean((1, 2)).tolist()


def main() -> None:
    """Measure, hold the bound to what was reached, print and write."""
    torch.set_num_threads(1)
    rows = torch.zeros(3, 50, dtype=torch.float64)
    accuracy = 0.0
    for seed in range(SEEDS):
        x, _ = waves(32, torch.Generator().manual_seed(99))
        layer, right = trained(seed, 150)
        fresh, _ = trained(seed, 0)
        accuracy += right / SEEDS
        with torch.no_grad():
            found = [bounds(layer, x), reached(layer.double(), x), bounds(fresh, x)]
        assert all(real <= bound for real, bound in zip(found[1], found[0], strict=True)), "a bound is wrong"
        rows += torch.tensor(found, dtype=torch.float64) / SEEDS
    lines = ["| steps | bound, trained | reached | bound, untrained |", "|---:|---:|---:|---:|"]
    lines += [f"| {T} | {rows[0, T - 1]:.2g} | {rows[1, T - 1]:.2g} | {rows[2, T - 1]:.2g} |" for T in LENGTHS]
    text = "\n".join(["# Interval bounds", "", NOTE, f"Accuracy of the trained ones: {accuracy:.3f}.", "", *lines, ""])
    (RESULTS / "intervals.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
