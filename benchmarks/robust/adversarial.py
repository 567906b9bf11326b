"""What adversarial training gains under attack, and what it costs unattacked: series, speech and names, three seeds.

    python -m benchmarks.robust.adversarial --series FOLDER --recordings FOLDER [--only names] [--seeds 0,1,2]

``--series`` holds ``ItalyPowerDemand_TRAIN.ts`` and ``..._TEST.ts`` of the UCR archive, ``--recordings`` the 3,000 WAV
files of the Free Spoken Digit Dataset. Models are trained alike but for the adversary, without votes; each is attacked
by ``tidegate.attack``, which shares edits and gradients with training, but neither its steps, its starts nor its
losses: recordings are attacked in their samples although training changes features.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tidegate.attack import run
from tidegate.data.speech import DIGIT_NAME, OFFICIAL
from tidegate.tasks import SequenceClassifier, Transcriber
from tidegate.train.loop import evaluate

STEADY: dict[str, Any] = {"schedule": "cosine", "patience": 100}  # validation under attack rises and falls
RAW = Path(__file__).parents[1] / "results" / "robust" / "adversarial"


class Classifier(SequenceClassifier):
    """Without scores of baselines, which take longer than the training."""

    def _scores(self, task: Any) -> list[Any]:
        del task
        return []


class Listener(Transcriber):
    """The same for speech."""

    def _scores(self, task: Any) -> list[Any]:
        del task
        return []


def series(options: argparse.Namespace, seed: int, bound: float | None) -> dict[str, Any]:
    """Italian power demand: winter or summer, from 24 hours."""
    data = Path(options.series) / "ItalyPowerDemand_TRAIN.ts"
    test = Path(options.series) / "ItalyPowerDemand_TEST.ts"
    model = Classifier(votes=False, seed=seed, adversarial=bound, hidden_size=32, frame=1, epochs=40, **STEADY)
    model.fit(data, test=test)
    found = run(model, test, eps=(0.1, 0.2, 0.4), examples=200, steps=20, restarts=1, checks=False)
    part = model.tested(test).parts["test"]
    return _row(found, float((model.predict(list(part.items)) == model.classes_[part.classes]).mean()))


def speech(options: argparse.Namespace, seed: int, bound: float | None) -> dict[str, Any]:
    """Spoken digits: learnt from log-mel features, attacked in their recordings."""
    model = Listener(seed=seed, adversarial=bound, hidden_size=64, epochs=10)
    model.fit("fsdd")
    clean = 1 - evaluate(model.tested("fsdd"), model.model_, "test")
    with tempfile.TemporaryDirectory() as home:
        for path in Path(options.recordings).glob("*.wav"):
            match = DIGIT_NAME.fullmatch(path.stem)
            if match and int(match["take"]) < OFFICIAL:
                shutil.copy(path, home)
        found = run(model, home, audio_snr=(50, 40, 30), examples=60, steps=15, restarts=1, checks=False)
    return _row(found, clean)


def names(options: argparse.Namespace, seed: int, bound: float | None) -> dict[str, Any]:
    """Surnames of 18 nationalities, read by character."""
    del options
    model = Classifier(votes=False, seed=seed, adversarial=bound, epochs=5, **STEADY)
    model.fit("names")
    task = model.tested("names")
    part = task.parts["test"]
    clean = float((model.predict(list(part.items)) == model.classes_[part.classes]).mean())
    found = run(model, "names", edits=(1, 2), examples=200, steps=20, checks=False)
    return _row(found, clean)


def _row(found: Any, clean: float) -> dict[str, Any]:
    """Accuracy by budget; of speech the share of recordings whose transcript is right."""
    rows = found.record.rows
    left = {found.record.budget(point.budget): 1 - point.broken / rows for point in found.points}
    return {"clean": clean, "left": left, "rows": rows, "verified": found.record.verified}


SETS: dict[str, tuple[Callable[..., dict[str, Any]], float, str]] = {
    "series": (series, 0.2, "Italian power demand, L-inf, in standard deviations"),
    "speech": (speech, 0.1, "Free Spoken Digit Dataset, signal-to-noise ratio of the recording"),
    "names": (names, 1, "names, edits of characters"),
}


def table(name: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    """One set as Markdown: means over the seeds, with their standard deviations."""
    _, bound, title = SETS[name]
    budgets = list(rows[0]["left"])
    yield f"## {title}\n"
    yield f"| training | clean, whole test | {' | '.join(budgets)} | processor seconds |"
    yield "|---" * (len(budgets) + 3) + "|"
    for adversarial in (False, True):
        own = [row for row in rows if row["adversarial"] == adversarial]
        cells = [_spread([row["clean"] for row in own]), *(_spread([row["left"][b] for row in own]) for b in budgets)]
        what = f"`--adversarial {bound:g}`" if adversarial else "plain"
        seconds = statistics.mean(row["seconds"] for row in own)
        yield f"| {what} | {' | '.join(cells)} | {seconds:.0f} |"
    broken = sum(row["verified"] or 0 for row in rows)
    yield f"\n{len(rows) // 2} seeds, {rows[0]['rows']} examples attacked in each; asked as users ask, models broke on"
    yield f"{broken:,} of the changes within the largest budget.\n"


def _spread(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def main() -> None:
    """Train, attack, write the raw figures of each seed and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series")
    parser.add_argument("--recordings")
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RAW.mkdir(parents=True, exist_ok=True)
    for name in [options.only] if options.only else SETS:
        for seed in map(int, options.seeds.split(",")):
            rows = list(_pair(name, seed, options))
            (RAW / f"{name}-{seed}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    found = {
        name: [row for path in sorted(RAW.glob(f"{name}-*.json")) for row in json.loads(path.read_text())]
        for name in SETS
    }
    parts = [line for name, rows in found.items() if rows for line in table(name, rows)]
    head = ["# Adversarial training: accuracy under attack\n", "`python -m benchmarks.robust.adversarial`\n"]
    (RAW.parent / "adversarial.md").write_text("\n".join([*head, *parts]) + "\n", encoding="utf-8")


def _pair(name: str, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The plain model of a seed, and the one that was trained under attack."""
    measure, bound, _ = SETS[name]
    for adversarial in (False, True):
        begun = time.process_time()
        row = measure(options, seed, bound if adversarial else None)
        yield {"seed": seed, "adversarial": adversarial, **row, "seconds": time.process_time() - begun}
        print(name, seed, adversarial, row, flush=True)


if __name__ == "__main__":
    main()
