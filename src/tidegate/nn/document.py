"""Signatures and docstrings of layers, completed from the table of options and from the definitions of cells."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import TypeVar

from tidegate.cell import Cell
from tidegate.emit.equation import plain
from tidegate.option import OPTIONS, Option
from tidegate.option.options import keywords

Class = TypeVar("Class", bound=type)

WIDTH = 112
ARGUMENTS = {
    "cell": "a ``Cell`` class, a traced graph, or the name of a cell of the zoo.",
    "input_size": "features of x at each step (I).",
    "hidden_size": "units of each layer (H).",
    "num_layers": "number of stacked layers (L).",
    "nonlinearity": "``'tanh'`` or ``'relu'``; the fourth argument, as in torch.nn.",
    "bias": "False drops every bias of the cell.",
    "batch_first": "x and the output are [B, T, ...] instead of [T, B, ...]; states never are.",
    "dropout": "probability of zeroing each output of all layers but the last, in training.",
    "bidirectional": "a second set of parameters runs each layer backward in time (D = 2).",
    "proj_size": "width of the output (P), a further matrix times h; 0 for none.",
    "device": "device of the parameters.",
    "dtype": "type of the parameters.",
    "widths": "widths of the cell's own axes, such as ``{'S': 16}`` for SCRN; H by default.",
    "reset": (
        "``'after'`` applies the reset gate to the recurrent product, as torch.nn does; ``'before'`` to the state "
        "that the product reads, as in Cho et al. 2014."
    ),
    "update": "an open update gate ``'keep'``s the old state, as in torch.nn, or ``'write'``s the new one.",
}


def documented(cell: type[Cell] | None = None) -> Callable[[Class], Class]:
    """Complete a layer: every option in its signature and under ``Args``, and the equations of its cell.

    Args:
        cell: its equations stand for the line ``{equations}`` of the docstring.

    Returns:
        A decorator. The line ``{arguments}`` of the docstring becomes a description of every argument.
    """

    def complete(kind: Class) -> Class:
        constructor = vars(kind)["__init__"]
        constructor.__signature__ = signature = _signature(constructor)
        if kind.__doc__:  # python -OO drops it
            _fill(kind, "{arguments}", [_entry(name) for name in [*signature.parameters][1:]])
            _fill(kind, "{equations}", plain(cell.graph).splitlines() if cell else [])
        return kind

    return complete


def _signature(constructor: Callable[..., None]) -> inspect.Signature:
    """The signature of a constructor, with all options for its ``**options``."""
    own = inspect.signature(constructor)
    parameters = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[*parameters, *keywords()])


def _entry(name: str) -> str:
    text = _option_text(OPTIONS[name]) if name in OPTIONS else ARGUMENTS[name]
    return textwrap.fill(f"{name}: {text}", WIDTH - 8, subsequent_indent="    ", break_long_words=False)


def _option_text(option: Option) -> str:
    return " ".join(filter(None, [option.doc, option.doc_in_python, option.source and f"{option.source}."]))


def _fill(kind: type, placeholder: str, entries: list[str]) -> None:
    indent = " " * 8
    text = textwrap.indent("\n".join(entries), indent).removeprefix(indent)
    kind.__doc__ = (kind.__doc__ or "").replace(placeholder, text)
