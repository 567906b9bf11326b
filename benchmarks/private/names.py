"""Opacus's published row: nationality from a surname's bytes, with differential privacy and without.

    python -m benchmarks.private.names --output benchmarks/results/private/names.md
    python -m benchmarks.private.names --reading batch                  # read behind the padding, as they do

The example (pytorch/opacus, examples/char-lstm-classification.py and char-lstm_README.md): an embedding of 64 for each
of 256 bytes and marks of both ends, an LSTM of 128 units, a linear head on its last step; four fifths of the names for
training, drawn at random. With privacy SGD at rate 2, sigma 1, C 1.5, q 0.05, 50 epochs of 20 steps, delta 8e-5:
accuracy 0.739542, epsilon 11.83. Without: rate 0.5, 0.760716. Every run is appended to ``names.csv`` beside the output,
and is not repeated where it stands there.

Their model reads the last step of the longest name of a batch, so every name sees how long that is. ``Step`` refuses
this; ``batch`` repeats it all the same, with the check off.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import time
from pathlib import Path
from statistics import mean, stdev

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

import tidegate as tg

START, END, SYMBOLS = 256, 257, 259  # theirs; 258 is never read, and padding is byte 0
RATE, SIGMA, CLIP, STEPS, DELTA = 0.05, 1.0, 1.5, 1000, 8e-5
LEARNING = {"private": 2.0, "plain": 0.5}
PUBLISHED = {"private": 0.739542, "plain": 0.760716}
READINGS = {"last": "of the name", "batch": "of the batch's longest (theirs)", "padded": "of the longest of all"}
NAMES = Path(tg.__file__).parent / "data" / "bundled" / "names" / "names.tsv.xz"


class Names:
    """All names as bytes between two marks, and their nationalities; the last fifth of a random order is the test."""

    def __init__(self, seed: int) -> None:
        with lzma.open(NAMES, "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        classes = sorted({row["label"] for row in rows})
        coded = [torch.tensor([START, *row["text"].encode(), END]) for row in rows]
        self.lengths = torch.tensor([len(name) for name in coded])
        self.symbols = pad_sequence(coded)  # [T, N]
        self.targets = torch.tensor([classes.index(row["label"]) for row in rows])
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        self.train, self.test = order.split([int(0.8 * len(rows)), len(rows) - int(0.8 * len(rows))])
        self.classes = len(classes)


class Classifier(torch.nn.Module):
    """Logits [n, classes] of names.

    ``reading`` says which step the head sees: the ``last`` one of a name, or the one behind the padding to the longest
    of the ``batch``, or of all (``padded``).
    """

    def __init__(self, names: Names, reading: str) -> None:
        super().__init__()
        self.names, self.reading = names, reading
        self.table, self.layer = torch.nn.Embedding(SYMBOLS, 64), tg.nn.LSTM(64, 128)
        self.head = torch.nn.Linear(128, names.classes)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        lengths = self.names.lengths[places]
        longest = len(self.names.symbols) if self.reading == "padded" else max(lengths.tolist())
        symbols = self.table(self.names.symbols[:longest, places])
        if self.reading == "last":
            return self.head(self.layer(symbols, lengths=lengths)[1][0][0])
        return self.head(self.layer(symbols)[0][-1])


def run(seed: int, mode: str, reading: str) -> tuple[float, float, float]:
    """Train; accuracy on the test, epsilon, seconds of processor time."""
    names = Names(seed)
    torch.manual_seed(seed)
    model, begun = Classifier(names, reading), time.thread_time()

    def losses(places: torch.Tensor) -> torch.Tensor:
        chosen = names.train[places]
        return cross_entropy(model(chosen), names.targets[chosen], reduction="none")

    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING[mode])
    if mode == "private":
        step = tg.private.Step(
            model, optimizer, losses, units=len(names.train), rate=RATE, noise=SIGMA, clip_norm=CLIP, piece=1024
        )
        step._tried = reading == "batch"  # noqa: SLF001  # it would be refused
        for _ in range(STEPS):
            step()
        epsilon = step.epsilon(DELTA)
    else:
        epsilon = float("nan")
        for _ in range(STEPS):
            optimizer.zero_grad()
            losses((torch.rand(len(names.train)) < RATE).nonzero()[:, 0]).mean().backward()
            optimizer.step()
    with torch.no_grad():
        right = [(model(part).argmax(1) == names.targets[part]).double() for part in names.test.split(1600)]
    return float(torch.cat(right).mean()), epsilon, time.thread_time() - begun


def accounted() -> list[tuple[str, float]]:
    """epsilon of the same training by several accountants."""
    from opacus.accountants import PRVAccountant, RDPAccountant
    from opacus.accountants.analysis.rdp import compute_rdp

    found = [("PLD, dp-accounting (what Tidegate states)", tg.private.epsilon_of(RATE, SIGMA, STEPS, DELTA))]
    for name, kind in (("PRV, Opacus", PRVAccountant), ("RDP, Opacus", RDPAccountant)):
        accountant = kind()
        accountant.history = [(SIGMA, RATE, STEPS)]
        found.append((name, accountant.get_epsilon(delta=DELTA)))
    orders = [1 + k / 10 for k in range(1, 100)] + list(range(12, 64))
    moments = compute_rdp(q=RATE, noise_multiplier=SIGMA, steps=STEPS, orders=orders)
    first = min(e - torch.tensor(DELTA).log().item() / (a - 1) for e, a in zip(moments, orders, strict=True))
    return [*found, ("RDP, converted as in 2017: min over a of RDP(a) + log(1 / delta) / (a - 1)", first)]


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--reading", choices=tuple(READINGS), nargs="*", default=["last", "batch"])
    parser.add_argument("--modes", choices=tuple(LEARNING), nargs="*", default=list(LEARNING))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/private/names.md"))
    asked = parser.parse_args()
    raw = asked.output.with_suffix(".csv")
    rows = list(csv.DictReader(raw.open())) if raw.exists() else []
    for reading in asked.reading:
        for seed in asked.seeds:
            for mode in asked.modes:
                key = {"reading": reading, "mode": mode, "seed": str(seed)}
                if any(all(row[name] == value for name, value in key.items()) for row in rows):
                    continue
                accuracy, epsilon, seconds = run(seed, mode, reading)
                rows.append(
                    {**key, "accuracy": f"{accuracy:.4f}", "epsilon": f"{epsilon:.3f}", "seconds": f"{seconds:.0f}"}
                )
                print(rows[-1], flush=True)
                with raw.open("w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0])
                    writer.writeheader()
                    writer.writerows(rows)
    asked.output.write_text(table(rows))


def table(rows: list[dict[str, str]]) -> str:
    """The runs, and the accountants."""
    head = ("names", "last step read", "accuracy of seeds", "mean, deviation", "Opacus's README", "processor seconds")
    lines = [f"| {' | '.join(head)} |", "|-" * len(head) + "|"]
    for reading, words in READINGS.items():
        for mode in LEARNING:
            own = [row for row in rows if (row["reading"], row["mode"]) == (reading, mode)]
            if own:
                scores = [float(row["accuracy"]) for row in own]
                spread = f", {stdev(scores):.4f}" if len(scores) > 1 else ""
                cost = mean(float(row["seconds"]) for row in own)
                each = " ".join(f"{score:.4f}" for score in scores)
                lines.append(
                    f"| {mode} | {words} | {each} | {mean(scores):.4f}{spread} | {PUBLISHED[mode]:.4f} | {cost:.0f} |"
                )
    lines += ["", f"q {RATE}, sigma {SIGMA}, {STEPS} steps, delta {DELTA}:", "", "| accountant | epsilon |", "|-|-|"]
    lines += [f"| {name} | {epsilon:.3f} |" for name, epsilon in [*accounted(), ("printed in Opacus's README", 11.83)]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
