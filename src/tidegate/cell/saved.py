"""Graphs as plain data: written, and read back without running code."""

from __future__ import annotations

import json
import reprlib
from dataclasses import fields
from typing import Any, TypeVar

from tidegate.cell.graph import Block, Given, Graph, Mask, Matrix, Node, Op, State, Vector
from tidegate.cell.initial import Initial
from tidegate.cell.verify import verify
from tidegate.errors import SpecError

FORMAT = 2
# Fields that are not written where they have these values, since graphs did not always have them.
LATER: dict[str, object] = {"heads": 1, "mirror": 0.0, "given": (), "initial": ()}


def to_plain(graph: Graph) -> dict[str, Any]:
    """What ``from_plain`` reads back: dictionaries, lists, texts and numbers."""
    own = {field.name: getattr(graph, field.name) for field in fields(graph)}
    own = {name: value for name, value in own.items() if LATER.get(name) != value}
    # tuples to lists; asdict would take twenty times as long
    plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **own}, default=_declared))
    return plain


def from_plain(data: dict[str, Any]) -> Graph:
    """Build and verify a graph.

    Raises:
        SpecError: ``data`` is not a graph, or not a valid one.
    """
    try:
        if _typed(data, dict)["format"] != FORMAT:
            raise SpecError("GRAPH_FORMAT", f"graph has format {data['format']!r}, expected {FORMAT}")
        graph = Graph(
            name=_typed(data["name"], str),
            matrices=tuple(_matrix(item) for item in _typed(data["matrices"], list)),
            states=tuple(_built(State, item) for item in _typed(data["states"], list)),
            vectors=tuple(_vector(item) for item in _typed(data["vectors"], list)),
            nodes=tuple(_node(item) for item in _typed(data["nodes"], list)),
            updates=tuple(_typed(index, int) for index in _typed(data["updates"], list)),
            gates=tuple(_gate(item) for item in _typed(data["gates"], list)),
            masks=tuple(_built(Mask, item) for item in _typed(data.get("masks", []), list)),
            given=tuple(_built(Given, item) for item in _typed(data.get("given", []), list)),
            initial=tuple(_built(Initial, item) for item in _typed(data.get("initial", []), list)),
        )
    except KeyError as error:
        raise SpecError("GRAPH_DATA", f"this is not a saved cell: it lacks {error}") from error
    except ValueError as error:
        raise SpecError("GRAPH_DATA", f"this is not a saved cell: {error}") from error
    verify(graph)
    return graph


def _declared(item: object) -> dict[str, Any]:
    return {name: value for name, value in vars(item).items() if LATER.get(name) != value}


T = TypeVar("T")
WORDS = {str: "a text", int: "an integer", float: "a number", bool: "true or false", list: "a list", dict: "an object"}


def _typed(value: Any, kind: type[T]) -> T:
    """Exactly this type: True is no number here, and 7.5 no index."""
    if type(value) is not kind:
        raise ValueError(f"expected {WORDS[kind]}, got {WORDS.get(type(value), 'nothing')} {reprlib.repr(value)}")
    return value


def _built(kind: type[T], item: Any) -> T:
    """A dataclass whose fields all have the types of their defaults or annotations."""
    kinds = {"str": str, "float": float, "bool": bool}
    wanted = {field.name: kinds[str(field.type)] for field in fields(kind)}  # type: ignore[arg-type]
    _typed(_typed(item, dict)["name"], str)
    if odd := [name for name in item if name not in wanted]:
        raise ValueError(f"a {kind.__name__.lower()} has no {reprlib.repr(odd[0])}")
    return kind(**{name: _typed(value, wanted[name]) for name, value in item.items()})


def _blocks(item: Any) -> tuple[Block, ...]:
    return tuple(_built(Block, block) for block in _typed(_typed(item, dict)["blocks"], list))


def _matrix(item: Any) -> Matrix:
    name, columns = _typed(_typed(item, dict)["name"], str), _typed(item["columns"], str)
    heads, share = _typed(item.get("heads", LATER["heads"]), int), _typed(item.get("mirror", LATER["mirror"]), float)
    return Matrix(name, _blocks(item), columns, heads, share)


def _vector(item: Any) -> Vector:
    return Vector(_typed(_typed(item, dict)["name"], str), _blocks(item))


def _gate(item: Any) -> tuple[str, int]:
    if len(_typed(item, list)) != 2:
        raise ValueError(f"expected a gate's name and node, got {reprlib.repr(item)}")
    return _typed(item[0], str), _typed(item[1], int)


def _node(item: Any) -> Node:
    if _typed(_typed(item, dict)["op"], str) not in set(Op):
        raise ValueError(f"there is no operation {reprlib.repr(item['op'])}")
    return Node(
        op=Op(item["op"]),
        args=tuple(_typed(arg, int) for arg in _typed(item["args"], list)),
        name=_typed(item["name"], str),
        matrix=_typed(item["matrix"], str),
        value=_typed(item["value"], float),
        axis=_typed(item["axis"], str),
    )
