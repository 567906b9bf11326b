"""Does the checklist of ``tidegate attack`` see a hidden gradient, and does it leave honest networks alone?

    python -m benchmarks.robust.masking                        # 20 networks of each kind, seeds 0 to 19
    python -m benchmarks.robust.masking --seeds 1000 1001      # seeds on which thresholds were set

A small classifier of ragged series is trained for each seed; the cell, the norm and the width follow the seed. Then
four faults are planted, one at a time:

- saturated: the read-out times 1e4, so that cross-entropy has no gradient in float32;
- quantised: inputs are rounded to steps of 0.5 before they are read;
- dropout: a share of 0.3 of the units is dropped, in training and when attacked;
- state: each call begins at the states in which the one before ended.

A network is flagged where a line of the checklist fails. Writes benchmarks/results/robust/masking.csv: a row for each
network, with the lines that failed, and prints the counts. Ends with 1 unless all planted and no honest ones are
flagged.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import torch

from tidegate import nn
from tidegate.attack.checklist import Case, checklist
from tidegate.attack.curve import curve_of
from tidegate.attack.effort import Effort
from tidegate.attack.kind import Limits, ModuleKind

RESULTS = Path(__file__).parents[1] / "results" / "robust"
KINDS = ("honest", "saturated", "quantised", "dropout", "state")
CELLS = ("LSTM", "GRU", "GRU", "LSTM", "RNN")
FEATURES, CLASSES, ROWS = 2, 3, 40


class Network(torch.nn.Module):
    """Layers, their last state, dropout, a linear map; and the faults, each of which is off."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.layer, self.head = getattr(nn, cell)(FEATURES, hidden), torch.nn.Linear(hidden, CLASSES)
        self.fault, self.kept = "honest", None

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if self.fault == "quantised":
            x = (2 * x).round() / 2
        kept = self.kept
        if kept is not None and (kept[0] if isinstance(kept, tuple) else kept).shape[1] != x.shape[1]:
            kept = None  # as who keeps states does where the last batch was another one
        hidden, state = self.layer(x, kept, lengths=lengths)
        if self.fault == "state":
            self.kept = tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()
        last = hidden[lengths - 1, torch.arange(len(lengths))]
        if self.fault == "dropout":
            last = torch.nn.functional.dropout(last, 0.3, self.training)
        return self.head(last) * (1e4 if self.fault == "saturated" else 1.0)


def series(rows: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise with a wave whose frequency is the class, 12 to 24 steps."""
    targets = torch.randint(CLASSES, (rows,), generator=generator)
    lengths = torch.randint(12, 25, (rows,), generator=generator)
    time_, phase = torch.arange(24)[:, None], 6.283 * torch.rand(rows, generator=generator)
    waves = [torch.sin(0.45 * (targets + 1) * time_ + phase + shift) for shift in (0.0, 1.571)]
    x = torch.stack(waves, -1) + 0.3 * torch.randn(24, rows, FEATURES, generator=generator)
    return torch.where((time_ < lengths)[..., None], x, 0.0), targets, lengths


def trained(seed: int, fault: str) -> Network:
    """A network that has learnt, with dropout if that is its fault."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = Network(CELLS[seed % len(CELLS)], (12, 16, 24)[seed % 3])
    network.fault = "dropout" if fault == "dropout" else "honest"
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    x, targets, lengths = series(256, generator)
    for _ in range(120):
        rows = torch.randint(256, (64,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x[:, rows], lengths[rows]), targets[rows]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.requires_grad_(requires_grad=False)
    network.fault = fault
    return network.train(fault == "dropout")


def attacked(seed: int, fault: str) -> dict[str, object]:
    """One network: its accuracy, its curve, and the lines of the checklist that failed."""
    start = time.thread_time()
    network = trained(seed, fault)
    x, targets, lengths = series(ROWS, torch.Generator().manual_seed(seed + 10_000))
    norm = ("linf", "l2")[seed % 2]
    kind = ModuleKind(network, x, targets, lengths, limits=Limits(norm))
    effort = Effort(steps=20, restarts=2, seed=seed)
    curve = curve_of(kind, (0.1, 0.25, 0.5) if norm == "linf" else (0.5, 1.25, 2.5), effort)
    lines = list(checklist(Case(kind, curve, effort)))
    rows = torch.arange(kind.count)
    values = [float(kind.valued(rows, found.change).mean()) for found in curve.found]
    return {
        "seed": seed,
        "network": fault,
        "cell": CELLS[seed % len(CELLS)],
        "norm": norm,
        "clean": f"{values[0]:.3f}",
        "attacked": f"{values[-1]:.3f}",
        "failed": " ".join(line.name for line in lines if line.passed is False),
        "said": "; ".join(f"{line.name}: {line.sentence}" for line in lines if line.passed is False),
        "seconds": f"{time.thread_time() - start:.2f}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)))
    parser.add_argument("--out", type=Path, default=RESULTS / "masking.csv")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows, flagged = [], defaultdict(list)
    for seed in chosen.seeds:
        for fault in KINDS:
            rows.append(attacked(seed, fault))
            flagged[fault].append(bool(rows[-1]["failed"]))
            print(
                seed,
                fault,
                rows[-1]["clean"],
                rows[-1]["attacked"],
                rows[-1]["failed"],
                rows[-1]["seconds"],
                flush=True,
            )
            with chosen.out.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
    for fault, hits in flagged.items():
        print(f"{fault}: flagged {sum(hits)} of {len(hits)}")
    return int(any(flagged["honest"]) or not all(all(flagged[fault]) for fault in KINDS[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
