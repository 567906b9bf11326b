"""Plans whose saved values lie in bfloat16."""

from __future__ import annotations

from tidegate.emit.place import SAVED
from tidegate.emit.plan import Halved, Plan


def with_halves(plan: Plan, halved: Halved) -> Plan:
    """The same plan, where what a forward run saves for a backward run lies in bfloat16.

    The engine rounds what a tile saves behind its pointwise work, to the nearest and ties to even, and widens what a
    tile reads before it. So states and gates of the forward run are not rounded, and no emitted text differs.

    Args:
        plan: a forward run that saves, or a run that reads what one has saved.
        halved: which of the two.
    """
    return plan._replace(halved=((SAVED, halved),) if plan.saved_width else ())
