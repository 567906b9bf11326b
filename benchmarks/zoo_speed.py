"""How quick a layer of each cell is, beside the cell's own equations and torch's layer.

    python -m benchmarks.zoo_speed
    python -m benchmarks.zoo_speed --only lstm gru --seconds 5

Every cell runs 100 steps of 32 sequences with 128 features and 128 units in float32 on one thread. ``tidegate`` is the
compiled layer, ``definition`` the same layer run by its equations, step by step in torch (``eager_only``), ``torch``
torch's own layer with the same weights, for the cells that it has. Training is a forward and a backward pass, to the
input and all parameters. Outputs and gradients are compared before anything is timed. The contestants take turns,
round by round, and are timed by the thread's own time.

The results are benchmarks/results/zoo_speed/PROCESSOR.md and .json, which has every round. Pages of cells read it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.engine.machine import machine, processor, versions
from benchmarks.engine.statistic import Ratio, geometric_mean, paired

import tidegate as tg
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

RESULTS = Path(__file__).resolve().parent / "results" / "zoo_speed"
STEPS, BATCH, WIDTH = 100, 32, 128
FEWEST, MOST = 5, 40  # rounds
PHASES = ("inference", "training")
TORCH = {
    "rnn": (torch.nn.RNN, {}),
    "rnn/relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
}
FORWARD, BACKWARD = 1e-4, 1e-3  # largest error allowed, in shares of the largest number
EXPLANATION = (
    " Medians of thread time in milliseconds, in brackets the range of all rounds; then how many times as long the "
    "others take: the median of the ratios of paired rounds, with its 95 % interval. Numbers were compared before; "
    "`error` is the largest difference to the others, in shares of the largest number."
)
LEAST = 1e-6  # the largest number counts as at least this
Call = Callable[[], list[torch.Tensor]]
Times = dict[str, list[float]]  # seconds of each round, by contestant


def contestants(name: str) -> dict[str, Contestant]:
    """Who runs a cell, all with the same weights."""
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(CELLS[name], WIDTH, WIDTH)
    widths = {"1": (), "I": (WIDTH,)}
    given = {v.name: torch.rand(STEPS, BATCH, *widths[v.axis]).round(decimals=1) for v in layer.graph.given}
    found = {
        "tidegate": Contestant(layer, given, nullcontext),
        "definition": Contestant(layer, given, eager_only),
    }
    if name in TORCH:
        kind, settings = TORCH[name]
        theirs = kind(WIDTH, WIDTH, **settings)
        theirs.load_state_dict(layer.state_dict())
        found["torch"] = Contestant(theirs, {}, nullcontext)
    return found


class Contestant:
    """A layer, what it is given, and in which mode it runs."""

    def __init__(self, layer: torch.nn.Module, given: dict[str, torch.Tensor], mode: Callable[[], Any]) -> None:
        self.layer, self.more, self.mode = layer, {"given": given} if given else {}, mode

    def inference(self, x: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad(), self.mode():
            return [self.layer(x, **self.more)[0]]

    def training(self, x: torch.Tensor, dy: torch.Tensor) -> list[torch.Tensor]:
        self.layer.zero_grad(set_to_none=True)
        x.grad = None
        with self.mode():
            y = self.layer(x, **self.more)[0]
            y.backward(dy)
        return [y.detach(), x.grad, *(parameter.grad for parameter in self.layer.parameters())]


def check(name: str, calls: dict[str, Call], limit: float) -> float:
    """The largest error of the compiled layer beside the others.

    Raises:
        AssertionError: it is larger than the limit.
    """
    found = {who: [tensor.clone() for tensor in call()] for who, call in calls.items()}
    ours = found.pop("tidegate")
    pairs = [pair for other in found.values() for pair in zip(ours, other, strict=True)]
    error = max(float((a - b).abs().max() / b.abs().max().clamp_min(LEAST)) for a, b in pairs)
    assert error < limit, f"{name}: the largest error is {error:.1e}"
    return error


def rounds(calls: dict[str, Call], seconds: float) -> Times:
    """The contestants in turns until so many seconds of the thread are over, a few rounds at least and 40 at most."""
    times: Times = {who: [] for who in calls}
    end = time.thread_time() + seconds
    while len(times["tidegate"]) < (MOST if time.thread_time() < end else FEWEST):
        for who, call in calls.items():
            begin = time.thread_time()
            call()
            times[who].append(round(time.thread_time() - begin, 7))
    return times


def measured(name: str, seconds: float) -> dict[str, Any]:
    """The row of a cell: checked, then timed, in inference and in training."""
    some = contestants(name)
    torch.manual_seed(1)
    x, dy = torch.randn(STEPS, BATCH, WIDTH), torch.randn(STEPS, BATCH, WIDTH)
    infer = {who: partial(one.inference, x) for who, one in some.items()}
    wanted = x.clone().requires_grad_()
    train = {who: partial(one.training, wanted, dy) for who, one in some.items()}
    row: dict[str, Any] = {"peer": f"torch.nn.{TORCH[name][0].__name__}"} if name in TORCH else {}
    for phase, calls, limit in zip(PHASES, (infer, train), (FORWARD, BACKWARD), strict=True):
        error = check(name, calls, limit)  # which has warmed them up
        row[phase] = {**rounds(calls, seconds), "error": error}
    return row


def page(run: dict[str, Any]) -> str:
    """The results as Markdown."""
    facts = [f"{name}: {value}" for name, value in {**run["machine"], **run["versions"]}.items()]
    sizes = "{T} steps, {B} sequences, {I} features, {H} units, float32, one thread".format(**run["sizes"])
    lines = ["# Speed of every cell", "", *facts, "", sizes + "." + EXPLANATION]
    for phase in PHASES:
        lines += ["", f"## {phase}", "", *_table(run["rows"], phase)]
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, Any], phase: str) -> Iterator[str]:
    yield "| cell | tidegate | definition | torch.nn | definition / tidegate | torch.nn / tidegate | rounds | error |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, row in rows.items():
        times = row[phase]
        shown = [_milliseconds(times.get(who)) for who in ("tidegate", "definition", "torch")]
        ratios = [_ratio(ratio_of(times, who)) for who in ("definition", "torch")]
        cells = [f"`{name}`", *shown, *ratios, str(len(times["tidegate"])), f"{times['error']:.0e}"]
        yield f"| {' | '.join(cells)} |"
    for who in ("definition", "torch"):
        found = [ratio.median for row in rows.values() if (ratio := ratio_of(row[phase], who))]
        if found:
            yield ""
            yield f"Geometric mean of {who} / tidegate over {len(found)} cells: {geometric_mean(found):.1f}."


def ratio_of(times: Times, who: str) -> Ratio | None:
    """Their time in ours, round by round; None if they did not run."""
    return paired(times[who], times["tidegate"]) if who in times else None


def _milliseconds(seconds: list[float] | None) -> str:
    if seconds is None:
        return ""
    middle, low, high = (f"{of(seconds) * 1e3:.2f}" for of in (median, min, max))
    return f"{middle} ({low} to {high})"


def _ratio(ratio: Ratio | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CELLS, default=[*CELLS], metavar="CELL")
    parser.add_argument("--seconds", type=float, default=1.2, help="of each cell and phase")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="a folder; the files are named after the processor"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    run: dict[str, Any] = {
        "machine": machine(),
        "versions": {**versions([]), "torch": torch.__version__},
        "sizes": {"T": STEPS, "B": BATCH, "I": WIDTH, "H": WIDTH},
        "rows": {},
    }
    with tg.strict():
        for name in options.only:
            run["rows"][name] = row = measured(name, options.seconds)
            for phase in PHASES:
                shown = _milliseconds(row[phase]["tidegate"]), _ratio(ratio_of(row[phase], "definition"))
                print(f"{name} {phase}: {shown[0]} ms, the definition {shown[1]} times as long", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / processor().slug
    text = json.dumps(run, default=float)
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    target.with_suffix(".md").write_text(page(run), encoding="utf-8")


if __name__ == "__main__":
    main()
