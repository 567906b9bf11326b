"""How a cell keeps its state: what ``tidegate cells NAME`` says, and the share of each state that a step keeps."""

from __future__ import annotations

from tidegate.cell import Graph
from tidegate.cell.convention import Carry, carries, output_gate_sees, reset_side, update_convention
from tidegate.cell.graph import Op
from tidegate.cli.listing import ALONE, GIVEN, OF_ONE, OF_SEVERAL, SUMS, kind_of
from tidegate.passes import Recurrence, recurrences

from .language import Language
from .markdown import table

GROUPS = (OF_ONE, OF_SEVERAL, ALONE, SUMS, GIVEN)
RECURS = {
    Recurrence.NONE: "no: a function of the input and of other states",
    Recurrence.AFFINE: "as a sum, unit by unit",
    Recurrence.UNITWISE: "unit by unit",
    Recurrence.DENSE: "through a matrix",
}
CONVENTIONS = (
    (reset_side, "before", "The reset gate acts before the recurrent product."),
    (reset_side, "after", "The reset gate acts after the recurrent product."),
    (update_convention, "keep", "An update gate of 1 keeps the old state."),
    (update_convention, "write", "An update gate of 1 writes the new state."),
    (output_gate_sees, "new", "The output gate sees the new cell state."),
    (output_gate_sees, "old", "The output gate sees the old cell state."),
)


def group(graph: Graph, say: Language) -> str:
    """The group in which ``tidegate cells`` lists a cell."""
    return say(kind_of(graph)) + say(".")


def conventions(graph: Graph, say: Language) -> list[str]:
    """Sentences on what libraries do in different ways."""
    return [say(sentence) for ask, answer, sentence in CONVENTIONS if ask(graph) == answer]


def states_table(graph: Graph, say: Language) -> str:
    """A row for each state: its width, what a step keeps of it, and how it depends on its past."""
    kept, kinds = carries(graph), recurrences(graph)
    rows = [
        [
            f"${_symbol(state.name)}$",
            f"${state.axis}$",
            _share(graph, state.name, kept.get(state.name), say),
            say(RECURS[kinds[state.name]]),
        ]
        for state in graph.states
    ]
    return table([say("state"), say("width"), say("kept in a step"), say("depends on its past")], rows)


def _symbol(name: str) -> str:
    return name if len(name) == 1 else rf"\mathrm{{{name}}}"


def _share(graph: Graph, state: str, carry: Carry | None, say: Language) -> str:
    if carry is None:
        known = _reads_directly(graph, state)
        return say("depends on more than one gate, or on other numbers") if known else say("nothing: it is made anew")
    shut, slope = round(carry.shut, 6), round(carry.open - carry.shut, 6)
    if not carry.gate:
        return say("all of it") if shut == 1 else f"${shut:g}$"
    share = f"{'-' if slope < 0 else '+'} {'' if abs(slope) == 1 else f'{abs(slope):g} '}{_symbol(carry.gate)}"
    return f"${shut:g} {share}$" if shut else f"${share.removeprefix('+ ')}$"


def _reads_directly(graph: Graph, state: str) -> bool:
    """Whether the new state depends on the old one otherwise than through products."""
    waiting = [graph.updates[[own.name for own in graph.states].index(state)]]
    while waiting:
        node = graph.nodes[waiting.pop()]
        if node.op is Op.STATE and node.name == state:
            return True
        waiting.extend(() if node.op is Op.PRODUCT else node.args)
    return False
