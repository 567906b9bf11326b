"""``group_penalty``: a penalty on whole units, under which those fall silent that a layer can do without."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.sparse import class_of
from tidegate.nn.units import UNITS, Direction, directions, silent


class GroupPenalty:
    """The penalty on the units of a model: call ``step`` after each step of the optimizer. ``group_penalty`` makes it.

    Attributes:
        strength: of the penalty.
        gone: for each direction of each layer booleans [H]: the units that have fallen silent.
    """

    gone: list[Tensor]

    def __init__(self, model: torch.nn.Module, strength: float) -> None:
        self.strength = strength
        layers = [module for module in model.modules() if isinstance(module, Recurrent)]
        self._directions = [direction for layer in layers for direction in directions(layer)]
        for layer in layers:
            _check(layer)
        self.read()

    @property
    def alive(self) -> float:
        """The share of units that have not fallen silent."""
        gone = torch.cat(self.gone)
        return 1 - float(gone.double().mean())

    @torch.no_grad()
    def read(self) -> None:
        """Find anew which units have fallen silent: those without a weight. Call it where weights have been loaded."""
        self.gone = [_norms(direction) == 0 for direction in self._directions]
        self._silence()

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Shorten the weights of each unit; those that become zero stay zero.

        Args:
            rate: the learning rate of the optimizer's step.
        """
        for k, direction in enumerate(self._directions):
            _scale(direction, ~self.gone[k])  # which the optimizer may have moved
            norms = _norms(direction)
            alive = (~self.gone[k]).sum().clamp(min=1)
            loss = rate * self.strength * math.sqrt(_size(direction)) * norms.sum() / alive
            share = (1 - loss / norms.square().clamp(min=torch.finfo(norms.dtype).tiny)).clamp(min=0)
            self.gone[k] = share == 0
            _scale(direction, share)
        self._silence()

    def _silence(self) -> None:
        """Units without weights have no biases either, nor anything else: their states are zero."""
        for direction, gone in zip(self._directions, self.gone, strict=True):
            for name, place in direction.places.items():
                if place.columns is None:
                    for part in direction.own_rows(direction.parameter(name), place):
                        part.masked_fill_(gone, 0)
            for start in direction.starts().values():
                start.masked_fill_(gone, 0)

    def __repr__(self) -> str:
        return f"GroupPenalty(strength={self.strength:g}, alive={self.alive:.3g})"


def group_penalty(model: torch.nn.Module, strength: float = 0.05) -> GroupPenalty:
    """Penalise whole units of the recurrent layers of a model: some fall silent, and ``shrink`` takes those out.

    The group of a unit is all its rows in the matrices of a layer, in every gate, and all its columns in those that
    read the units. Each step shortens the vector of these weights, and the more, the shorter it is beside those of the
    other units. A unit that the loss does not hold up reaches zero, loses its biases as well, and stays zero: it is
    silent. Each direction of each layer has units of its own.

    Equations:
        w_g := max(0, 1 - rate strength sqrt(n) m / |w_g|^2) w_g,  for the n weights w_g of each unit, where m is the
        mean of |w_g| of the units of a layer that are not silent

    This is the proximal step of the penalty strength sqrt(n) |w_g|, with weights m / |w_g| as Candes et al. choose
    them, apart from the optimizer's step, as the decay of AdamW is. Both is for Adam, whose steps are as long in all
    weights whatever the gradient: a penalty in the loss it would divide by the size of the gradients, and without the
    weights m / |w_g| its noise keeps all units at equal length, none of them zero.

    Args:
        model: any module; it may be a layer itself.
        strength: of the penalty, at least 0. At 1 a unit of mean length loses as much as a step of Adam can add.

    Returns:
        The penalty; call its ``step`` after each step of the optimizer.

    Raises:
        InputError: no recurrent layer of tidegate.nn in the model, a strength below 0, a layer from which ``shrink``
            could take no units, or a cell whose units never fall silent.

    References:
        Groups: Wen et al. 2017, arXiv 1709.05027 (ISS); here without the columns of what reads a layer, which silent
        units do not need. Weights: Candes, Wakin and Boyd 2008, arXiv 0711.1612.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.LSTM(4, 32)
        >>> optimizer, penalty = torch.optim.Adam(layer.parameters(), 0.01), tg.group_penalty(layer, 0.1)
        >>> while penalty.alive > 0.9:
        ...     optimizer.zero_grad()
        ...     layer(torch.ones(5, 1, 4))[0][..., 0].sub(0.5).square().mean().backward()
        ...     optimizer.step()
        ...     penalty.step(0.01)
        >>> tg.shrink(layer).model.hidden_size < 32
        True
    """
    if not (isinstance(strength, (int, float)) and 0 <= strength < math.inf):
        raise InputError("PENALTY", f"strength={strength!r:.40} is not a strength", fix="pass a number from 0 on")
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "MODEL",
            f"expected a torch.nn.Module, got {type(model).__name__}",
            fix="pass the model that contains the layers",
        )
    if not any(isinstance(module, Recurrent) for module in model.modules()):
        raise InputError(
            "PENALTY",
            f"{class_of(model)} has no recurrent layer of tidegate.nn",
            fix="pass a model with one",
        )
    return GroupPenalty(model, strength)


def _norms(direction: Direction) -> Tensor:
    """[H]: the norm of the weights of each unit."""
    squares = []
    for weight, place in direction.weights():
        squares += [rows.square().sum(1) for rows in direction.own_rows(weight, place)]
        if place.columns == UNITS:
            squares.append(weight.square().sum(0))
    return torch.stack(squares).sum(0).sqrt()


def _size(direction: Direction) -> int:
    """How many weights a unit has."""
    count = 0
    for weight, place in direction.weights():
        count += place.rows.count(UNITS) * weight.shape[1] + (place.columns == UNITS) * len(weight)
    return count


def _scale(direction: Direction, share: Tensor) -> None:
    for weight, place in direction.weights():
        for rows in direction.own_rows(weight, place):
            rows.mul_(share[:, None])
        if place.columns == UNITS:
            weight.mul_(share)


def _check(layer: Recurrent) -> None:
    """Refuse a cell of which a unit without weights is not silent."""
    empty = deepcopy(layer)
    for parameter in empty.parameters():
        parameter.data.zero_()
    if not all(bool(own.all()) for own in silent(empty)):
        raise InputError(
            "PENALTY",
            f"a unit of {layer.graph.name} whose weights and biases are all zero is not silent",
            fix="penalise a cell such as an LSTM or a GRU, or prune in blocks: tidegate.sparsify",
        )
