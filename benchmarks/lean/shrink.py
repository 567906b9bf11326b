"""What do pruning and the penalty on units cost, and what do they save, on chorales?

    python -m benchmarks.lean.shrink --folder FOLDER
    python -m benchmarks.lean.shrink --folder FOLDER --seeds 0 1 2 --output benchmarks/results/lean

Trains `tidegate train music jsb --cell gru` for each seed, with the settings of the task, in four ways: as it is; with
`--group-penalty 0.06`, so that units fall silent and are taken out; with `--density 0.2`; and with fewer units, as many
as have the weights that this density keeps. Models lie in FOLDER and are not trained twice.

- **scores** are those of the test part, for each seed.
- **speed** is that of the recurrent layers of the first seed: a session of one sequence, a batch of 16 in evaluation,
  and a step of training on it. All take turns on one thread, times are those of the thread, the best of many rounds.
- **exported**: the model with fewer units as ONNX and as C, scored by the task itself.
- **equal**: a model is trained with a strong penalty until a quarter of its units is silent, and compared with what
  `tidegate.shrink` makes of it, on the test part.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from statistics import mean

import torch
from benchmarks.engine import processor

import tidegate as tg
from tidegate.nn.sparse import nonzeros
from tidegate.tasks import Composer, load
from tidegate.tasks.music.setting import MusicSetting
from tidegate.train.layer import make_layer

DATA, FEATURES, UNITS = "jsb", 88, MusicSetting().hidden_size
DENSITY, PENALTY = 0.2, 0.06
STRONG, GONE = 0.3, 0.25  # of the penalty that makes silent units quickly, and how many it makes
SMALL = round((math.sqrt(FEATURES**2 + 4 * DENSITY * UNITS * (FEATURES + UNITS)) - FEATURES) / 2)  # as many weights
WAYS = {
    "dense": {},
    "penalty": {"group_penalty": PENALTY},
    "density": {"density": DENSITY},
    "small": {"hidden_size": SMALL},
}
STEPS, ROWS, ROUNDS = 64, 16, 60


def trained(way: str, seed: int, folder: Path) -> Composer:
    model = Composer(cell="gru", seed=seed, **WAYS[way])
    return model.fit(DATA, folder=folder / f"{way}-{seed}")


def calls(layer: tg.nn.Recurrent) -> dict[str, Callable[[], object]]:
    """What is timed, by its name."""
    layer = layer.eval()
    alone, rows = torch.randn(STEPS, 1, FEATURES), torch.randn(STEPS, ROWS, FEATURES)
    session = tg.Session(layer)

    def evaluate() -> None:
        with torch.no_grad():
            layer(rows)

    return {
        "session, B 1": lambda: session.run(alone),
        f"evaluation, B {ROWS}": evaluate,
        f"training step, B {ROWS}": lambda: layer(rows)[0].square().sum().backward(),
    }


def seconds(models: dict[str, Composer]) -> dict[str, dict[str, float]]:
    """The best time of each call of each model."""
    ways = {way: calls(model.model_.layer) for way, model in models.items()}
    best = {way: dict.fromkeys(own, math.inf) for way, own in ways.items()}
    for _ in range(ROUNDS):
        for way, own in ways.items():
            for name, call in own.items():
                start = time.thread_time()
                call()
                best[way][name] = min(best[way][name], time.thread_time() - start)
    return best


def score(model: Composer) -> float:
    return model.scores_[0].value


def weights(model: Composer) -> int:
    """Numbers of the recurrent layer that are not zero."""
    return nonzeros(model.model_.layer)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def scores(models: dict[str, list[Composer]], seeds: list[int]) -> str:
    dense = mean(map(score, models["dense"]))
    head = ["", "units", "weights not zero", *(f"NLL, seed {seed}" for seed in seeds), "mean, beside dense"]
    rows = [
        [
            way,
            ", ".join(str(one.model_.layer.hidden_size) for one in own),
            ", ".join(f"{weights(one):,}" for one in own),
            *(f"{score(one):.3f}" for one in own),
            f"{mean(map(score, own)):.3f}, {100 * (mean(map(score, own)) / dense - 1):+.1f} %",
        ]
        for way, own in models.items()
    ]
    return table(head, rows)


def speeds(models: dict[str, list[Composer]]) -> str:
    best = seconds({way: own[0] for way, own in models.items()})
    names = [*best["dense"]]
    rows = [[way, *(f"{best['dense'][name] / own[name]:.2f}" for name in names)] for way, own in best.items()]
    return table(["times as quick as dense", *names], rows)


def exported(model: Composer) -> str:
    rows = []
    for to in ("onnx", "c"):
        shipped = tg.ship.ship(model, to)
        checked = tg.ship.check(shipped)
        rows.append([to, f"{checked.before:.6f}", f"{checked.after:.6f}", "passed" if checked.passed else "FAILED"])
    return table(["", "NLL of the model", "NLL of the artefact", "within 1e-4 of the largest answer"], rows)


def equal() -> str:
    """How far the outputs of a model without its silent units are from its own, and how many those were."""
    setting = MusicSetting(nade_size=0)
    task = load(DATA, "music", setting)
    torch.manual_seed(0)
    model = task.model(make_layer(tg.zoo.GRU.graph, setting))
    penalty, optimizer = tg.group_penalty(model, STRONG), torch.optim.Adam(model.parameters(), setting.learning_rate)
    order = torch.Generator().manual_seed(0)
    for batch in chain.from_iterable(task.batches("train", order) for _ in count()):
        optimizer.zero_grad()
        measure = task.measure(model(batch)[0], batch)
        (measure.loss / measure.count).backward()
        optimizer.step()
        penalty.step(setting.learning_rate)
        if penalty.alive < 1 - GONE:
            break
    found, far, largest = tg.shrink(model.eval()), 0.0, 0.0
    with torch.no_grad():
        for batch in task.batches("test"):
            whole, small = model(batch)[0], found.model(batch)[0]
            far, largest = max(far, float((whole - small).abs().max())), max(largest, float(whole.abs().max()))
    return f"{found}: outputs differ by at most {far:.1e}, the largest is {largest:.1f}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, required=True, help="where the models lie")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options.add_argument("--output", type=Path, help="folder for the tables; printed only, unless given")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    models = {way: [trained(way, seed, chosen.folder) for seed in chosen.seeds] for way in WAYS}
    sections = {
        "scores": scores(models, chosen.seeds),
        "speed": speeds(models),
        "exported": exported(models["penalty"][0]),
        "equal": equal(),
    }
    text = "\n\n".join(f"## {name}\n\n{section}" for name, section in sections.items())
    seeds = " ".join(map(str, chosen.seeds))
    command = f"`python -m benchmarks.lean.shrink --folder FOLDER --seeds {seeds}` on {processor()}, one thread."
    text = f"# Fewer units and fewer weights, on chorales\n\n{command}\n\n{text}\n"
    print(text)
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / f"shrink-{processor().slug}.md").write_text(text)


if __name__ == "__main__":
    main()
