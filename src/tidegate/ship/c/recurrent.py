"""The recurrent layers of a flow as C, in floats or in whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.emit.c99 import identifier
from tidegate.ship.c.int8.apart import apart, aside
from tidegate.ship.c.int8.stack import whole_units
from tidegate.ship.c.kernel import INTEGER_STATES
from tidegate.ship.c.operand import Operand, array
from tidegate.ship.c.stack import units
from tidegate.ship.flow import Node
from tidegate.ship.int8.stack import Quantised

if TYPE_CHECKING:
    from tidegate.ship.c.rule import Step  # whose table this stands in


def recurrent(step: Step, node: Node) -> Operand:
    """One step of recurrent layers.

    Args:
        step: takes what is written.
        node: the layers.
    """
    if node.name in step.whole:
        return _whole(step, node, step.whole[node.name])
    label = "" if len(step.flow.recurrent) == 1 else f"{node.name}_"
    stack = [*units(node.recurrent, step.arrays, step.kernel, f"{step.name}_", label)]
    step.units[node.name] = stack
    read = step.stored(node.args[0]).pointer if len(node.args) == 1 else _row(step, node)
    for unit in stack:
        step.functions |= unit.text.functions
        step.multiplies |= any(unit.form.calls)
        step.members += [(f"float {member}[{width}];", "") for member, width in unit.members]
        step.add(f"@{unit.suffix}(state, {read});")
        read = f"state->{unit.members[0][0]}"
    return array(read, step.width(node.name))


def _row(step: Step, node: Node) -> str:
    """The input of a layer, and behind it what its cell reads beside: one array."""
    name, at = identifier(f"{node.name}_row", step.taken, f"{step.name}_"), 0
    width = sum(step.width(arg) for arg in node.args)
    step.floats += width
    step.add(f"float {name}[{width}];")
    for arg in node.args:
        step.fill(name, step.values[arg], at)
        at += step.width(arg)
    return name


def _whole(step: Step, node: Node, quantised: Quantised) -> Operand:
    """Layers in whole numbers, between floats that enter and leave."""
    label = "" if len(step.flow.recurrent) == 1 else f"{node.name}_"
    stack = aside(whole_units(quantised, step.arrays, INTEGER_STATES, f"{step.name}_", label))
    step.units[node.name] = [*stack]
    given, name = step.stored(node.args[0]).pointer, step.local(node)
    read, lines = stack[0].input(given), stack[0].entered(given)
    for unit in stack:
        step.whole_functions |= unit.called
        step.members += [(f"{unit.STATE[0]} {member}[{width}];", "") for member, width in unit.members]
        lines.append(f"@{unit.suffix}(state, {read});")
        read = f"state->{unit.members[0][0]}"
    step.floats += stack[0].form.widths[stack[0].graph.input_axis]
    step.add("{", *(f"    {apart(line)}" for line in [*lines, stack[-1].left(name, read)]), "}")
    return array(name, step.width(node.name))
