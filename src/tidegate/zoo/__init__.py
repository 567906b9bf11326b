"""The zoo: one file per published cell or family, and the way to find a cell by name."""

from __future__ import annotations

from tidegate.cell import Cell, Graph
from tidegate.errors import InputError, did_you_mean
from tidegate.zoo.antisymmetric import AntisymmetricRNN, GatedAntisymmetricRNN
from tidegate.zoo.atr import ATR
from tidegate.zoo.bistable import BRC, NBRC
from tidegate.zoo.cfc import CfC
from tidegate.zoo.cfn import CFN
from tidegate.zoo.fast import FastGRNN, FastRNN
from tidegate.zoo.greff import CIFG, FGR, NFG, NIAF, NIG, NOAF, NOG, NP, V
from tidegate.zoo.gru import GRU
from tidegate.zoo.grud import GRUD
from tidegate.zoo.hgrn import HGRN
from tidegate.zoo.indrnn import IndRNN
from tidegate.zoo.intersection import IntersectionRNN
from tidegate.zoo.janet import JANET
from tidegate.zoo.lem import LEM
from tidegate.zoo.lightru import LightRU
from tidegate.zoo.ligru import LiGRU
from tidegate.zoo.lipschitz import LipschitzRNN
from tidegate.zoo.lru import LRU
from tidegate.zoo.lstm import LSTM, LSTM1997, PeepholeLSTM
from tidegate.zoo.mclstm import MCLSTM
from tidegate.zoo.mgu import MGU
from tidegate.zoo.minimal import MinGRU, MinLSTM
from tidegate.zoo.minimalrnn import MinimalRNN
from tidegate.zoo.miru import MiRU1, MiRU2
from tidegate.zoo.misprint import MisprintGRU, MisprintLSTM
from tidegate.zoo.mogrifier import MogrifierLSTM
from tidegate.zoo.multiplicative import MultiplicativeLSTM
from tidegate.zoo.mut import MUT1, MUT2, MUT3
from tidegate.zoo.nas import NAS
from tidegate.zoo.oscillator import CoRNN, UnICORNN
from tidegate.zoo.qrnn import QRNN, QRNN2
from tidegate.zoo.ran import RAN
from tidegate.zoo.reslstm import ResLSTM
from tidegate.zoo.rglru import RGLRU
from tidegate.zoo.rhn import RHN
from tidegate.zoo.rnn import RNN
from tidegate.zoo.scrn import SCRN, AdaptiveSCRN
from tidegate.zoo.sgrn import SGRN
from tidegate.zoo.sgu import DSGU, SGU
from tidegate.zoo.slstm import SLSTM
from tidegate.zoo.sru import SRU
from tidegate.zoo.star import STAR
from tidegate.zoo.taugru import TauGRU
from tidegate.zoo.tlstm import TLSTM
from tidegate.zoo.typed import TypedGRU, TypedLSTM
from tidegate.zoo.ugrnn import UGRNN
from tidegate.zoo.urlstm import URLSTM
from tidegate.zoo.wmclstm import WMCLSTM

FAMILIES: tuple[type[Cell], ...] = (
    RNN,
    LSTM,
    PeepholeLSTM,
    GRU,
    LSTM1997,
    *(V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR),
    *(MGU, JANET, LiGRU, UGRNN, MUT1, MUT2, MUT3),
    *(IndRNN, SCRN, AdaptiveSCRN, MinGRU, MinLSTM, SLSTM),
    *(SRU, QRNN, QRNN2, RGLRU, LRU, HGRN, URLSTM, MultiplicativeLSTM, MogrifierLSTM, RHN),
    *(AntisymmetricRNN, GatedAntisymmetricRNN, LipschitzRNN),
    *(LEM, CoRNN, UnICORNN, BRC, NBRC, STAR, FastRNN, FastGRNN, RAN, CFN),
    *(ATR, IntersectionRNN, LightRU, MCLSTM, MinimalRNN, MiRU1, MiRU2, NAS, ResLSTM),
    *(SGRN, SGU, DSGU, TypedGRU, TypedLSTM, WMCLSTM),
    *(GRUD, CfC, TLSTM, TauGRU),
    *(MisprintLSTM, MisprintGRU),
)
CELLS: dict[str, type[Cell]] = {cell.name.lower(): cell for family in FAMILIES for cell in family.variants()}
AT_FIRST_USE: frozenset[type[Cell]] = frozenset(
    {
        *(V, NIG, NFG, NOG, NIAF, NOAF, NP, FGR, MUT1, MUT2, MUT3, MisprintLSTM, MisprintGRU, HGRN),
        *(QRNN2, URLSTM, MultiplicativeLSTM, MogrifierLSTM, RHN, AntisymmetricRNN, GatedAntisymmetricRNN, LipschitzRNN),
        *(LEM, CoRNN, UnICORNN, BRC, NBRC, STAR, FastRNN, RAN, CFN, ATR, IntersectionRNN, LightRU, MCLSTM, MinimalRNN),
        *(MiRU1, MiRU2, NAS, ResLSTM, SGRN, SGU, DSGU, TypedGRU, TypedLSTM, WMCLSTM, TLSTM, TauGRU),
    }
)
"""Families that few need: a machine compiles them when it first runs one. In the wheel each would take 60 KB."""
IN_WHEEL: tuple[type[Cell], ...] = tuple(c for f in FAMILIES if f not in AT_FIRST_USE for c in f.variants())
"""The cells of which the wheel has machine code."""


def find(name: str) -> type[Cell]:
    """The cell of that name, e.g. ``"lstm"``, ``"GRU/before"`` or ``"rnn/relu"``.

    Args:
        name: of the cell, in any case.

    Raises:
        InputError: there is none; the message suggests the nearest.

    Example:
        >>> import tidegate as tg
        >>> tg.zoo.find("gru/before").name
        'GRU/before'
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

    Example:
        >>> import tidegate as tg
        >>> tg.zoo.graph_of("mgu") == tg.zoo.graph_of(tg.zoo.MGU)
        True
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
    "ATR",
    "AT_FIRST_USE",
    "BRC",
    "CELLS",
    "CFN",
    "CIFG",
    "DSGU",
    "FAMILIES",
    "FGR",
    "GRU",
    "GRUD",
    "HGRN",
    "IN_WHEEL",
    "JANET",
    "LEM",
    "LRU",
    "LSTM",
    "LSTM1997",
    "MCLSTM",
    "MGU",
    "MUT1",
    "MUT2",
    "MUT3",
    "NAS",
    "NBRC",
    "NFG",
    "NIAF",
    "NIG",
    "NOAF",
    "NOG",
    "NP",
    "QRNN",
    "QRNN2",
    "RAN",
    "RGLRU",
    "RHN",
    "RNN",
    "SCRN",
    "SGRN",
    "SGU",
    "SLSTM",
    "SRU",
    "STAR",
    "TLSTM",
    "UGRNN",
    "URLSTM",
    "WMCLSTM",
    "AdaptiveSCRN",
    "AntisymmetricRNN",
    "CfC",
    "CoRNN",
    "FastGRNN",
    "FastRNN",
    "GatedAntisymmetricRNN",
    "IndRNN",
    "IntersectionRNN",
    "LiGRU",
    "LightRU",
    "LipschitzRNN",
    "MiRU1",
    "MiRU2",
    "MinGRU",
    "MinLSTM",
    "MinimalRNN",
    "MisprintGRU",
    "MisprintLSTM",
    "MogrifierLSTM",
    "MultiplicativeLSTM",
    "PeepholeLSTM",
    "ResLSTM",
    "TauGRU",
    "TypedGRU",
    "TypedLSTM",
    "UnICORNN",
    "V",
    "find",
    "graph_of",
]
