"""Which cell of ours each layer of torchrecurrent 0.2.5 is, whether both give the same, and how long each takes.

    pip install --no-deps --target PEER torchrecurrent==0.2.5
    PYTHONPATH=PEER python -m benchmarks.lean.torchrecurrent
    PYTHONPATH=PEER python -m benchmarks.lean.torchrecurrent --output benchmarks/results/lean

Outputs are compared in float64 at random weights that both have (``benchmarks.lean.carried``); a layer of theirs with
other equations is said to be so, and timed all the same. Both have as many features as units, take turns on one thread,
and are timed by the thread's own time: the best of all rounds. Training is a forward and a backward pass, to all
parameters.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from benchmarks.engine import processor
from benchmarks.lean.carried import Carried
from benchmarks.lean.sparse import best

from tidegate import zoo
from tidegate.cell import Cell
from tidegate.nn import Recurrent

UNITS = 6  # of layers whose outputs are compared
SHAPES = ((128, 1, 64), (128, 32, 128))  # steps, sequences, units
CLOSE = 1e-12


class HardSigmoid(torch.nn.Module):
    """As Keras had it, and the paper of the SGU."""

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return (0.2 * v + 0.5).clamp(0, 1)


class Ours(NamedTuple):
    """What stands here for a layer of theirs.

    Attributes:
        cell: the name of our cell; empty if there is none.
        note: what differs in how the equations are written, or why there is no such cell; empty where nothing does.
        theirs: arguments of theirs, for the equations of the paper.
        other: what differs in the equations of theirs, so that outputs are others; empty where nothing does.
    """

    cell: str
    note: str = ""
    theirs: Mapping[str, Any] = MappingProxyType({})
    other: str = ""


HARD = HardSigmoid()
ONE_BIAS = "ours has one bias a gate, theirs two that are added"
PER_UNIT = "the two numbers of the paper are vectors here, one number a unit"

OURS: dict[str, Ours] = {
    "AntisymmetricRNN": Ours("antisymmetricrnn", ONE_BIAS),
    "GatedAntisymmetricRNN": Ours(
        "gatedantisymmetricrnn", "theirs leaves the recurrent bias out of the gate; ours has one bias a gate"
    ),
    "ATR": Ours("atr", ONE_BIAS),
    "BR": Ours("brc", ONE_BIAS),
    "NBR": Ours("nbrc", ONE_BIAS),
    "CFN": Ours("cfn", ONE_BIAS),
    "DSGU": Ours("dsgu", theirs={"gate_nonlinearity": HARD}),
    "MCLSTM": Ours("mclstm", ONE_BIAS),
    "MGU": Ours("mgu", ONE_BIAS),
    "MinimalRNN": Ours("minimalrnn"),
    "MiRU1": Ours("miru1", ONE_BIAS),
    "MiRU2": Ours("miru2", ONE_BIAS),
    "coRNN": Ours("cornn", "one bias here, three that are added there; theirs damps y and z with the names changed"),
    "FastRNN": Ours("fastrnn", f"{ONE_BIAS}; {PER_UNIT}"),
    "FastGRNN": Ours("fastgrnn", f"{ONE_BIAS}; {PER_UNIT}", theirs={"nonlinearity": "sigmoid"}),
    "IndRNN": Ours("indrnn", ONE_BIAS, theirs={"nonlinearity": "relu"}),
    "IntersectionRNN": Ours("intersectionrnn", ONE_BIAS),
    "JANET": Ours("janet", ONE_BIAS),
    "LEM": Ours(
        "lem",
        other="its output reads the memory of the step before, where its documentation and the paper say the new one",
    ),
    "LiGRU": Ours("ligru", ONE_BIAS),
    "LightRU": Ours("lightru", ONE_BIAS),
    "MultiplicativeLSTM": Ours("multiplicativelstm"),
    "MUT1": Ours("mut1", other="it multiplies the input of the candidate by a matrix, which the paper takes as it is"),
    "MUT2": Ours("mut2", other="it multiplies the input of the reset gate by a matrix, which the paper takes as it is"),
    "MUT3": Ours("mut3", ONE_BIAS),
    "NAS": Ours("nas", other="it adds where the cell of the paper multiplies the products of x and h, once in eight"),
    "OriginalLSTM": Ours("lstm1997", other="it has tanh, where the paper scales logistic functions"),
    "PeepholeLSTM": Ours("peepholelstm"),
    "RAN": Ours("ran", ONE_BIAS),
    "ResLSTM": Ours("reslstm", ONE_BIAS),
    "SCRN": Ours("scrn", other="it has two more matrices behind the hidden layer, and tanh around them"),
    "SGU": Ours("sgu", theirs={"gate_nonlinearity": HARD}),
    "SGRN": Ours("sgrn", "theirs gives the candidate a bias, which is zero for this comparison"),
    "STAR": Ours("star", ONE_BIAS),
    "tauGRU": Ours("taugru"),
    "TRNN": Ours("mingru", "the same equations: its gate f is 1 - z"),
    "TGRU": Ours("typedgru", "one bias a gate; the last input is kept as its products"),
    "TLSTM": Ours("typedlstm", "one bias a gate; the last input is kept as its products"),
    "UGRNN": Ours("ugrnn", ONE_BIAS),
    "UnICORNN": Ours("unicornn"),
    "WMCLSTM": Ours("wmclstm"),
}


def pair(name: str, units: int) -> tuple[torch.nn.Module, Recurrent]:
    """Their layer and ours, with the numbers that theirs has by default."""
    own = OURS[name]
    package = importlib.import_module("torchrecurrent")
    theirs: torch.nn.Module = getattr(package, name)(units, units, **own.theirs)
    cell: type[Cell] = zoo.find(own.cell)
    names = {"update": "update_coefficient", "reset": "reset_coefficient"}
    step: Any = theirs.cells[0]  # type: ignore[index]
    numbers = {setting: getattr(step, names.get(setting, setting), value) for setting, value in cell.settings.items()}
    cell = cell.variant(**{setting: float(number) for setting, number in numbers.items()}) if numbers else cell
    widths = dict.fromkeys(cell.graph.own_axes, units)
    return theirs, Recurrent(cell, units, units, widths=widths or None)


def agreement(name: str) -> str:
    """What comes of both at the same weights, in words; ends the script where that is not what the table says."""
    error = Carried(*pair(name, UNITS)).error()
    if OURS[name].other:
        return f"other equations: {OURS[name].other}" if error is None else sys.exit(f"{name} is the same after all")
    if error is None or error > CLOSE:
        sys.exit(f"{name} differs: {error}")
    return f"{error:.0e}{'; ' * bool(OURS[name].note)}{OURS[name].note}"


def times(name: str, steps: int, sequences: int, units: int, rounds: int) -> list[float]:
    """Milliseconds of theirs and ours: in inference, then in training."""
    x = torch.randn(steps, sequences, units)
    layers = pair(name, units)
    found = []
    for call in (infer, train):
        calls = {side: partial(call, layer, x) for side, layer in zip(("theirs", "ours"), layers, strict=True)}
        found += [1e3 * one for one in best(calls, rounds).values()]
    return found


@torch.no_grad()
def infer(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = layer.eval()(x)[0]
    return outputs


def train(layer: torch.nn.Module, x: torch.Tensor) -> None:
    layer.train()(x)[0].square().mean().backward()


def table(names: list[str], rounds: int) -> Iterator[str]:
    """Markdown, a row for each of their layers."""
    shown = [f"T {t}, B {b}, H {h}: {what}" for t, b, h in SHAPES for what in ("inference", "training")]
    yield f"| torchrecurrent | ours | difference of outputs | {' | '.join(shown)} |"
    yield "|---|---|---|" + "---|" * len(shown)
    ratios: list[list[float]] = []
    for name in names:
        if not OURS[name].cell:
            yield f"| {name} | none: {OURS[name].note} |  |" + "  |" * len(shown)
            continue
        same = agreement(name)
        both = [value for shape in SHAPES for value in times(name, *shape, rounds)]
        pairs = list(zip(both[::2], both[1::2], strict=True))
        ratios.append([theirs / ours for theirs, ours in pairs])
        cells = " | ".join(f"{theirs:.3g} / {ours:.3g} = **{theirs / ours:.1f}**" for theirs, ours in pairs)
        yield f"| {name} | `{OURS[name].cell}` | {same} | {cells} |"
    each = np.array(ratios)
    for words, values in (("geometric mean", np.exp(np.log(each).mean(0))), ("smallest", each.min(0))):
        yield f"| {words} |  |  | {' | '.join(f'**{value:.1f}**' for value in values)} |"


def head() -> Iterator[str]:
    here = [own for own in OURS.values() if own.cell]
    same = sum(not own.other for own in here)
    yield "# torchrecurrent 0.2.5 and the same cells here"
    yield ""
    yield f"{processor()}, one thread, float32; `python -m benchmarks.lean.torchrecurrent`."
    yield f"Of its {len(OURS)} layers {len(here)} are here; {same} of them give the same outputs at the same weights."
    yield "The others have other equations there, as the table says. Times are theirs / ours in ms = ratio."
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(OURS), default=list(OURS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for line in (*head(), *table(options.only, options.rounds)):
        print(line, flush=True)
        lines.append(line)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"torchrecurrent-{processor().slug}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
