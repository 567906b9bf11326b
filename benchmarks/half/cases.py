"""What is held against the emulation: the cells of the zoo, and layers with options and cells of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from tests.backend.agreement import threads as used
from tests.backend.choices import choices
from tests.backend.tiles import tiles
from tests.reference.given import Fading, Timed
from tests.reference.half_zoo import Case, Shape, draw, draw_layer, layer_of
from tests.reference.unitwise import UNITWISE

from tidegate.nn import GRU, LSTM, RNN, Recurrent
from tidegate.runtime import sized
from tidegate.zoo import CELLS

FULL = (Shape(1, 8, 130, 5), Shape(2, 33, 64, 5), Shape(17, 1, 65, 7), Shape(5, 3, 33, 5), Shape(17, 8, 7, 5))
FEW = (Shape(2, 33, 64, 5), Shape(3, 3, 33, 7))
RAGGED = Shape(5, 8, 33, 5)
LENGTHS = (5, 0, 3, 5, 1, 2, 4, 0)
ONE, LONG = Shape(3, 1, 130, 5), Shape(17, 1, 130, 5)  # matrices are read as they are stored, or packed
Made = tuple[Case, Recurrent]


def blocks(layer: Recurrent, *, kept: bool) -> Recurrent:
    """With U as a sparse matrix, of which two blocks of three are zero."""
    cell = layer.cells[0]
    with torch.no_grad():
        layer.weight_hh_l0.unflatten(0, (-1, 16))[torch.arange(layer.weight_hh_l0.shape[0] // 16) % 3 > 0] = 0.0
    layer.cells[0] = sized(cell.graph, tuple(cell.widths.items()), ("U",), kept=kept)
    return layer


OWN: dict[str, Callable[[int, int], Recurrent]] = {
    "lstm, projected": lambda I, H: LSTM(I, H, proj_size=H // 2 + 1),
    "peepholes, projected": lambda I, H: Recurrent("peepholelstm", I, H, proj_size=H // 2),
    "lstm, layer norm": lambda I, H: LSTM(I, H, layer_norm=True),
    "lstm, norm of each": lambda I, H: LSTM(I, H, layer_norm="each"),
    "gru, layer norm": lambda I, H: GRU(I, H, layer_norm=True),
    "gru, norm of each": lambda I, H: GRU(I, H, layer_norm="each"),
    "rnn, layer norm": lambda I, H: RNN(I, H, layer_norm=True),
    "lstm, rank 7": lambda I, H: LSTM(I, H, rank=min(7, H // 2)),
    "gru before, rank 9": lambda I, H: GRU(I, H, reset="before", rank=min(9, H // 2)),
    "lstm, 2 heads": lambda I, H: LSTM(I, H // 2 * 2, heads=2),
    "gru, 4 heads": lambda I, H: GRU(I, H // 4 * 4, heads=4),
    "gru before, 3 heads": lambda I, H: GRU(I, H // 3 * 3, reset="before", heads=3),
    "lstm, semi-tied": lambda I, H: LSTM(I, H, semi_tied=True),
    "gru, semi-tied": lambda I, H: GRU(I, H, semi_tied=True),
    "lstm, blocks": lambda I, H: blocks(LSTM(I, -(-H // 16) * 16), kept=False),
    "gru, blocks": lambda I, H: blocks(GRU(I, -(-H // 16) * 16), kept=False),
    "lstm, kept blocks": lambda I, H: blocks(LSTM(I, -(-H // 16) * 16), kept=True),
    "gru before, kept blocks": lambda I, H: blocks(GRU(I, -(-H // 16) * 16, reset="before"), kept=True),
    "lstm, state clip": lambda I, H: LSTM(I, H, state_clip=0.5),
    "gru, state clip": lambda I, H: GRU(I, H, state_clip=0.5),
    "lstm, clip and norm": lambda I, H: LSTM(I, H, state_clip=0.5, layer_norm=True),
    "lstm, clip and projection": lambda I, H: LSTM(I, H, proj_size=5, state_clip=0.5),
    "peepholes, state clip": lambda I, H: Recurrent("peepholelstm", I, H, state_clip=0.5),
    "own: given": lambda I, H: Recurrent(Fading, I, H),
    "own: time and gaps": lambda I, H: Recurrent(Timed, I, H),
    **{f"own: {name}": lambda I, H, cell=cell: Recurrent(cell, I, H) for name, cell in UNITWISE.items()},
}


def made(name: str, shape: Shape, **call: object) -> Made:
    """A case and its layer."""
    torch.manual_seed(shape.H + shape.T)
    if name in CELLS:
        case = draw(name, shape, **call)  # type: ignore[arg-type]
        return case, layer_of(case)
    features = shape.H if name == "own: sru" else shape.I
    layer = OWN[name](features, shape.H)
    layer.autocast_keeps_dtype = True
    return draw_layer(layer, shape, **call), layer  # type: ignore[arg-type]


@contextmanager
def sharing(threads: int, tiles_of: str | None = None, **tuning: int) -> Iterator[None]:
    """So many threads, however little there is to do, with certain tiles."""
    few = {"thread_work": 1, "meeting_work": 1} if threads > 1 else {}
    with ExitStack() as stack:
        stack.enter_context(choices(**few, **tuning))
        if tiles_of:
            stack.enter_context(tiles(tiles_of))
        stack.enter_context(used(threads))
        yield
