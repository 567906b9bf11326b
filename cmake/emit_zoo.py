"""Write what CMake compiles: the emitted cells of the zoo, the flags, and the stamp of the engine's sources.

Runs on the bare Python of an isolated build: ``python -I -S -B emit_zoo.py <folder>``.
"""  # noqa: INP001  a script, not a package

import sys
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).resolve().parents[1] / "src"
UNITS = 4  # each parses the headers again, which takes as long as a cell; fewer would leave processors idle

sys.path.insert(0, str(SOURCE))
# The package imports torch; the two modules of it that say how libraries are built do not, so it is stood in for.
runtime = ModuleType("tidegate.runtime")
runtime.__path__ = [str(SOURCE / "tidegate" / "runtime")]
sys.modules["tidegate.runtime"] = runtime

from tidegate import passes, zoo  # noqa: E402
from tidegate.emit.compiled import Compiled  # noqa: E402
from tidegate.runtime.library import FLAGS, ISAS, sources_hash  # noqa: E402
from tidegate.zoo.keras import STORED  # noqa: E402


def cells() -> dict[str, str]:
    """Emitted text by key; cells that differ only in their conventions share one."""
    graphs = [cell.graph for cell in (*zoo.IN_WHEEL, *STORED)]
    plain = [Compiled(graph) for graph in (*graphs, passes.project(zoo.LSTM.graph))]
    return {own.source.key: own.source.text for cell in plain for own in cell.variants}


def unit(texts: dict[str, str]) -> str:
    """One file of many cells. They name their phases alike, so each gets a namespace."""
    parts = [f"namespace cell_{key} {{\n{text}}}\n" for key, text in texts.items()]
    return "\n".join(['#include "cell.h"\n', *parts])  # first, so that no cell includes it in its namespace


def settings(files: list[str]) -> str:
    """The flags of ``runtime/library.py`` as CMake reads them."""
    links = [flag for flag in FLAGS if flag == "-shared" or flag.startswith("-Wl,")]
    values = {
        "CELLS": files,
        "COMPILE_FLAGS": [flag for flag in FLAGS if flag not in links],
        "LINK_FLAGS": FLAGS,
        "ISAS": ISAS,
        **{f"FLAGS_{isa}": flags for isa, flags in ISAS.items()},
    }
    return "".join(f'set(TIDEGATE_{name} "{";".join(value)}")\n' for name, value in values.items())


def main(folder: Path) -> None:
    """Fill the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    every = sorted(cells().items())
    units = {f"zoo_{k}.cpp": unit(dict(every[k::UNITS])) for k in range(UNITS)}
    for name, text in {**units, "settings.cmake": settings([*units]), "sources.txt": sources_hash() + "\n"}.items():
        (folder / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
