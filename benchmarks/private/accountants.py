"""What three accountants say of the same training: ``python -m benchmarks.private.accountants``.

PLD is ours (dp-accounting), PRV and RDP are Opacus's, and RDP is dp-accounting's as well. Beside them stand the noise
that an epsilon of 8 asks for, and what noise, draws and accounting cost.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tidegate.private import PoissonSampler, SecretStream, add_noise, epsilon_of, sigma_for

RESULTS = Path(__file__).parents[1] / "results" / "private"
CASES = (  # sampling rate, noise multiplier, steps, delta
    (0.05, 1.0, 1000, 8e-5),
    (0.01, 1.1, 10_000, 1e-5),
    (0.001, 0.7, 20_000, 1e-6),
    (0.2, 4.0, 200, 1e-5),
    (1.0, 20.0, 100, 1e-5),
    (0.05, 0.5, 1000, 8e-5),
)
WEIGHTS, UNITS, ROUNDS = 1_000_000, 100_000, 7

NOTE = """\
`python -m benchmarks.private.accountants`: epsilon of so many steps of the Gaussian mechanism on Poisson samples. PLD
is what Tidegate states; PRV and RDP are those of Opacus {opacus}, and RDP 2 is that of dp-accounting {accounting}. The
last column is the smallest noise multiplier for an epsilon of 8 by PLD."""


def row(rate: float, sigma: float, steps: int, delta: float) -> list[str]:
    """One case by all accountants."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, rdp
    from opacus.accountants import PRVAccountant, RDPAccountant

    ours = epsilon_of(rate, sigma, steps, delta)
    theirs = []
    for kind in (PRVAccountant, RDPAccountant):
        one: Any = kind()
        one.history = [(sigma, rate, steps)]
        try:
            theirs.append(f"{one.get_epsilon(delta):.3f}")
        except (ValueError, RuntimeError) as error:
            theirs.append(type(error).__name__)
    event = PoissonSampledDpEvent(rate, GaussianDpEvent(sigma))
    other = float(rdp.RdpAccountant().compose(event, steps).get_epsilon(delta))
    settings = (f"{rate:g}", f"{sigma:g}", f"{steps:,}", f"{delta:g}")
    return [*settings, f"{ours:.3f}", *theirs, f"{other:.3f}", f"{sigma_for(8.0, rate, steps, delta):.4g}"]


def quickest(run: Callable[[], Any]) -> float:
    """Milliseconds of processor time of one thread, the lowest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        run()
        times.append(time.thread_time() - began)
    return 1e3 * min(times)


def costs() -> list[str]:
    """What noise and draws take, beside a step of a layer with as many weights."""
    from tidegate.nn import LSTM

    stream, sums = SecretStream.fresh(), [torch.zeros(WEIGHTS)]
    sampler = PoissonSampler(UNITS, 0.001, stream)
    layers = torch.nn.ModuleList([LSTM(500, 250), LSTM(250, 250)])
    count = sum(parameter.numel() for parameter in layers.parameters())

    def step(x: torch.Tensor) -> None:
        for layer in layers:
            x, _ = layer(x)
        x.sum().backward()

    noise, draw = quickest(lambda: add_noise(sums, 1.0, 1.0, stream)), quickest(sampler.draw)
    lines = [f"- noise for {WEIGHTS:,} weights: {noise:.0f} ms", f"- draw of {UNITS:,} units: {draw:.1f} ms"]
    for T, B in ((50, 32), (100, 64)):
        x = torch.randn(T, B, 500)
        plain = quickest(lambda x=x: step(x))
        lines.append(
            f"- plain forward and backward pass of two LSTM layers with {count:,} weights (T {T}, B {B}): {plain:.0f} "
            f"ms, of which their noise is {noise * count / WEIGHTS / plain:.2f}"
        )
    return lines


def main() -> None:
    """Print the table and write it."""
    import opacus

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    heads = ("q", "sigma", "steps", "delta", "PLD", "PRV", "RDP", "RDP 2", "sigma for 8")
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    lines += [f"| {' | '.join(row(*case))} |" for case in CASES]
    note = NOTE.format(opacus=opacus.__version__, accounting=version("dp-accounting"))
    text = "\n".join(["# Accountants", "", note, "", *lines, "", "Processor time of one thread:", "", *costs(), ""])
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "accountants.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
