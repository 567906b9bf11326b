"""What is measured, as data: shapes, cells and who competes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from benchmarks.engine.item import NORMED, OWN, Item, Mode
from benchmarks.engine.own_cell import TWIN
from benchmarks.engine.peer import PEERS
from benchmarks.engine.peer.ceiling import Peak, Reading
from benchmarks.engine.row import Entrant, Role, Row

MODES: tuple[Mode, ...] = ("inference", "training")
SHAPES = (  # T, B, I, H
    *((128, 1, 64, 64), (128, 1, 256, 256), (128, 32, 256, 256), (64, 64, 512, 512)),
    *((100, 1, 64, 64), (100, 32, 64, 64), (100, 32, 128, 128), (100, 64, 512, 512), (1000, 16, 64, 64)),
)
FEWER = ((128, 1, 64, 64), (128, 1, 256, 256), (100, 32, 128, 128), (128, 32, 256, 256), (1000, 16, 64, 64))
LARGE_H, LARGE_B = 256, 32  # from here on the share of the machine's peak is reported
MIDDLE, LARGE = (100, 32, 128, 128), (128, 32, 256, 256)
DERIVED = (("peepholelstm", 0), ("cifg", 0), ("gru/before", 0), ("lstm", 64))  # cells, and the width of a projection
LIBRARIES = ("torch.nn", "onnxruntime", "JAX")
UNITWISE = ("mingru", "minlstm", "indrnn", "sru")  # cells whose units recur each by itself
SINGLE, BATCHED = ((1024, 1, 128, 128), (1024, 1, 256, 256)), ((512, 32, 128, 128), (2048, 8, 64, 64))
LOOPS = ((50, 1, 64, 64), (50, 32, 64, 64), (50, 1, 128, 128), (50, 32, 128, 128))
SHORT = (
    *(Item("lstm", T, B, 384, 384, layers=3, bidirectional=True) for T, B in ((1, 1), (13, 1), (13, 32))),
    Item("gru", 13, 1, 128, 128, layers=2, bidirectional=True),
)
ONE_THREAD = "on 1 thread"


def full(threads: int, *, compiled: bool = False) -> list[Row]:
    """Every row for so many threads."""
    return [*_layers(threads, compiled=compiled), *_units(threads, compiled=compiled), *_calls(threads)]


def beside_one_thread(row: Row) -> Row:
    """The row with our layer on one thread for comparison, where it has more and no yardstick of its own."""
    if row.item.threads == 1 or any(entrant.role == "yardstick" for entrant in row.entrants):
        return row
    ours = row.entrants[0]
    alone = Entrant(ours.peer, replace(ours.item, threads=1), "yardstick", ONE_THREAD)
    return replace(row, entrants=(*row.entrants, alone))


def _layers(threads: int, *, compiled: bool) -> list[Row]:
    core = [
        _versus_libraries(Item(cell, *shape, mode, threads=threads), compiled=compiled and shape == MIDDLE)
        for cell, shapes in (("lstm", SHAPES), ("gru", SHAPES), ("rnn", FEWER))
        for mode, shape in product(MODES, shapes)
    ]
    shapes = (MIDDLE, LARGE) if threads == 1 else (LARGE,)
    derived = [
        _derived(Item(cell, *shape, mode, threads=threads, proj=proj))
        for (cell, proj), mode, shape in product(DERIVED, MODES, shapes)
    ]
    derived += [_normed(Item(NORMED, *shape, mode, threads=threads)) for mode, shape in product(MODES, shapes)]
    own = [_own(Item(OWN, *MIDDLE, mode, threads=threads)) for mode in MODES]
    ragged = [_ragged(Item(cell, *LARGE, mode, threads=threads, ragged=True)) for cell, mode in _gated()]
    return [*core, *derived, *own, *ragged, *(_once() if threads == 1 else [])]


def _units(threads: int, *, compiled: bool) -> list[Row]:
    shapes = (*SINGLE, *BATCHED) if threads == 1 else SINGLE
    return [
        _unitwise(Item(cell, *shape, mode, threads=threads), compiled=compiled and shape == SINGLE[0])
        for cell, mode, shape in product(UNITWISE, MODES, shapes)
    ]


def _calls(threads: int) -> list[Row]:
    """Cells in loops, and many short calls of a stack."""
    shapes = LOOPS if threads == 1 else LOOPS[-1:]
    loops = [_loop(Item(cell, *shape, mode, threads=threads)) for (cell, mode), shape in product(_gated(), shapes)]
    return [*loops, *(_short(replace(item, threads=threads)) for item in SHORT)]


def quick(threads: int, *, compiled: bool = False) -> list[Row]:
    """One row of each kind, and those that show most of the core."""
    shapes = ((100, 1, 64, 64), (128, 32, 256, 256))
    core = [
        _versus_libraries(Item(cell, *shape, mode, threads=threads), compiled=compiled and shape[1] == 1)
        for (cell, mode), shape in product(_gated(), shapes)
    ]
    if threads > 1:
        return core
    return [
        *core,
        _derived(Item("peepholelstm", *MIDDLE, "training")),
        _normed(Item(NORMED, *MIDDLE, "training")),
        _own(Item(OWN, *MIDDLE, "training")),
        _ragged(Item("lstm", *MIDDLE, "inference", ragged=True)),
        _double(Item("lstm", *MIDDLE, "training", dtype="float64")),
        _unitwise(Item("mingru", 512, 1, 128, 128), compiled=False),
        _loop(Item("lstm", 50, 1, 64, 64)),
        _short(Item("lstm", 13, 1, 128, 128, layers=2, bidirectional=True)),
        _step(Item("lstm", 1, 1, 64, 64)),
        _growth(Item("lstm", 256, 32, 64, 64, "training"), Item("lstm", 64, 32, 64, 64, "training")),
    ]


def _once() -> Iterator[Row]:
    """Rows that are measured on one thread alone."""
    for cell, mode in _gated():
        for shape in ((128, 1, 256, 256), MIDDLE):
            yield _double(Item(cell, *shape, mode, dtype="float64"))
    for cell in ("lstm", "gru"):
        yield _step(Item(cell, 1, 1, 64, 64))
    for mode in MODES:
        small = Item("lstm", 128, 32, 128, 128, mode)
        yield _growth(replace(small, T=4 * small.T), small)
        yield _growth(replace(small, B=4 * small.B), small)


def _gated() -> list[tuple[str, Mode]]:
    return list(product(("lstm", "gru"), MODES))


def _versus_libraries(item: Item, *, compiled: bool) -> Row:
    entrants = [_entrant("tidegate", item, "ours"), *(_entrant(name, item, "peer") for name in LIBRARIES)]
    if compiled:
        entrants.append(_entrant("compiled scan", item, "peer"))
    if item.H >= LARGE_H and item.B >= LARGE_B:
        entrants.append(_entrant(Peak.name, item, "ceiling"))
    if Reading().supports(item) is None:
        entrants.append(_entrant(Reading.name, item, "ceiling"))
    return Row(f"{item.cell} {item.mode}", item, able(entrants))


def _derived(item: Item) -> Row:
    """Per FLOP against our own LSTM of the same shape, and against the eager path."""
    lstm = replace(item, cell="lstm", proj=0)
    entrants = [
        _entrant("tidegate", item, "ours"),
        _entrant("tidegate", lstm, "yardstick", "our LSTM"),
        _entrant("tidegate eager", item, "eager"),
        *(_entrant(name, item, "peer") for name in (*LIBRARIES, "torchrecurrent")),
    ]
    return Row("derived cells", item, able(entrants), "flop")


def _normed(item: Item) -> Row:
    return replace(_derived(item), group="layer norm")


def _own(item: Item) -> Row:
    zoo = replace(item, cell=TWIN)
    entrants = [
        _entrant("tidegate", item, "ours"),
        _entrant("tidegate", zoo, "yardstick", f"the zoo's {TWIN}"),
        _entrant("tidegate eager", item, "eager"),
        _entrant("JAX", item, "peer"),
        _entrant("torchrecurrent", zoo, "peer"),
    ]
    return Row("a user's own cell", item, able(entrants))


def _ragged(item: Item) -> Row:
    """Against a full batch of as many tokens and as many steps."""
    whole = replace(item, ragged=False, B=item.B // 2)
    entrants = [
        _entrant("tidegate", item, "ours"),
        _entrant("tidegate", whole, "yardstick", "a full batch"),
        *(_entrant(name, item, "peer") for name in LIBRARIES),
    ]
    return Row("ragged batches", item, able(entrants), "token")


def _double(item: Item) -> Row:
    entrants = [_entrant("tidegate", item, "ours"), *(_entrant(name, item, "peer") for name in LIBRARIES)]
    return Row("float64", item, able(entrants))


def _step(item: Item) -> Row:
    """One step of one row. The session is ours where there is one, else the layer."""
    entrants = [
        _entrant("tidegate session", item, "ours"),
        _entrant("tidegate", item, "ours"),
        *(_entrant(name, item, "peer") for name in LIBRARIES),
        _entrant("matrix-vector", item, "ceiling"),
    ]
    return Row("one step", item, tuple(entrants))


def _unitwise(item: Item, *, compiled: bool) -> Row:
    """Against compiled scans, the products alone, and at one row our own LSTM and one thread."""
    names = ["JAX", "JAX associative_scan", *(["compiled scan", "compiled associative_scan"] if compiled else [])]
    entrants = [_entrant("tidegate", item, "ours"), *(_entrant(name, item, "peer") for name in names)]
    if item.B == 1:
        entrants.append(_entrant("tidegate", replace(item, cell="lstm"), "yardstick", "our LSTM"))
        if item.threads > 1:
            entrants.append(_entrant("tidegate", replace(item, threads=1), "yardstick", ONE_THREAD))
    entrants.append(_entrant("torch.mm", item, "ceiling"))
    return Row(f"unit by unit {item.mode}", item, able(entrants))


def _loop(item: Item) -> Row:
    entrants = [_entrant("tidegate cells", item, "ours"), _entrant("torch cells", item, "peer")]
    return Row("cells in a loop", item, able(entrants))


def _short(item: Item) -> Row:
    """Calls of a few steps, many times with the same weights. The session is ours, as in ``_step``."""
    names = ("tidegate session", "tidegate frozen", "tidegate")
    entrants = [
        *(_entrant(name, item, "ours") for name in names),
        *(_entrant(name, item, "peer") for name in LIBRARIES),
    ]
    return Row("short calls", item, able(entrants))


def _growth(large: Item, small: Item) -> Row:
    """Four times the work against the work, per token."""
    entrants = (
        _entrant("tidegate", large, "ours"),
        _entrant("tidegate", small, "yardstick", "a quarter of it"),
    )
    return Row("cost growth", large, entrants, "token")


def _entrant(peer: str, item: Item, role: Role, label: str = "") -> Entrant:
    return Entrant(peer, item, role, label or peer)


def able(entrants: Sequence[Entrant]) -> tuple[Entrant, ...]:
    """Without those that could do the item nowhere; those that are only not installed here stay, and are noted."""
    return tuple(entrant for entrant in entrants if PEERS[entrant.peer].refuses(entrant.item) is None)
