"""The equations of a cell in a normal form, in which two ways of writing one thing are the same.

A value is a constant plus terms; a term is a number times factors. Signs and numbers are multiplied out, factors are
in order, and 1 - sigmoid(a) is sigmoid(-a). So ``(1 - z) * h + z * n`` and ``h + z * (n - h)`` are one value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.cell.graph import Graph, Op

Factors = tuple[int, ...]  # atoms by number, in order


@dataclass(frozen=True)
class Value:
    """A constant plus terms.

    Attributes:
        constant: what is added.
        terms: pairs of factors and the number that they are multiplied by, in order.
    """

    constant: float = 0.0
    terms: tuple[tuple[Factors, float], ...] = ()


@dataclass(frozen=True)
class Atom:
    """What is not taken apart: an input, a state, a parameter, a product with a matrix, a function, or a sum.

    Attributes:
        op: of the node; ``Op.ADD`` for a sum that is a factor of something.
        args: what it is computed from.
        matrix: of a product or vector.
        name: of the block, the vector or the state.
        new: it is the new value of the state instead of the old one.
    """

    op: Op
    args: tuple[Value, ...] = ()
    matrix: str = ""
    name: str = ""
    new: bool = False


class Algebra:
    """The new states of a cell as values.

    Args:
        graph: the cell.

    Attributes:
        atoms: by number.
        updates: for each state its new value. What reads the new value of a state other than the output sees an atom.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.atoms: list[Atom] = []
        self._numbers: dict[Atom, int] = {}
        self._states: list[frozenset[str]] = []  # of each atom: "x", and the states that it depends on
        opaque = {index: state.name for state, index in zip(graph.states[1:], graph.updates[1:], strict=True)}
        values: list[Value] = []
        own: dict[int, Value] = {}
        for index, node in enumerate(graph.nodes):
            args = [values[arg] for arg in node.args]
            own[index] = self._of(node.op, args, node.value, node.matrix, node.name)
            opaque_here = index in opaque and node.args
            values.append(self._atom(Atom(Op.STATE, name=opaque[index], new=True)) if opaque_here else own[index])
        self.updates = tuple(own[index] for index in graph.updates)

    def _of(self, op: Op, args: Sequence[Value], value: float, matrix: str, name: str) -> Value:
        match op:
            case Op.CONST:
                return Value(value)
            case Op.ADD:
                return self.plus(args[0], args[1])
            case Op.SUB:
                return self.plus(args[0], self.scaled(args[1], -1.0))
            case Op.NEG:
                return self.scaled(args[0], -1.0)
            case Op.MUL:
                return self.times(args[0], args[1])
            case Op.DIV if not args[1].terms and args[1].constant:
                return self.scaled(args[0], 1.0 / args[1].constant)
        return self._atom(Atom(op, tuple(args), matrix, name))

    def _atom(self, atom: Atom) -> Value:
        return Value(terms=(((self._made(atom),), 1.0),))

    def _made(self, atom: Atom) -> int:
        if atom not in self._numbers:
            self._numbers[atom] = len(self.atoms)
            self.atoms.append(atom)
            inside = [self.depends(arg) for arg in atom.args]
            own = {Op.INPUT: {"x"}, Op.STATE: {f"new {atom.name}" if atom.new else atom.name}}.get(atom.op, set())
            self._states.append(frozenset().union(own, *inside))
        return self._numbers[atom]

    def term(self, factors: Iterable[int], number: float) -> Value:
        """A number times factors, which may be none."""
        ordered = tuple(sorted(factors))
        return self.value(0.0, {ordered: number}) if ordered else Value(number)

    def number(self, atom: Atom) -> int:
        """Of an atom; -1 for one that the cell does not have."""
        return self._numbers.get(atom, -1)

    def known(self, atom: Atom) -> Value:
        """The value that is this atom."""
        return Value(terms=(((self.number(atom),), 1.0),))

    def as_factor(self, value: Value) -> int | None:
        """The one atom that a value is a multiple of; None if there is none."""
        if len(value.terms) == 1 and not value.constant:
            return value.terms[0][0][0] if len(value.terms[0][0]) == 1 else None
        return self._numbers.get(Atom(Op.ADD, (value,)))

    def depends(self, value: Value) -> frozenset[str]:
        """``"x"``, states, and ``"new c"`` for a new state."""
        return self.reads(atom for factors, _ in value.terms for atom in factors)

    def reads(self, factors: Iterable[int]) -> frozenset[str]:
        """The same for atoms."""
        return frozenset().union(*(self._states[atom] for atom in factors))

    def value(self, constant: float, terms: Mapping[Factors, float]) -> Value:
        """A value in normal form."""
        kept = tuple(sorted((factors, number) for factors, number in terms.items() if number))
        if constant == 1.0 and len(kept) == 1 and kept[0][1] == -1.0 and len(kept[0][0]) == 1:
            atom = self.atoms[kept[0][0][0]]
            if atom.op is Op.SIGMOID:
                return self._atom(Atom(Op.SIGMOID, (self.scaled(atom.args[0], -1.0),)))
        return Value(constant, kept)

    def plus(self, a: Value, b: Value) -> Value:
        """The sum."""
        terms = dict(a.terms)
        for factors, number in b.terms:
            terms[factors] = terms.get(factors, 0.0) + number
        return self.value(a.constant + b.constant, terms)

    def scaled(self, a: Value, number: float) -> Value:
        """A value times a number."""
        return self.value(a.constant * number, {factors: own * number for factors, own in a.terms})

    def times(self, a: Value, b: Value) -> Value:
        """The product. A sum becomes one factor."""
        if not a.terms or not b.terms:
            return self.scaled(b, a.constant) if not a.terms else self.scaled(a, b.constant)
        (first, one), (second, other) = self._as_term(a), self._as_term(b)
        return self.value(0.0, {tuple(sorted(first + second)): one * other})

    def _as_term(self, a: Value) -> tuple[Factors, float]:
        if len(a.terms) == 1 and not a.constant:
            return a.terms[0]
        return (self._made(Atom(Op.ADD, (a,))),), 1.0

    def opened(self, value: Value, state: str) -> Value:
        """The value with sums multiplied out that have the state as a term."""
        bare = self._atom(Atom(Op.STATE, name=state)).terms[0][0]
        result = Value(value.constant)
        for factors, number in value.terms:
            term = Value(number)
            for factor in factors:
                atom = self.atoms[factor]
                parts = atom.args[0] if atom.op is Op.ADD else Value()
                if bare in dict(parts.terms):
                    pieces = [self.times(term, Value(parts.constant))]
                    pieces += [self.times(term, Value(0.0, (piece,))) for piece in parts.terms]
                    term = Value()
                    for piece in pieces:
                        term = self.plus(term, piece)
                else:
                    term = self.times(term, Value(terms=(((factor,), 1.0),)))
            result = self.plus(result, term)
        return result

    def unwrapped(self, value: Value) -> Value:
        """The sum itself, where the value is nothing but a sum that was made a factor."""
        if len(value.terms) == 1 and not value.constant:
            (factors, number) = value.terms[0]
            if len(factors) == 1 and self.atoms[factors[0]].op is Op.ADD:
                return self.scaled(self.atoms[factors[0]].args[0], number)
        return value
