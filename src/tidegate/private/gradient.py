"""The clipped gradients of the units of a batch, added up."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

import torch

from tidegate.errors import InputError
from tidegate.private.clip import add_clipped, clip_factors
from tidegate.private.layer import LayerCall, Layers
from tidegate.private.norm import squared_norms
from tidegate.private.record import Call, Record
from tidegate.private.recurrent import LayerUses
from tidegate.private.rows import Known, weightings
from tidegate.private.use import Use

Losses = torch.Tensor | tuple[torch.Tensor, torch.Tensor | None]
Owned = tuple[LayerUses, torch.Tensor | None]  # what a call of a layer left, and the unit of each of its sequences


class Gradients:
    """Sums of the clipped gradients of single units, over one batch or several pieces of it.

    Equations:
        g[b] = the gradient of the sum of all losses of unit b
        sums = sum_b min(1, C / |g[b]|) g[b],  |g[b]| over all parameters that learn

    Parameters that learn get no ``grad``. A run leaves what single gradients are made of; from that come the norms, and
    then one weighted product for each use of a parameter.

    Args:
        model: any module. Layers of Tidegate are read where they run, everything else by the functions of torch that
            it calls with parameters.
        clip_norm: C; ``math.inf`` for no clipping.

    Attributes:
        sums: of each parameter that learns.

    Raises:
        InputError: a parameter of half precision: to round a sum of clipped gradients is to leave the bound.

    Example:
        >>> import torch, tidegate as tg
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> gradients = tg.private.Gradients(model, clip_norm=1.0)
        >>> x = torch.tensor([[3.0, 4.0], [0.0, 0.5]])
        >>> gradients.add(lambda: model(x)[:, 0], units=2)  # norms of two units before clipping
        tensor([5.0000, 0.5000], dtype=torch.float64)
        >>> gradients.sums[model.weight]  # [0.6, 0.8] + [0, 0.5]
        tensor([[0.6000, 1.3000]])
    """

    def __init__(self, model: torch.nn.Module, clip_norm: float) -> None:
        self.model, self.clip_norm = model, clip_norm
        for name, value in model.named_parameters():
            if value.requires_grad and value.dtype in (torch.float16, torch.bfloat16):
                raise InputError(
                    "PRIVATE_PRECISION",
                    f"{name} is {value.dtype}, whose roundings move gradients beyond what the noise hides",
                    fix="train in float32: model.float()",
                )
        named = [*model.named_buffers(), *((name, p) for name, p in model.named_parameters() if p.requires_grad)]
        self._names = {id(value): name for name, value in named}
        self.sums: dict[torch.Tensor, torch.Tensor] = {
            value: torch.zeros_like(value) for value in model.parameters() if value.requires_grad
        }
        self._known: dict[Hashable, Known] = {}

    def clear(self) -> None:
        """Begin a new sum."""
        for total in self.sums.values():
            total.zero_()

    def add(self, run: Callable[[], Losses], units: int) -> torch.Tensor:
        """Add the clipped gradients of a piece.

        Args:
            run: runs the model and returns the loss of each row; or these and the unit of each row, where a unit
                may have several.
            units: how many units the piece has.

        Shapes:
            losses: [rows]; units of rows [rows] int64, from 0 to ``units - 1``; the result [units] float64.

        Returns:
            The norm of each unit's gradient before clipping.

        Raises:
            InputError: losses of another shape; a function that has no rule reads a parameter; or units of the batch
                change each other.
        """
        for parameter in self.sums:
            parameter.grad = None
        with Layers(self.model) as layers, Record(self._names, lambda: layers.inside) as record:
            answer = run()
        losses, owner = answer if isinstance(answer, tuple) else (answer, None)
        _check(losses, owner, units)
        if not len(losses):
            return torch.zeros(units, dtype=torch.float64)
        found = self._backward([*record.calls, *layers.calls], losses)
        self._refuse_escaped(record)
        uses = list[Use]()
        for call, (own, axis) in zip(record.calls, found, strict=False):
            uses += [_through(use, owner) for use in call.uses(own, axis, len(losses))]
        for derived in reversed(record.derived):
            uses = derived.taken_back(uses, units)
        owned = list[Owned]()
        for entry, (own, axis) in zip(layers.left(), found[len(record.calls) :], strict=True):
            of_loss = None if own is None or axis is not None else own.clamp(min=0)
            owned.append((entry, owner if of_loss is None else of_loss if owner is None else owner[of_loss]))
        return self._clipped(uses, owned, units)

    def _backward(
        self, calls: Sequence[Call | LayerCall], losses: torch.Tensor
    ) -> list[tuple[torch.Tensor | None, int | None]]:
        """Run backward; for each call the loss of each row, or the axis that numbers the losses."""
        units = len(losses)
        known = [self._known.setdefault((k, call.name), Known()) for k, call in enumerate(calls)]
        for call, own in zip(calls, known, strict=True):
            own.meet(call.shape, units)
        due = [call if own.due else None for call, own in zip(calls, known, strict=True)]
        edges = [rows.edge for call in due if call is not None for rows in call.outputs]
        runs = []
        for weights in weightings(units) if edges else ():
            weighted = (losses * weights.to(losses.dtype)).sum()
            runs.append(torch.autograd.grad(weighted, edges, retain_graph=True, allow_unused=True))
        losses.sum().backward()
        measured = zip(*runs, strict=True) if runs else itertools.repeat(())
        found: list[tuple[torch.Tensor | None, int | None]] = []
        for asked, own in zip(due, known, strict=True):
            own.seen += 1
            owner = None
            if asked is not None:
                owner = asked.owner([next(measured) for _ in asked.outputs], units)
                own.learn(owner, units)
            found.append((owner, own.axis))
        return found

    def _clipped(self, uses: list[Use], layers: Sequence[Owned], units: int) -> torch.Tensor:
        """Add the clipped gradients to the sums; the norms before."""
        squares, shared = _squares_of_layers(uses, layers, units)
        squares += squared_norms([*uses, *shared], units)
        factors = clip_factors(squares, self.clip_norm)
        add_clipped({id(parameter): total for parameter, total in self.sums.items()}, uses, factors)
        for entry, owner in layers:
            for parameter, total in entry.weighted(factors if owner is None else factors[owner]).items():
                self.sums[parameter] += total
        return squares.sqrt()

    def _refuse_escaped(self, record: Record) -> None:
        for parameter in [*self.sums, *(derived.value for derived in record.derived)]:
            if parameter.grad is not None:
                raise InputError(
                    "PRIVATE_FUNCTION",
                    f"a gradient came to {record.names[id(parameter)]} by a way without a rule, "
                    "such as an autograd function of one's own",
                    fix="compute with torch's functions, or call requires_grad_(False) on the parameter",
                )


def _squares_of_layers(uses: Iterable[Use], layers: Sequence[Owned], units: int) -> tuple[torch.Tensor, list[Use]]:
    """Squared norms of what one call of a layer reads alone, and uses of what others read too, for its cross terms."""
    times = Counter({id(use.parameter) for use in uses})
    times.update(id(parameter) for entry, _ in layers for parameter in entry.parameters)
    squares, shared = torch.zeros(units, dtype=torch.float64), list[Use]()
    for entry, owner in layers:
        single = owner is None or int(torch.bincount(owner).max()) == 1
        among = [p for p in entry.parameters if times[id(p)] > 1 or not single]
        shared += [_through(use, owner) for use in (entry.uses(among) if among else ())]
        if len(among) < len(entry.parameters):
            at = torch.arange(units) if owner is None else owner
            for parameter, own in entry.squares().items():
                if not any(parameter is other for other in among):
                    squares.index_add_(0, at, own.double())
    return squares, shared


def _through(use: Use, owner: torch.Tensor | None) -> Use:
    """A use of losses as one of units, given the unit of each loss."""
    if owner is None:
        return use
    return replace(use, owner=owner if use.owner is None else owner[use.owner])


def _check(losses: object, owner: object, units: int) -> None:
    """Refuse what are not the losses of rows."""
    if not isinstance(losses, torch.Tensor) or losses.dim() != 1 or not losses.is_floating_point():
        came = f"shape {list(losses.shape)}" if isinstance(losses, torch.Tensor) else type(losses).__name__
        raise InputError(
            "PRIVATE_LOSSES",
            f"private training needs the loss of each unit of a batch, [units], got {came}",
            fix="sum the terms of each unit by itself: cross_entropy(..., reduction='none') and no mean over units",
        )
    rows = len(losses)
    if owner is None:
        if rows != units:
            raise InputError(
                "PRIVATE_LOSSES",
                f"the losses are of {units} units, got {rows}",
                fix="return (losses, unit of each loss) where a unit has several rows",
            )
    elif (
        not isinstance(owner, torch.Tensor)
        or owner.dtype != torch.int64
        or owner.shape != losses.shape
        or bool(((owner < 0) | (owner >= units)).any())
    ):
        raise InputError(
            "PRIVATE_LOSSES",
            f"the units of {rows} losses are {rows} whole numbers (int64) from 0 to {units - 1}",
            fix="give for each loss the index of its unit among the places that were drawn",
        )
    if rows and not losses.requires_grad:
        raise InputError(
            "PRIVATE_LOSSES", "the losses depend on no parameter that learns", fix="call the model on the batch"
        )
