"""How quick a layer of a cell is, from the results of ``python -m benchmarks.zoo_speed``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from .language import Language
from .markdown import table

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "zoo_speed"
COMMAND = "python -m benchmarks.zoo_speed"
CAPTION = (
    "float32, {features} features, {units} units, one thread of {processor}: the median and, in brackets, the range of "
    "{rounds} rounds. `{command}` measures it ([all cells]({link}))."
)
PHASES = ("inference", "training")


@cache
def results() -> dict[str, Any]:
    """What was measured, by the name of the file."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))}


def speed(name: str, say: Language) -> str:
    """Times of a layer, of its definition step by step, and of torch's own where there is one."""
    parts = [_of_run(file, run, name, say) for file, run in results().items() if name in run["rows"]]
    return "\n\n".join(parts)


def _of_run(file: str, run: dict[str, Any], name: str, say: Language) -> str:
    row, sizes = run["rows"][name], run["sizes"]
    titles = {"definition": say("its definition, step by step"), "torch": f"`{row.get('peer', '')}`"}
    others = [other for other in titles if other in row["inference"]]
    first = say("{steps} steps, {batch} sequences", steps=sizes["T"], batch=sizes["B"])
    rows = [
        [say(phase), _time(row[phase]["tidegate"], say), *(_against(row[phase], other, say) for other in others)]
        for phase in PHASES
    ]
    where = say(
        CAPTION,
        features=sizes["I"],
        units=sizes["H"],
        processor=run["machine"]["processor"],
        rounds=len(row["inference"]["tidegate"]),
        command=COMMAND,
        link=f"../../benchmarks/results/zoo_speed/{file}.md",
    )
    return f"{table([first, 'Tidegate', *(titles[other] for other in others)], rows)}\n\n{where}"


def _time(seconds: list[float], say: Language) -> str:
    middle, low, high = (f"{of(seconds) * 1e3:.3g}" for of in (median, min, max))
    return say("{middle} ms ({low} to {high})", middle=middle, low=low, high=high)


def _against(times: dict[str, list[float]], other: str, say: Language) -> str:
    """Its time, and how many times as long it takes in the same rounds."""
    ratios = [theirs / ours for theirs, ours in zip(times[other], times["tidegate"], strict=True)]
    return say(
        "{middle} ms, {times} times as long", middle=f"{median(times[other]) * 1e3:.3g}", times=f"{median(ratios):.2g}"
    )
