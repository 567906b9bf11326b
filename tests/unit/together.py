"""What ``torchrun`` starts in test_distributed.py, and what one process does for comparison."""

import dataclasses
import math
import sys
from pathlib import Path

import torch

from tidegate import tasks
from tidegate.nn import Recurrent
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.music.setting import MusicSetting
from tidegate.train import loop
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.train.task import Task
from tidegate.train.world import World, launched

RECIPE = {
    "learning_rate": 1e-2,
    "dropout": 0.0,
    "schedule": "plateau",
    "epochs": 2,
    "patience": 9,
    "patience_rate": 1,
    "clip": 0.5,
    "precision": "float64",
    "recurrent_dropout": 0.0,
}
SETTINGS = {
    "shakespeare": LanguageSetting(embedding_size=32, batch_size=16, scored_size=20_000, **RECIPE),
    "jsb": MusicSetting(**RECIPE),
}


def plan_of(name: str, **changes) -> Plan:
    return Plan(dataclasses.replace(SETTINGS[name], **changes), initial_seed=1, order_seed=2)


class Few:
    """A task with ten batches of five rows, which two processes cannot halve, then of one, which only one can have."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str):
        return getattr(self._task, name)

    def batches(self, split, order=None):
        for index, batch in zip(range(10), self._task.batches(split, order), strict=False):
            rows = 5 if index < 5 else 1
            lengths = batch.lengths if batch.lengths is None else batch.lengths[:rows]
            yield dataclasses.replace(
                batch,
                inputs=batch.inputs[:, :rows],
                targets=batch.targets[:, :rows],
                lengths=lengths,
                starts=batch.starts or index == 5,
            )


def layer(features: int) -> Recurrent:
    return Recurrent("lstm", features, 5)


def run(name: str, plan: Plan, **options) -> Checkpoint:
    """Train; the weights and the curve without its seconds."""
    outcome = train(Few(tasks.load(name, setting=plan.setting)), layer, plan, **options)
    curve = [dataclasses.replace(epoch, seconds=0.0) for epoch in outcome.curve]
    return Checkpoint(outcome.model.state_dict(), {"curve": [dataclasses.asdict(epoch) for epoch in curve]})


def interrupted(name: str, plan: Plan, path: Path) -> Checkpoint:
    """The same, stopped in the middle of the second epoch and taken up again."""

    def stop(record) -> None:
        if (record.epoch, record.step) == (2, 3):
            raise KeyboardInterrupt

    try:
        run(name, plan, checkpoint=path, on_step=stop)
    except KeyboardInterrupt:
        assert Checkpoint.load(path).data["state"]["now"]["steps"] == 2
        return run(name, plan, checkpoint=path)
    raise AssertionError("nothing was interrupted")


def main(folder: Path) -> None:
    loop.SAVE_EVERY_SECONDS, loop.SAVE_SHARE = -1.0, math.inf  # after every step
    torch.set_num_threads(1)
    with launched() as world:
        assert world.size == World().size == 2
        for name in SETTINGS:
            plan, dropped = plan_of(name), plan_of(name, dropout=0.3)
            run(name, plan).save(folder / f"{name}-{world.rank}")
            run(name, dropped).save(folder / f"{name}-whole-{world.rank}")
            interrupted(name, dropped, folder / f"{name}-checkpoint").save(folder / f"{name}-again-{world.rank}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
