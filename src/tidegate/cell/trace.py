"""Tracing: from a cell's declarations and ``step`` to its verified graph."""

from __future__ import annotations

import inspect
import linecache
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from tidegate.cell.convention import check_conventions
from tidegate.cell.graph import ONE, Block, Given, Graph, Matrix, Node, Op, State, Vector, is_narrow
from tidegate.cell.initial import initials
from tidegate.cell.symbol import Namespace, Symbol, Tracer
from tidegate.cell.verify import check_axis, check_name, verify
from tidegate.errors import SpecError

if TYPE_CHECKING:
    from tidegate.cell.definition import Cell  # which traces each subclass when it is defined


def trace(cell: type[Cell]) -> Graph:
    """Run a cell's ``step`` on symbols and return the verified graph.

    Args:
        cell: the class.

    Raises:
        SpecError: the definition is invalid; the message names the line and a fix.

    Example:
        >>> from tidegate import zoo
        >>> from tidegate.cell import trace
        >>> graph = trace(zoo.MGU)
        >>> graph.name, [state.name for state in graph.states], graph == zoo.MGU.graph
        ('MGU', ['h'], True)
    """
    declared = _Declarations(cell)
    tracer = Tracer()
    with _located(cell):
        arguments = _bind(cell, declared, tracer)
        returned, values = _run_and_capture(cell, _with_settings(cell, tracer), arguments)
        updates = tuple(tracer.lift(update).index for update in _as_updates(declared, returned))
    gates = _reported(cell, declared, values)
    graph = Graph(
        name=cell.name,
        matrices=_with_columns(tuple(m for m in declared.matrices if m.blocks or m.name != "W"), tracer.nodes),
        states=declared.states,
        vectors=tuple(Vector.of_units(name, axis) for name, axis in declared.vectors.items()),
        nodes=tuple(tracer.nodes),
        updates=updates,
        gates=tuple((name, symbol.index) for name, symbol in gates.items()),
        given=declared.given,
        initial=initials(cell.initial),
    )
    graph = _prune(graph)
    verify(graph)
    check_conventions(graph, {option: getattr(cell, option) for option in cell.options})
    return graph


class _Declarations:
    """The declarations of a cell, parsed and checked."""

    def __init__(self, cell: type[Cell]) -> None:
        self.gates = _names(cell, "gates", cell.gates)
        self.input_axis = _input_axis(cell)
        self.states = tuple(State(*pair) for pair in _declared(cell, "state", cell.state, ("H", "I")))
        self.vectors = dict(_declared(cell, "vectors", cell.vectors, ("H", "I")))
        self.given = tuple(Given(*pair) for pair in _declared(cell, "given", cell.given, (ONE, "H", "I"), default=""))
        inputs = cell.gates if cell.inputs is None else cell.inputs
        recurrent = {"U": cell.gates} if cell.matrices is None else cell.matrices
        declared = {"W": inputs, **recurrent}
        biased = self._biased(cell, declared)
        self.matrices = tuple(
            Matrix(
                name,
                tuple(Block(b, a, b in biased.get(name, ())) for b, a in _declared(cell, name, blocks, ("H", "I"))),
                self.input_axis,
                mirror=float(cell.mirrored.get(name, 0.0)),
            )
            for name, blocks in declared.items()
        )
        if unknown := cell.mirrored.keys() - recurrent.keys():
            message = f"{cell.__name__}.mirrored names {' '.join(sorted(unknown))}, which is no recurrent matrix"
            raise SpecError("MIRRORED", message, fix=f"matrices are {' '.join(recurrent)}")
        taken: dict[str, str] = {}
        kinds = {"state": [s.name for s in self.states], "matrix": list(declared), "vector": list(self.vectors)}
        kinds["given value"] = [value.name for value in self.given]
        for kind, name in ((kind, name) for kind, names in kinds.items() for name in names):
            if name in taken:
                raise SpecError(
                    "NAME_TWICE", f"{cell.__name__}: {name!r} is a {taken[name]} and a {kind}", fix="rename one of them"
                )
            taken[name] = kind

    @staticmethod
    def _biased(cell: type[Cell], declared: Mapping[str, str]) -> dict[str, list[str]]:
        """For each matrix with a bias, the blocks that have one."""
        if isinstance(cell.biases, str):
            absent = {"U"} - declared.keys()  # the default names U, which not every cell has
            chosen = {name: declared.get(name) for name in cell.biases.split() if name not in absent}
        else:
            chosen = dict(cell.biases)
        biased: dict[str, list[str]] = {}
        for name, blocks in chosen.items():
            has = _names(cell, name, declared[name]) if name in declared else []
            biased[name] = _names(cell, "biases", blocks) if blocks is not None else []
            if unknown := ([name] if name not in declared else sorted(set(biased[name]) - set(has))):
                raise SpecError(
                    "BIASES",
                    f"{cell.__name__}.biases names {' '.join(unknown)}, which is not declared",
                    fix=f"matrices and their blocks: {dict(declared)}",
                )
        return biased


def _names(cell: type[Cell], attribute: str, text: object) -> list[str]:
    return [name for name, _ in _declared(cell, attribute, text)]


def _declared(
    cell: type[Cell], attribute: str, text: object, free: tuple[str, ...] = ("H",), default: str = "H"
) -> list[tuple[str, str]]:
    """Parse and check a declaration of names separated by blanks, each perhaps with its axis, as ``h s:S``."""
    if not isinstance(text, str):
        raise SpecError(
            "DECLARATION",
            f"{cell.__name__}.{attribute} is {text!r:.60}",
            fix='declare names separated by blanks, e.g. gates = "i f g o"',
        )
    parts = [word.partition(":") for word in text.split()]
    pairs = [(name, axis if colon else default) for name, colon, axis in parts]
    for wrong in (check_name(name) or check_axis(axis, free) for name, axis in pairs):
        if wrong:
            raise SpecError("NAME", f"{cell.__name__}.{attribute}: {wrong}", fix="choose another name")
    return pairs


def _input_axis(cell: type[Cell]) -> str:
    if cell.input not in ("I", "H"):
        raise SpecError(
            "DECLARATION",
            f"{cell.__name__}.input is {cell.input!r:.60}",
            fix='declare "I", or "H" for one as wide as h',
        )
    return cell.input


def _bind(cell: type[Cell], declared: _Declarations, tracer: Tracer) -> dict[str, Any]:
    """The arguments of ``step``, by parameter name."""
    states = {s.name: tracer.add(Node(Op.STATE, name=s.name, axis=s.axis)) for s in declared.states}
    vectors = {n: tracer.add(Node(Op.VECTOR, name=n, matrix=n, axis=axis)) for n, axis in declared.vectors.items()}
    x_t = tracer.add(Node(Op.INPUT, axis=declared.input_axis))
    matrices = {matrix.name: _product_of(matrix, tracer) for matrix in declared.matrices}
    blocks = {
        block.name: (lambda n=block.name: getattr(matrices["W"](x_t), n)) for block in declared.matrices[0].blocks
    }
    offered: dict[str, Any] = {"x": Namespace("x", {**blocks, "raw": lambda: x_t}), **states, **vectors, **matrices}
    offered |= {v.name: tracer.add(Node(Op.GIVEN, name=v.name, axis=v.axis)) for v in declared.given}
    for prefix in {name.split("_", 1)[0] for name in vectors if "_" in name} - offered.keys():
        parts = {n.split("_", 1)[1]: (lambda n=n: vectors[n]) for n in vectors if n.startswith(prefix + "_")}
        offered[prefix] = Namespace(prefix, parts)
    first, *wanted = inspect.signature(cell.step).parameters or ("",)
    if first != "self":
        raise SpecError(
            "STEP_SELF", f"{cell.__name__}.step begins with {first or 'nothing'}", fix="write def step(self, ...)"
        )
    if unknown := [name for name in wanted if name not in offered]:
        raise SpecError(
            "STEP_PARAMETER",
            f"{cell.__name__}.step asks for {' '.join(unknown)}",
            fix=f"it can have: {' '.join(offered)}; declare what is missing",
        )
    return {name: offered[name] for name in wanted}


def _product_of(matrix: Matrix, tracer: Tracer) -> Callable[[Any], Namespace]:
    def product(operand: Any) -> Namespace:
        symbol = tracer.lift(operand)
        if not symbol.axis or is_narrow(symbol.axis):
            what = "one number a row" if symbol.axis else f"the number {operand!r}"
            raise SpecError("OPERAND", f"{matrix.name}(...) got {what}", fix="apply it to a vector")
        parts = {
            b.name: (lambda b=b: tracer.add(Node(Op.PRODUCT, (symbol.index,), b.name, matrix.name, axis=b.axis)))
            for b in matrix.blocks
        }
        return Namespace(f"{matrix.name}(...)", parts)

    return product


def _with_settings(cell: type[Cell], tracer: Tracer) -> Cell:
    """What ``step`` sees as ``self``: its settings are numbers of the graph that have a name."""
    own = cell()
    for name in cell.settings:
        value = getattr(cell, name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            message = f"{cell.__name__}.{name} is {value!r:.60}, expected a finite number"
            raise SpecError("SETTING", message, fix=f"declare one: settings = {{{name!r}: 0.1}}")
        if wrong := check_name(name):
            raise SpecError("NAME", f"{cell.__name__}.settings: {wrong}", fix="choose another name")
        setattr(own, name, tracer.add(Node(Op.CONST, name=name, value=float(value))))
    return own


def _run_and_capture(cell: type[Cell], own: Cell, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Call ``step`` and read its local names at return, which is where gates get their names.

    In a thread of its own: a profile hook belongs to one thread, so no profiler or debugger of the
    caller's is disturbed.
    """
    codes = _codes_of(cell)
    values: dict[str, Any] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code in codes:
            values.update(frame.f_locals)

    def run() -> Any:
        sys.setprofile(profile)
        try:
            return own.step(**arguments)
        finally:
            sys.setprofile(None)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result(), values


def _codes_of(cell: type[Cell]) -> set[CodeType]:
    steps = (vars(base).get("step") for base in cell.__mro__)
    return {inspect.unwrap(step).__code__ for step in steps if inspect.isfunction(step)}


def _as_updates(declared: _Declarations, returned: Any) -> tuple[Any, ...]:
    updates = returned if isinstance(returned, tuple) else (returned,)
    if returned is None or len(updates) != len(declared.states):
        names = " ".join(state.name for state in declared.states)
        got = "nothing" if returned is None else f"{len(updates)} values"
        raise SpecError("STEP_RESULT", f"step returns {got}", fix=f"return the new states, in this order: {names}")
    return updates


def _reported(cell: type[Cell], declared: _Declarations, values: dict[str, Any]) -> dict[str, Symbol]:
    missing = [name for name in declared.gates if not isinstance(values.get(name), Symbol)]
    if missing:
        raise SpecError(
            "GATE_UNNAMED",
            f"{cell.__name__} declares the gates {' '.join(missing)}, but step ends without values of these names",
            fix=f"assign it a name: {missing[0]} = sigmoid(...)",
        )
    return {name: values[name] for name in declared.gates}


def _with_columns(matrices: tuple[Matrix, ...], nodes: list[Node]) -> tuple[Matrix, ...]:
    """Give each matrix the axis of what it is applied to; ``verify`` finds contradictions."""
    columns = {node.matrix: nodes[node.args[0]].axis for node in reversed(nodes) if node.op is Op.PRODUCT}
    return tuple(replace(matrix, columns=columns.get(matrix.name, matrix.columns)) for matrix in matrices)


def _prune(graph: Graph) -> Graph:
    """Drop nodes that no result needs."""
    keep = sorted(graph.reaches((*graph.updates, *(index for _, index in graph.gates))))
    moved = {old: new for new, old in enumerate(keep)}
    return replace(
        graph,
        nodes=tuple(replace(graph.nodes[old], args=tuple(moved[arg] for arg in graph.nodes[old].args)) for old in keep),
        updates=tuple(moved[index] for index in graph.updates),
        gates=tuple((name, moved[index]) for name, index in graph.gates),
    )


@contextmanager
def _located(cell: type[Cell]) -> Iterator[None]:
    """Turn any error inside ``step`` into a SpecError that names the line."""
    try:
        yield
    except Exception as error:
        codes = _codes_of(cell)
        frames = [f for f in traceback.walk_tb(error.__traceback__) if f[0].f_code in codes]
        where = f"{cell.__name__}.step"
        if frames:
            file, line = frames[-1][0].f_code.co_filename, frames[-1][1]
            source = linecache.getline(file, line).strip()
            where += f", {file}:{line}" + (f", in `{source}`" if source else "")
        if isinstance(error, SpecError):
            raise SpecError(error.code, f"{where}: {error.message}", fix=error.fix) from error
        raise SpecError("STEP_FAILED", f"{where}: {type(error).__name__}: {error}") from error
