"""Is ``tidegate attack`` ever weaker than the projected gradient of the adversarial-robustness-toolbox?

    pip install --no-deps --target PEERS adversarial-robustness-toolbox==1.20.1
    PYTHONPATH=PEERS python -m benchmarks.robust.art --data FOLDER --models FOLDER

FOLDER of data: NAME_TRAIN.ts and NAME_TEST.ts of five sets of the UCR and UEA archives. Models that --models lacks are
trained by `tidegate train classification NAME_TRAIN.ts --test NAME_TEST.ts --epochs 30`. Both attacks meet the same
function with the same gradient, on the same 40 series, with the same number of steps and restarts at each budget: the
whole model as users call it (votes with a gradient on the way back), and its layers alone, by both norms. Ours is the
curve that the verb reports, whose runs begin at the worst change within the budget before. The toolbox has the step
size 2.5 eps / steps of Madry et al. 2018, its cross-entropy, and may not change padding (mask=). Its changes are cut
to the ball again and judged by the model in the same way.

Writes benchmarks/results/robust/art.csv: accuracy under both attacks for each set, norm and budget, and processor time.
Ends with 1 where ours leaves more accuracy.
"""

from __future__ import annotations

import argparse
import copy
import csv
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tidegate.attack.curve import curve_of
from tidegate.attack.effort import Effort
from tidegate.attack.kind import Limits, SeriesKind
from tidegate.tasks import from_pretrained

RESULTS = Path(__file__).parents[1] / "results" / "robust"
SETS = ("ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels")
BUDGETS = {"linf": (0.05, 0.1, 0.2, 0.4), "l2": (0.5, 1.0, 2.0, 4.0)}
ROWS = 40
EFFORT = Effort(steps=10, restarts=2)


class Asked(torch.nn.Module):
    """The logits of a kind for inputs [B, T, C], as the toolbox passes them: always all rows, in their order."""

    def __init__(self, kind: SeriesKind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kind.outputs(x.transpose(0, 1), torch.arange(self.kind.count))


def toolbox(kind: SeriesKind, norm: str, budget: float) -> torch.Tensor:
    """[T, B, C] the changes that the toolbox finds."""
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    steps, restarts = EFFORT.steps, EFFORT.restarts
    x, mask = (part.transpose(0, 1).numpy() for part in (kind.x, kind.ball.mask))
    classifier = PyTorchClassifier(
        Asked(kind), torch.nn.CrossEntropyLoss(), x.shape[1:], kind.classes, device_type="cpu"
    )
    attack = ProjectedGradientDescent(
        classifier,
        norm=np.inf if norm == "linf" else 2,
        eps=budget,
        eps_step=2.5 * budget / steps,
        max_iter=steps,
        num_random_init=restarts,
        batch_size=kind.count,
        verbose=False,
    )
    found = attack.generate(x, np.eye(kind.classes)[kind.targets.numpy()], mask=mask.astype(np.float32))
    return torch.from_numpy(found).transpose(0, 1) - kind.x


def measured(name: str, part: str, norm: str, models: Path, data: Path) -> Iterator[dict[str, object]]:
    """A row for each budget."""
    estimator = from_pretrained(models / name)
    if part == "layers":
        estimator = copy.copy(estimator)
        estimator.model_ = copy.deepcopy(estimator.model_)
        estimator.model_.votes = None
    task = estimator.tested(data / f"{name}_TEST.ts")
    places = np.linspace(0, SeriesKind.total(task) - 1, min(ROWS, SeriesKind.total(task))).round().astype(int)
    kind = SeriesKind(estimator, task, places.tolist(), Limits(norm))
    rows = torch.arange(kind.count)
    clean = float(kind.valued(rows, torch.zeros_like(kind.x)).mean())
    begin = time.thread_time()
    curve = curve_of(kind, BUDGETS[norm], EFFORT)
    spent = (time.thread_time() - begin) / len(BUDGETS[norm])
    for budget in BUDGETS[norm]:
        ours = curve.found[curve.budgets.index(budget)].change
        begin = time.thread_time()
        np.random.seed(0)  # noqa: NPY002  the toolbox draws from it
        theirs = kind.ball.of(budget).project(toolbox(kind, norm, budget))
        end = time.thread_time()
        accuracy = [float(kind.valued(rows, change).mean()) for change in (ours, theirs)]
        yield {
            "set": name,
            "part": part,
            "norm": norm,
            "eps": budget,
            "clean": f"{clean:.4f}",
            "ours": f"{accuracy[0]:.4f}",
            "toolbox": f"{accuracy[1]:.4f}",
            "seconds ours": f"{spent:.2f}",
            "seconds toolbox": f"{end - begin:.2f}",
        }


def train(name: str, models: Path, data: Path) -> None:
    """Train a model as users do, unless it is there."""
    if not (models / name / "model.json").exists():
        parts = [str(data / f"{name}_TRAIN.ts"), "--test", str(data / f"{name}_TEST.ts"), "--epochs", "30"]
        command = [sys.executable, "-m", "tidegate", "train", "classification", *parts, "--out", str(models / name)]
        subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--out", type=Path, default=RESULTS / "art.csv")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for name in chosen.sets:
        train(name, chosen.models, chosen.data)
        for part, norm in (("layers", "linf"), ("layers", "l2"), ("whole", "linf"), ("whole", "l2")):
            for row in measured(name, part, norm, chosen.models, chosen.data):
                rows.append(row)
                print(*row.values(), flush=True)
                with chosen.out.open("w", newline="") as file:
                    writer = csv.DictWriter(file, row)
                    writer.writeheader()
                    writer.writerows(rows)
    weaker = [row for row in rows if float(row["ours"]) > float(row["toolbox"])]
    better = sum(float(row["ours"]) < float(row["toolbox"]) for row in rows)
    print(f"{len(rows)} comparisons: ours leaves less accuracy in {better}, more in {len(weaker)}")
    return int(bool(weaker))


if __name__ == "__main__":
    raise SystemExit(main())
