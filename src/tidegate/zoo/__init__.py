"""The zoo: one file per published cell or family, and the way to find a cell by name."""

from __future__ import annotations

from tidegate.cell import Cell, Graph
from tidegate.errors import InputError, did_you_mean
from tidegate.zoo.greff import CIFG, FGR, NFG, NIAF, NIG, NOAF, NOG, NP, V
from tidegate.zoo.gru import GRU
from tidegate.zoo.indrnn import IndRNN
from tidegate.zoo.janet import JANET
from tidegate.zoo.ligru import LiGRU
from tidegate.zoo.lstm import LSTM, LSTM1997, PeepholeLSTM
from tidegate.zoo.mgu import MGU
from tidegate.zoo.minimal import MinGRU, MinLSTM
from tidegate.zoo.misprint import MisprintGRU, MisprintLSTM
from tidegate.zoo.mut import MUT1, MUT2, MUT3
from tidegate.zoo.rnn import RNN
from tidegate.zoo.scrn import SCRN, AdaptiveSCRN
from tidegate.zoo.slstm import SLSTM
from tidegate.zoo.ugrnn import UGRNN

FAMILIES: tuple[type[Cell], ...] = (
    RNN,
    LSTM,
    PeepholeLSTM,
    GRU,
    LSTM1997,
    *(V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR),
    *(MGU, JANET, LiGRU, UGRNN, MUT1, MUT2, MUT3),
    *(IndRNN, SCRN, AdaptiveSCRN, MinGRU, MinLSTM, SLSTM),
    *(MisprintLSTM, MisprintGRU),
)
CELLS: dict[str, type[Cell]] = {cell.name.lower(): cell for family in FAMILIES for cell in family.variants()}


def find(name: str) -> type[Cell]:
    """The cell of that name, e.g. ``"lstm"``, ``"GRU/before"`` or ``"rnn/relu"``.

    Args:
        name: of the cell, in any case.

    Raises:
        InputError: there is none; the message suggests the nearest.
    """
    key = name.strip().lower()
    if key not in CELLS:
        near = did_you_mean(key, CELLS)
        fix = "tidegate cells and tidegate.zoo.CELLS list all cells" if near else f"choose one of {', '.join(CELLS)}"
        raise InputError("CELL_UNKNOWN", f"there is no cell {name!r}{near}", fix=fix)
    return CELLS[key]


def graph_of(cell: type[Cell] | Graph | str) -> Graph:
    """The graph of a cell, however the caller names it: by a class, a name of the zoo, or the graph itself.

    Args:
        cell: any of the three.

    Raises:
        InputError: it is not a cell.
    """
    if isinstance(cell, Graph):
        return cell
    if isinstance(cell, str):
        return find(cell).graph
    if isinstance(cell, type) and issubclass(cell, Cell) and hasattr(cell, "graph"):
        return cell.graph
    raise InputError(
        "CELL",
        f"{cell!r:.80} is not a cell",
        fix="pass a subclass of tidegate.Cell with a step, or a name such as 'gru'",
    )


__all__ = [
    "CELLS",
    "CIFG",
    "FAMILIES",
    "FGR",
    "GRU",
    "JANET",
    "LSTM",
    "LSTM1997",
    "MGU",
    "MUT1",
    "MUT2",
    "MUT3",
    "NFG",
    "NIAF",
    "NIG",
    "NOAF",
    "NOG",
    "NP",
    "RNN",
    "SCRN",
    "SLSTM",
    "UGRNN",
    "AdaptiveSCRN",
    "IndRNN",
    "LiGRU",
    "MinGRU",
    "MinLSTM",
    "MisprintGRU",
    "MisprintLSTM",
    "PeepholeLSTM",
    "V",
    "find",
    "graph_of",
]
