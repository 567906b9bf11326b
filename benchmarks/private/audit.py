"""What audits prove: honest trainings are not accused, broken ones are, and only without privacy secrets are exposed.

    python -m benchmarks.private.audit --output benchmarks/results/private/audit.md
    python -m benchmarks.private.audit --runs 2 --only "noise ten times too small"

Every run is a training and an audit as users call them: ``SequenceClassifier(epsilon=..., canaries=...)`` or
``LanguageModel(...)``, then ``tidegate.audit.run``. A broken engine is the real one with one function in the place of
another. The noise is given, so that nobody waits for the search for it; epsilon is what the accountant then states.
Every run is appended to ``audit.csv`` beside the output, and is not repeated where it stands there.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any
from unittest import mock

import numpy as np
import torch

import tidegate as tg
from tidegate.audit import sampled
from tidegate.private.gradient import Gradients
from tidegate.private.noise import add_noise
from tidegate.records import AuditRecord, PrivacyRecord
from tidegate.train import private

BUNDLED = Path(tg.__file__).parent / "data" / "bundled"
ROWS, CANARIES, BATCH, EPOCHS, CLIP, RATE, HIDDEN = 300, 1000, 150, 30, 0.3, 0.03, 64  # of the classifier
TEXT, PHRASES, WINDOW = 40_000, 100, 16  # characters, secret phrases and their symbols of the language model
DRAWS = 4096  # among which canaries stand
TEXTS = True
SIGMA = 9.3  # noise for an epsilon of about 1 in the classifier's steps
FIELDS = ("case", "run", "epsilon", "sigma", "bound", "right", "made", "median_bits", "mean_bits", "found", "seconds")
Context = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A training, and how often what must be true of its audit."""

    name: str
    sigma: float | None  # None for no privacy
    broken: Context
    says: str
    holds: Callable[[dict[str, float]], bool]
    text: bool = False


@contextmanager
def honest() -> Iterator[None]:
    yield


@contextmanager
def tenth_of_the_noise() -> Iterator[None]:
    def weak(sums: Sequence[torch.Tensor], clip: float, sigma: float, stream: Any) -> None:
        add_noise(sums, clip, sigma / 10, stream)

    with mock.patch.object(private, "add_noise", weak):
        yield


@contextmanager
def clipped_after_averaging() -> Iterator[None]:
    """The mean gradient is clipped, not each unit's: a unit may move it by more than the noise covers."""

    def late(sums: Sequence[torch.Tensor], clip: float, sigma: float, stream: Any) -> None:
        norm = float(torch.nn.utils.get_total_norm(list(sums))) / BATCH
        for total in sums:
            total.mul_(min(1.0, clip / norm))
        add_noise(sums, clip, sigma, stream)

    def unclipped(model: torch.nn.Module, clip: float) -> Gradients:
        del clip
        return Gradients(model, math.inf)

    with mock.patch.object(private, "add_noise", late), mock.patch.object(private, "Gradients", unclipped):
        yield


class Shuffled:
    """A sampler that goes through a shuffled order in batches of one size."""

    def __init__(self, units: int, rate: float, stream: Any) -> None:
        self.units, self.size, self.stream = units, max(1, round(rate * units)), stream
        self.left = torch.empty(0, dtype=torch.int64)

    def draw(self) -> torch.Tensor:
        if len(self.left) < self.size:
            self.left = torch.from_numpy(np.argsort(self.stream.words(self.units)))
        batch, self.left = self.left[: self.size], self.left[self.size :]
        return batch.sort().values


CASES = (
    Case("honest, epsilon 1", SIGMA, honest, "bound at most epsilon", lambda r: r["bound"] <= r["epsilon"]),
    Case("noise of 0.3 clip norms", 0.3, honest, "bound at least 1.0", lambda r: r["bound"] >= 1),
    Case(
        "noise ten times too small",
        SIGMA,
        tenth_of_the_noise,
        "bound above epsilon",
        lambda r: r["bound"] > r["epsilon"],
    ),
    Case(
        "clipped after averaging",
        SIGMA,
        clipped_after_averaging,
        "bound above epsilon",
        lambda r: r["bound"] > r["epsilon"],
    ),
    Case("secret phrases, no privacy", None, honest, "median of 10 bits", lambda r: r["median_bits"] >= 10, TEXTS),
    Case("secret phrases, epsilon 8", 1.0, honest, "median of 2 at most", lambda r: r["median_bits"] <= 2, TEXTS),
)


def names(path: Path) -> None:
    """Some names with their nationalities."""
    with lzma.open(BUNDLED / "names" / "names.tsv.xz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    chosen = np.random.default_rng(0).choice(len(rows), ROWS, replace=False)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((rows[place]["text"], rows[place]["label"]) for place in chosen)


def classified(home: Path, seed: int, sigma: float | None) -> AuditRecord:
    """The audit of a classifier with canaries."""
    names(home / "names.csv")
    setting: dict[str, Any] = {
        "cell": "gru",
        "hidden_size": HIDDEN,
        "embedding_size": HIDDEN // 2,
        "bidirectional": False,
        "pooling": "last",
        "unit": "character",
        "votes": False,
        "dropout": 0.0,
        "unit_dropout": 0.0,
        "averaging": 0.0,
        "learning_rate": RATE,
        "schedule": "constant",
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "clip_norm": CLIP,
        "epsilon": 1.0,
        "delta": 1e-5,
        "public": ("classes", "vocabulary"),
        "canaries": CANARIES,
        "seed": seed,
    }
    given = mock.patch.object(private, "sigma_for", return_value=sigma)
    with given, mock.patch.object(private, "PIECE", 2 * BATCH):  # quicker for such short rows
        tg.tasks.SequenceClassifier(**setting).fit(home / "names.csv", folder=home / "model")
    return tg.audit.run(home / "model", home / "names.csv", draws=DRAWS).record


def written(home: Path, seed: int, sigma: float | None) -> AuditRecord:
    """The audit of a language model with secret phrases."""
    with lzma.open(BUNDLED / "shakespeare" / "tinyshakespeare.txt.xz", "rt", encoding="utf-8") as file:
        (home / "text.txt").write_text(file.read()[:TEXT], encoding="utf-8")
    setting: dict[str, Any] = {
        "cell": "gru",
        "hidden_size": 64,
        "window": WINDOW,
        "dropout": 0.0,
        "learning_rate": 0.01,
        "epochs": 25,
        "patience": 25,
        "schedule": "constant",
        "batch_size": 16,
        "seed": seed,
        "canaries": PHRASES,
    }
    if sigma is not None:
        setting |= {
            "epsilon": 8.0,
            "delta": 1e-5,
            "public": ("vocabulary",),
            "batch_size": 128,
            "epochs": 15,
            "learning_rate": 0.005,
        }
        del setting["patience"]
    tg.tasks.LanguageModel(**setting).fit(home / "text.txt", folder=home / "model")
    return tg.audit.run(home / "model", home / "text.txt", draws=DRAWS).record


def run(case: Case, seed: int) -> dict[str, float]:
    """One training and its audit."""
    begun = time.thread_time()
    with tempfile.TemporaryDirectory() as folder, case.broken():
        record = (written if case.text else classified)(Path(folder), seed, case.sigma)
        model = tg.tasks.from_pretrained(Path(folder) / "model")
    found, privacy = record.canaries, model.privacy_
    assert found is not None
    best = max(found.guesses, key=lambda one: one.epsilon)
    return {
        "epsilon": math.inf if privacy is None or privacy.epsilon is None else privacy.epsilon,
        "sigma": 0.0 if privacy is None else privacy.noise_multiplier,
        "bound": found.epsilon,
        "right": best.right,
        "made": best.made,
        "median_bits": found.exposure[50],
        "mean_bits": found.exposure_mean,
        "found": record.membership[0].found,
        "seconds": time.thread_time() - begun,
    }


def samplers(runs: int) -> tuple[int, int]:
    """How many shuffling samplers, and how many honest ones, fail the test that an audit runs."""
    record = PrivacyRecord(1.0, 1e-5, "row", 9.3, 1.0, BATCH / 750, 150, "none")

    def failed() -> bool:
        return not all(test.passed for test in sampled.of_sampler(record, 750))

    fair = sum(failed() for _ in range(runs))
    with mock.patch.object(sampled, "PoissonSampler", Shuffled):
        return sum(failed() for _ in range(runs)), fair


def known(path: Path) -> list[dict[str, Any]]:
    """The runs that stand in the file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [
            {name: text if name == "case" else float(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def append(path: Path, row: dict[str, Any]) -> None:
    fresh = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})


def table(rows: list[dict[str, Any]], shuffled: tuple[int, int], runs: int) -> str:
    """The results in words and numbers."""
    about = (
        f"Classifiers: {ROWS} names and {CANARIES:,} canaries, each of which is planted with probability 1/2; GRU of "
        f"{HIDDEN} units, clip norm {CLIP}, {BATCH} units in a step on average, 150 steps, delta 1e-5. Language "
        f"models: {TEXT:,} characters and {PHRASES} phrases of {WINDOW} random symbols; GRU of 64 units. Ranks are "
        f"those among {DRAWS:,} draws."
    )
    lines = [
        "# Audits",
        "",
        "`python -m benchmarks.private.audit --output benchmarks/results/private/audit.md`; runs are in `audit.csv`.",
        "",
        about,
        "",
        "| training | epsilon stated | must hold | holds in | bound: least, median, most | exposure: median, mean |",
        "|---|---|---|---|---|---|",
    ]
    for case in CASES:
        own = [row for row in rows if row["case"] == case.name]
        if not own:
            continue
        bounds, stated = [row["bound"] for row in own], [row["epsilon"] for row in own]
        epsilon = "none" if math.isinf(stated[0]) else f"{min(stated):.3g} to {max(stated):.3g}"
        bits = f"{median(row['median_bits'] for row in own):.1f}, {mean(row['mean_bits'] for row in own):.1f}"
        holds = sum(map(case.holds, own))
        lines.append(
            f"| {case.name} | {epsilon} | {case.says} | **{holds} of {len(own)}** | {min(bounds):.2f}, "
            f"{median(bounds):.2f}, {max(bounds):.2f} | {bits} |"
        )
    said = f"{shuffled[0]} of {runs} samplers that shuffle fail it, and {shuffled[1]} of {runs} honest ones"
    lines += ["", f"The sampler's test, which the audit of a private model runs: {said}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--texts", type=int, default=5, help="runs of language models")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    path = options.output and options.output.with_suffix(".csv")
    rows = known(path) if path else []
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    for seed in range(max(options.runs, options.texts)):
        for case in chosen:
            if seed >= (options.texts if case.text else options.runs):
                continue
            if any((row["case"], row["run"]) == (case.name, seed) for row in rows):
                continue
            found = {"case": case.name, "run": seed, **run(case, seed)}
            rows.append(found)
            print(found, flush=True)
            if path:
                append(path, found)
    shuffled = samplers(options.runs)
    text = table(rows, shuffled, options.runs)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
