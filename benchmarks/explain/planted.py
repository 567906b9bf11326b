"""Does explain name planted faults, leave healthy networks alone, and mend what it names?

    python -m benchmarks.explain.planted                 # all of it: under ten minutes on one core
    python -m benchmarks.explain.planted --numbers       # what the thresholds were chosen from: seeds 0 to 9
    python -m benchmarks.explain.planted --seeds 5 --remedies 5   # a quick look

Verdicts are scored on seeds that the thresholds have not seen. The results are benchmarks/results/explain/planted.md
and planted.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.explain import adding
from benchmarks.explain.network import Batch, Kind, Net, Size, harmless, kinds, others

from tidegate.explain.measure import LayerMeasures, measure
from tidegate.explain.remedy import train, try_remedy
from tidegate.explain.rule import RULES, Case
from tidegate.explain.verdict import NAMES, verdicts

CHOSEN, SCORED = range(10), range(100, 120)  # seeds
SMALL, LARGE = Size(), Size(hidden=128, steps=200, lag=100, batch=16)
TRAINING = {"rnn": (500, 1e-3), "": (250, 1e-2)}  # updates and rate by cell
LEARNT = 0.1  # mean square error; the mean of all answers costs 1
FOLDER = Path(__file__).parents[1] / "results" / "explain"


def made(kind: Kind, size: Size, seed: int) -> tuple[Net, Batch, torch.Generator]:
    """A network, the batch that it is judged on, and what draws further batches."""
    generator = torch.Generator().manual_seed(seed + 1000)
    net, batch = kind.net(size, seed), kind.batch(size, generator)
    if kind.trained:
        train(net, lambda _: _drawn(kind, size, generator), *TRAINING[""])
    return net, batch, generator


def _drawn(kind: Kind, size: Size, generator: torch.Generator) -> tuple[Any, Any]:
    batch = kind.batch(size, generator)
    return batch.x, batch.loss


def measured(net: Net, batch: Batch) -> tuple[LayerMeasures, ...]:
    return measure(net, batch.loss, batch.x, **batch.named)


def numbers(own: LayerMeasures, lag: int) -> Iterator[tuple[str, float]]:
    """Every number that a threshold is held against, by its rule."""
    for rule in RULES:
        for name in [own.path] if rule.of_stack else own.memories:
            for number in rule.numbers(Case(own, name, lag, "")):
                if number.threshold is not None:
                    yield f"{rule.name}: {_without_names(number.name)}", number.value


def _without_names(text: str) -> str:
    return " ".join("*" if len(word) == 1 and word.isalpha() and word != "a" else word for word in text.split())


def ranges(chosen: Sequence[Kind], size: Size, seeds: Sequence[int]) -> dict[str, dict[str, tuple[float, float]]]:
    """For each number the least and the most of it, by kind of network."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for kind in chosen:
        for seed in seeds:
            net, batch, _ = made(kind, size, seed)
            for name, value in numbers(measured(net, batch)[0], size.lag):
                found[name][kind.name].append(value)
    return {name: {kind: (min(own), max(own)) for kind, own in by.items()} for name, by in found.items()}


def scored(chosen: Sequence[Kind], size: Size, seeds: Sequence[int], *, edited: bool = False) -> list[dict[str, Any]]:
    """For each kind how often each verdict came first, and how many came after it."""
    rows = []
    for kind in chosen:
        first, further = Counter[str](), 0
        for seed in seeds:
            net, batch, _ = made(kind, size, seed)
            names = [
                own.line.name for own in verdicts(measured(harmless(net, seed) if edited else net, batch), size.lag)
            ]
            first[names[0] if names else ""] += 1
            further += max(0, len(names) - 1)
        rows.append({"kind": kind.name, "expected": kind.expected, "first": dict(first), "further": further})
    return rows


def mended(kind: Kind, size: Size, seeds: Sequence[int]) -> dict[str, Any]:
    """The remedy of the first verdict, applied to a copy that then learns the task, beside one without it."""
    rows = []
    steps, rate = TRAINING.get(kind.cell, TRAINING[""])
    for seed in seeds:
        net, batch, generator = made(kind, size, seed)
        found = [own for own in verdicts(measured(net, batch), size.lag) if own.line.name == kind.expected]
        if not found:
            continue
        _, record = try_remedy(
            net, found[0], batch.loss, batch.x, lag=size.lag, steps=steps, learning_rate=rate,
            batches=lambda _, generator=generator: _drawn(kind, size, generator), **batch.named,
        )  # fmt: skip
        rows.append(record)
    return {
        "kind": kind.name,
        "verdict": kind.expected,
        "seeds": len(seeds),
        "named": len(rows),
        "gone": sum(row.gone for row in rows),
        "learnt": sum(row.loss_after < LEARNT for row in rows),
        "learnt without": sum(row.loss_before < LEARNT for row in rows),
        "loss": statistics.median(row.loss_after for row in rows),
        "loss without": statistics.median(row.loss_before for row in rows),
    }


def matrix(rows: Sequence[dict[str, Any]], seeds: int) -> list[str]:
    """The confusion matrix as a table: for each kind of network how often each verdict came first."""
    columns = [name for name in NAMES if any(name in row["first"] or name == row["expected"] for row in rows)]
    lines = [f"| network | right | {' | '.join(columns)} | none | further |", "|---" * (len(columns) + 4) + "|"]
    for row in rows:
        right = row["first"].get(row["expected"], 0)
        cells = [
            f"**{count}**" if name == row["expected"] else str(count or "")
            for name, count in ((name, row["first"].get(name, 0)) for name in [*columns, ""])
        ]
        lines.append(f"| {row['kind']} | {right}/{seeds} | {' | '.join(cells)} | {row['further']} |")
    broken, healthy = ([row for row in rows if bool(row["expected"]) is kind] for kind in (True, False))
    accused = sum(seeds - row["first"].get("", 0) for row in healthy)
    lines += ["", f"Healthy networks accused: {accused} of {seeds * len(healthy)}."] if healthy else [""]
    if broken:
        least = min(row["first"].get(row["expected"], 0) for row in broken)
        further = sum(row["further"] for row in broken)
        lines.append(
            f"Least of all faults: {least} of {seeds}. Further accusations: {further} in {seeds * len(broken)}."
        )
    return lines


def remedies(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What remedies did."""
    about = (
        f"The remedy of the verdict is applied to a copy, which then learns the task in {TRAINING[''][0]} updates by "
        f"Adam, an RNN in {TRAINING['rnn'][0]}; another copy does so without the remedy. *Gone*: the verdict no longer "
        f"holds after that. *Learnt*: the error on the batch that was judged is below {LEARNT:g}. Always answering the "
        "mean costs 1."
    )
    head = "| network | verdict | named | gone | learnt | learnt without | median error | without |"
    lines = [about, "", head, "|---" * 8 + "|"]
    for row in rows:
        counts = " | ".join(str(row[name]) for name in ("named", "gone", "learnt", "learnt without"))
        lines.append(f"| {row['kind']} | {row['verdict']} | {counts} | {row['loss']:.3g} | {row['loss without']:.3g} |")
    return lines


def clipping(found: dict[str, list[float]]) -> list[str]:
    """What clipping and the remedy did on the adding problem."""
    about = (
        f"The adding problem over {adding.STEPS} steps, for a tanh RNN of {adding.HIDDEN} units with gain "
        f"{adding.GAIN:g}: the mean error on {adding.HELD_OUT:,} held-out sequences during the last of "
        f"{adding.UPDATES} updates by Adam at a rate of {adding.RATE:g}, of the first "
        f"{len(next(iter(found.values())))} networks that explode. Always answering 1 costs 0.167, so this shows that "
        "training is stable, not that the task is learnt."
    )
    lines = [about, "", "| what was done | median | least | most |", "|---|---|---|---|"]
    for name, values in found.items():
        lines.append(f"| {name} | {statistics.median(values):.4f} | {min(values):.4f} | {max(values):.4f} |")
    return lines


def page(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    about = (
        "`python -m benchmarks.explain.planted`. The task is to answer, at the end of a sequence, the number at the "
        f"one marked step. Thresholds were chosen on seeds {CHOSEN.start} to {CHOSEN.stop - 1}; everything below is "
        f"scored on the {result['seeds']} seeds from {SCORED.start} on. A cell counts networks by their first verdict, "
        "*further* counts verdicts after the first."
    )
    lines = ["# Planted faults, healthy networks, remedies", "", about]
    titles = {
        "small": f"H {SMALL.hidden}, T {SMALL.steps}, lag {SMALL.lag}",
        "edited": "The same with a harmless edit: units in another order, an answer three times as large, plus one",
        "others": "Cells that the thresholds were not chosen for",
        "large": f"H {LARGE.hidden}, T {LARGE.steps}, lag {LARGE.lag}",
    }
    for name, title in titles.items():
        if name in result:
            lines += ["", f"## {title}", "", *matrix(result[name], result["seeds"])]
    if "remedies" in result:
        lines += ["", "## Remedies", "", *remedies(result["remedies"])]
    if "adding" in result:
        lines += ["", "## Clipping and the remedy", "", *clipping(result["adding"])]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", action="store_true", help="print the numbers behind the thresholds, and end")
    parser.add_argument("--seeds", type=int, default=len(SCORED), help="how many seeds are scored")
    parser.add_argument("--remedies", type=int, default=len(SCORED), help="seeds on which remedies are tried")
    parser.add_argument("--only", default="", help="kinds whose name contains this; writes nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.process_time()

    if chosen.numbers:
        for name, by in ranges(some(kinds(SMALL), chosen), SMALL, CHOSEN).items():
            print(name)
            for kind, (low, high) in by.items():
                print(f"    {kind:28} {low:10.4g} .. {high:.4g}")
        return 0
    result = scores(chosen) | (mendings(chosen) if chosen.remedies else {})
    result["seconds of one core"] = round(time.process_time() - begun)
    if not chosen.only:
        write(result)
    print(page(result))
    return 0


def scores(chosen: argparse.Namespace) -> dict[str, Any]:
    """All confusion matrices."""
    seeds = SCORED[: chosen.seeds]
    small, large = some(kinds(SMALL), chosen), some(kinds(LARGE), chosen)
    return {
        "seeds": len(seeds),
        "small": scored(small, SMALL, seeds),
        "edited": scored([kind for kind in small if not kind.trained], SMALL, seeds, edited=True),
        "others": scored(some(others(SMALL), chosen), SMALL, seeds),
        "large": scored([kind for kind in large if not kind.trained], LARGE, seeds),
    }


def mendings(chosen: argparse.Namespace) -> dict[str, Any]:
    """What remedies did to the task and on the adding problem."""
    seeds = SCORED[: chosen.remedies]
    faults = [kind for kind in some(kinds(SMALL), chosen) if kind.expected]
    return {
        "remedies": [mended(kind, SMALL, seeds) for kind in faults],
        "adding": adding.losses(SCORED, min(5, len(seeds))),
    }


def some(these: list[Kind], chosen: argparse.Namespace) -> list[Kind]:
    """Those whose name was asked for."""
    return [kind for kind in these if chosen.only in kind.name]


def write(result: dict[str, Any]) -> None:
    """The results as files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "planted.md").write_text(page(result))
    (FOLDER / "planted.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
