"""Loading cells that are named on the command line."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from tidegate import zoo
from tidegate.cell import Cell
from tidegate.errors import InputError, TidegateError
from tidegate.train.spec import Spec, one, opened, parsed

FORM = "name a cell as FILE.py:CLASS"
LONGEST_NAME = 60

_numbers = itertools.count(1)


def load(text: str) -> type[Cell]:
    """Load a cell from the zoo (``gru/before``) or from a Python file (``my.py:MyCell``), which is run.

    Args:
        text: a name from the zoo, or FILE.py:CLASS.

    Returns:
        The class of the cell.

    Raises:
        InputError: there is no such cell or file, or running the file fails.
        SpecError: the file defines an invalid cell.
    """
    path, colon, name = text.strip().rpartition(":")
    if colon:
        return _from_file(path.strip(), name.strip())
    return _from_file(name, "") if name.endswith(".py") else zoo.find(name)


def load_spec(text: str) -> Spec:
    """Load a cell, perhaps with settings in brackets.

    Args:
        text: as ``load``, such as ``gru[layer_norm]``.

    Raises:
        InputError: as ``load``, or a setting is wrong.
    """
    return one(text, load)


def load_alone(text: str) -> type[Cell]:
    """Load the cell that ``--cell`` names, beside which a command has options for the settings of a layer.

    Args:
        text: as ``load``.

    Raises:
        InputError: as ``load``, or settings follow in brackets.
    """
    cell, options = opened(text.strip())
    if options:
        flags = (_flag(name, value) for name, value in options.items())
        raise InputError(
            "CELL_OPTION",
            f"--cell {text!r} has settings in brackets, which belong to compare",
            fix=f"write --cell {cell} {' '.join(flags)}",
        )
    return load(text)


def _flag(name: str, value: object) -> str:
    flag = name.replace("_", "-")
    return f"--{flag} {value}" if not isinstance(value, bool) else f"--{'' if value else 'no-'}{flag}"


def load_all(text: str) -> dict[str, Spec]:
    """Load several cells.

    Args:
        text: cells separated by commas, each perhaps with settings in brackets; ``name=cell`` renames one.

    Returns:
        The cells with their settings, by name.

    Raises:
        InputError: as ``load``, a setting is wrong, or a name appears twice or cannot be printed.
    """
    cells: dict[str, Spec] = {}
    for name, spec in parsed(text, load):
        _check_name(name)
        if name in cells:
            raise InputError("CELL_TWICE", f"{name} is listed twice", fix="rename one: --cells lstm,again=lstm")
        cells[name] = spec
    if not cells:
        raise InputError("NO_CELLS", f"--cells {text!r} names no cell", fix="name some, e.g. --cells lstm,gru")
    return cells


def _check_name(name: str) -> None:
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise InputError(
            "CELL_NAME",
            f"{name[: LONGEST_NAME + 1]!r} is not a valid name for a cell",
            fix=f"use 1 to {LONGEST_NAME} printable characters: --cells NAME=CELL",
        )


def _from_file(text: str, name: str) -> type[Cell]:
    path = Path(text)
    _check_file(text, path)
    cells: dict[str, type[Cell]] = {key: value for key, value in vars(_run(path)).items() if _is_cell(value)}
    if name in cells:
        return cells[name]
    defined = f"its cells: {', '.join(sorted(cells)) or 'none'}"
    if not name:
        raise InputError("CELL_CLASS", f"{path} is a file, not a cell", fix=f"write {path}:CLASS; {defined}")
    raise InputError("CELL_CLASS", f"{path} defines no cell {name!r}", fix=defined)


def _check_file(text: str, path: Path) -> None:
    try:
        if path.is_dir() and text:
            raise InputError("CELL_FILE", f"{path} is a folder, not a file", fix=FORM)
        if not path.is_file():
            raise InputError("CELL_FILE", f"there is no file {text!r}", fix=FORM)
        if path.suffix != ".py":
            raise InputError("CELL_FILE", f"{path} is not a Python file", fix=FORM)
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            "CELL_FILE", f"{path} cannot be read: {error.strerror}", fix="check its name and permissions"
        ) from error


def _run(path: Path) -> ModuleType:
    """Run a user's file as a module with a unique name."""
    module_spec = importlib.util.spec_from_file_location(f"_tidegate_file_{next(_numbers)}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        with _importable_folder(path):
            module_spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        if isinstance(error, TidegateError) or not isinstance(error, (Exception, SystemExit)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError("CELL_FILE", f"{path} failed: {reason}", fix="correct the file") from error
    return module


@contextmanager
def _importable_folder(path: Path) -> Iterator[None]:
    """Let the file import modules from its own folder."""
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have changed the list
            sys.path.remove(folder)


def _is_cell(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Cell) and hasattr(value, "graph")
