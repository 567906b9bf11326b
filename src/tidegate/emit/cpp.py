"""C++: the pointwise phases of a cell, one small struct each, against ``engine/cell.h``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.cell import Graph, Node, Op
from tidegate.cell.graph import REDUCTIONS
from tidegate.errors import EmitError
from tidegate.passes import Phase, Program, Use, is_literal

RULES: Mapping[Op, str] = {
    Op.ADD: "{0} + {1}",
    Op.SUB: "{0} - {1}",
    Op.MUL: "{0} * {1}",
    Op.DIV: "{0} / {1}",
    Op.NEG: "-{0}",
    Op.MAXIMUM: "maximum({0}, {1})",
    Op.MINIMUM: "minimum({0}, {1})",
    Op.CLAMP: "minimum(maximum({0}, -{1}), {1})",
    Op.GREATER: "greater({0}, {1})",
    Op.SELECT: "select({0}, {1})",
    Op.SIGMOID: "sigmoid({0})",
    Op.TANH: "tanh({0})",
    Op.RELU: "relu({0})",
    Op.EXP: "exp({0})",
    Op.LOG: "log({0})",
    Op.LOG_SIGMOID: "log_sigmoid({0})",
    Op.SQRT: "sqrt({0})",
    Op.SPREAD: "{0}",
}
PREFIX = "tg_"


@dataclass(frozen=True)
class Source:
    """Emitted text.

    Attributes:
        key: names the content; functions are called ``tg_<key>_<program>_<phase>[_saving]_f32`` and ``_f64``.
        text: the whole file.
        programs: the names of the programs in it.
    """

    key: str
    text: str
    programs: tuple[str, ...]

    @property
    def first_function(self) -> str:
        """The name of a function that is surely there."""
        return self.function(self.programs[0], 0, saving=False, dtype="f32")

    def function(self, program: str, phase: int, *, saving: bool, dtype: str) -> str:
        """The name of the function of one phase."""
        return f"{PREFIX}{self.key}_{_struct(program, phase)}{'_saving' if saving else ''}_{dtype}"


def emit(graph: Graph, programs: Mapping[str, Program]) -> Source:
    """The pointwise part of a cell's programs.

    Args:
        graph: the cell; its name stands in a comment and nowhere else.
        programs: programs by name. One whose series are partly saved comes in two variants.

    Raises:
        EmitError: an operation that C++ code has no rule for.
    """
    structs, exports = [], []
    for name, program in programs.items():
        for k, phase in enumerate(program.phases):
            structs.append(_phase(name, k, phase, program))
            exports.append(f"TIDEGATE_POINTWISE({PREFIX}@_{_struct(name, k)}, {_struct(name, k)}, false)")
            if any(series.saved for series in program.step.series):
                exports.append(f"TIDEGATE_POINTWISE({PREFIX}@_{_struct(name, k)}_saving, {_struct(name, k)}, true)")
    body = "namespace {\nusing namespace tidegate;\n\n" + "\n".join(structs) + "\n}  // namespace\n\n"
    body += "\n".join(exports) + "\n"
    key = hashlib.sha256(body.encode()).hexdigest()[:16]
    head = f'// Pointwise part of {graph.name}; emitted from its equations.\n#include "cell.h"\n\n'
    return Source(key, head + body.replace("@", key), tuple(programs))


def _struct(program: str, phase: int) -> str:
    return f"{program}_{phase}"


def _phase(name: str, number: int, phase: Phase, program: Program) -> str:
    nodes, step = program.step.nodes, program.step
    lines = []
    for place, (use, item) in enumerate(phase.places):
        if use is Use.LOAD:
            load = "load" if nodes[item].axis == phase.axis else "spread"
            lines.append(f"const auto v{item} = at.{load}({place});  // {_comment(nodes[item])}")
    lines += [f"const auto v{i} = {_expression(nodes, nodes[i])};" for i in phase.body]
    for place, (use, item) in enumerate(phase.places):
        if use is Use.KEEP:
            lines.append(f"at.store({place}, v{item});  // for the next phase")
        if use is Use.CARRY:
            carried = step.carried[item]
            lines.append(f"at.store({place}, {_value(nodes, carried.after)});  // {carried.name} after the step")
        if use is Use.WRITE:
            series = step.series[item]
            verb = "save" if series.saved else "store"
            lines.append(f"at.{verb}({place}, {_value(nodes, series.node)});  // {series.name}")
    text = "\n".join(f"    {line}" for line in lines)
    return (
        f"struct {_struct(name, number)} {{\n"
        f"  static constexpr int kPlaces = {len(phase.places)};\n"
        "  template <class At>\n"
        "  static TIDEGATE_INLINE void run(const At& at) {\n"
        f"{text}\n"
        "  }\n"
        "};\n"
    )


def _expression(nodes: Sequence[Node], node: Node) -> str:
    if node.op not in RULES:
        raise EmitError("CPP_OPERATION", f"C++ code has no rule for {node}", fix="this cell runs eagerly")
    return RULES[node.op].format(*(_value(nodes, arg) for arg in node.args))


def _value(nodes: Sequence[Node], index: int) -> str:
    node = nodes[index]
    return f"at.number({node.value!r})" if is_literal(node) else f"v{index}"


def _comment(node: Node) -> str:
    return {
        Op.STATE: f"{node.label} before the step",
        Op.TRANSPOSE: f"{node.matrix} transposed, rows {node.name}",
        **{op: f"{op} of {' '.join(f'v{arg}' for arg in node.args)}" for op in REDUCTIONS},
    }.get(node.op, node.label)
