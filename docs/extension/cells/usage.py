"""How to use a cell: code that has run, commands, and the options that it takes."""

from __future__ import annotations

import contextlib
import io

import tidegate as tg
from tidegate.cell import Cell, Graph
from tidegate.cli.cells import obstacle
from tidegate.runtime import eager_only
from tidegate.train.setting import SETTING_OPTIONS

from .language import Language
from .markdown import fence

CLASSES = {"rnn": tg.nn.RNN, "lstm": tg.nn.LSTM, "peepholelstm": tg.nn.PeepholeLSTM, "gru": tg.nn.GRU}
GIVEN = {
    "dt": "torch.rand(20, 8)  # time since the step before",
    "m": "torch.rand(20, 8, 16) > 0.5  # what was observed",
}
NUMBER = '`{setting}` = {value}; another one: `tg.zoo.find("{name}").variant({setting}=...)`'
WIDTH = '`widths={{"{axis}": ...}}`: as wide as there are units unless given'
EVERY = "all [options of layers](../design/options.md)"
REFUSED = "but not {options}: {reason}"
REASONS = {
    "needs a gate that keeps": "no single gate says how much of the state stays",
    "sets the bias of gate": "the gate that keeps the state has no bias",
    "has no recurrent matrix": "it has no recurrent matrix",
    "and its mirror image": "layers hold its recurrent matrices as another matrix and its mirror image",
}


def layer_of(name: str, cell: type[Cell]) -> str:
    """The expression that makes a layer of 32 units."""
    inputs = 32 if cell.graph.input_axis == "H" else 16
    family = name.partition("/")[0]
    if family not in CLASSES:
        return f'tg.nn.Recurrent("{name}", {inputs}, 32)'
    chosen = {o: getattr(cell, o) for o, choices in cell.options.items() if getattr(cell, o) != choices[0]}
    said = "".join(f', {option}="{choice}"' for option, choice in chosen.items())
    return f"tg.nn.{CLASSES[family].__name__}({inputs}, 32{said})"


def code_of(name: str, cell: type[Cell]) -> str:
    """A program that runs one layer over a batch."""
    graph = cell.graph
    own = [state.name for state in graph.states]
    states, output = ", ".join(own), "output" if "y" in own else "y"
    names = ", ".join(f'"{value.name}": {value.name}' for value in graph.given)
    lines = [
        "import tidegate as tg",
        "import torch",
        "",
        f"layer = {layer_of(name, cell)}  # features, units",
        f"x = torch.randn(20, 8, {32 if graph.input_axis == 'H' else 16})  # steps, sequences, features",
        *(f"{value.name} = {GIVEN[value.name]}" for value in graph.given),
        f"{output}, {f'({states})' if len(own) > 1 else states} = layer(x{f', given={{{names}}}' if names else ''})",
        f"print({output}.shape, {own[-1]}.shape)",
    ]
    return "\n".join(lines)


def run(code: str) -> str:
    """What a program prints.

    Raises:
        Exception: whatever it raises, and the build ends.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), eager_only():  # the page's numbers need no compiled cell
        exec(compile(code, "usage", "exec"), {})  # noqa: S102  our own text
    return printed.getvalue().rstrip()


def usage(name: str, cell: type[Cell]) -> str:
    """Code with what it prints, and commands."""
    code = code_of(name, cell)
    return "\n\n".join([fence("py", code), fence("text", run(code)), fence("console", _commands(name, cell.graph))])


def _commands(name: str, graph: Graph) -> str:
    if graph.given:  # a table with times and gaps
        return f"$ tidegate train classification visits.csv --series patient --time hour --label outcome --cell {name}"
    other = "lstm" if name == "gru" else "gru"
    return f"$ tidegate train forecast elnino --cell {name}\n$ tidegate compare elnino --cells {other},{name}"


def refused(graph: Graph) -> dict[str, list[str]]:
    """Options that a cell has no place for, by the reason."""
    found: dict[str, list[str]] = {}
    for option in SETTING_OPTIONS:
        if text := obstacle(option, graph):
            reason = next(ours for theirs, ours in REASONS.items() if theirs in text)
            found.setdefault(reason, []).append(option.name)
    return found


def options(name: str, cell: type[Cell], say: Language) -> str:
    """What can be set: variants, numbers and widths of its own, and the options of layers."""
    choices = [
        f"- `{option}`: {say(' or ').join(f'`{choice}`' for choice in listed)}"
        for option, listed in cell.options.items()
    ]
    numbers = [
        "- " + say(NUMBER, setting=setting, value=f"{getattr(cell, setting):g}", name=name) for setting in cell.settings
    ]
    widths = ["- " + say(WIDTH, axis=axis) for axis in cell.graph.own_axes]
    without = [
        "  - " + say(REFUSED, options=" ".join(f"`{option}`" for option in names), reason=say(reason))
        for reason, names in refused(cell.graph).items()
    ]
    return "\n".join([*choices, *numbers, *widths, "- " + say(EVERY), *without])


def plain_choice(cell: type[Cell]) -> str:
    """The options of a variant as code, e.g. ``reset="before"``."""
    return ", ".join(f'{option}="{getattr(cell, option)}"' for option in cell.options)
