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
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.explain import adding
from benchmarks.explain.network import Batch, Kind, Net, Size, harmless, kinds, others

from tidegate.explain.case import Case
from tidegate.explain.measure import LayerMeasures, measure
from tidegate.explain.remedy import train, try_remedy
from tidegate.explain.rule import RULES
from tidegate.explain.verdict import NAMES, verdicts

CHOSEN, SCORED = range(10), range(100, 120)  # seeds
SMALL, LARGE = Size(), Size(hidden=128, steps=200, lag=100, batch=16)
TRAINING = {"rnn": (500, 1e-3), "": (250, 1e-2)}  # updates and rate by cell
COMPARED = 5  # seeds on which a copy learns without the remedy too
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


def ranges(chosen: Sequence[Kind], size: Size, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """For each number that a threshold is held against the least and the most of it, by kind of network."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for kind in chosen:
        for seed in seeds:
            net, batch, _ = made(kind, size, seed)
            (own,) = measured(net, batch)
            for rule in RULES:
                for name in [own.path] if rule.of_stack else own.memories:
                    for place, number in enumerate(rule.numbers(Case(own, name, size.lag, ""))):
                        if number.threshold is not None:
                            row = found.setdefault(
                                (rule.name, place), {"verdict": rule.name, **number._asdict(), "by": {}}
                            )
                            low, high = row["by"].get(kind.name, (math.inf, -math.inf))
                            row["by"][kind.name] = (min(low, number.value), max(high, number.value))
    for row in found.values():
        del row["value"]
    return [*found.values()]


def margins(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How far planted and healthy networks are from each threshold."""
    expected = {kind.name: kind.expected for kind in kinds(SMALL)}
    lines = ["| verdict | number | holds | planted | healthy |", "|---|---|---|---|---|"]
    for row in rows:
        sides = {}
        for wanted in (row["verdict"], ""):
            own = [span for kind, span in row["by"].items() if expected[kind] == wanted]
            sides[wanted] = f"{min(low for low, _ in own):.3g} to {max(high for _, high in own):.3g}" if own else "-"
        lines.append(
            f"| {row['verdict']} | {row['name']} | {row['side']} {row['threshold']:.3g} | {sides[row['verdict']]} | "
            f"{sides['']} |"
        )
    return lines


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
    """The remedy of the first verdict, applied to a copy that then learns the task; on some seeds beside one "
    "without."""
    updates, rate = TRAINING.get(kind.cell, TRAINING[""])
    gone, losses, without = 0, [], []
    for seed in seeds:
        net, batch, generator = made(kind, size, seed)
        first = [own for own in verdicts(measured(net, batch), size.lag) if own.line.name == kind.expected][:1]
        for verdict in first:
            better, _ = try_remedy(net, verdict, batch.loss, batch.x, lag=size.lag, **batch.named)
            train(better, lambda _, draw=generator: _drawn(kind, size, draw), updates, rate)
            after = [own.line.name for own in verdicts(measured(better, batch), size.lag)]
            gone += kind.expected not in after
            losses.append(_loss(better, batch))
            if len(without) < COMPARED:
                train(net, lambda _, draw=generator: _drawn(kind, size, draw), updates, rate)
                without.append(_loss(net, batch))
    return {
        "kind": kind.name,
        "verdict": kind.expected,
        "seeds": len(seeds),
        "named": len(losses),
        "gone": gone,
        "learnt": sum(loss < LEARNT for loss in losses),
        "loss": statistics.median(losses),
        "compared": len(without),
        "learnt without": sum(loss < LEARNT for loss in without),
        "loss without": statistics.median(without),
    }


def _loss(net: Net, batch: Batch) -> float:
    """The error of a trained network on the batch that it was judged on; it has not learnt from that."""
    with torch.no_grad():
        return batch.loss(net.eval()(batch.x, **batch.named)).item()


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
        f"Adam, an RNN in {TRAINING['rnn'][0]}; on {COMPARED} seeds the network without it does so too. *Gone*: the "
        "verdict no longer holds after that. *Learnt*: the error on the batch that was judged, which is not learnt "
        f"from, is below {LEARNT:g}. Always answering the mean costs 1."
    )
    head = "| network | verdict | named | gone | learnt | learnt without | median error | without |"
    lines = [about, "", head, "|---" * 8 + "|"]
    for row in rows:
        counts = " | ".join(f"{row[name]}/{row['named']}" for name in ("gone", "learnt"))
        lines.append(
            f"| {row['kind']} | {row['verdict']} | {row['named']}/{row['seeds']} | {counts} | "
            f"{row['learnt without']}/{row['compared']} | {row['loss']:.3g} | {row['loss without']:.3g} |"
        )
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
        "*further* counts verdicts after the first. Networks of few units whose weights are too large often settle "
        "instead of exploding (at gain 2 one of eight with 64 units), so that fault is planted at gain 2.5."
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
    if "chosen" in result:
        lines += ["", f"## The numbers on seeds {CHOSEN.start} to {CHOSEN.stop - 1}", "", *margins(result["chosen"])]
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
        for row in ranges(some(kinds(SMALL), chosen), SMALL, CHOSEN):
            print(f"{row['verdict']}: {row['name']} {row['side']} {row['threshold']:.3g}")
            for kind, (low, high) in row["by"].items():
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
        "chosen": ranges(small, SMALL, CHOSEN),
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
