"""``tidegate trace``: a worked example with every gate and state of every step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tidegate.cell.parameter import attribute
from tidegate.cli.cell import load
from tidegate.cli.check import check_number, write_file
from tidegate.cli.console import console, shown, shown_as, table
from tidegate.errors import InputError

MOST_UNITS = 1000  # more than anybody reads, yet quick to print
MOST_DIGITS = 17  # enough to tell any two float64 numbers apart
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Trace:
    """Work through an example by hand: print a cell's weights, then every gate and state at every step, in float64."""

    cell: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CELL")]
    """Cell such as LSTM, gru/before or my.py:MyCell."""
    inputs: Annotated[str, tyro.conf.arg(metavar="STEPS")] = "1,0.5,-1,2"
    """Inputs, one step after another, separated by commas. Separate several features of a step by spaces:
    "1 0,0.5 2"."""
    hidden: Annotated[int, tyro.conf.arg(metavar="UNITS")] = 1
    """Hidden units, at most 1000."""
    seed: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0
    """Seed for the weights, which come from U(-1/sqrt(H), 1/sqrt(H)) as in the layers."""
    weights: Annotated[Path | None, shown_as("FILE")] = None
    """JSON file to read the weights from, as --save writes it."""
    save: Annotated[Path | None, shown_as("FILE")] = None
    """Write the weights into this JSON file, to edit and read back."""
    digits: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 6
    """Decimal places, at most 17."""

    def run(self) -> None:
        """Print the weights and the steps."""
        check_number("hidden", self.hidden, high=MOST_UNITS)
        check_number("seed", self.seed, low=0, high=LARGEST_SEED)
        check_number("digits", self.digits, low=0, high=MOST_DIGITS)
        steps = _parse(self.inputs)
        import torch  # slow to load: not for --help

        from tidegate.nn import Recurrent

        x = torch.tensor(steps, dtype=torch.float64)
        torch.manual_seed(self.seed)
        layer = Recurrent(load(self.cell), x.shape[1], self.hidden, dtype=torch.float64)
        if self.weights:
            _fill(layer, self.weights)
        if self.save:
            _save(layer, self.save)
        with torch.inference_mode():
            traced = {name.removesuffix("_l0"): value for name, value in layer.trace(x).items()}
        self._print(layer, x, traced)

    def _print(self, layer: Any, x: Any, traced: dict[str, Any]) -> None:
        screen = console()
        origin = f"from {self.weights}" if self.weights else f"seed {self.seed}"
        weights = table("weight", "shape", "rows", title=shown(f"{layer.mode}: weights ({origin})"))
        weights.columns[2].justify = "left"
        labels = _row_labels(layer)
        for name, value in layer.state_dict().items():
            rows = (f"{label} {self._vector(row.reshape(-1))}" for label, row in zip(labels[name], value, strict=True))
            weights.add_row(name, " x ".join(map(str, value.shape)), "\n".join(rows))
        screen.print(weights)
        states = {state.name for state in layer.graph.states}
        steps = table("t", "x", *(f"{n} (state)" if n in states else n for n in traced), title="\nsteps")
        for t in range(len(x)):
            steps.add_row(str(t + 1), *(self._vector(value[t]) for value in (x, *traced.values())))
        screen.print(steps)

    def _vector(self, value: Any) -> str:
        return " ".join(f"{number:.{self.digits}f}" for number in value.tolist())


def _row_labels(layer: Any) -> dict[str, list[str]]:
    """For each parameter, the gate that each of its rows belongs to."""
    widths, labels = layer.cells[0].widths, {}
    for vector in layer.graph.vectors:
        several = len(vector.blocks) > 1
        rows = [block.name if several else "" for block in vector.blocks for _ in range(widths[block.axis])]
        labels[attribute(vector.name, 0, reverse=False)] = rows
    for matrix in layer.graph.matrices:
        for kind, blocks in (("weight", matrix.blocks), ("bias", [block for block in matrix.blocks if block.bias])):
            name = attribute(f"{kind}_{matrix.name}", 0, reverse=False)
            labels[name] = [block.name for block in blocks for _ in range(widths[block.axis])]
    return labels


def _parse(text: str) -> list[list[float]]:
    try:
        steps = [[float(number) for number in step.split()] for step in text.split(",")]
    except ValueError as error:
        raise InputError(
            "INPUTS", f"--inputs {text!r}: {error}", fix="write numbers, e.g. --inputs 1,0.5,-1,2"
        ) from error
    if len({len(step) for step in steps}) != 1 or not steps[0]:
        counts = ", ".join(str(len(step)) for step in steps)
        raise InputError(
            "INPUTS", f"--inputs {text!r} has steps of {counts} features", fix="give every step the same number"
        )
    return steps


def _save(layer: Any, path: Path) -> None:
    text = json.dumps({name: value.tolist() for name, value in layer.state_dict().items()}, indent=1)
    write_file("save", path, text + "\n")


def _fill(layer: Any, path: Path) -> None:
    """Load the weights of a JSON file into a layer."""
    import torch

    wanted = {name: list(value.shape) for name, value in layer.state_dict().items()}
    fix = "write a file to start from with --save"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in content.items()}
    except FileNotFoundError as error:
        raise InputError("WEIGHTS", f"there is no file {path}", fix=fix) from error
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError("WEIGHTS", f"{path} is not a JSON object of weights: {reason}", fix=fix) from error
    shapes = {name: list(value.shape) for name, value in weights.items()}
    if shapes != wanted:
        raise InputError("WEIGHTS", f"{path} has the shapes {shapes}, this cell needs {wanted}", fix=fix)
    layer.load_state_dict(weights)
