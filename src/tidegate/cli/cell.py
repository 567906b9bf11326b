"""Cells as users name them on the command line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tidegate import zoo
from tidegate.errors import InputError, TidegateError
from tidegate.spec import Cell


def load(text: str) -> type[Cell]:
    """A cell of the zoo (``gru/before``) or of a file (``my.py:MyCell``); the file is run.

    Raises:
        InputError: no such cell, no such file, or a file that fails.
        SpecError: the file defines a cell that cannot be meant.
    """
    path, colon, name = text.rpartition(":")
    return _from_file(Path(path), name) if colon else zoo.find(text)


def load_all(text: str) -> dict[str, type[Cell]]:
    """Several cells, separated by commas; ``name=cell`` gives one another name.

    Raises:
        InputError: as ``load``, or the same name twice.
    """
    found: dict[str, type[Cell]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        alias, equals, cell_text = part.partition("=")
        cell = load(cell_text if equals else part)
        name = alias.strip() if equals else cell.name
        if name in found:
            raise InputError(
                "CELL_TWICE", f"{name} takes part twice", fix="give one another name: --cells lstm,again=lstm"
            )
        found[name] = cell
    if not found:
        raise InputError("NO_CELLS", f"--cells {text!r} names no cell", fix="name some, e.g. --cells lstm,gru")
    return found


def _from_file(path: Path, name: str) -> type[Cell]:
    if not path.is_file():
        raise InputError("CELL_FILE", f"there is no file {path}", fix="name a cell as FILE.py:CLASS")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    if module_spec is None or module_spec.loader is None:
        raise InputError("CELL_FILE", f"{path} is not a Python file", fix="name a cell as FILE.py:CLASS")
    module = importlib.util.module_from_spec(module_spec)
    sys.path.insert(0, str(path.parent.resolve()))  # the file may import its neighbours
    try:
        module_spec.loader.exec_module(module)
    except TidegateError:
        raise
    except Exception as error:
        raise InputError(
            "CELL_FILE", f"{path} failed: {type(error).__name__}: {error}", fix="correct the file"
        ) from error
    finally:
        sys.path.pop(0)
    cells: dict[str, type[Cell]] = {key: value for key, value in vars(module).items() if _is_cell(value)}
    if name not in cells:
        has = ", ".join(sorted(cells)) or "none"
        raise InputError("CELL_CLASS", f"{path} defines no cell {name!r}", fix=f"cells there: {has}")
    return cells[name]


def _is_cell(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Cell) and hasattr(value, "graph")
