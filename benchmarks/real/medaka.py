"""medaka: consensus of DNA reads; bidirectional GRUs over counts, ten chunks of 1000 columns at once."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from benchmarks.real.files import untar
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("medaka", "2.2.2")
NETWORKS = {"sup v5.2.0": 128, "hac v6.0.0": 256}


def accelerated(model: torch.nn.Module) -> torch.nn.Module:
    return tg.accelerate(model).model


def subjects(folder: Path) -> Iterator[Subject]:
    torch.manual_seed(0)
    for name, width in NETWORKS.items():
        theirs = network(folder, name.replace(" ", "_"), width)
        ours = accelerated(copy.deepcopy(theirs))
        for chunks in (10, 1):
            counts = pileup(chunks, 1000)
            yield Subject(
                f"medaka {name}", f"2 x bidirectional GRU {width}", "torch state_dict", "its GRUModel on torch.nn",
                f"{chunks} x 1000 columns", (accelerated,),
                lambda model=theirs, x=counts: model(x), lambda model=ours, x=counts: model(x),
            )  # fmt: skip


def pileup(chunks: int, columns: int, depth: int = 40) -> torch.Tensor:
    """Shares of a, c, g, t and gaps on both strands in columns of so many reads, of which nine of ten are right.

    On numbers that are no pileup the wide network is chaotic: torch.nn itself is then as far from float64 as can be.
    """
    truth = torch.randint(0, 4, (chunks, columns, 1))
    symbols = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4, 4])
    chances = torch.where(symbols == truth, 0.45, 0.1 / 8)
    drawn = torch.multinomial(chances.flatten(0, 1), depth, replacement=True)
    return torch.nn.functional.one_hot(drawn, 10).float().mean(1).reshape(chunks, columns, 10)


def network(folder: Path, name: str, width: int) -> torch.nn.Module:
    """The package's class with its weights; its base class, which reads alignments, is left out."""
    base = ModuleType("medaka.architectures.base_classes")
    base.CountsMatrixModel = torch.nn.Module  # type: ignore[attr-defined]
    for module in ("medaka", "medaka.architectures"):
        sys.modules.setdefault(module, ModuleType(module))
    sys.modules["medaka.architectures"].base_classes = sys.modules[base.__name__] = base  # type: ignore[attr-defined]
    scope: dict[str, type[torch.nn.Module]] = {}
    source = folder / "medaka" / "architectures" / "gru.py"
    exec(compile(source.read_text(encoding="utf-8"), source, "exec"), scope)  # noqa: S102  the package's own code
    model = scope["GRUModel"](gru_size=width)
    archive = folder / "medaka" / "data" / f"r1041_e82_400bps_{name}_model_pt.tar.gz"
    weights = untar(archive, folder / name) / "weights.pt"
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model.eval()
