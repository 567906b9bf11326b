"""What each file of this folder gives: one network, run by its package and by our layers."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Run = Callable[[], Any]


class Package(NamedTuple):
    """A distribution of the registry, with the version whose files are known here.

    Attributes:
        name, version: as the registry has them.
        tool: what its source must import before it says its name, "" for nothing.
    """

    name: str
    version: str
    tool: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Subject:
    """A network that a package ships.

    Attributes:
        name: of the network, with the package's.
        cells: its recurrent layers.
        source: how the package keeps the weights.
        judge: what computes the package's side.
        work: what one call does.
        glue: the functions and cells that a user has to write today to get the weights into our layers.
        theirs, ours: one call; each gives an array or a list of them, of the same shapes.
        allowed: the largest difference with which it is still timed.
        note: what explains a difference, or must be known.
    """

    name: str
    cells: str
    source: str
    judge: str
    work: str
    glue: tuple[Callable[..., Any], ...]
    theirs: Run
    ours: Run
    allowed: float = 1e-4
    note: str = ""


def lines(written: Callable[..., Any]) -> int:
    """Lines of code in the body of a function or class: neither its docstring, nor comments, nor empty lines."""
    source = textwrap.dedent(inspect.getsource(written))
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef | ast.ClassDef)
    first = definition.body[1 if ast.get_docstring(definition) else 0].lineno
    body = (line.strip() for line in source.splitlines()[first - 1 :])
    return sum(1 for line in body if line and not line.startswith("#"))


def difference(theirs: Any, ours: Any) -> float:
    """The largest absolute difference; infinite where shapes differ or ours is no number."""
    pairs = list(zip(arrays(theirs), arrays(ours), strict=True))
    if any(a.shape != b.shape or not np.isfinite(b).all() for a, b in pairs):
        return float("inf")
    return max(float(np.abs(a.astype(float) - b.astype(float)).max()) for a, b in pairs)


def largest(result: Any) -> float:
    """The largest absolute value, which says what a difference means."""
    return max(float(np.abs(part).max()) for part in arrays(result))


def arrays(result: Any) -> list[NDArray[Any]]:
    return [np.asarray(part) for part in (result if isinstance(result, list | tuple) else [result])]
