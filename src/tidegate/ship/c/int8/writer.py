"""One step in whole numbers as the body of a C function."""

from __future__ import annotations

from tidegate.emit.c99 import Names, Text, Writer, at_least
from tidegate.emit.c99_function import CALLED
from tidegate.emit.equation import ATOM, SUM, Piece
from tidegate.passes import Carried
from tidegate.ship.c.int8.function import RULES
from tidegate.ship.int8.unit import Unit
from tidegate.ship.int8.whole import Whole


def whole_text(unit: Unit, names: Names, prefix: str) -> Text:
    """The body of the function of one step, which has ``state`` and ``x`` as whole numbers of 16 bits.

    Args:
        unit: the layer in whole numbers.
        names: of arrays and states.
        prefix: of all names of the file, such as ``gru_``.
    """
    return WholeWriter(unit, names, prefix).text()


class WholeWriter(Writer):
    """Writes expressions of ``ship.int8`` where its base writes those of the cell."""

    NUMBER, STATE = "int32_t", "int16_t"

    def __init__(self, unit: Unit, names: Names, prefix: str) -> None:
        super().__init__(unit.form, names, prefix)
        self.unit = unit
        self.operands = {call.operand for calls in unit.form.calls for call in calls}

    def is_state(self, index: int) -> bool:
        return index in self.operands

    def expression(self, index: int) -> Piece:
        return self._tree(self.unit.trees[index])

    def stored(self, carried: Carried, value: str) -> str:
        tree = self.unit.stores[carried.name]
        return f"(int16_t){value if tree.does == 'value' else at_least(ATOM, self._tree(tree))}"

    def _tree(self, tree: Whole) -> Piece:
        if tree.does == "number":
            return str(tree.number), ATOM if tree.number >= 0 else SUM
        if tree.does == "value":
            return self.read(tree.number)
        rule = RULES[tree.does]
        self.functions.update(CALLED.findall(rule.template))
        parts = [at_least(need, self._tree(arg)) for need, arg in zip(rule.needs, tree.args, strict=True)]
        return rule.template.format(*parts, n=tree.number), rule.binds
