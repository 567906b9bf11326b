"""A cell in other libraries, from the table of conversions and the rules of ONNX."""

from __future__ import annotations

from itertools import groupby

import tidegate as tg
from tidegate.cell import Cell, Graph
from tidegate.convert.layout import UNUSED, Block, Layout
from tidegate.convert.own import Own, settings_of
from tidegate.convert.table import FORMATS
from tidegate.ship.onnx.form import Form, form_of
from tidegate.ship.onnx.lower import MOST_UNITS

from .language import Language
from .markdown import table

TITLES = {
    "torch": "torch.nn",
    "keras": "Keras",
    "linen": "Flax linen",
    "nnx": "Flax nnx",
    "nnx/optimized": "Flax nnx",
    "onnx": "ONNX",
}
SYMBOLS = {"b": "b", "d": "b'", "p": "p"}
MODES = {"RNN_TANH": 'nonlinearity="tanh"', "RNN_RELU": 'nonlinearity="relu"', "LSTM": "", "GRU": ""}


def library_table(cell: type[Cell], say: Language) -> str:
    """A row for each library that has a cell with these equations; empty if there is none."""
    own = Own(tg.nn.Recurrent(cell, 2, 2))
    found = [(title, FORMATS[key][own.row]) for key, title in TITLES.items() if own.row in FORMATS[key]]
    head = [say("library"), say("cell"), say("gates in storage order"), say("biases"), say("made with")]
    rows = [[title, _kind(layout, say), *_row(own, layout, say)] for title, layout in found]
    return _without_empty([*head, say("no place for, unless zero")], rows) if rows else ""


def _without_empty(head: list[str], rows: list[list[str]]) -> str:
    kept = [column for column, _ in enumerate(head) if any(row[column] for row in rows)]
    return table([head[column] for column in kept], [[row[column] for column in kept] for row in rows])


def _kind(layout: Layout, say: Language) -> str:
    return say(" or ").join(f"`{kind}`" for kind in layout.kind.split(" or "))


def _row(own: Own, layout: Layout, say: Language) -> list[str]:
    settings = settings_of(own, layout)
    if isinstance(settings, str):
        reason = say("one activation serves several gates")
        return ["", "", "", f"{say('nothing fits')}: {reason} ({settings.rpartition(': ')[2]})"]
    made = [_setting(name, value) for name, value in {**layout.settings, **settings}.items()]
    return [_gates(own, layout, say), _biases(layout), " ".join(filter(None, made)), _unplaced(own, layout, say)]


def _setting(name: str, value: object) -> str:
    if name == "mode":
        return f"`{MODES[str(value)]}`" if MODES[str(value)] else ""
    return f"`{name}={value!r}`".replace("'", '"')


def _gates(own: Own, layout: Layout, say: Language) -> str:
    blocks = [block for stored in layout.arrays for block in stored.blocks if "W" in block.sources]
    negated = own.identity.negated if own.identity else ""
    gates = [
        f"`{'-' if block.gate in negated.split() else ''}{block.gate}`" for block in blocks if block.gate != UNUSED
    ]
    alone = all(len(stored.blocks) == 1 for stored in layout.arrays if "W" in stored.blocks[0].sources)
    apart = alone and len(gates) > 1
    return " ".join(gates) + (f" {say('(one array each)')}" if apart else "")


def _biases(layout: Layout) -> str:
    """Which of our biases each array holds: b + b' where one serves for both."""
    blocks = [b for stored in layout.arrays for b in stored.blocks if set(b.sources) & {"b", "d"} and b.gate != UNUSED]
    kinds: dict[str, list[str]] = {}
    for text, some in groupby(blocks, _symbol):
        kinds.setdefault(text, []).extend(block.gate for block in some)
    everywhere = {gate for gates in kinds.values() for gate in gates}
    return ", ".join(
        f"${text}$" + ("" if set(gates) == everywhere else f" ({' '.join(f'`{gate}`' for gate in gates)})")
        for text, gates in kinds.items()
    )


def _symbol(block: Block) -> str:
    return " + ".join(SYMBOLS[source] for source in block.sources)


def _unplaced(own: Own, layout: Layout, say: Language) -> str:
    """What must be zero, since the other side has nothing like it."""
    homes = {piece for stored in layout.arrays for piece in stored.pieces}
    pieces = [block for stored in own.layout.arrays for block in stored.blocks if not homes & set(block.pieces)]
    symbols = [f"${SYMBOLS[block.sources[0]]}_{{{block.gate}}}$" for block in pieces]
    return " ".join(symbols)


def onnx_sentence(graph: Graph, say: Language) -> str:
    """How ``tidegate ship`` writes a cell to ONNX: as a node, or as a Scan and why."""
    found = "no node reads more than its input" if graph.given else form_of(graph)
    if not isinstance(found, Form):
        count, _, noun = found.partition(" ")
        reason = say("{count} states", count=count) if noun == "states" and count.isdigit() else say(found)
        return say("`tidegate ship` writes it to ONNX as a Scan: {reason}.", reason=reason)
    numbers = " ".join(f"`{gate} = {share:g}`" for gate, share in found.gates.items() if isinstance(share, float))
    node = say("`tidegate ship` writes it to ONNX as a node `{kind}`", kind=found.kind)
    fixed = say(", in which {numbers}", numbers=numbers) if numbers else ""
    alone = (
        ""
        if found.has_matrix
        else say("; with more than {units} units as a Scan, which multiplies no zeros", units=MOST_UNITS)
    )
    return node + fixed + alone + say(".")
