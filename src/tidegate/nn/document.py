"""Signatures and docstrings of layers and cells, completed from the table of options and the definitions of cells."""

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
    "cell": "A ``Cell`` class, a traced graph, or the name of a cell of the zoo.",
    "input_size": "Number of features of x at each step (I).",
    "hidden_size": "Number of units (H).",
    "num_layers": "Number of stacked layers (L).",
    "nonlinearity": "``'tanh'`` or ``'relu'``; the fourth argument, as in torch.nn.",
    "bias": "False drops every bias of the cell.",
    "batch_first": "Input and output are [B, T, ...] instead of [T, B, ...]. States are [L*D, B, ...] either way.",
    "dropout": "Probability that an element of a layer's output is zero for the next layer, in training only.",
    "bidirectional": "A second set of parameters runs each layer backward in time (D = 2).",
    "proj_size": "Width P to which a further matrix projects h, as in torch.nn; 0 for no projection.",
    "device": "Device of the parameters.",
    "dtype": "Type of the parameters.",
    "widths": "Widths of the cell's own axes, such as ``{'S': 16}`` for SCRN; H by default.",
    "reset": (
        "``'after'`` applies the reset gate to the recurrent product, as torch.nn does; ``'before'`` applies it to the "
        "state that the product reads, as in Cho et al. 2014."
    ),
    "update": "An open update gate keeps the old state, as in torch.nn (``'keep'``), or writes the new (``'write'``).",
}


def documented(cell: type[Cell] | None = None) -> Callable[[Class], Class]:
    """Complete the signature and the docstring of a layer or of a single-step cell.

    A constructor with ``**options`` gets every option of layers in its signature.

    Args:
        cell: the definition whose equations replace the line ``{equations}`` of the docstring.

    Returns:
        A decorator. It replaces the line ``{arguments}`` of the docstring with a description of every argument.
    """

    def complete(kind: Class) -> Class:
        constructor = vars(kind)["__init__"]
        constructor.__signature__ = signature = _signature(constructor)
        if kind.__doc__:  # python -OO drops it
            constructor.__doc__ = "See the class for the arguments."  # instead of the text of torch.nn.Module
            _fill(kind, "{arguments}", [_entry(name) for name in [*signature.parameters][1:]])
            if cell is not None:
                _fill(kind, "{equations}", [plain(cell.graph), "", _legend("num_layers" in signature.parameters)])
        return kind

    return complete


def _signature(constructor: Callable[..., None]) -> inspect.Signature:
    """The signature of a constructor, with all options of layers in place of its ``**options``."""
    own = inspect.signature(constructor)
    parameters = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    takes_options = len(parameters) < len(own.parameters)
    return own.replace(parameters=[*parameters, *(keywords() if takes_options else ())])


def _legend(is_layer: bool) -> str:
    """Which parameters the letters of the equations stand for."""
    suffix = "_l{k}" if is_layer else ""
    text = (
        f"``weight_ih{suffix}`` and ``bias_ih{suffix}`` stack W and b in this order, ``weight_hh{suffix}`` and "
        f"``bias_hh{suffix}`` U and bU. ``*`` is the elementwise product."
    )
    return textwrap.fill(text, WIDTH - 8, break_long_words=False)


def _entry(name: str) -> str:
    text = _option_text(OPTIONS[name]) if name in OPTIONS else ARGUMENTS[name]
    return textwrap.fill(f"{name}: {text}", WIDTH - 8, subsequent_indent="    ", break_long_words=False)


def _option_text(option: Option) -> str:
    return " ".join(filter(None, [option.doc, option.doc_in_python, option.source and f"{option.source}."]))


def _fill(kind: type, placeholder: str, entries: list[str]) -> None:
    indent = " " * 8
    text = textwrap.indent("\n".join(entries), indent).removeprefix(indent)
    kind.__doc__ = (kind.__doc__ or "").replace(placeholder, text)
