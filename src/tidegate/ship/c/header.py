"""``NAME.h``: what a user of the code reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate._version import __version__
from tidegate.nn import Recurrent
from tidegate.ship.c.body import equations_of
from tidegate.ship.c.stack import Unit, row_widths
from tidegate.ship.statement import commented, privacy_of

FRAME = 512  # bytes of stack that calls and registers take at -O1 to -O3, besides the numbers that a step keeps


def header_text(name: str, layer: Recurrent, stack: Sequence[Unit], flash: int) -> str:
    """The whole file.

    Args:
        name: of the file.
        layer: the stack of layers.
        stack: its units.
        flash: bytes of the weights.
    """
    macros = [
        f"#define {name.upper()}_INPUT_SIZE {sum(row_widths(layer).values())}",
        f"#define {name.upper()}_OUTPUT_SIZE {layer.output_size}",
        "",
    ]
    declared = [
        "typedef struct {",
        *(f"    {unit.STATE[0]} {member}[{width}];" for unit in stack for member, width in unit.members),
        f"}} {name}_state;",
        "",
        *(_of_sequences(name) if layer.bidirectional else _of_steps(name)),
        "",
        "/* How many numbers of a known output come out wrong; 0 where all is well. */",
        f"int {name}_selftest(void);",
        "",
    ]
    integers = any(unit.STATE[0] != "float" for unit in stack)
    return framed(name, [*_comment(name, layer, stack, flash)], macros, declared, integers=integers)


def framed(name: str, comment: Sequence[str], macros: Sequence[str], declared: Sequence[str], *, integers: bool) -> str:
    """A header that may be read twice, and by C++.

    Args:
        name: of the file.
        comment: the lines of its comment.
        macros: those of its macros.
        declared: those of its types and functions.
        integers: whether these need integers of a given size.
    """
    guard = f"{name.upper()}_H"
    lines = [
        *comment,
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        *["#include <stdint.h>"] * integers,
        "",
        *macros,
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *declared,
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {guard} */",
        "",
    ]
    return "\n".join(lines)


def built(name: str, flash: int) -> Iterator[str]:
    """How the file is compiled, and what its weights take."""
    yield f" * Build: cc -std=c99 -O3 -ffp-contract=off -c {name}.c"
    yield " *        With these flags, all compilers and processors that keep to IEEE 754 give the same bits."
    yield f" * Flash: {flash:,} bytes of weights, besides the code."


def _comment(name: str, layer: Recurrent, stack: Sequence[Unit], flash: int) -> Iterator[str]:
    ram = sum(unit.STATE[1] * width for unit in stack for _, width in unit.members)
    local = 4 * max(unit.text.floats for unit in stack) + FRAME + ram * layer.bidirectional
    local += sum(unit.STATE[1] * layer.input_size for unit in stack if unit.entered("x"))
    yield f"/* {name}.h: {layer.graph.name}, {layer.input_size} -> {layer.output_size}. Made by Tidegate {__version__}."
    yield " *"
    yield from commented(privacy_of([layer]))
    if layer.graph.given:
        parts = ", ".join(f"{part} [{width}]" for part, width in row_widths(layer).items())
        yield f" * A row of x holds, one behind the other: {parts}."
        yield " *"
    described = ""
    for unit in stack:
        equations = "\n".join(f" *     {line}" for line in equations_of(unit))
        yield f" * {unit.suffix}, {unit.form.widths[unit.graph.output.axis]} units" + (
            ":" if equations != described else ": the same"
        )
        if equations != described:
            yield equations
        described = equations
    yield " *"
    yield from built(name, flash)
    yield f" * RAM:   {name}_state has {ram:,} bytes. An optimised step takes at most {local:,} bytes of stack."
    yield " * Libraries: memcpy and memset. Nothing is allocated, and nothing is kept outside of the state."
    yield " */"


def _of_steps(name: str) -> list[str]:
    return [
        "/* Begin a sequence. */",
        f"void {name}_reset({name}_state *state);",
        "",
        f"/* One step: reads {name.upper()}_INPUT_SIZE numbers, writes {name.upper()}_OUTPUT_SIZE. */",
        f"void {name}_step({name}_state *state, const float *x, float *y);",
        "",
        "/* n steps: rows of x and y one after another. */",
        f"void {name}_block({name}_state *state, const float *x, float *y, size_t n);",
    ]


def _of_sequences(name: str) -> list[str]:
    size = f"{name.upper()}_OUTPUT_SIZE"
    return [
        "/* A whole sequence of n steps, read from both ends: rows of x and y one after another.",
        f" * work: room for n * {size} numbers; a single layer needs none. */",
        f"void {name}_sequence(const float *x, float *y, size_t n, float *work);",
    ]
