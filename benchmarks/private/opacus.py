"""Clipped gradients of single sequences: Tidegate against the quickest of Opacus's modes.

    python -m benchmarks.private.opacus --output benchmarks/results/private/opacus.md

Both train the same network: a recurrent layer over (T, B, I), a linear head on its last step, cross-entropy of ten
classes, with the same weights. Timed is all that makes a step private but the noise: forward, backward, norms, clipped
sums. Before that the clipped sums are compared; a mode whose sums differ is not timed. All take turns in one process on
one thread; a figure is the least processor time of a round, a ratio that of these. Memory is what a step of its own
process holds at its peak beyond what the process held before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import tidegate as tg

STEPS, FEATURES, HIDDEN, CLASSES, CLIP = 100, 64, 128, 10, 1.0
KINDS = {"LSTM": "DPLSTM", "GRU": "DPGRU"}
OURS, PLAIN, THEIR_PLAIN = "Tidegate", "Tidegate, not private", "torch, not private"
MODES = {"Opacus, hooks": "hooks", "Opacus, functorch": "functorch", "Opacus, fast": "flat", "Opacus, ghost": "ghost"}
CLOSE = 1e-4  # of the largest element, float32
Run = Callable[[], dict[str, torch.Tensor]]


class Network(torch.nn.Module):
    """Logits [B, classes] of [T, B, features], or [B, T, features] where the layer wants them so, as Opacus does."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.layer(x)[0]
        return self.head(outputs[:, -1] if self.layer.batch_first else outputs[-1])


def network(kind: str, make: Callable[..., torch.nn.Module]) -> Network:
    """The network with weights that do not depend on who computes it."""
    torch.manual_seed(0)
    right = Network(getattr(torch.nn, kind)(FEATURES, HIDDEN))
    model = Network(make(FEATURES, HIDDEN))
    model.layer.load_state_dict(right.layer.state_dict())
    model.head.load_state_dict(right.head.state_dict())
    return model


def named(model: Network) -> dict[str, torch.nn.Parameter]:
    """Parameters by the names that all libraries give them."""
    return {**dict(model.layer.named_parameters()), **dict(model.head.named_parameters())}


def ours(kind: str, x: torch.Tensor, y: torch.Tensor) -> Run:
    from tidegate.private.gradient import Gradients

    model = network(kind, getattr(tg.nn, kind))
    gradients = Gradients(model, CLIP)

    def run() -> dict[str, torch.Tensor]:
        gradients.clear()
        gradients.add(lambda: cross_entropy(model(x), y, reduction="none"), len(y))
        return {name: gradients.sums[parameter] for name, parameter in named(model).items()}

    return run


def plain(make: Callable[..., torch.nn.Module]) -> Callable[[str, torch.Tensor, torch.Tensor], Run]:
    def made(kind: str, x: torch.Tensor, y: torch.Tensor) -> Run:
        model = network(kind, make(kind))

        def run() -> dict[str, torch.Tensor]:
            model.zero_grad()
            cross_entropy(model(x), y, reduction="sum").backward()
            return {}

        return run

    return made


def opacus(mode: str) -> Callable[[str, torch.Tensor, torch.Tensor], Run]:
    """Opacus as its engine puts it together, with noise 0."""

    def made(kind: str, x: torch.Tensor, y: torch.Tensor) -> Run:
        from opacus import layers
        from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
        from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
        from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

        model = network(kind, partial(getattr(layers, KINDS[kind]), batch_first=True))
        x = x.transpose(0, 1).contiguous()
        learnt = {"noise_multiplier": 0.0, "max_grad_norm": CLIP, "expected_batch_size": 1, "loss_reduction": "sum"}
        sgd = torch.optim.SGD(model.parameters(), lr=0.0)
        if mode in ("hooks", "functorch"):
            wrapped = GradSampleModule(model, loss_reduction="sum", force_functorch=mode == "functorch")
            optimizer = DPOptimizer(sgd, **learnt)

            def run() -> dict[str, torch.Tensor]:
                optimizer.zero_grad()
                cross_entropy(wrapped(x), y, reduction="sum").backward()
                optimizer.pre_step()
                return {name: parameter.grad for name, parameter in named(model).items()}

            return run
        wrapped = GradSampleModuleFastGradientClipping(
            model, loss_reduction="sum", max_grad_norm=CLIP, use_ghost_clipping=mode == "ghost"
        )
        optimizer = DPOptimizerFastGradientClipping(sgd, **learnt)
        criterion = DPLossFastGradientClipping(
            wrapped, optimizer, torch.nn.CrossEntropyLoss(reduction="sum"), loss_reduction="sum"
        )

        def run() -> dict[str, torch.Tensor]:
            optimizer.zero_grad()
            criterion(wrapped(x), y).backward()
            optimizer.pre_step()
            return {name: parameter.grad for name, parameter in named(model).items()}

        return run

    return made


WAYS = {
    OURS: ours,
    **{name: opacus(mode) for name, mode in MODES.items()},
    PLAIN: plain(lambda kind: getattr(tg.nn, kind)),
    THEIR_PLAIN: plain(lambda kind: getattr(torch.nn, kind)),
}


def data(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(STEPS, batch, FEATURES), torch.randint(0, CLASSES, (batch,))


def measured(kind: str, batch: int, rounds: int) -> dict[str, float | str]:
    """Seconds of each way, or why there are none."""
    x, y = data(batch)
    runs: dict[str, Run] = {}
    found: dict[str, float | str] = {}
    right = {name: total.clone() for name, total in ours(kind, x, y)().items()}
    for name, make in WAYS.items():
        try:
            run = make(kind, x, y)
            sums = run()
        except Exception as error:  # noqa: BLE001  # whatever a mode cannot do is a result
            found[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
            continue
        off = max(
            (float((sums[name] - b).abs().max() / b.abs().max()) for name, b in right.items() if sums), default=0.0
        )
        if off > CLOSE:
            found[name] = f"other sums, by {off:.1e} of the largest element"
            continue
        runs[name] = run
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.thread_time()
            run()
            took = time.thread_time() - begun
            found[name] = min(float(found.get(name, took)), took)
    return found


def peak(kind: str, batch: int, name: str) -> float:
    """MB that a step holds at its peak, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.private.opacus", "--peak", kind, str(batch), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else float("nan")


def held(line: str) -> int:
    """kB of a line of the process's status."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index(f"{line}:") + 1])


def main() -> None:
    """Time and write the table; or answer for the memory of one way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 100])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/private/opacus.md"))
    parser.add_argument("--peak", nargs=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if asked.peak:
        kind, batch, name = asked.peak
        small, run = WAYS[name](kind, *data(2)), WAYS[name](kind, *data(int(batch)))
        small()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = held("VmRSS")
        run()
        print((held("VmHWM") - before) / 1024)
        return
    lines = [
        f"T {STEPS}, I {FEATURES}, H {HIDDEN}, float32, one thread; {asked.rounds} rounds in turns.",
        "",
        "| layer, B | way | ms | times Tidegate's | MB at its peak |",
        "|-|-|-|-|-|",
    ]
    for batch in asked.batches:
        for kind in KINDS:
            found = measured(kind, batch, asked.rounds)
            for name, took in found.items():
                said = f"{took * 1e3:.1f} | {took / found[OURS]:.2f}" if isinstance(took, float) else f"{took} | -"
                lines.append(f"| {kind}, {batch} | {name} | {said} | {peak(kind, batch, name):.0f} |")
                print(lines[-1], flush=True)
            quickest = min(found[name] for name in MODES if isinstance(found.get(name), float))
            lines.append(f"| {kind}, {batch} | **the quickest of Opacus** | | **{quickest / found[OURS]:.1f}** | |")
            print(lines[-1], flush=True)
    asked.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
