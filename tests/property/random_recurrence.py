"""Random cells whose states recur in a way that is drawn: by sums and products, by functions, or by matrices."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.random_cell import RandomCell, compiled, expressions
from tidegate.passes import Recurrence

STATES = ("h", "c", "s")
FREE = ["i", "f", "p.a"]  # what depends on no state


@st.composite
def recurrent_cells(draw: st.DrawFn, most: Recurrence = Recurrence.DENSE) -> tuple[RandomCell, dict[str, Recurrence]]:
    """A cell of one to three states, and the kind of each as it was drawn; none is higher than ``most``.

    A state reads itself and those that come after it in ``STATES``. So each is a component of its own, and what it
    reads of others is to it as the input is.
    """
    states = STATES[: draw(st.integers(1, 3))]
    kinds = {state: Recurrence(draw(st.integers(0, most))) for state in states}
    lines, matrices = [], {}
    for number, (state, kind) in reversed(list(enumerate(kinds.items()))):
        known = [*FREE, *states[number + 1 :]]
        plain = expressions(known).filter(lambda text: not any(word in text for word in ("mean", "variance", "norm")))
        free = [draw(plain) for _ in range(3)]
        if kind is Recurrence.DENSE:
            matrices[f"U{state}"] = f"k{state}"
        lines.append(f"{state}_ = tanh({free[0]} + i - f * p.a) + {_own(state, kind, *free[1:])}")
    body = "".join(f"    {line}\n" for line in ["i = sigmoid(x.i)", "f = tanh(x.f)", *lines])
    result = ", ".join(f"{state}_" for state in states) + ","
    parameters = ", ".join(["x", *states, *matrices, "p"])
    source = (
        f"def step(self, {parameters}):\n{body}    return ({result})\n\n"
        f"def observed({parameters}):\n{body}    return ({result}), dict(i=i, f=f)\n"
    )
    made = compiled(
        source, gates="i f", inputs="i f", state=" ".join(states), vectors="p_a", matrices=matrices, biases="W"
    )
    return made, kinds


def _own(state: str, kind: Recurrence, one: str, other: str) -> str:
    """What a state reads of itself. Slopes are bounded, so that no run explodes."""
    return {
        Recurrence.NONE: "0.25",
        Recurrence.AFFINE: f"({state} - sigmoid({one}) * {state} / (1 + sigmoid({other})))",
        Recurrence.UNITWISE: f"maximum(tanh({one}) * {state}, sigmoid({state}))",
        Recurrence.DENSE: f"0.5 * U{state}({state} * sigmoid({other})).k{state}",
    }[kind]
