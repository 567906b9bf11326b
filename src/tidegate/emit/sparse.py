"""Plans whose panels keep lists of what is not zero."""

from __future__ import annotations

from collections.abc import Collection

from tidegate.emit.plan import PhasePlan, Plan, Product


def with_lists(plan: Plan, weights: Collection[str], *, kept: bool = False) -> Plan:
    """The same plan, where the panels of these weights hold only what is not zero.

    The engine packs a matrix in panels of neighbouring columns. Of a sparse one, a panel keeps a row only if one of its
    columns is not zero there, and a list of the rows that it keeps: so blocks, ranges and empty panels cost what they
    hold. Results are those of the whole matrix, and so are gradients: what is zero gets the gradient that any number
    would get there.

    Args:
        plan: a forward or a backward run.
        weights: the tensors, such as ``"weight_U"``.
        kept: make the gradients of these weights where they are not zero, and zeros elsewhere.
    """

    def listed(products: tuple[Product, ...]) -> tuple[Product, ...]:
        return tuple(p._replace(weight=p.weight._replace(sparse=p.weight.tensor in weights)) for p in products)

    def phases(program: tuple[PhasePlan, ...]) -> tuple[PhasePlan, ...]:
        return tuple(phase._replace(products=listed(phase.products)) for phase in program)

    return plan._replace(
        phases=phases(plan.phases),
        ending=phases(plan.ending),
        before=listed(plan.before),
        after=listed(plan.after),
        gradients=tuple(g._replace(sparse=kept and g.weight in weights) for g in plan.gradients),
    )
