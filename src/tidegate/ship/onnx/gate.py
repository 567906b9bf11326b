"""Gates and candidates: functions of one linear sum of input, states and parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import REDUCTIONS, UNARY, Op
from tidegate.convert.activation import LINEAR, Activation, in_onnx, recognised
from tidegate.ship.onnx.algebra import Algebra, Atom, Factors, Value

Shares = Mapping[Value, tuple[float, float]]  # values as a v + b
ZERO = Value()
LARGEST = 5e3  # of the numbers in an equation: activations are compared up to twice this


@dataclass
class Linear:
    """A linear sum, by what it multiplies.

    Attributes:
        fixed: what depends on parameters alone.
        early: functions of the input, computed for all steps beforehand.
        input: products with the input, and the input itself, as pairs of a number and an atom.
        state: products with the state h.
        units: what multiplies h unit by unit.
        peephole: what multiplies a state c unit by unit.
        reset: what multiplies h before the products ``before``, or the sum ``after``.
        before: products with the reset h.
        after: a sum of products with h that is reset.
    """

    fixed: Value = ZERO
    early: Value = ZERO
    input: list[tuple[float, Atom]] = field(default_factory=list)
    state: list[tuple[float, Atom]] = field(default_factory=list)
    units: Value = ZERO
    peephole: Value = ZERO
    reset: Value | None = None
    before: list[tuple[float, Atom]] = field(default_factory=list)
    after: Linear | None = None


@dataclass(frozen=True)
class Gate:
    """A function of a linear sum."""

    activation: Activation
    linear: Linear


class Reader:
    """Takes values of a cell apart.

    Args:
        algebra: of the cell.
        state: the name of the state that matrices multiply.
        peephole: the state that peepholes see; "" for none.
        new: they see its new value.
    """

    def __init__(self, algebra: Algebra, state: str, peephole: str = "", *, new: bool = False) -> None:
        self.algebra = algebra
        self.h = Atom(Op.STATE, name=state)
        self.c = Atom(Op.STATE, name=peephole, new=new)

    def gate(self, value: Value, *, resets: bool = False) -> Gate | None:
        """The value as a function of one linear sum; None if it is not."""
        value = self.algebra.unwrapped(value)
        bases = self._bases(value, resets)
        if not bases:
            return None
        shares = {base: _share(bases[0], base) for base in bases}
        linear = self.linear(bases[0], resets=resets)
        if linear is None or None in shares.values():
            return None
        if value == bases[0]:
            return Gate(LINEAR, linear)
        activation = self._recognised(value, {base: share for base, share in shares.items() if share})
        if activation is not None and activation.family == "hard_sigmoid" and activation.numbers[0] < 0:
            slope, middle = activation.numbers  # of 1 - z, which is the gate of the opposite sum
            activation = Activation("hard_sigmoid", (-slope, middle))
            linear = self.linear(self.algebra.scaled(bases[0], -1.0), resets=resets)
        return None if activation is None or linear is None else Gate(activation, linear)

    def of_new(self, value: Value, state: str) -> Activation | None:
        """The value as a function of a new state alone; None if it is not."""
        if self.algebra.depends(value) != {f"new {state}"} or not self._only_numbers(value):
            return None
        new = self.algebra.known(Atom(Op.STATE, name=state, new=True))
        return self._recognised(self.algebra.unwrapped(value), {new: (1.0, 0.0)})

    def linear(self, value: Value, *, resets: bool = False) -> Linear | None:
        """The value as a linear sum; None if it is not."""
        found = Linear(fixed=Value(value.constant))
        for factors, number in value.terms:
            if not self._add(found, factors, number, resets):
                return None
        if found.reset is not None and (found.state or found.units.terms or (found.before and found.after)):
            return None
        return found

    def _add(self, found: Linear, factors: Factors, number: float, resets: bool) -> bool:
        """Whether a term could be added to the sum."""
        plus, term = self.algebra.plus, Value(0.0, ((factors, number),))
        depends, atom = self.algebra.reads(factors), self.algebra.atoms[factors[0]]
        alone = len(factors) == 1
        if not depends:
            found.fixed = plus(found.fixed, term)
        elif depends == {"x"}:
            if alone and (atom.op is Op.INPUT or (atom.op is Op.PRODUCT and self._is(atom.args[0], Op.INPUT))):
                found.input.append((number, atom))
            else:
                found.early = plus(found.early, term)
        elif alone and atom.op is Op.PRODUCT:
            return self._add_product(found, number, atom, resets)
        elif (rest := self._without(factors, number, self.h)) is not None and not self.algebra.depends(rest):
            found.units = plus(found.units, rest)
        elif (rest := self._without(factors, number, self.c)) is not None and not self.algebra.depends(rest):
            found.peephole = plus(found.peephole, rest)
        else:
            return resets and self._add_reset_sum(found, factors, number)
        return True

    def _add_product(self, found: Linear, number: float, atom: Atom, resets: bool) -> bool:
        operand = atom.args[0]
        if operand == self.algebra.known(self.h):
            found.state.append((number, atom))
            return True
        if not resets or len(operand.terms) != 1 or operand.constant:
            return False
        rest = self._without(*operand.terms[0], self.h)
        if rest is None or found.reset not in (None, rest):
            return False
        found.reset = rest
        found.before.append((number, atom))
        return True

    def _add_reset_sum(self, found: Linear, factors: Factors, number: float) -> bool:
        """A gate times a sum of products with h."""
        for k, factor in enumerate(factors):
            atom = self.algebra.atoms[factor]
            if atom.op not in (Op.PRODUCT, Op.ADD):
                continue
            inner = atom.args[0] if atom.op is Op.ADD else Value(terms=(((factor,), 1.0),))
            linear = self.linear(self.algebra.scaled(inner, number))
            rest = Value(terms=(((*factors[:k], *factors[k + 1 :]), 1.0),))
            if (
                linear is not None
                and linear.state
                and not (linear.input or linear.early.terms or linear.peephole.terms)
            ):
                if found.reset is not None:
                    return False
                found.reset, found.after = rest, linear
                return True
        return False

    def _without(self, factors: Factors, number: float, atom: Atom) -> Value | None:
        """What multiplies an atom; None if it is not among the factors."""
        place = self.algebra.number(atom)
        if place not in factors:
            return None
        rest = list(factors)
        rest.remove(place)
        return Value(0.0, ((tuple(rest), number),)) if rest else Value(number)

    def _is(self, value: Value, op: Op) -> bool:
        """Whether a value is a leaf of this kind."""
        return (
            value.constant == 0
            and len(value.terms) == 1
            and value.terms[0][1] == 1
            and [self.algebra.atoms[factor].op for factor in value.terms[0][0]] == [op]
        )

    def _bases(self, value: Value, resets: bool) -> list[Value] | None:
        """The linear sums that a value is a function of; None if it is no function of numbers and such sums."""
        if not self.algebra.depends(value):
            return [] if self._only_numbers(value) else None
        if not self._is_squashed(value) and self.linear(value, resets=resets) is not None:
            return [value]
        found: list[Value] = []
        for atom, alone in self._atoms(value):
            if atom.op in REDUCTIONS:
                return None
            for arg in [alone] if not atom.args or atom.op is Op.PRODUCT else atom.args:
                bases = self._bases(arg, resets) if arg != value else None
                if bases is None:
                    return None
                found += bases
        return list(dict.fromkeys(found))

    def _is_squashed(self, value: Value) -> bool:
        """Whether it is nothing but one function of something, which is then the activation."""
        return any(alone == value and atom.op in UNARY for atom, alone in self._atoms(value))

    def _atoms(self, value: Value) -> Iterator[tuple[Atom, Value]]:
        for factors, _ in value.terms:
            for factor in factors:
                yield self.algebra.atoms[factor], Value(terms=(((factor,), 1.0),))

    def _only_numbers(self, value: Value) -> bool:
        """Whether no parameter and nothing of a whole row is in it."""
        return all(
            atom.op not in REDUCTIONS | {Op.VECTOR, Op.PRODUCT} and all(map(self._only_numbers, atom.args))
            for atom, _ in self._atoms(value)
        )

    def _recognised(self, value: Value, shares: Shares) -> Activation | None:
        def at(inner: Value, v: float) -> float:
            if inner in shares:
                share, shift = shares[inner]
                return share * v + shift
            total = inner.constant
            for factors, number in inner.terms:
                total += number * math.prod(of(factor, v) for factor in factors)
            return total

        def of(factor: int, v: float) -> float:
            alone = Value(terms=(((factor,), 1.0),))
            if alone in shares:
                return at(alone, v)
            atom = self.algebra.atoms[factor]
            args = [at(arg, v) for arg in atom.args]
            return args[0] if atom.op is Op.ADD else float(NUMBERS[atom.op](*args))

        found = recognised(lambda v: at(value, v)) if max(self._numbers(value)) <= LARGEST else None
        return found if found is not None and in_onnx(found) else None

    def _numbers(self, value: Value) -> set[float]:
        inside = [self._numbers(arg) for atom, _ in self._atoms(value) for arg in atom.args]
        return {abs(value.constant), *(abs(number) for _, number in value.terms)}.union(*inside)


def _share(base: Value, other: Value) -> tuple[float, float] | None:
    """``a`` and ``b`` of other = a base + b; None if it is not of that form."""
    if [factors for factors, _ in base.terms] != [factors for factors, _ in other.terms]:
        return None
    share = other.terms[0][1] / base.terms[0][1]
    pairs = [(own[1], number[1]) for own, number in zip(base.terms, other.terms, strict=True)]
    if any(abs(number - share * own) > 1e-12 * abs(number) for own, number in pairs):
        return None
    return share, other.constant - share * base.constant
