"""Exponents and fixed points of layers, against known values, closed forms and what was taught.

    python -m benchmarks.explain.dynamics --output benchmarks/results/explain/dynamics.md

Exponents of the Hénon map in the cell language, of linear systems, and of every cell of the zoo, where all of them
together must be the mean of log |det J|, or so many of them -inf as the product of the Jacobians lacks of full rank.
Fixed points of layers that were taught to be a memory of three bits: 8 stable points. The script ends with 1 if a
number misses its target.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from benchmarks.explain.known import Henon, linear

import tidegate as tg
from tidegate.explain import StepFunction, captured, fixed_points, lyapunov, probe
from tidegate.nn import Recurrent
from tidegate.zoo import CELLS

SEEDS, BITS, ENOUGH = 20, 3, 18
SHORT = 8  # steps
KNOWN = (0.419, -1.623)  # of the Hénon map: Sprott 2003, Chaos and Time-Series Analysis


def known_rows() -> tuple[list[str], bool]:
    """The Hénon map and linear systems."""
    begin = time.perf_counter()
    found = lyapunov(Recurrent(Henon, 1, 1), torch.zeros(8000, 1), discard=100)
    seconds = time.perf_counter() - begin
    off = max(abs(a - b) for a, b in zip(found.values.tolist(), KNOWN, strict=True))
    total = abs(found.values.sum().item() - math.log(0.3))
    rows = [
        f"| Hénon map, T 8000: {found.values[0]:+.4f}, {found.values[1]:+.4f} | {off:.1e} | 1e-2 | {seconds:.1f} |",
        f"| their sum, ln 0.3 | {total:.1e} | 1e-12 | |",
    ]
    right = off <= 1e-2 and total <= 1e-12
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64))
    normal = basis @ torch.diag(0.8 ** torch.arange(16, dtype=torch.float64)) @ basis.T
    ginibre = torch.randn(16, 16, dtype=torch.float64) / 4
    for name, matrix, steps, limit in (
        ("normal 16 x 16, T 200, 50 discarded", normal, 200, 1e-4),
        ("Ginibre 16 x 16, T 2000, 50 discarded", ginibre, 2000, 2e-3),
    ):
        begin = time.perf_counter()
        found = lyapunov(linear(matrix), torch.zeros(steps, 1), discard=50)
        seconds = time.perf_counter() - begin
        wanted = torch.linalg.eigvals(matrix).abs().log().sort(descending=True).values
        off = (found.values - wanted).abs().max().item()
        total = abs(found.values.sum().item() - torch.linalg.slogdet(matrix).logabsdet.item())
        rows.append(f"| {name} | {off:.1e} | {limit:.0e} | {seconds:.1f} |")
        rows.append(f"| their sum | {total:.1e} | 1e-10 | |")
        right &= off <= limit and total <= 1e-10
    return rows, right


def rank_deficit(jacobians: torch.Tensor) -> int:
    """What the product of the Jacobians lacks of full rank: the basis of what is left shrinks at each factor."""
    basis = torch.eye(jacobians.shape[-1], dtype=jacobians.dtype)
    for one in jacobians:
        if not basis.numel():
            break
        left, sizes, _ = torch.linalg.svd(one @ basis, full_matrices=False)
        basis = left[:, sizes > 1e-13 * max(sizes.max().item(), 1e-300)]
    return len(basis) - basis.shape[1]


def cell_rows() -> tuple[list[str], bool]:
    """Every cell of the zoo as torch would initialise it, driven by noise."""
    rows, right = [], True
    for name in CELLS:
        found, each = of_cell(name, 120)
        deficit = rank_deficit(each)
        if deficit:  # over a long run rounding brings back what was lost once, and no count is sure
            short, each = of_cell(name, SHORT + 20)
            deficit, lost = rank_deficit(each), int((short == -torch.inf).sum())
            text, good = (
                f"lack {deficit} of {len(short)} over {SHORT} steps; {lost} exponents are -inf",
                deficit == lost,
            )
        else:
            error = (found.sum() - torch.linalg.slogdet(each).logabsdet.mean()).abs().item()
            text, good = f"are regular; the sum is off by {error:.1e}", error <= 1e-10
        right &= good
        rows.append(f"| {name} | {found[0]:+.3f} | {text} |")
        print(rows[-1], flush=True)
    return rows, right


def of_cell(name: str, steps: int, hidden: int = 16, discard: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """The exponents of a cell, and the Jacobians of the steps that were counted."""
    torch.manual_seed(0)
    features = hidden if CELLS[name].graph.input_axis == "H" else 8
    layer = Recurrent(name, features, hidden, dtype=torch.float64)
    x = torch.randn(steps, 1, features, dtype=torch.float64)
    found = lyapunov(layer, x, discard=discard)
    with torch.no_grad():
        _, (call,) = captured(probe(layer), x)
    run = call.trajectory()
    return found.values, StepFunction(layer).jacobians(run.x[discard:, 0], run.before[discard:, 0])


def taught(kind: str, seed: int, hidden: int = 16) -> tuple[torch.nn.Module, torch.nn.Module, float]:
    """A layer and a head that answer with the last pulse of each of three channels; and the error that is left."""
    torch.manual_seed(seed)
    layer, head = Recurrent(kind, BITS, hidden), torch.nn.Linear(hidden, BITS)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
    rounds, loss = 500, torch.zeros(())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=rounds)
    for _ in range(rounds):
        pulse = pulses(40, 64)
        target, wanted = torch.zeros(64, BITS), []
        for now in pulse:
            target = torch.where(now != 0, now, target)
            wanted.append(target)
        loss = (head(layer(pulse)[0]) - torch.stack(wanted)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return layer, head, loss.item()


def pulses(steps: int, batch: int) -> torch.Tensor:
    signs = torch.randint(0, 2, (steps, batch, BITS)) * 2 - 1
    return (signs * (torch.rand(steps, batch, BITS) < 0.2)).float()


@torch.no_grad()
def memories(layer: torch.nn.Module, stable: torch.Tensor) -> int:
    """How many of these points are those at which runs on data come to rest; 0 if one rests elsewhere."""
    _, (call,) = captured(probe(layer), torch.cat([pulses(40, 256), torch.zeros(600, 256, BITS)]))
    distance = torch.cdist(call.trajectory().after[-1], stable)
    near, which = distance.min(1)
    return len(which.unique()) if near.max() < 1e-2 else 0


def switch_rows(seeds: int) -> tuple[list[str], bool]:
    """Three bits: of how many seeds the 8 points at which runs on data rest are found, and how many find no others."""
    rows, right = [], True
    for kind in ("gru", "lstm"):
        good, alone, saddles, learning, finding, further = 0, 0, [], [], [], []
        for seed in range(seeds):
            begin = time.perf_counter()
            layer, head, error = taught(kind, seed)
            learning.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            found = fixed_points(layer)
            finding.append(time.perf_counter() - begin)
            stable = found.points[found.stable]
            with torch.no_grad():
                answers = {tuple(a) for a in head(stable[:, : head.in_features].float()).sign().tolist()}
            known = memories(layer, stable)
            good += known == len(answers) == 2**BITS
            alone += len(stable) == known == 2**BITS
            further.append(len(stable) - known)
            saddles.append(int((found.unstable_modes == 1).sum()))
            text = f"{kind} {seed}: {error:.1e}, {len(stable)} stable, {known} memories, {saddles[-1]} saddles"
            print(f"{text}, {finding[-1]:.1f} s", flush=True)
        middle = seeds // 2
        cells = [f"{kind} H 16", f"{good} of {seeds}", f"{alone} of {seeds}", f"{max(further)}"]
        cells += [
            f"{min(saddles)} to {max(saddles)}",
            f"{sorted(learning)[middle]:.1f}",
            f"{sorted(finding)[middle]:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
        right &= good >= ENOUGH * seeds / SEEDS
    return rows, right


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the memories of three bits")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known, known_right = known_rows()
    print("\n".join(known), flush=True)
    cells, cells_right = cell_rows()
    switches, switches_right = switch_rows(arguments.seeds)
    lines = [
        f"float64, 1 thread, {tg.runtime.isa()}. `python -m benchmarks.explain.dynamics`",
        "",
        "| exponents | largest error | target | seconds |",
        *("|---|---|---|---|", *known),
        "",
        "| cell, 16 units | top exponent, 100 steps counted | the Jacobians of the steps |",
        *("|---|---|---|", *cells),
        "",
        "Memories of three bits; further points attract too, but no run on data comes to rest there.",
        "",
        "| | the 8 found | no others | most others | saddles, one unstable mode | s to learn | s to find |",
        *("|---|---|---|---|---|---|---|", *switches),
    ]
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if known_right and cells_right and switches_right else 1


if __name__ == "__main__":
    sys.exit(main())
