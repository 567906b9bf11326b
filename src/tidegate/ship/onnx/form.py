"""The rules by which a cell is a node of ONNX: what its equations must look like, and what goes where.

    RNN:   h = act(linear)
    GRU:   h = z h + (1 - z) candidate, with a reset gate before or after the product, or none
    LSTM:  c = f c + i candidate, h = o act(c); any of i, f and o may be missing or a number
    LSTM with one state:  h = f h + i candidate, where f and i have nothing to do with each other

A gate that is missing is a row of zeros whose bias makes the activation exactly 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.cell.graph import Graph, Op
from tidegate.convert.activation import LINEAR, SIGMOID, Activation
from tidegate.ship.onnx.algebra import Algebra, Atom, Value
from tidegate.ship.onnx.gate import Gate, Reader

MOST_OPERATIONS = 150  # of a step; no node has half as many
Share = Gate | float  # a gate, or a number that stands in its place


@dataclass(frozen=True)
class Form:
    """A cell as a node.

    Attributes:
        kind: the operator.
        gates: in the operator's order, by its letters.
        activations: of the operator's functions f, g and h, as many as it has.
        settings: further attributes.
        single: an LSTM whose h and c are one state of the cell.
        algebra: what the gates are values of.
    """

    kind: str
    gates: Mapping[str, Share]
    activations: tuple[Activation, ...]
    algebra: Algebra
    settings: Mapping[str, int] = field(default_factory=dict)
    single: bool = False

    @property
    def has_matrix(self) -> bool:
        """Whether any gate multiplies a state by a matrix."""
        gates = [share.linear for share in self.gates.values() if isinstance(share, Gate)]
        return any(linear.state or linear.before or linear.after for linear in gates)


def form_of(graph: Graph) -> Form | str:
    """The node that computes a cell, or why there is none."""
    axes = {state.axis for state in graph.states}
    if len(axes) > 1:
        return "states of several widths"
    if len(graph.states) > 2:
        return f"{len(graph.states)} states"
    if len(graph.nodes) > MOST_OPERATIONS:
        return f"{len(graph.nodes)} operations"
    algebra = Algebra(graph)
    for rule in RULES:
        found = rule(graph, algebra)
        if found is not None:
            return found
    return "its equations are those of no node"


def _rnn(graph: Graph, algebra: Algebra) -> Form | None:
    if len(graph.states) != 1:
        return None
    gate = Reader(algebra, graph.output.name).gate(algebra.updates[0])
    if gate is None:
        return None
    return Form("RNN", {"h": gate}, (gate.activation,), algebra)


def _gru(graph: Graph, algebra: Algebra) -> Form | None:
    if len(graph.states) != 1:
        return None
    h = graph.output.name
    reader = Reader(algebra, h)
    kept, rest = _kept(algebra, algebra.updates[0], h)
    written = algebra.plus(Value(1.0), algebra.scaled(kept, -1.0))
    candidate = _divided(algebra, rest, written)
    if candidate is None:
        return None
    z, n = _share(reader, kept), reader.gate(candidate, resets=True)
    if n is None:
        return None
    r = 1.0 if n.linear.reset is None else _share(reader, n.linear.reset)
    f = _common(z, r)
    if z is None or n is None or r is None or f is None:
        return None
    after = bool(n.linear.after)  # without a reset gate either form would do; onnxruntime's is quicker for before
    return Form("GRU", {"z": z, "r": r, "h": n}, (f, n.activation), algebra, {"linear_before_reset": int(after)})


def _lstm(graph: Graph, algebra: Algebra) -> Form | None:
    if len(graph.states) != 2:
        return None
    h, c = (state.name for state in graph.states)
    old, new = Reader(algebra, h, c), Reader(algebra, h, c, new=True)
    kept, rest = _kept(algebra, algebra.updates[1], c)
    f = _share(old, kept)
    if f is None:
        return None
    for o, read in _output(algebra, new, c):
        for i, g in _written(algebra, old, rest):
            common = _common(i, f, o)
            if o is not None and common is not None and _sees_no_peephole(g):
                gates = {"i": i, "o": o, "f": f, "c": g}
                return Form("LSTM", gates, (common, g.activation, read), algebra, {"input_forget": 0})
    return None


def _lstm_of_one_state(graph: Graph, algebra: Algebra) -> Form | None:
    if len(graph.states) != 1:
        return None
    h = graph.output.name
    reader = Reader(algebra, h)
    kept, rest = _kept(algebra, algebra.updates[0], h)
    f = _share(reader, kept)
    if f is None:
        return None
    for i, g in _written(algebra, reader, rest):
        common = _common(i, f)
        if common is not None:
            gates = {"i": i, "o": 1.0, "f": f, "c": g}
            return Form("LSTM", gates, (common, g.activation, LINEAR), algebra, {"input_forget": 0}, single=True)
    return None


RULES: tuple[Callable[[Graph, Algebra], Form | None], ...] = (_rnn, _gru, _lstm, _lstm_of_one_state)


def _kept(algebra: Algebra, value: Value, state: str) -> tuple[Value, Value]:
    """What multiplies a state in a value, and the terms without it."""
    opened, place = algebra.opened(algebra.unwrapped(value), state), algebra.number(Atom(Op.STATE, name=state))
    kept, rest = Value(), Value(opened.constant)
    for factors, number in opened.terms:
        if place in factors:
            others = list(factors)
            others.remove(place)
            kept = algebra.plus(kept, algebra.term(others, number))
        else:
            rest = algebra.plus(rest, Value(terms=((factors, number),)))
    return algebra.unwrapped(kept), rest


def _divided(algebra: Algebra, value: Value, divisor: Value) -> Value | None:
    """The value without a factor that all its terms have."""
    if not divisor.terms:
        return algebra.scaled(value, 1 / divisor.constant) if divisor.constant else None
    factor = algebra.as_factor(divisor)
    if factor is None or value.constant:
        return None
    result = Value()
    share = divisor.terms[0][1] if len(divisor.terms) == 1 and not divisor.constant else 1.0
    for factors, number in value.terms:
        if factor not in factors:
            return None
        others = list(factors)
        others.remove(factor)
        result = algebra.plus(result, algebra.term(others, number / share))
    return result


def _share(reader: Reader, value: Value) -> Share | None:
    """A gate, or a number."""
    return reader.gate(value) if value.terms else value.constant


def _common(*shares: Share | None) -> Activation | None:
    """The one activation of all gates, which must reach the numbers in the places of others."""
    found = {share.activation for share in shares if isinstance(share, Gate)} or {SIGMOID}
    numbers = [share for share in shares if isinstance(share, float)]
    if len(found) > 1 or None in shares:
        return None
    (one,) = found
    return one if all(bias_for(one, number) is not None for number in numbers) else None


def bias_for(activation: Activation, number: float) -> float | None:
    """Where an activation is exactly this number; None if nowhere that is known."""
    if number == 1.0:
        return next((v for v in (100.0, 1.0) if activation(v) == number), None)
    if activation == SIGMOID and 0.0 < number < 1.0:
        return math.log(number / (1.0 - number))
    return None


def _output(algebra: Algebra, reader: Reader, c: str) -> Iterator[tuple[Share | None, Activation]]:
    """The output of an LSTM as a gate and what it reads of the new cell state."""
    value = algebra.unwrapped(algebra.updates[0])
    alone = reader.of_new(value, c)
    if alone is not None:
        yield 1.0, alone
    if len(value.terms) == 1 and not value.constant:
        factors, number = value.terms[0]
        read = tuple(factor for factor in factors if algebra.reads((factor,)) == {f"new {c}"})
        others = tuple(factor for factor in factors if factor not in read)
        activation = reader.of_new(Value(terms=((read, number),)), c) if read and others else None
        if activation is not None:
            yield reader.gate(Value(terms=((others, 1.0),))), activation


def _written(algebra: Algebra, reader: Reader, value: Value) -> Iterator[tuple[Share, Gate]]:
    """What is added to a cell state as a gate and a candidate."""
    for factor in dict.fromkeys(value.terms[0][0]) if value.terms else ():
        rest = _divided(algebra, value, Value(terms=(((factor,), 1.0),)))
        i = reader.gate(Value(terms=(((factor,), 1.0),)))
        g = None if rest is None or i is None else reader.gate(rest)
        if i is not None and g is not None:
            yield i, g
    alone = reader.gate(value)
    if alone is not None:
        yield 1.0, alone


def _sees_no_peephole(gate: Gate) -> bool:
    return not gate.linear.peephole.terms and not gate.linear.peephole.constant
