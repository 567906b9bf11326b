"""The parameters of a cell: names, shapes and the order in which rows are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tidegate.cell import Graph
from tidegate.cell.graph import Block
from tidegate.cell.parameter import attribute, bias_of
from tidegate.emit.latex import NOTATION

from .language import Language
from .markdown import table

BEGINS = {
    "uniform": "uniform in [{0}, {1}]",
    "gate": "$\\log(u / (1 - u))$, $u$ uniform in $[1/H, 1 - 1/H]$",
    "decay": "$\\log(v / (1 - v))$, $v^{{{2}}}$ uniform in [{0}, {1}]",
    "ring": "$\\log(-\\log r)$, $r^2$ uniform between the squares of {0} and {1}",
    "ring_gain": "$\\log \\sqrt{{1 - r^2}}$, $r$ that of ${0}$",
    "phase": "$\\tan(\\theta / 2)$, $\\theta$ uniform in [{0}, {1}]",
    "frequencies": "$\\tan(\\theta / 2)$, the angle of unit $k$ is ${0}^{{-2k/H}}$",
}


def parameter_table(graph: Graph, say: Language) -> str:
    """A row for each parameter of a layer, in the order in which torch registers them."""
    entries = [*_matrices(graph), *_biases(graph), *_vectors(graph)]
    rows = [
        [f"${symbol}$", f"`{attribute(name, 0, reverse=False)}`", f"${shape}$", blocks, _begins(graph, name, say)]
        for symbol, name, shape, blocks in entries
    ]
    head = [say("symbol"), say("in a layer"), say("shape"), say("rows in storage order"), say("begins as")]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return table(head, rows)


def _matrices(graph: Graph) -> list[tuple[str, str, str, str]]:
    return [
        (NOTATION.leaf(m.name), f"weight_{m.name}", rf"{_factor(m.blocks)} \times {m.columns}", _names(m.blocks))
        for m in graph.matrices
    ]


def _biases(graph: Graph) -> list[tuple[str, str, str, str]]:
    found = []
    for matrix in graph.matrices:
        biased = [block for block in matrix.blocks if block.bias]
        if biased:
            symbol = NOTATION.bias(matrix.name, biased[0].name).rpartition("_")[0]
            found.append((symbol, bias_of(matrix.name), _rows(biased), _names(biased)))
    return found


def _vectors(graph: Graph) -> list[tuple[str, str, str, str]]:
    return [(NOTATION.leaf(v.name), v.name, _rows(v.blocks), _names(v.blocks[1:] and v.blocks)) for v in graph.vectors]


def _names(blocks: Sequence[Block]) -> str:
    return " ".join(f"`{block.name}`" for block in blocks)


def _rows(blocks: Sequence[Block]) -> str:
    counts = Counter(block.axis for block in blocks)
    return " + ".join(axis if count == 1 else f"{count}{axis}" for axis, count in counts.items())


def _factor(blocks: Sequence[Block]) -> str:
    rows = _rows(blocks)
    return f"({rows})" if "+" in rows else rows


def _begins(graph: Graph, name: str, say: Language) -> str:
    said = []
    for initial in graph.initial:
        if initial.name == name:
            rule, numbers = initial.words
            form = say(BEGINS[rule]) if rule in BEGINS else "{0}"
            text = form.format(*(f"{n:g}" if isinstance(n, float) else NOTATION.leaf(n) for n in numbers))
            said.append(f"`{initial.block}`: {text}" if initial.block else text)
    return "; ".join(said)
