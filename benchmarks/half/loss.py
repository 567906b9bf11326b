"""Does a network learn as well with half precision as with float32?

    python -m benchmarks.half.loss
    python -m benchmarks.half.loss --tasks characters --seeds 2 --steps 50    # a look
    python -m benchmarks.half.loss --output benchmarks/results/half

Each network is trained for 500 steps with five seeds. For one seed the first weights, the order of the data and what
dropout draws are the same in all precisions. Two numbers are taken: the mean training loss of the last 50 steps, and
the validation loss after the last one, computed in float32 for all. A precision passes where the mean over seeds lies
within one standard deviation of the seeds of float32, for both.

- **bfloat16** is ``tidegate train --precision bfloat16``; **-saved** adds ``--saved-activations bfloat16``.
- **float16** is torch's autocast with a ``GradScaler``, which ``tidegate train`` does not offer: on a CPU it computes
  in float32 and is no quicker.
"""

from __future__ import annotations

import argparse
import csv
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from benchmarks.engine import processor

from tidegate import tasks
from tidegate.train.batch import Batch, Measure
from tidegate.train.carry import detached
from tidegate.train.layer import make_layer
from tidegate.train.plan import Plan
from tidegate.train.precision import in_full, prepared
from tidegate.train.setting import Training
from tidegate.train.step import Step, Taken
from tidegate.train.task import AnyTask
from tidegate.train.world import World
from tidegate.zoo import graph_of

LAST = 50  # steps whose training losses are averaged


@dataclass(frozen=True)
class Network:
    """What is trained.

    Attributes:
        data: a bundled set.
        what: in words.
        options: settings other than the task's defaults.
    """

    data: str
    what: str
    options: Mapping[str, Any]


NETWORKS = {
    "characters": Network(
        "shakespeare", "characters of tiny Shakespeare, LSTM of 256", {"cell": "lstm", "hidden_size": 256}
    ),
    "chorales": Network("jsb", "keys of Bach's chorales, GRU of 128", {"cell": "gru", "hidden_size": 128}),
    "tags": Network("atis", "tags of words of ATIS, LSTM of 2 x 128", {"cell": "lstm", "hidden_size": 128}),
    "digits": Network("fsdd", "spoken digits as text (CTC), GRU of 128", {"cell": "gru", "hidden_size": 128}),
}


class ScaledStep(Step):
    """The plain step under autocast in float16, with a loss scaled so that small gradients do not vanish."""

    def __init__(self, task: AnyTask, model: torch.nn.Module, plan: Plan, world: World) -> None:
        super().__init__(task, model, plan, world)
        self.scaler = torch.amp.GradScaler("cpu")

    def _measured(self, batch: Batch) -> Measure:
        with torch.autocast("cpu", torch.float16):
            outputs, self._carry = self.joined(batch, None if batch.starts else detached(self._carry))
        return self.task.measure(in_full(outputs), batch)

    def take(self, whole: Batch, rate: float, *, due: bool = False) -> Taken:
        measure = self._measured(whole)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(measure.loss / max(1, measure.count)).backward()
        self.scaler.unscale_(self.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.setting.clip))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return Taken(float(measure.loss.detach()), measure.count, norm, due)


@dataclass(frozen=True)
class Result:
    """What a run of one seed ends with: nats, bits or edits of the task.

    Attributes:
        train: the mean loss of a term in the last steps.
        valid: the validation loss, in float32.
        skipped: steps in which nothing was learnt, since a gradient was not finite.
    """

    train: float
    valid: float
    skipped: int


PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16-saved": {"precision": "bfloat16", "saved_activations": "bfloat16"},
    "float32-saved": {"saved_activations": "bfloat16"},
    "float16": {"precision": "bfloat16"},  # prepared as that is, and run by a step of its own
}


def task_of(network: Network, precision: str, seed: int) -> AnyTask:
    kind = tasks.TABLE[tasks.name_of(network.data, None)].setting
    setting: Training = replace(kind(**network.options), **PRECISIONS[precision], seed=seed)
    return tasks.load(network.data, setting=setting)


def started(network: Network, precision: str, seed: int) -> Step:
    """A training before its first step."""
    task = task_of(network, precision, seed)
    plan = Plan.of(task.setting, task.setting.cell)
    torch.manual_seed(plan.initial_seed)
    model = prepared(task.model(make_layer(graph_of(task.setting.cell), task.setting), task.setting), task.setting)
    return (ScaledStep if precision == "float16" else Step)(task, model.train(), plan, World())


def run(network: Network, precision: str, seed: int, steps: int) -> Result:
    """Train a network as ``tidegate train`` does, with a constant rate, for so many steps."""
    step = started(network, precision, seed)
    task = step.task
    losses: list[float] = []
    skipped = 0
    while len(losses) < steps:
        for batch in step.batches(0):
            taken = step.take(batch, task.setting.learning_rate)
            losses.append(taken.loss / max(1, taken.count))
            skipped += not math.isfinite(taken.norm)
            if len(losses) == steps:
                break
        step.end_epoch()
    return Result(fmean(losses[-LAST:]), validated(task, step.model), skipped)


@torch.inference_mode()
def validated(task: AnyTask, model: torch.nn.Module) -> float:
    """The mean loss of a term of the validation part, in float32."""
    model.eval()
    loss, count, state = 0.0, 0, None
    for batch in task.batches("valid"):
        outputs, state = model(batch, None if batch.starts else state)
        measure = task.measure(outputs, batch)
        loss, count = loss + float(measure.loss), count + measure.count
    return loss / count


def rows(found: Mapping[tuple[str, str], Sequence[Result]]) -> list[str]:
    """The table of means, and whether each lies within a standard deviation of float32's."""
    lines = [
        "| task | precision | training loss | validation | mean apart from float32, in its deviations | passes |",
        "|---|---|---|---|---|---|",
    ]
    for (name, precision), results in found.items():
        base = found[name, "float32"]
        shown, apart = [], []
        for part in ("train", "valid"):
            own, theirs = ([getattr(result, part) for result in some] for some in (results, base))
            shown.append(f"{fmean(own):.4f} ± {stdev(own):.4f}")
            apart.append((fmean(own) - fmean(theirs)) / stdev(theirs))
        verdict = "" if precision == "float32" else "yes" if max(map(abs, apart)) <= 1 else "**no**"
        distance = "" if precision == "float32" else f"{apart[0]:+.2f}, {apart[1]:+.2f}"
        lines.append(f"| {NETWORKS[name].what} | {precision} | {shown[0]} | {shown[1]} | {distance} | {verdict} |")
    return lines


def read(path: Path, again: Sequence[str]) -> dict[tuple[str, str, int], Result]:
    """What an earlier run has found, but for the precisions that are to be run again."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["precision"] not in again]
    return {
        (line["task"], line["precision"], int(line["seed"])): Result(
            float(line["train"]), float(line["valid"]), int(line["skipped"])
        )
        for line in lines
    }


def write(path: Path, found: Mapping[tuple[str, str, int], Result]) -> None:
    """All results so far, one a line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "precision", "seed", "train", "valid", "skipped"])
        writer.writerows([*key, repr(one.train), repr(one.valid), one.skipped] for key, one in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--output", type=Path, help="where results lie; those that are there are not run again")
    parser.add_argument("--again", nargs="+", choices=PRECISIONS, default=[], help="but for these")
    asked = parser.parse_args()
    stem = asked.output and asked.output / f"{processor().slug}-loss"
    found = read(stem.with_suffix(".csv"), asked.again) if stem else {}
    by_row: dict[tuple[str, str], list[Result]] = {}
    for name, precision, seed in product(
        asked.tasks, dict.fromkeys(["float32", *asked.precisions]), range(asked.seeds)
    ):
        key = name, precision, seed
        if key not in found:
            found[key] = run(NETWORKS[name], precision, seed, asked.steps)
            print(*key, found[key], flush=True)
            if stem:
                stem.parent.mkdir(parents=True, exist_ok=True)
                write(stem.with_suffix(".csv"), found)
        by_row.setdefault((name, precision), []).append(found[key])
    lines = rows(by_row)
    print("\n".join(lines))
    if stem:
        command = shlex.join(["python", "-m", "benchmarks.half.loss", *sys.argv[1:]])
        head = [f"`{command}`, {processor()}, torch {torch.__version__}", ""]
        stem.with_suffix(".md").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
