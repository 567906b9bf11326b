"""What torch's compilers and transforms cost and give: seconds of compilation, and the worst differences.

Linear, two layers of GRU, linear is compiled as one graph, with our layer and with the loop over steps that one writes
by hand with torch's operations; caches of the compiler are off, and each compilation has a process of its own. Then
the plain layer is the reference for vmap, per-sample gradients, ensembles and forward mode.

    python benchmarks/transforms.py --out benchmarks/results/transforms.md
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.func import functional_call, grad, jvp, vmap

import tidegate as tg

STEPS, BATCH, FEATURES, UNITS = (25, 50, 100), 16, 12, 64


class ByHand(torch.nn.Module):
    """Two layers of GRU, as one writes them with torch's operations."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cells = torch.nn.ModuleList(
            torch.nn.ModuleList([torch.nn.Linear(size, 3 * units), torch.nn.Linear(units, 3 * units)])
            for size in (inputs, units)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        for w, u in self.cells:
            h, outputs = x.new_zeros(x.shape[0], u.in_features), []
            for step in w(x).unbind(1):
                xr, xz, xn = step.chunk(3, -1)
                hr, hz, hn = u(h).chunk(3, -1)
                r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
                n = torch.tanh(xn + r * hn)
                h = (h - n) * z + n
                outputs.append(h)
            x = torch.stack(outputs, 1)
        return x, None


class Between(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.before, self.layer = torch.nn.Linear(FEATURES, UNITS), layer
        self.behind = torch.nn.Linear(UNITS, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(self.layer(self.before(x))[0])


def network(kind: str) -> Between:
    torch.manual_seed(0)
    if kind == "by hand":
        return Between(ByHand(UNITS, UNITS))
    return Between(tg.nn.GRU(UNITS, UNITS, 2, batch_first=True))


def compile_once(kind: str, steps: int) -> None:
    """Compile forward and backward, and say how long it took beyond running it, and how far the results are."""
    model, x = network(kind), torch.randn(BATCH, steps, FEATURES)
    torch.compile(torch.nn.Linear(2, 2), fullgraph=True)(torch.zeros(1, 2)).sum().backward()  # the compiler itself
    compiled = torch.compile(model, fullgraph=True)
    start = time.perf_counter()
    y = compiled(x)
    y.square().sum().backward()
    first = time.perf_counter() - start
    got = [p.grad.clone() for p in model.parameters()]
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        compiled(x).square().sum().backward()
        seconds.append(time.perf_counter() - start)
    model.zero_grad()
    plain = model(x)
    plain.square().sum().backward()
    error = max(
        float((a - p.grad).abs().max() / p.grad.abs().max()) for a, p in zip(got, model.parameters(), strict=True)
    )
    print(json.dumps({
        "compile": first, "step": statistics.median(seconds),
        "output": float((y - plain).detach().abs().max()), "gradient": error,
    }))  # fmt: skip


def compilations(repeats: int) -> list[str]:
    head = "| steps | layer | compilation, s | training step, ms | output differs by | gradients differ by (relative) |"
    lines = [head, "|---|---|---|---|---|---|"]
    environment = {**os.environ, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    for steps in STEPS:
        found: dict[str, list[dict[str, float]]] = {"tidegate": [], "by hand": []}
        for _ in range(repeats):
            for kind, results in found.items():
                command = [sys.executable, __file__, "--one", kind, "--steps", str(steps)]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                results.append(json.loads(done.stdout))
        for kind, results in found.items():
            columns = {key: sorted(result[key] for result in results) for key in results[0]}
            spread = [
                f"{statistics.median(values) * scale:.2f} ({values[0] * scale:.2f} to {values[-1] * scale:.2f})"
                for values, scale in ((columns["compile"], 1), (columns["step"], 1000))
            ]
            worst = [f"{columns[key][-1]:.1e}" for key in ("output", "gradient")]
            lines.append(f"| {steps} | {kind} | {' | '.join([*spread, *worst])} |")
            print(lines[-1], flush=True)
    return lines


def export() -> list[str]:
    model, x = network("tidegate"), torch.randn(4, 9, FEATURES)
    dims = {0: torch.export.Dim("B", min=1, max=512), 1: torch.export.Dim("T", min=1, max=4096)}
    start = time.perf_counter()
    run = torch.export.export(model, (x,), dynamic_shapes=(dims,)).module()
    seconds = time.perf_counter() - start
    shapes = [(1, 1), (7, 30), (64, 200)]
    error = max(worst(run(v), model(v)) for v in (torch.randn(*shape, FEATURES) for shape in shapes))
    return [
        f"torch.export, any number of steps and sequences: {seconds:.2f} s; worst difference at {shapes}: {error:.1e}"
    ]


def loss_of(layer: torch.nn.Module, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return functional_call(layer, weights, (x,))[0].sin().sum()


def transforms() -> list[str]:
    head = "| layer | vmap | gradients of each sample | ensemble | forward mode against differences | gradgradcheck |"
    lines = [head, "|---|---|---|---|---|---|"]
    for kind in ("RNN", "LSTM", "GRU", "PeepholeLSTM"):
        torch.manual_seed(0)
        layer, many = getattr(tg.nn, kind)(5, 8, 2, dtype=torch.float64), torch.randn(6, 12, 3, 5, dtype=torch.float64)
        checks = (of_vmap, of_samples, of_ensemble, of_forward_mode)
        lines.append(
            f"| {kind} | {' | '.join(f'{check(layer, many):.1e}' for check in checks)} | {twice(layer, many)} |"
        )
    return lines


def of_vmap(layer: torch.nn.Module, many: torch.Tensor) -> float:
    return worst(vmap(layer)(many)[0], torch.stack([layer(x)[0] for x in many]))


def of_samples(layer: torch.nn.Module, many: torch.Tensor) -> float:
    weights = dict(layer.named_parameters())
    each = vmap(grad(lambda w, x: loss_of(layer, w, x)), (None, 0))(weights, many)
    alone = [torch.autograd.grad(loss_of(layer, weights, x), [*weights.values()]) for x in many]
    return max(worst(e, torch.stack(a)) for e, a in zip(each.values(), zip(*alone, strict=True), strict=True))


def of_ensemble(layer: torch.nn.Module, many: torch.Tensor) -> float:
    stacked = {name: torch.stack([w, 2 * w, w.cos()]) for name, w in layer.named_parameters()}

    def run(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional_call(layer, weights, (many[0],))[0]

    members = [run({name: w[k] for name, w in stacked.items()}) for k in range(3)]
    return worst(vmap(run)(stacked), torch.stack(members))


def of_forward_mode(layer: torch.nn.Module, many: torch.Tensor) -> float:
    x, along, step = many[0], torch.randn_like(many[0]), 1e-6
    tangent = jvp(lambda v: layer(v)[0], (x,), (along,))[1]
    return worst(tangent, (layer(x + step * along)[0] - layer(x - step * along)[0]) / (2 * step))


def twice(layer: torch.nn.Module, many: torch.Tensor) -> str:
    names = [name for name, _ in layer.named_parameters()]

    def run(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]

    inputs = (many[0][:2, :1].clone().requires_grad_(), *layer.parameters())
    return "passed" if torch.autograd.gradgradcheck(run, inputs, fast_mode=True) else "failed"


def worst(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got - wanted).detach().abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        compile_once(arguments.one, arguments.steps)
        return
    title = f"torch {torch.__version__}, {torch.get_num_threads()} threads; batch {BATCH}, {UNITS} units, two layers."
    lines = [
        "# Compilers and transforms",
        "",
        title,
        "",
        *compilations(arguments.repeats),
        "",
        *export(),
        "",
        *transforms(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
