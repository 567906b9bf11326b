"""``NAME.c``: weights, the functions of each layer, and what the header declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.emit.c99_function import functions
from tidegate.emit.equation import plain
from tidegate.errors import EmitError
from tidegate.nn import Recurrent
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.kernel import Kernel
from tidegate.ship.c.selftest import Vector, selftest_text
from tidegate.ship.c.stack import Unit, row_widths

INCLUDED = """\
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define restrict __restrict
#endif
#ifdef __GNUC__
#define @once __attribute__((noinline))         /* one copy of the code */
#define @seldom __attribute__((noinline, cold)) /* small rather than quick */
#else
#define @once
#define @seldom
#endif
"""


def body_text(
    name: str, layer: Recurrent, stack: Sequence[Unit], arrays: Arrays, kernel: Kernel, vector: Vector
) -> str:
    """The whole file.

    Args:
        name: of the file.
        layer: the stack of layers.
        stack: its units.
        arrays: of all weights.
        kernel: multiplies.
        vector: of the self-test.
    """
    prefix = f"{name}_"
    multiplies = any(calls for unit in stack for calls in unit.form.calls)
    parts = [
        f'#include "{name}.h"\n\n{INCLUDED}',
        functions({name for unit in stack for name in unit.called}, prefix, stack[0].functions),
        kernel.text if multiplies else "",
        arrays.text() + "\n",
        *(layer_function(unit, name) for unit in stack),
        "\n".join(_entry(name, layer, stack)),
        selftest_text(name, vector, bidirectional=layer.bidirectional),
    ]
    return "\n".join(part.replace("@", prefix) for part in parts if part.strip())


def equations_of(unit: Unit) -> list[str]:
    """The equations of a layer, a line each."""
    try:
        return plain(unit.graph).splitlines()
    except EmitError as error:
        return [f"({error.message})"]


def layer_function(unit: Unit, name: str) -> str:
    """The function of one step of a layer."""
    widths = f"{unit.form.widths[unit.graph.input_axis]} -> {unit.form.widths[unit.graph.output.axis]}"
    lines = [
        f"/* One step of {unit.suffix}: {unit.graph.name}, {widths}.",
        *(f" *   {line}" for line in equations_of(unit)),
        " */",
        f"static void {name}_{unit.suffix}({name}_state *restrict state, const {unit.STATE[0]} *restrict x)",
        "{",
        *(f"    {line}".rstrip() for line in unit.text.lines),
        "}",
        "",
    ]
    return "\n".join(lines)


def _entry(name: str, layer: Recurrent, stack: Sequence[Unit]) -> Iterator[str]:
    """What can be called."""
    yield f"{'static ' * layer.bidirectional}{name}_seldom void {name}_reset({name}_state *state)"
    yield "{"
    yield "    memset(state, 0, sizeof *state);"
    for unit in stack:
        for (member, _), first in zip(unit.members, unit.first.values(), strict=True):
            if first:
                yield f"    memcpy(state->{member}, {first}, sizeof state->{member});"
    yield from ["}", ""]
    yield from _sequence(name, layer, stack) if layer.bidirectional else _steps(name, layer, stack)


def _steps(name: str, layer: Recurrent, stack: Sequence[Unit]) -> Iterator[str]:
    yield f"{name}_once void {name}_step({name}_state *state, const float *x, float *y)"
    yield "{"
    yield from (f"    {line}" for line in stack[0].entered("x"))
    read = stack[0].input("x")
    for unit in stack:
        yield f"    {name}_{unit.suffix}(state, {read});"
        read = f"state->{unit.members[0][0]}"
    yield f"    {stack[-1].left('y', read)}"
    yield from ["}", ""]
    yield f"void {name}_block({name}_state *state, const float *x, float *y, size_t n)"
    yield "{"
    width = sum(row_widths(layer).values())
    yield f"    for (; n > 0; --n, x += {width}, y += {layer.output_size}) {name}_step(state, x, y);"
    yield from ["}", ""]


def _sequence(name: str, layer: Recurrent, stack: Sequence[Unit]) -> Iterator[str]:
    """Each layer over all steps, from both ends; outputs lie in ``work`` and in ``y`` in turns, at last in ``y``."""
    width = layer.output_size
    yield f"void {name}_sequence(const float *x, float *y, size_t n, float *work)"
    yield "{"
    yield f"    {name}_state state;"
    yield "    size_t t;"
    yield f"    {name}_reset(&state);"
    yield from ["    (void)work;"] * (layer.num_layers == 1)
    read, features = "x", sum(row_widths(layer).values())
    for k in range(layer.num_layers):
        written = "y" if (layer.num_layers - 1 - k) % 2 == 0 else "work"
        for unit, loop, at in (
            (stack[2 * k], "for (t = 0; t < n; ++t) {", 0),
            (stack[2 * k + 1], "for (t = n; t-- > 0;) {", width // 2),
        ):
            member, row = unit.members[0][0], f"{read} + {features} * t"
            yield f"    {loop}"
            yield from (f"        {line}" for line in unit.entered(row))
            yield f"        {name}_{unit.suffix}(&state, {unit.input(row)});"
            row = f"{written} + {width} * t{f' + {at}' * bool(at)}"
            yield f"        {unit.left(row, f'state.{member}')}"
            yield "    }"
        read, features = written, width
    yield from ["}", ""]
