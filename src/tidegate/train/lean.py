"""What makes a model lean while it learns: pruning in blocks, and the penalty on units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tidegate.errors import InputError
from tidegate.nn.penalty import GroupPenalty, group_penalty
from tidegate.nn.shrink import check, first_units, shrink
from tidegate.nn.sparse import Sparse
from tidegate.nn.sparsify import Sparsity, sparsify
from tidegate.train.setting import Training
from tidegate.train.state import falling_epochs

UPDATES = 100  # how often the density falls
EXISTING = 1.0  # the density that holds at zero what is zero, and no more


class Lean:
    """The pruning and the penalty of a run; nothing where settings ask for neither.

    Args:
        model: of the run.
        setting: what they are like.
        steps: counts the steps of an epoch.

    Raises:
        InputError: the model has layers for which there is no penalty.
    """

    def __init__(self, model: torch.nn.Module, setting: Training, steps: Callable[[], int]) -> None:
        self._model = model
        self._pruning: Sparsity | None = None
        self._penalty: GroupPenalty | None = None
        if setting.density < 1:
            end = falling_epochs(setting) * steps()
            self._pruning = sparsify(model, setting.density, setting.block, end=end, every=max(1, end // UPDATES))
        if setting.group_penalty:
            _check(model)
            self._penalty = group_penalty(model, setting.group_penalty)

    def step(self, rate: float, mean: Mapping[str, torch.Tensor]) -> None:
        """Follow a step of the optimizer.

        Args:
            rate: its learning rate.
            mean: the moving averages of parameters, which are zero where these are.
        """
        if self._penalty:
            self._penalty.step(rate)
        if self._pruning:
            self._pruning.step()
        if self._penalty or self._pruning:
            for name, parameter in self._model.named_parameters() if mean else ():
                mean[name].masked_fill_(parameter == 0, 0)

    def resume(self, steps: int) -> None:
        """Go on after so many steps; the model has its weights already."""
        if self._pruning:
            self._pruning.load_state_dict({"steps": steps})
        if self._penalty:
            self._penalty.read()


def _check(model: torch.nn.Module) -> None:
    """Refuse a penalty whose silent units could not be taken out, with what settings can do about it."""
    try:
        check(model)
    except InputError as error:
        fix = "leave group_penalty at 0 here, and choose fewer hidden units or a density"
        raise InputError(error.code, error.message, fix=fix) from error


def finished(model: torch.nn.Module, setting: Training) -> tuple[torch.nn.Module, dict[str, int], tuple[str, ...]]:
    """A trained model without its silent units.

    Returns:
        The model; the units of its layers by path, if they are fewer than the settings say; and what there is to tell.
    """
    units, notes = {}, []
    if setting.group_penalty:
        found = shrink(model)
        model, units = found.model, {path: len(kept[0]) for path, kept in found.kept.items()}
        notes.append(f"units: {found}".replace("\n", "; "))
    if setting.density < 1:
        notes += [f"{path}: {text}" for path, text in _densities(model).items()]
    return model, units, tuple(notes)


def _densities(model: torch.nn.Module) -> dict[str, str]:
    layers = {path: module for path, module in model.named_modules() if isinstance(module, Sparse) and module.sparse}
    return {path: f"weights {layer.sparsity().removeprefix(', ')}" for path, layer in layers.items()}


def shaped(model: torch.nn.Module, units: Mapping[str, int]) -> torch.nn.Module:
    """A new model with as many units as a saved one."""
    return first_units(model, units) if units else model


def listed(model: torch.nn.Module, setting: Training) -> torch.nn.Module:
    """A model that was read back, which holds at zero and does not multiply the blocks that are zero."""
    if setting.density < 1:
        sparsify(model, EXISTING, setting.block)
    return model
