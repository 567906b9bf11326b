"""Plans of which some tensors have fewer bits: the type in which products round them anyway."""

from __future__ import annotations

from collections.abc import Collection

from tidegate.emit.plan import Plan, Product, Weight
from tidegate.passes import INPUT


def with_narrow(plan: Plan, parameters: Collection[str], *, inputs: bool) -> Plan:
    """The same plan, for tensors in the type of the products where nothing else reads them.

    These are whole matrices and their biases, and the input where its products are made for a chunk of steps. Other
    tensors keep the type in which the cell computes: vectors, states, matrices that have lists or heads.

    Args:
        plan: a forward or a backward run.
        parameters: those in this type.
        inputs: whether the input is.
    """
    names = {*parameters, *([INPUT] if inputs and all(_is_whole(p.weight) for p in plan.before) else [])}
    return plan._replace(narrow=tuple(name for name in plan.tensors if name in names - _read_otherwise(plan)))


def _products(plan: Plan) -> list[Product]:
    of_phases = (product for phase in (*plan.phases, *plan.ending) for product in phase.products)
    return [*of_phases, *plan.before, *plan.after]


def _read_otherwise(plan: Plan) -> set[str]:
    """The tensors that more than a product of a chunk or a whole matrix reads or writes."""
    phases = (*plan.phases, *plan.ending)
    places = [place for phase in phases for place in (*phase.worked_on, *(p.operand for p in phase.products))]
    places += [gradient.operand for gradient in plan.gradients]
    cut = {p.weight.tensor for p in _products(plan) if not _is_whole(p.weight)}
    cut |= {gradient.weight for gradient in plan.gradients if gradient.sparse}
    return cut | {name for place in places for name in (place.tensor, place.initial)}


def _is_whole(weight: Weight) -> bool:
    return not weight.sparse and weight.heads == 1
