"""C99: one step of a cell as a function that a person can read, in plain float arithmetic.

The function has one loop for each phase (``passes.schedule``), with the names of gates and states. Products are calls
of functions that somebody else writes: they add onto the sums of ``emit.sums``. The order of all sums is fixed, so that
every compiler that keeps to IEEE 754 and fuses nothing gives the same bits.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidegate.cell.graph import ONE, Op, all_widths, is_narrow
from tidegate.emit.c99_function import CALLED
from tidegate.emit.equation import ATOM, SUM, TERM, Piece, Rule, infix
from tidegate.emit.sums import Call, Form, Sum
from tidegate.errors import EmitError
from tidegate.passes import Carried, Phase

RULES: Mapping[Op, Rule] = {
    Op.ADD: infix(" + ", SUM, right=TERM),  # in C's own order, which counts: floats do not associate
    Op.SUB: infix(" - ", SUM, right=TERM),
    Op.MUL: infix(" * ", TERM, right=ATOM),
    Op.DIV: infix(" / ", TERM, right=ATOM),
    Op.NEG: Rule("-{0}", SUM, (ATOM,)),
    **{op: Rule(f"@{op}({{0}}, {{1}})", ATOM, (0, 0)) for op in (Op.MAXIMUM, Op.MINIMUM, Op.CLAMP)},
    **{op: Rule(f"@{op}({{0}})", ATOM, (0,)) for op in (Op.SIGMOID, Op.TANH, Op.RELU, Op.EXP, Op.LOG, Op.SQRT)},
    Op.LOG_SIGMOID: Rule("@log_sigmoid({0})", ATOM, (0,)),
}
# Keywords of C and C++, macros that some compilers define, and what the function itself uses.
_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const consteval
    constexpr const_cast continue co_await co_return co_yield decltype default delete do double dynamic_cast else enum
    explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return short signed
    sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid
    typename union unsigned using virtual void volatile wchar_t while xor xor_eq
    NULL EOF INT_MAX assert errno near far huge interrupt linux unix arm avr vax sun i386
    j k memcpy memset size_t state sum uint32_t x y
"""
TAKEN = frozenset(_WORDS.split())
WORD = re.compile(r"\w+")
WIDEST = 64  # characters of an expression without a name


def number(value: float) -> str:
    """The shortest text of a float in C that is read back as the same number."""
    exact = _single(value)
    text = next(text for text in (f"{exact:.{digits}g}" for digits in range(1, 10)) if _single(float(text)) == exact)
    return f"{text}f" if set(text) & set(".e") else f"{text}.0f"


def _single(value: float) -> float:
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


def identifier(name: str, taken: set[str], prefix: str) -> str:
    """A name of C for a user's name, which is added to those taken."""
    name = f"v{name}" if name.startswith(prefix) else name  # which no name with the prefix is
    while name in TAKEN or name in taken:
        name += "_"
    taken.add(name)
    return name


@dataclass(frozen=True)
class Place:
    """Where a value lies: an array and the first number in it."""

    array: str
    at: int = 0

    @property
    def pointer(self) -> str:
        return f"{self.array} + {self.at}" if self.at else self.array

    @property
    def element(self) -> str:
        return f"{self.array}[{self.at} + k]" if self.at else f"{self.array}[k]"


@dataclass(frozen=True)
class Text:
    """One step as C.

    Attributes:
        lines: of the function's body, with @ before every name that is ours.
        functions: those of ``c99_function`` that it calls.
        floats: how many numbers it keeps on the stack.
    """

    lines: tuple[str, ...]
    functions: frozenset[str]
    floats: int


@dataclass(frozen=True)
class Names:
    """What the arrays and states of a step are called.

    Attributes:
        states: the member of the state structure, by state.
        weights: the array of each call, phase by phase.
        vectors: the array of each block of a vector, by matrix and name.
        bias: the array of the biases of all sums; "" where there are none.
    """

    states: Mapping[str, str]
    weights: Sequence[Sequence[str]]
    vectors: Mapping[tuple[str, str], str]
    bias: str


def step_text(form: Form, names: Names, prefix: str) -> Text:
    """The body of the function of one step, which has ``state`` and ``x``: the input, and behind it what is given.

    Args:
        form: the step.
        names: of arrays and states.
        prefix: of all names of the file, such as ``gru_``.

    Raises:
        EmitError: a cell that draws random masks.
    """
    return Writer(form, names, prefix).text()


class Writer:
    """Writes the phases of one step. What depends on the kind of numbers is public, for numbers of other kinds.

    Args:
        form: the step.
        names: of arrays and states.
        prefix: of all names of the file.
    """

    NUMBER = STATE = "float"  # the types of a value and of what a state keeps of it

    def __init__(self, form: Form, names: Names, prefix: str) -> None:
        self.form, self.names, self.prefix, self.nodes = form, names, prefix, form.nodes
        self.functions: set[str] = set()
        self.arrays: dict[str, int] = {}  # on the stack, with their widths
        self.types: dict[str, str] = {}  # of these arrays
        self.taken: set[str] = set()
        self.pointers = {name: identifier(name, self.taken, prefix) for name in names.states}
        self.places = {part: Place("sum", row.at) for row in form.sums for part in row.parts}
        self.places |= {i: place for i, node in enumerate(self.nodes) if (place := self._leaf(i))}
        self.locals: dict[int, str] = {}
        self.known = self._numbers()  # numbers of the whole row, and values of this turn of a loop

    def _leaf(self, index: int) -> Place | None:
        node = self.nodes[index]
        if node.op is Op.MASK:
            raise EmitError("C_MASK", f"{self.form.graph.name} draws a mask, {node.name}", fix="call layer.eval()")
        if node.op is Op.STATE:
            return Place(self.pointers[node.name])
        if node.op is Op.VECTOR:
            return Place(self.names.vectors[node.matrix, node.name])
        if node.op is Op.GIVEN and node.axis != ONE:
            return Place("x", self._behind_input(node.name))
        return Place("x") if node.op is Op.SERIES else None

    def _behind_input(self, name: str) -> int:
        """Where what is given begins in the row of the input."""
        graph, widths = self.form.graph, all_widths(self.form.widths)
        names = [value.name for value in graph.given]
        before = graph.given[: names.index(name)]
        return widths[graph.input_axis] + sum(widths[value.axis] for value in before)

    def _numbers(self) -> dict[int, str]:
        """What is given as one number a row."""
        given = {i: node for i, node in enumerate(self.nodes) if node.op is Op.GIVEN and node.axis == ONE}
        return {i: f"x[{self._behind_input(node.name)}]" for i, node in given.items()}

    # --- numbers ---

    def expression(self, index: int) -> Piece:
        """What computes a node."""
        node = self.nodes[index]
        rule = RULES[node.op]
        self.functions.update(CALLED.findall(rule.template))
        parts = [at_least(need, self.read(arg)) for need, arg in zip(rule.needs, node.args, strict=True)]
        return rule.template.format(*parts), rule.binds

    def call(self, call: Call, weights: str) -> str:
        """What adds a product onto sums."""
        into, x = Place("sum", call.at).pointer, self.places[call.operand].pointer
        if call.heads == 1:
            return f"@add_product({into}, {weights}, {x}, {call.rows}, {call.columns});"
        rows, columns = call.rows // call.heads, call.columns
        into, weights, x = f"{into} + {rows} * j", f"{weights} + {rows * columns} * j", f"{x} + {columns} * j"
        return f"for (int j = 0; j < {call.heads}; ++j) @add_product({into}, {weights}, {x}, {rows}, {columns});"

    def stored(self, _carried: Carried, value: str) -> str:
        """What a state keeps of its new value."""
        self.functions.add("kept")
        return f"@kept({value})"

    def is_state(self, _index: int) -> bool:
        """Whether an array of this node has the type of states."""
        return False

    # --- the function ---

    def text(self) -> Text:
        """The body of the function."""
        lines = [*self.lines()]
        return Text((*self.declarations(lines), "", *lines), frozenset(self.functions), self.floats)

    def declarations(self, lines: Sequence[str]) -> Iterator[str]:
        read = {word for line in lines for word in WORD.findall(line)}
        for state, pointer in self.pointers.items():
            if pointer in read:  # a state may never change, and never be read
                yield f"{self.STATE} *const {pointer} = state->{self.names.states[state]};"
        if self.form.sums:
            yield f"{self.NUMBER} sum[{self.form.rows}]; /* {', '.join(map(self._summands, self.form.sums))} */"
        yield from (f"{self.types[name]} {name}[{width}];" for name, width in self.arrays.items())

    def _summands(self, row: Sum) -> str:
        products = [self.nodes[i] for i in row.products]
        return " + ".join(f"{node.matrix}_{node.name} {self._operand(node.args[0])}" for node in products)

    def _operand(self, index: int) -> str:
        return self.places[index].array.removeprefix("@")

    @property
    def floats(self) -> int:
        return self.form.rows + sum(self.arrays.values())

    def lines(self) -> Iterator[str]:
        if self.form.sums:
            yield f"memcpy(sum, {self.names.bias}, sizeof sum);" if self.names.bias else "memset(sum, 0, sizeof sum);"
        for number in range(len(self.form.program.phases)):
            yield from self._phase(number)
        for state, pointer in self.pointers.items():
            if (later := f"next_{state}") in self.arrays:
                yield f"memcpy({pointer}, {later}, sizeof {later});"
        if not any(node.op in {Op.SERIES, Op.GIVEN} for node in self.nodes):
            yield "(void)x;"

    def _phase(self, number: int) -> Iterator[str]:
        phase = self.form.program.phases[number]
        self.known = {i: name for i, name in self.known.items() if _is_number(self.nodes[i].axis)}
        for index in sorted(phase.joins, key=lambda i: (self.nodes[i].op is not Op.MEAN, i)):
            yield from self._reduction(index)
        for call, weights in zip(self.form.calls[number], self.names.weights[number], strict=True):
            yield self.call(call, weights)
        inside = [*self._pointwise(phase), *self._stores(number, phase)]
        if _is_number(phase.axis):
            yield from inside
        elif inside:
            yield f"for (int k = 0; k < {self.form.widths[phase.axis]}; ++k) {{"
            yield from (f"    {line}" for line in inside)
            yield "}"

    # --- what all units share ---

    def _reduction(self, index: int) -> Iterator[str]:
        node = self.nodes[index]
        if node.op is Op.MEAN:
            yield self._line(index, self._mean(node.args), f"mean_{index}")
            return
        alike = [i for i in self.known if self.nodes[i].op is Op.MEAN and self.nodes[i].args == node.args]
        if alike:
            middle = self.known[alike[0]]
        else:
            middle = identifier(f"middle_{index}", self.taken, self.prefix)
            yield f"const float {middle} = {self._mean(node.args)};"
        self.functions.add("squares")
        parts = [f"@squares({place.pointer}, {width}, {middle})" for place, width in self._pieces(node.args)]
        yield self._line(index, self._over_all(parts, node.args), f"variance_{index}")

    def _mean(self, args: Sequence[int]) -> str:
        self.functions.add("total")
        return self._over_all([f"@total({place.pointer}, {width})" for place, width in self._pieces(args)], args)

    def _over_all(self, parts: Sequence[str], args: Sequence[int]) -> str:
        inside = " + ".join(parts)
        count = sum(self.form.widths[self.nodes[arg].axis] for arg in args)
        return f"{inside if len(parts) == 1 else f'({inside})'} / {number(count)}"

    def _pieces(self, args: Sequence[int]) -> list[tuple[Place, int]]:
        """Values that lie side by side as one."""
        pieces: list[tuple[Place, int]] = []
        for arg in sorted(args, key=lambda arg: (self.places[arg].array, self.places[arg].at)):
            place, width = self.places[arg], self.form.widths[self.nodes[arg].axis]
            if pieces and Place(pieces[-1][0].array, pieces[-1][0].at + pieces[-1][1]) == place:
                place, width = pieces[-1][0], pieces.pop()[1] + width
            pieces.append((place, width))
        return pieces

    # --- what each unit does by itself ---

    def _pointwise(self, phase: Phase) -> Iterator[str]:
        carried = self.form.program.step.carried
        wanted = [i for i in phase.keeps if i not in self.places] + [carried[k].after for k in phase.carries]
        demanded = self._demanded(wanted)
        uses = Counter(arg for i in demanded for arg in self.nodes[i].args)
        uses.update(wanted)
        kept = {*phase.keeps}
        for index in sorted(demanded):
            text = self.expression(index)[0]
            if index in kept and not _is_number(phase.axis):
                kind = self.STATE if self.is_state(index) else self.NUMBER
                place = self._array(self._name(index, f"v{index}"), self.form.widths[phase.axis], kind)
                yield f"{place.element} = {text if kind == self.NUMBER else f'({kind})({text})'};"
                self.places[index] = place
            elif index in self.form.names or uses[index] > 1 or len(text) > WIDEST or index in wanted:
                yield self._line(index, text, f"v{index}")

    def _demanded(self, wanted: Sequence[int]) -> set[int]:
        """The nodes to compute here for these, as far as they are not known already."""
        found, stack = set[int](), [*wanted]
        while stack:
            index = stack.pop()
            node = self.nodes[index]
            if index not in found and index not in self.places and index not in self.known and node.op is not Op.CONST:
                found.add(index)
                stack += node.args
        return found

    def _line(self, index: int, text: str, name: str) -> str:
        self.known[index] = self._name(index, name)
        return f"const {self.NUMBER} {self.known[index]} = {text};"

    def _name(self, index: int, otherwise: str) -> str:
        if index not in self.locals:
            name = self.form.names.get(index, otherwise)
            self.locals[index] = identifier(name, self.taken, self.prefix)
        return self.locals[index]

    def _array(self, name: str, width: int, kind: str) -> Place:
        self.arrays[name], self.types[name] = width, kind
        return Place(name)

    def read(self, index: int) -> Piece:
        """A value that is known by a name or lies in memory, or what computes it."""
        node = self.nodes[index]
        if index in self.known:
            return self.known[index], ATOM
        if index in self.places:
            return self.places[index].element, ATOM
        if node.op is Op.CONST:
            return number(node.value), ATOM if node.value >= 0 else SUM
        return self.expression(index)

    def _stores(self, number: int, phase: Phase) -> Iterator[str]:
        """New states; one that a later phase must still read as it was is put aside."""
        stores = []
        for k in phase.carries:
            carried = self.form.program.step.carried[k]
            width = self.form.widths[carried.axis]
            place = Place(self.pointers[carried.name])
            value = self.read(carried.after)[0]
            if value == place.element:
                continue
            if self._read_later(number, carried.name):
                place = self._array(f"next_{carried.name}", width, self.STATE)
            if self.nodes[carried.after].op is Op.STATE and carried.after not in self.known:
                yield self._line(carried.after, value, f"{carried.name}_t")
                value = self.known[carried.after]
            stores.append(f"{place.element} = {self.stored(carried, value)};")
            self.places.setdefault(carried.after, place)
        yield from stores

    def _read_later(self, number: int, state: str) -> bool:
        """Whether a phase after this one reads the old value of a state."""
        for phase, calls in zip(self.form.program.phases[number + 1 :], self.form.calls[number + 1 :], strict=True):
            read = {*phase.loads, *(c.operand for c in calls), *(a for i in phase.joins for a in self.nodes[i].args)}
            if any(self.nodes[i].op is Op.STATE and self.nodes[i].name == state for i in read):
                return True
        return False


def _is_number(axis: str) -> bool:
    """One number for a whole row, or for all."""
    return not axis or is_narrow(axis)


def at_least(need: int, piece: Piece) -> str:
    """With parentheses, where what stands around it binds tighter."""
    text, binds = piece
    return text if binds >= need else f"({text})"
