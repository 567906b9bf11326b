"""Norms of the gradients of single units, without the gradients where that is cheaper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from tidegate.private.use import Use

LARGEST = 1 << 18  # elements that are held at once: what leaves the cache takes longer


def squared_norms(uses: Iterable[Use], units: int) -> torch.Tensor:
    """The squared norm of each unit's gradient, over all uses of all parameters.

    Equations:
        ghost:  |g[b]|^2 = sum_{t,u} (adjoint[t, b] . adjoint[u, b]) (operand[t, b] . operand[u, b])
        direct: |g[b]|^2 = the squares of sum_t adjoint[t, b] operand[t, b]^T, summed

    Uses of one place are one sum over all their steps, so products between them belong to it: tied and shared weights,
    several sequences of one unit. Ghost norms take T^2 (rows + columns) multiplications, direct ones T rows columns.
    The cheaper one is made, for a few units at a time. Rows of an embedding that a unit reads several times are added
    up first.

    A ghost norm of a gradient whose steps cancel has lost digits. What it may have lost, by the usual size of rounding
    errors u sqrt(rows + columns) (sum_t |adjoint[t]| |operand[t]|)^2 with the unit roundoff u, is added to it. So
    clipping errs on the safe side.

    Args:
        uses: of all parameters.
        units: how many there are.

    Shapes:
        the result [units] float64.

    References:
        ghost norms: Goodfellow 2015, arXiv 1510.01799; Li et al. 2021, arXiv 2110.05679. The choice by cost: Bu et al.
        2022, arXiv 2205.10683. Rounding errors: Higham and Mary 2019, doi 10.1137/18M1226312.
    """
    by_parameter: dict[int, list[Use]] = {}
    for use in uses:
        by_parameter.setdefault(id(use.parameter), []).append(grouped(use, units))
    total, alone = torch.zeros(units, dtype=torch.float64), []
    for own in by_parameter.values():
        if len(own) == 1 and _is_product(own[0]):
            alone += own
        else:
            total += _of_parameter(own, units)
    for group in _by_adjoint(alone):
        total += _of_products(group[0].adjoint, [use.operand for use in group])
    return total


def grouped(use: Use, units: int) -> Use:
    """The same use with one sequence a unit, in order; further sequences of a unit become further steps.

    Args:
        use: of any sequences.
        units: how many units there are.
    """
    if use.owner is None:
        return use
    counts = torch.bincount(use.owner, minlength=units)
    order = use.owner.argsort(stable=True)
    nobody = len(order)  # the place of a sequence of zeros
    at = torch.full((max([1, *counts.tolist()]), units), nobody)
    owner = use.owner[order]
    at[torch.arange(len(order)) - (counts.cumsum(0) - counts)[owner], owner] = order

    def taken(values: torch.Tensor) -> torch.Tensor:
        wide = torch.cat([values, values.new_zeros(len(values), 1, *values.shape[2:])], 1)
        return wide[:, at.flatten()].view(-1, units, *values.shape[2:])

    operand = None if use.operand is None else taken(use.operand)
    return replace(use, adjoint=taken(use.adjoint), operand=operand, owner=None)


def _of_parameter(uses: Sequence[Use], units: int) -> torch.Tensor:
    places: dict[str, list[Use]] = {}
    for use in uses:
        places.setdefault(repr(use.place), []).append(use)
    mixed = any(len({_is_vector(use) for use in own}) > 1 for own in places.values())
    if mixed or _overlap(uses[0].parameter, [own[0].place for own in places.values()]):
        return _dense(uses, units)
    return torch.stack([_of_place(own, units) for own in places.values()]).sum(0)


def _is_vector(use: Use) -> bool:
    return use.operand is None


def _is_product(use: Use) -> bool:
    return use.operand is not None and use.operand.is_floating_point()


def _by_adjoint(uses: Sequence[Use]) -> Iterable[list[Use]]:
    """Uses with the same adjoints, such as W and U of a cell: products of adjoints are made once for all of them."""
    groups: dict[Any, list[Use]] = {}
    for use in uses:
        a = use.adjoint
        groups.setdefault((a.data_ptr(), a.shape, a.stride()), []).append(use)
    return groups.values()


def _overlap(parameter: torch.Tensor, places: Sequence[Any]) -> bool:
    """Whether an element is in several places."""
    if len(places) == 1:
        return False
    times = torch.zeros(parameter.shape, dtype=torch.uint8)
    for place in places:
        times[place] += 1
    return bool(times.max() > 1)


def _of_place(uses: Sequence[Use], units: int) -> torch.Tensor:
    if _is_vector(uses[0]):
        return _squares(torch.stack([use.adjoint.sum(0) for use in uses]).sum(0))
    total = torch.zeros(units, dtype=torch.float64)
    products, rows = _joined(filter(_is_product, uses)), _joined(use for use in uses if not _is_product(use))
    if products:
        total += _of_products(products[0], [products[1]])
    if rows:
        total += _of_rows(*rows)
    if products and rows:
        total += 2 * _between(*products, *rows)
    return total


def _joined(uses: Iterable[Use]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Adjoints and operands of all steps."""
    pairs = [(use.adjoint, use.operand) for use in uses if use.operand is not None]
    return (torch.cat([a for a, _ in pairs]), torch.cat([o for _, o in pairs])) if pairs else None


def _of_products(a: torch.Tensor, operands: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Of adjoints [T, B, rows] with each of some operands [T, B, columns]."""
    met = [o for o in operands if o is not None]
    (steps, units, rows), columns = a.shape, sum(o.shape[2] for o in met)
    ghost = steps * (rows + columns) < rows * columns
    one = _ghost if ghost else _direct
    parts = _pieces(units, steps * steps if ghost else rows * columns)
    norms = [one(a[:, part], [o[:, part] for o in met]) for part in parts]
    return torch.cat(norms) if norms else torch.zeros(0, dtype=torch.float64)


def _ghost(a: torch.Tensor, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    left, right = _gram(a), _gram(operands[0])
    for o in operands[1:]:
        right += _gram(o)
    sizes = (left.diagonal(dim1=1, dim2=2).double() * right.diagonal(dim1=1, dim2=2).double()).sqrt().sum(1)
    terms = a.shape[2] + sum(o.shape[2] for o in operands)
    lost = torch.finfo(a.dtype).eps / 2 * math.sqrt(terms) * sizes.square()
    return left.mul_(right).sum((1, 2), dtype=torch.float64).clamp(min=0) + lost


def _gram(values: torch.Tensor) -> torch.Tensor:
    """[T, B, width] to [B, T, T]: the products of all pairs of steps."""
    values = values.transpose(0, 1)
    return values @ values.mT


def _direct(a: torch.Tensor, operands: Sequence[torch.Tensor]) -> torch.Tensor:
    left = a.permute(1, 2, 0)
    return torch.stack([_squares(left @ o.transpose(0, 1)) for o in operands]).sum(0)


def _of_rows(e: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
    """Of adjoints [T, B, columns] that came back to the rows [T, B]."""
    units = e.shape[1]
    place = i.long() * units + torch.arange(units)
    places, to = place.flatten().unique(return_inverse=True)
    sums = e.new_zeros(len(places), e.shape[2]).index_add_(0, to, e.flatten(0, 1))
    return torch.zeros(units, dtype=torch.float64).index_add_(0, places % units, _squares(sums))


def _between(a: torch.Tensor, o: torch.Tensor, e: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
    """Products of what a matrix got by multiplying with what it got by being looked up, as in tied embeddings."""
    parts = []
    for part in _pieces(a.shape[1], len(a) * len(e)):
        looked = a[:, part].transpose(0, 1).gather(2, i[:, part].T[:, None].expand(-1, len(a), -1))  # [B, T, T']
        meet = o[:, part].transpose(0, 1) @ e[:, part].permute(1, 2, 0)
        parts.append(looked.mul_(meet).sum((1, 2), dtype=torch.float64))
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def gradients(uses: Sequence[Use], units: int, part: slice = slice(None)) -> torch.Tensor:
    """The gradients of single units, from all uses of one parameter.

    Args:
        uses: of the parameter.
        units: how many units there are.
        part: which of them to answer for.

    Shapes:
        the result [units of the part, *shape of the parameter].
    """
    whole, count = uses[0].parameter, len(range(*part.indices(units)))
    found = torch.zeros(count, *whole.shape, dtype=whole.dtype)
    for use in uses:
        at = use.place if isinstance(use.place, tuple) else (use.place,)
        own = found[(slice(None), *at)]
        own += _product(grouped(use, units), part).reshape(own.shape)
    return found


def _dense(uses: Sequence[Use], units: int) -> torch.Tensor:
    parts = _pieces(units, uses[0].parameter.numel())
    return torch.cat([torch.zeros(0, dtype=torch.float64), *(_squares(gradients(uses, units, part)) for part in parts)])


def _product(use: Use, part: slice) -> torch.Tensor:
    a = use.adjoint[:, part]
    if use.operand is None:
        return a.sum(0)
    o = use.operand[:, part]
    if not o.is_floating_point():
        a, o = torch.nn.functional.one_hot(o.long(), len(use.parameter[use.place])).to(a.dtype), a
    return a.permute(1, 2, 0) @ o.transpose(0, 1)


def _squares(values: torch.Tensor) -> torch.Tensor:
    """The sum of squares of each [B, ...], float64."""
    norms: torch.Tensor = torch.linalg.vector_norm(values[..., None].flatten(1), dim=1)
    return norms.double().square()


def _pieces(units: int, held: int) -> Iterator[slice]:
    """Parts of the units whose tensors, of so many elements for one unit, are small together."""
    size = max(1, LARGEST // max(1, held))
    return (slice(at, min(at + size, units)) for at in range(0, units, size))
