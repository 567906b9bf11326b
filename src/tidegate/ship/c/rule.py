"""One step of a flow as C: a rule for each operation, and the writer that they write to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tidegate.cell.graph import Op
from tidegate.emit.c99 import RULES as POINTWISE
from tidegate.emit.c99 import identifier
from tidegate.emit.c99_function import CALLED
from tidegate.emit.equation import Piece
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.kernel import Kernel
from tidegate.ship.c.operand import ATOM, Index, Operand, array, fixed, needing, part, scalar
from tidegate.ship.c.recurrent import recurrent
from tidegate.ship.c.stack import Unit
from tidegate.ship.flow import Flow, Input, Node, Output
from tidegate.ship.int8.stack import Quantised

TYPES = {"float": "float", "int": "int32_t"}
LINE = 88  # characters of an expression without a name
MORE = {  # functions that cells have no need of
    "wave": """\
/* sin(2 pi v): to the nearest whole turn, back to a quarter of one, and a polynomial there. */
@inline float @wave(float v)
{
    const float turn = v - ((v + 12582912.0f) - 12582912.0f); /* 1.5 * 2^23: the nearest whole number */
    const float r = turn > 0.25f ? 0.5f - turn : turn < -0.25f ? -0.5f - turn : turn;
    const float s = r * r;
    return ((((39.536705f * s - 76.5497818f) * s + 81.6010056f) * s - 41.3416557f) * s + 6.28318501f) * r;
}
""",
    "softmax": """\
/* y = e^x / the sum of all e^x, of n numbers, where the largest x is taken off first. */
static void @softmax(float *y, const float *x, int n)
{
    float most = x[0], sum = 0.0f;
    for (int k = 1; k < n; ++k) most = @maximum(most, x[k]);
    for (int k = 0; k < n; ++k) {
        y[k] = @exp(x[k] - most);
        sum += y[k];
    }
    for (int k = 0; k < n; ++k) y[k] /= sum;
}
""",
    "sort": """\
/* Puts n numbers in ascending order. */
static void @sort(float *y, int n)
{
    for (int k = 1; k < n; ++k) {
        const float v = y[k];
        int j = k;
        for (; j > 0 && y[j - 1] > v; --j) y[j] = y[j - 1];
        y[j] = v;
    }
}
""",
}


@dataclass
class Step:
    """What one step of a flow has been written to so far.

    Attributes:
        flow: the flow.
        name: of the files.
        arrays: takes the weights.
        kernel: multiplies.
        whole: the layers in whole numbers, by node.
        lines: of the function.
        reset: lines that bring the state back to the first step, beside zeros.
        members: of the state: declaration and comment.
        units: of all recurrent layers, by node.
        tables: of places, by name.
        functions: that are called.
        whole_functions: that layers in whole numbers call.
        floats: on the stack.
    """

    flow: Flow
    name: str
    arrays: Arrays
    kernel: Kernel
    whole: Mapping[str, Quantised] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    members: list[tuple[str, str]] = field(default_factory=list)
    units: dict[str, list[Unit]] = field(default_factory=dict)
    tables: dict[str, Sequence[int]] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    whole_functions: set[str] = field(default_factory=set)
    floats: int = 0
    multiplies: bool = False

    def __post_init__(self) -> None:
        self.values: dict[str, Operand] = {}
        self.taken = {"in", "out", "j"}
        self.names = {node.name: identifier(node.name, self.taken, f"{self.name}_") for node in self.flow.nodes}
        self.uses = Counter(arg for node in self.flow.nodes for arg in node.args)
        self.uses.update(one.node for one in self.flow.outputs)
        self.inputs, self.outputs = (_members(group, self.name) for group in (self.flow.inputs, self.flow.outputs))
        for one in self.flow.inputs:
            width, own = one.kind.width, f"in->{self.inputs[one.name]}"
            self.values[one.name] = scalar(own) if width == 1 else array(own, width)

    def written(self) -> Step:
        """Everything, outputs at last."""
        for node in self.flow.nodes:
            self.values[node.name] = RULES[node.op](self, node)
        for one in self.flow.outputs:
            width = self.flow.kinds[one.node].width
            self.fill(f"out->{self.outputs[one.name]}", self.values[one.node], single=width == 1)
        return self

    def add(self, *lines: str) -> None:
        """Write lines."""
        self.lines += lines

    def width(self, name: str) -> int:
        """Of a value."""
        return self.flow.kinds[name].width

    def local(self, node: Node) -> str:
        """Declare an array for the value of a node, and say what it is called."""
        width, kind = self.width(node.name), self.flow.kinds[node.name].dtype
        self.floats += width
        self.add(f"{TYPES[kind]} {self.names[node.name]}[{width}];")
        return self.names[node.name]

    def fill(self, target: str, value: Operand, at: int = 0, *, single: bool = False) -> None:
        """Write a value into an array, from a place on, or into one number."""
        place = target if single else f"{target}[{at}]"
        if value.width == 1:
            self.add(f"{place} = {value.at(0)[0]};")
        elif value.pointer:
            start = f"{target} + {at}" if at else target
            self.add(f"memcpy({start}, {value.pointer}, {value.width} * sizeof(float));")
        else:
            index = f"{at} + k" if at else "k"
            self.loop(value.width, f"{target}[{index}] = {value.at('k')[0]};")

    def loop(self, width: int, *body: str) -> None:
        """Write a loop over k."""
        if len(body) == 1:
            self.add(f"for (int k = 0; k < {width}; ++k) {body[0]}")
        else:
            self.add(f"for (int k = 0; k < {width}; ++k) {{", *(f"    {line}" for line in body), "}")

    def each(self, blocks: int, *body: str) -> None:
        """Write lines once, or a loop over j, the number of a block."""
        if blocks == 1:
            self.add(*body)
        else:
            self.add(f"for (int j = 0; j < {blocks}; ++j) {{", *(f"    {line}" for line in body), "}")

    def stored(self, name: str) -> Operand:
        """The value of a node or input, which from now on lies somewhere."""
        value = self.values[name]
        if not value.pointer:
            own = self.names[name]
            if value.width == 1:
                self.add(f"const float {own} = {value.at(0)[0]};")
                self.values[name] = scalar(own)
            else:
                self.floats += value.width
                self.add(f"float {own}[{value.width}];")
                self.fill(own, value)
                self.values[name] = array(own, value.width)
        return self.values[name]

    def call(self, function: str) -> str:
        """The name of a function of ours, which is now wanted."""
        self.functions.add(function)
        return f"@{function}"


Written = Callable[[Step, Node], Operand]


def _members(group: Sequence[Input | Output], name: str) -> dict[str, str]:
    """The members of a structure for inputs or outputs, by their names."""
    taken: set[str] = set()
    return {one.name: identifier(one.name, taken, f"{name}_") for one in group}


def _constant(step: Step, node: Node) -> Operand:
    value = node.parameters["value"]
    if len(value) == 1:
        return fixed(float(value[0]))
    return array(step.arrays.add(f"@{node.name}", value), len(value))


def _take(step: Step, node: Node) -> Operand:
    indices = node.attributes["indices"]
    repeats = len(set(indices)) < len(indices)
    whole = step.stored(node.args[0]) if repeats and len(indices) > 1 else step.values[node.args[0]]

    def listed() -> str:
        name = f"@{node.name}_places"
        step.tables[name] = indices
        return name

    return part(whole, indices, listed)


def _concat(step: Step, node: Node) -> Operand:
    name, at = step.local(node), 0
    for arg in node.args:
        value = step.values[arg]
        step.fill(name, value, at)
        at += value.width
    return array(name, at)


def _embed(step: Step, node: Node) -> Operand:
    table = node.parameters["table"]
    symbols, width = step.values[node.args[0]], table.shape[1]
    rows = step.arrays.add(f"@{node.name}", table.ravel())
    if symbols.width == 1:
        symbol = symbols.at(0)[0]
        if width == 1:
            return Operand(1, lambda _: (f"{rows}[{symbol}]", ATOM), f"&{rows}[{symbol}]")
        own = step.names[node.name]
        step.add(f"const float *const {own} = {rows} + {width} * {symbol};")
        return array(own, width)
    name = step.local(node)
    step.add(f"memset({name}, 0, sizeof {name});", f"for (int j = 0; j < {symbols.width}; ++j)")
    step.add(f"    for (int k = 0; k < {width}; ++k) {name}[k] += {rows}[{width} * {symbols.at('j')[0]} + k];")
    return array(name, width)


def _number(step: Step, node: Node) -> Operand:
    symbols = step.values[node.args[0]]
    return _kept(step, node, lambda i: (f"(float){symbols.at(i)[0]}", ATOM))


def _pointwise(step: Step, node: Node) -> Operand:
    """An expression, which gets a name only where it is long or read more than once."""
    rule = POINTWISE[Op(node.op)]
    step.functions.update(CALLED.findall(rule.template))
    return _kept(step, node, _applied(step, node, rule.template, rule.needs, rule.binds))


def _wave(step: Step, node: Node) -> Operand:
    return _kept(step, node, _applied(step, node, f"{step.call('wave')}({{0}})", (0,), ATOM))


def _applied(step: Step, node: Node, template: str, needs: Sequence[int], binds: int) -> Callable[[Index], Piece]:
    values = [step.values[arg] for arg in node.args]

    def at(i: Index) -> Piece:
        pieces = [value.at(i if value.width > 1 else 0) for value in values]
        return template.format(*map(needing, needs, pieces)), binds

    return at


def _kept(step: Step, node: Node, at: Callable[[Index], Piece]) -> Operand:
    width = step.width(node.name)
    value = Operand(width, at)
    if step.uses[node.name] > 1 or len(at("k")[0]) > LINE:
        step.values[node.name] = value
        return step.stored(node.name)
    return value


def _linear(step: Step, node: Node) -> Operand:
    step.multiplies = True
    weight, bias, blocks = node.parameters["weight"], node.parameters.get("bias"), node.attributes.get("blocks", 1)
    rows, columns = weight.shape
    matrix = step.arrays.add(f"@{node.name}", step.kernel.arrange(weight).astype(np.float64))
    x, name = step.stored(node.args[0]).pointer, step.local(node)
    first = step.arrays.add(f"@{node.name}_bias", bias) if bias is not None and bias.any() else ""
    j = " + {} * j" if blocks > 1 else ""
    into, read, size = f"{name}{j.format(rows)}", f"{x}{j.format(columns)}", f"{rows} * sizeof(float)"
    step.each(
        blocks,
        f"memcpy({into}, {first}, {size});" if first else f"memset({into}, 0, {size});",
        f"@add_product({into}, {matrix}, {read}, {rows}, {columns});",
    )
    return array(name, rows * blocks)


def _softmax(step: Step, node: Node) -> Operand:
    step.functions.update(("maximum", "exp"))
    x, name, blocks = step.stored(node.args[0]).pointer, step.local(node), node.attributes.get("blocks", 1)
    size = step.width(node.name) // blocks
    j = f" + {size} * j" if blocks > 1 else ""
    step.each(blocks, f"{step.call('softmax')}({name}{j}, {x}{j}, {size});")
    return array(name, size * blocks)


def _sort(step: Step, node: Node) -> Operand:
    name, blocks = step.local(node), node.attributes.get("blocks", 1)
    size = step.width(node.name) // blocks
    step.fill(name, step.values[node.args[0]])
    step.each(blocks, f"{step.call('sort')}({name}{f' + {size} * j' if blocks > 1 else ''}, {size});")
    return array(name, size * blocks)


def _window(step: Step, node: Node) -> Operand:
    """The last rows lie in the state, the oldest first, and move by one at each step."""
    rows, before, x = node.attributes["rows"], node.attributes["before"], step.values[node.args[0]]
    name, width = f"{node.name}_rows", x.width
    member, last = f"state->{name}", width * (rows - 1)
    step.members.append((f"float {name}[{rows * width}];", f"the last {rows} rows, the oldest first"))
    if before == "first":
        step.members.append((f"int {node.name}_begun;", "whether there was a step"))
        step.stored(node.args[0])
        x = step.values[node.args[0]]
        step.add(f"if (!state->{node.name}_begun)")
        first = x.at(0 if width == 1 else f"k % {width}")[0]
        step.add(f"    for (int k = 0; k < {rows * width}; ++k) {member}[k] = {first};")
        step.add(f"state->{node.name}_begun = 1;")
    elif before:
        value = fixed(before).at(0)[0]
        step.reset.append(f"for (int k = 0; k < {rows * width}; ++k) {member}[k] = {value};")
    step.add(f"memmove({member}, {member} + {width}, {last} * sizeof(float));")
    step.fill(member, x, last)
    return array(member, rows * width)


def _sum(step: Step, node: Node) -> Operand:
    return _running(step, node, "sum", "{0} += {1};")


def _highest(step: Step, node: Node) -> Operand:
    width = step.width(node.name)
    step.reset.append(f"for (int k = 0; k < {width}; ++k) state->{node.name}_highest[k] = {fixed(-3e38).at(0)[0]};")
    return _running(step, node, "highest", f"{{0}} = {step.call('maximum')}({{1}}, {{0}});")


def _running(step: Step, node: Node, what: str, template: str) -> Operand:
    x, member = step.values[node.args[0]], f"{node.name}_{what}"
    says = "the sum of all steps" if what == "sum" else "the largest of all steps"
    step.members.append((f"float {member}[{x.width}];", says))
    value = array(f"state->{member}", x.width)
    step.loop(x.width, template.format(f"state->{member}[k]", x.at("k" if x.width > 1 else 0)[0]))
    return value


RULES: Mapping[str, Written] = {
    "constant": _constant,
    "take": _take,
    "concat": _concat,
    "embed": _embed,
    "number": _number,
    "linear": _linear,
    **dict.fromkeys(
        ("add", "sub", "mul", "div", "minimum", "maximum", "tanh", "sigmoid", "relu", "exp", "log"), _pointwise
    ),
    "wave": _wave,
    "softmax": _softmax,
    "sort": _sort,
    "recurrent": recurrent,
    "window": _window,
    "sum": _sum,
    "highest": _highest,
}
