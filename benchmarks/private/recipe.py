"""Which rate and which batch suit noisy gradients? Validation after private trainings on sets that are not alike.

    python -m benchmarks.private.recipe names "batch_size=512,epochs=8,learning_rate=1e-2" ...

Sets: names (16,040 texts), atis (4,274 sentences), shakespeare (15,686 passages). Epsilon is 8, the cell an LSTM, and
what a line does not set is the recipe of private training. Nothing is scored on a test part. The lines
that chose the defaults are in results/private/recipe.md.
"""

from __future__ import annotations

import ast
import sys
import time
from dataclasses import replace

import torch

from tidegate import tasks
from tidegate.train.layer import make_layer
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.train.setting import privately
from tidegate.zoo import graph_of

SETS = {
    "names": ("classification", ("classes", "vocabulary", "unit")),
    "atis": ("tagging", ("tags", "vocabulary", "scheme")),
    "shakespeare": ("language", ("vocabulary",)),
}


def main() -> int:
    """One line for each training."""
    torch.set_num_threads(1)
    name, *lines = sys.argv[1:]
    kind, public = SETS[name]
    for line in lines:
        changes = {key: ast.literal_eval(value) for key, value in (part.split("=") for part in line.split(","))}
        setting = replace(privately(tasks.TABLE[kind].setting, 8.0), public=public, **changes)
        task = tasks.load(name, kind, setting)
        begun = time.process_time()
        outcome = train(task, make_layer(graph_of("lstm"), task.setting), Plan.of(task.setting, "lstm"))
        promise, seconds = outcome.privacy, time.process_time() - begun
        print(
            f"| {name} | {line.replace(',', ', ')} | {promise.noise_multiplier:g} | {promise.steps} "
            f"| {outcome.curve[-1].valid:.4g} | {seconds:.0f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
