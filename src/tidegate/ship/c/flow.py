"""A flow as C99: a structure for its inputs, one for its outputs, and one step between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tidegate._version import __version__
from tidegate.emit.c99 import number
from tidegate.emit.c99_function import FUNCTIONS, functions
from tidegate.errors import InputError
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.body import INCLUDED, equations_of, layer_function
from tidegate.ship.c.header import FRAME, built, framed
from tidegate.ship.c.int8.apart import whole_functions
from tidegate.ship.c.kernel import Kernel
from tidegate.ship.c.proof import selftest_text
from tidegate.ship.c.rule import MORE, TYPES, Step
from tidegate.ship.flow import Flow, Input, Output
from tidegate.ship.int8.stack import Quantised
from tidegate.ship.statement import commented, in_comment, privacy_of

SHOWN = 256  # most labels that the header declares
SIDE = 100  # characters of a comment behind a member


def flow_texts(flow: Flow, name: str, kernel: Kernel, whole: Mapping[str, Quantised]) -> tuple[str, str]:
    """``NAME.h`` and ``NAME.c`` of a flow.

    Args:
        flow: one that answers step by step.
        name: of both files.
        kernel: multiplies.
        whole: the layers in whole numbers, by node; all others are floats.

    Raises:
        InputError: a layer reads from the end of a sequence, or weights that float32 cannot hold.
    """
    if not flow.streams:
        raise InputError(
            "C_DIRECTIONS",
            f"{flow.name} reads each sequence from its end, too, so it has no steps",
            fix="ship it as ONNX, or train with bidirectional=False (streaming=True of speech)",
        )
    step = Step(flow, name, Arrays(), kernel, whole).written()
    return _header(step), _body(step)


# --- the header ---


def _header(step: Step) -> str:
    name, flow = step.name, step.flow
    declared = [
        *_structure(f"{name}_input", [_member(step, one) for one in flow.inputs]),
        *_structure(f"{name}_output", [_member(step, one) for one in flow.outputs]),
        *_structure(f"{name}_state", step.members or [("char unused;", "this model remembers nothing")]),
        *_declared(step),
    ]
    integers = any(one.limit for one in flow.inputs) or bool(step.whole)
    return framed(name, [*_comment(step)], [*_macros(step)], declared, integers=integers)


def _comment(step: Step) -> Iterator[str]:
    flow, stack = step.flow, [unit for own in step.units.values() for unit in own]
    ram = sum(_bytes(text) for text, _ in step.members)
    local = 4 * (step.floats + max((unit.text.floats for unit in stack), default=0)) + FRAME
    yield f"/* {step.name}.h: {flow.name}. Made by Tidegate {__version__}."
    told = {key: value for key, value in flow.facts.items() if isinstance(value, str) and value}
    yield from (f" * {key}: {in_comment(value)}" for key, value in told.items())
    yield " *"
    yield from commented(privacy_of(node.recurrent for node in flow.recurrent))
    for unit in stack:
        yield f" * {unit.suffix}, {unit.form.widths[unit.graph.output.axis]} units of {unit.graph.name}:"
        yield from (f" *     {line}" for line in equations_of(unit))
    yield " *"
    yield from built(step.name, step.arrays.size)
    yield f" * RAM:   {step.name}_state has about {ram:,} bytes."
    yield f" *        An optimised step takes at most {local:,} bytes of stack."
    yield " * Libraries: memcpy, memmove and memset. Nothing is allocated, and nothing is kept outside of the state."
    yield " */"


def _bytes(member: str) -> int:
    """The size of a member, from its declaration."""
    count = int(member.partition("[")[2].partition("]")[0]) if "[" in member else 1
    return count * (2 if member.startswith("int16_t") else 4)


def _macros(step: Step) -> Iterator[str]:
    """Facts that are whole numbers, and what is as wide as several."""
    facts = {key: value for key, value in step.flow.facts.items() if type(value) is int}
    yield from (f"#define {step.name.upper()}_{key.upper()} {value}" for key, value in facts.items())
    yield from [""] * bool(facts)


def _structure(name: str, members: list[tuple[str, str]]) -> Iterator[str]:
    yield "typedef struct {"
    for text, says in members:
        comment = f"/* {in_comment(says)} */"
        if not says:
            yield f"    {text}"
        elif len(text) + len(comment) <= SIDE:
            yield f"    {text} {comment}"
        else:
            yield f"    {comment}"
            yield f"    {text}"
    yield f"}} {name};"
    yield ""


def _member(step: Step, one: Input | Output) -> tuple[str, str]:
    kind = one.kind if isinstance(one, Input) else step.flow.kinds[one.node]
    size = f"[{kind.width}]" if kind.width > 1 else ""
    unit = f", in {one.unit}" if one.unit else ""
    limit = f", 0 to {one.limit - 1}" if isinstance(one, Input) and one.limit else ""
    name = step.inputs[one.name] if isinstance(one, Input) else step.outputs[one.name]
    return f"{TYPES[kind.dtype]} {name}{size};", f"{one.says}{unit}{limit}"


def _declared(step: Step) -> Iterator[str]:
    name, symbols = step.name, any(one.limit for one in step.flow.inputs)
    yield "/* Begin a sequence. */"
    yield f"void {name}_reset({name}_state *state);"
    yield ""
    for node in _alone(step):
        yield f"/* Put the recurrent layers {node} back to their first states, and nothing else. */"
        yield f"void {name}_reset_{node}({name}_state *state);"
        yield ""
    if symbols:
        yield "/* One step: 0, or the number of the input with a symbol out of range, and nothing has happened then. */"
    else:
        yield "/* One step. */"
    yield f"{_result(step)} {name}_step({name}_state *state, const {name}_input *in, {name}_output *out);"
    yield ""
    yield f"/* n steps, one after another{', up to the first that is refused' if symbols else ''}. */"
    yield f"{_result(step)} {name}_block({name}_state *state, const {name}_input *in, {name}_output *out, size_t n);"
    yield ""
    if step.flow.again:
        yield "/* What the next row reads of this one's answer; the other inputs are the caller's. */"
        yield f"void {name}_again({name}_input *in, const {name}_output *out);"
        yield ""
    for one, table in _labelled(step):
        yield f"/* What each of {one.name} belongs to. */"
        yield f"extern const char *const {table}[{len(one.labels)}];"
        yield ""
    yield "/* How many numbers of a known answer come out wrong; 0 where all is well. */"
    yield f"int {name}_selftest(void);"
    yield ""


def _result(step: Step) -> str:
    return "int" if any(one.limit for one in step.flow.inputs) else "void"


def _alone(step: Step) -> list[str]:
    """The recurrent nodes that can begin by themselves, where there is more to begin."""
    remembering = {state.node for state in step.flow.states}
    return [node.name for node in step.flow.recurrent] if len(remembering) > 1 else []


def _labelled(step: Step) -> list[tuple[Output, str]]:
    """Outputs whose labels the header shows; outputs with the same ones share them."""
    found: dict[tuple[str, ...], tuple[Output, str]] = {}
    for one in step.flow.outputs:
        if one.labels and len(one.labels) <= SHOWN:
            found[one.labels] = one, f"{step.name}_{one.name}_labels"
    return [*found.values()]


# --- the body ---


def _body(step: Step) -> str:
    prefix = f"{step.name}_"
    texts = "".join(MORE[name] for name in MORE if name in step.functions).replace("@inline", "static inline")
    parts = [
        f'#include "{step.name}.h"\n\n{INCLUDED}',
        functions(step.functions & FUNCTIONS.keys(), prefix),
        texts,
        step.kernel.text if step.multiplies else "",
        whole_functions(step.whole_functions) if step.whole else "",
        step.arrays.text() + "\n",
        _tables(step),
        *(layer_function(unit, step.name) for own in step.units.values() for unit in own),
        "\n".join(_functions(step)),
        selftest_text(step),
    ]
    return "\n".join(part.replace("@", prefix) for part in parts if part.strip())


def _tables(step: Step) -> str:
    lines = [
        f"static const {'uint16_t' if max(places) < 1 << 16 else 'uint32_t'} {name}[{len(places)}] = "
        f"{{{', '.join(map(str, places))}}};\n"
        for name, places in step.tables.items()
    ]
    for one, table in _labelled(step):
        own = ",\n    ".join(_quoted(label) for label in one.labels)
        lines.append(f"const char *const {table}[{len(one.labels)}] = {{\n    {own}\n}};\n")
    return "\n".join(lines)


def _quoted(label: str) -> str:
    """A string of C in UTF-8; octal escapes end by themselves."""
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?@'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in label.encode()) + '"'


def _functions(step: Step) -> Iterator[str]:
    yield from _function(f"void @reset({step.name}_state *state)", _reset(step))
    for node in _alone(step):
        yield from _function(f"void @reset_{node}({step.name}_state *state)", _begin(step, node))
    arguments = f"{step.name}_state *state, const {step.name}_input *in, {step.name}_output *out"
    lines = [*_checks(step), *step.lines, *["return 0;"] * (_result(step) == "int")]
    yield from _function(f"{_result(step)} @step({arguments})", [*_unused(step), *lines])
    block = ["for (; n > 0; --n, ++in, ++out) @step(state, in, out);"]
    if _result(step) == "int":
        block = ["int wrong = 0;", "for (; n > 0 && !wrong; --n, ++in, ++out) wrong = @step(state, in, out);"]
        block.append("return wrong;")
    yield from _function(f"{_result(step)} @block({arguments}, size_t n)", block)
    if step.flow.again:
        head = f"void @again({step.name}_input *in, const {step.name}_output *out)"
        yield from _function(head, _again(step))


def _function(head: str, lines: list[str]) -> Iterator[str]:
    yield head
    yield from ["{", *(f"    {line}" for line in lines), "}", ""]


def _unused(step: Step) -> list[str]:
    return [] if step.members else ["(void)state;"]


def _reset(step: Step) -> list[str]:
    firsts = [line for node in step.units for line in _begin(step, node) if line.startswith("memcpy")]
    return ["memset(state, 0, sizeof *state);", *firsts, *step.reset]


def _begin(step: Step, node: str) -> list[str]:
    lines = []
    for unit in step.units[node]:
        for (member, _), first in zip(unit.members, unit.first.values(), strict=True):
            size = f"sizeof state->{member}"
            lines.append(
                f"memcpy(state->{member}, {first}, {size});" if first else f"memset(state->{member}, 0, {size});"
            )
    return lines


def _checks(step: Step) -> Iterator[str]:
    """Symbols that lie outside of their tables."""
    for place, one in enumerate(step.flow.inputs, 1):
        own = f"in->{step.inputs[one.name]}"
        if one.limit and one.kind.width == 1:
            yield f"if ({own} < 0 || {own} >= {one.limit}) return {place};"
        elif one.limit:
            yield f"for (int k = 0; k < {one.kind.width}; ++k)"
            yield f"    if ({own}[k] < 0 || {own}[k] >= {one.limit}) return {place};"


def _again(step: Step) -> list[str]:
    lines = []
    for name, source in step.flow.again.items():
        width, own = step.flow.kinds[name].width, step.inputs[name]
        if not isinstance(source, str):
            loop, index = ("", "") if width == 1 else (f"for (int k = 0; k < {width}; ++k) ", "[k]")
            lines.append(f"{loop}in->{own}{index} = {number(source)};")
        elif width == 1:
            lines.append(f"in->{own} = out->{step.outputs[source]};")
        else:
            lines.append(f"memcpy(in->{own}, out->{step.outputs[source]}, sizeof in->{own});")
    if not any(isinstance(source, str) for source in step.flow.again.values()):
        lines.append("(void)out;")
    return lines
