"""``shrink``: take units that do nothing out of the layers of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.sparse import class_of
from tidegate.nn.units import UNITS, columns, directions, keep, silent, unread

Readers = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Shrinkage:
    """What ``shrink`` has made of a model. ``print`` shows it as a table.

    Attributes:
        model: the smaller copy.
        kept: by path, for each direction of each layer of a stack, the units that stayed, in their order.
        before: by path, how many units each layer had.
    """

    model: torch.nn.Module
    kept: Mapping[str, tuple[Tensor, ...]]
    before: Mapping[str, int]

    def __str__(self) -> str:
        width = max(len(path or "(model)") for path in self.kept)
        return "\n".join(
            f"{path or '(model)':{width}}  {len(kept[0])} of {self.before[path]} units"
            for path, kept in self.kept.items()
        )


def shrink(model: torch.nn.Module, readers: Readers | None = None) -> Shrinkage:
    """Take the units that do nothing out of the recurrent layers of a model, and their columns out of what reads them.

    The copy is an ordinary smaller model: it trains, and every format and device takes it. Its outputs are those of the
    model, to rounding, for calls that begin with zeros or with the learned initial states. Two kinds of units go:

    - Silent ones: all rows of the unit are zero, and one step from states of zeros leads to states of zeros (of an LSTM
      or a GRU: with biases of zero), so that its states are zero at every step. What reads it adds nothing, whatever
      its weights are. A unit with other biases is not silent, and stays: a bias alone makes states that change from
      step to step, which no bias of a reader can stand for.
    - Unread ones: the columns of the unit are zero in all that stays, in the layer, in the next layer and in the
      readers, so that it makes no difference what its states are.

    Of a layer by itself nobody knows the readers: only silent units go, and its output has fewer columns; ``kept``
    names those that stayed. Layers of a stack and both directions have one width, so that as many units go of each as
    the one with the fewest can spare.

    Args:
        model: any module; it may be a layer itself. It stays as it is.
        readers: for the path of each recurrent layer, the paths of all torch.nn.Linear that read its output, and
            nothing else may. By default what the model says by a method ``readers``, as those of the tasks do.

    Returns:
        The copy, and which units it has.

    Raises:
        InputError: no recurrent layer in the model, or one whose readers are not known or no Linear as wide as its
            output, or of which units cannot be taken out: with heads, with a layer norm, with an input as wide as the
            units, or with parameters that are shared, parametrized or pruned by torch.nn.utils.prune.

    Example:
        >>> import torch, tidegate as tg
        >>> model = torch.nn.Sequential(tg.nn.GRU(4, 8))
        >>> with torch.no_grad():
        ...     for p in model.parameters():
        ...         p.unflatten(0, (3, 8))[:, 5:] = 0
        >>> smaller = tg.shrink(model[0])
        >>> print(smaller, smaller.model)
        (model)  5 of 8 units GRU(4, 5)
    """
    copy = deepcopy(model)
    kept = {
        path: _kept(layer, None if linear is None else [one.weight for one in linear])
        for path, layer, linear in _layers(copy, readers)
    }
    before = {path: layer.hidden_size for path, layer, _ in _layers(copy, readers)}
    _resize(copy, kept, readers)
    return Shrinkage(copy, kept, before)


def first_units(model: torch.nn.Module, units: Mapping[str, int]) -> torch.nn.Module:
    """The same model with the first units of its layers only, shaped as a shrunk one.

    Args:
        model: it is changed.
        units: how many units each layer has then, by path.
    """
    counts = [
        (path, units[path], layer.num_layers * (1 + layer.bidirectional)) for path, layer, _ in _layers(model, None)
    ]
    _resize(model, {path: (torch.arange(count),) * times for path, count, times in counts}, None)
    return model


def check(model: torch.nn.Module) -> None:
    """Refuse a model out of which units could not be taken.

    Raises:
        InputError: as ``shrink`` does.
    """
    for _, layer, _ in _layers(model, None):
        directions(layer)


def _layers(
    model: torch.nn.Module, readers: Readers | None
) -> Iterator[tuple[str, Recurrent, list[torch.nn.Linear] | None]]:
    """Each recurrent layer with its path, and what reads it; None for a layer by itself."""
    if isinstance(model, Recurrent):
        yield "", model, None
        return
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "MODEL",
            f"expected a torch.nn.Module, got {type(model).__name__}",
            fix="pass the model that contains the layers",
        )
    layers = {path: module for path, module in model.named_modules() if isinstance(module, Recurrent)}
    if not layers:
        raise InputError(
            "SHRINK",
            f"{class_of(model)} has no recurrent layer of tidegate.nn",
            fix="pass a model with one",
        )
    said = readers if readers is not None else getattr(model, "readers", dict)()
    for path, layer in layers.items():
        if path not in said:
            raise InputError(
                "SHRINK_READERS",
                f"nobody says what reads the output of {path} in {type(model).__name__}",
                fix=f"pass readers={{{path!r}: [...]}}, the paths of all torch.nn.Linear that do",
            )
        yield path, layer, [_reader(model, path, layer, name) for name in said[path]]


def _reader(model: torch.nn.Module, path: str, layer: Recurrent, name: str) -> torch.nn.Linear:
    found = dict(model.named_modules()).get(name)
    if type(found) is not torch.nn.Linear or found.in_features != layer.output_size:
        what = "there is none" if found is None else f"it is {found}".split("\n", 1)[0]
        raise InputError(
            "SHRINK_READERS",
            f"expected a torch.nn.Linear of {layer.output_size} features at {name}, which reads {path}, but {what}",
            fix="name plain linear maps of the whole output",
        )
    return found


def _kept(layer: Recurrent, readers: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
    """For each direction of each layer the units that stay: all of one number, at least one."""
    gone = silent(layer)
    while True:
        stay = [(~own).nonzero()[:, 0] for own in gone]
        more = [old | new for old, new in zip(gone, unread(layer, stay, readers), strict=True)]
        if all(map(torch.equal, more, gone)):
            break
        gone = more
    width = max(1, *(len(own) for own in stay))
    return tuple(_filled(own, gone_, width) for own, gone_ in zip(stay, gone, strict=True))


def _filled(stay: Tensor, gone: Tensor, width: int) -> Tensor:
    """As many units as ``width``, in their order: those that stay, and the first of those that could go."""
    return torch.cat([stay, gone.nonzero()[: width - len(stay), 0]]).sort().values


def _resize(model: torch.nn.Module, kept: Mapping[str, tuple[Tensor, ...]], readers: Readers | None) -> None:
    for path, layer, linear in [*_layers(model, readers)]:
        count, width = 1 + layer.bidirectional, layer.hidden_size
        keep(layer, kept[path])
        if layer.graph.output.axis != UNITS:
            continue
        left = columns(kept[path][-count:], width)
        for reader in linear or ():
            reader.in_features = len(left)
            reader.weight = torch.nn.Parameter(reader.weight.detach()[:, left].clone(), reader.weight.requires_grad)
