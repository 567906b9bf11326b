"""Plans of which some series lie in bfloat16: what is saved, the output, its gradient."""

from __future__ import annotations

from tidegate.emit.place import SAVED
from tidegate.emit.plan import Halved, Plan
from tidegate.passes import INPUT, OUTPUT, UPSTREAM


def with_halves(plan: Plan, halved: Halved, *, saved: bool, output: bool, read_input: bool = False) -> Plan:
    """The same plan, where series lie in bfloat16 that a forward run writes and a backward run reads.

    The engine rounds what a tile writes behind its pointwise work, to the nearest and ties to even, and widens what a
    tile reads before it. So states and gates of the forward run are not rounded, and no emitted text differs.

    Args:
        plan: a forward or a backward run.
        halved: which of the two.
        saved: what is saved lies so.
        output: the output and its gradient lie so.
        read_input: so does the input of a backward run.
    """
    names = [SAVED] * (saved and plan.saved_width > 0) + [OUTPUT, UPSTREAM] * output + [INPUT] * read_input
    return plan._replace(halved=tuple((name, halved) for name in names if name in plan.tensors))


def rounds_output(forward: Plan, backward: Plan) -> bool:
    """Whether nothing but products reads the output of these runs, so that it may lie in the type of products."""
    phases = [(*plan.phases, *plan.ending) for plan in (forward, backward)]
    made, read = ([place for phase in own for place in phase.worked_on] for own in phases)
    written = [place for place in made if place.tensor == OUTPUT]
    return len(written) == 1 and not any(OUTPUT in (place.tensor, place.initial) for place in read)
