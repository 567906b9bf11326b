"""``frozen``: layers that pack their weights once for many short calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from tidegate.errors import InputError
from tidegate.nn.cell import RecurrentCell
from tidegate.nn.recurrent import Recurrent
from tidegate.runtime import keep


@contextmanager
def frozen(model: torch.nn.Module) -> Iterator[None]:
    """Inside this block the layers and cells of a model pack their weights once, not at every call.

    That is most of the time of a short call: of a few steps, or of one. Packed weights take as much memory as the
    weights, and again for a backward run.

    The name is a promise, and one that is checked. Before each call the versions and addresses of the parameters are
    compared, so that every write is seen that torch counts, and the call packs anew: optimizer steps,
    ``load_state_dict``, ``copy_`` and other in-place operations, also under ``inference_mode``. Parameters that replace
    others, by assignment or by ``torch.func.functional_call``, are simply not kept, nor is what a parametrization
    computes, nor parameters made under ``inference_mode``, of which torch counts nothing.

    A write that torch does not count is not seen by calls: through ``parameter.data``, an array of NumPy that shares
    its memory, or another process. The end of the block packs once more, compares, and raises an error.

    Args:
        model: any module; it may be a layer or a cell itself.

    Raises:
        InputError: ``model`` is not a module, or at the end of the block: weights were written in a way that torch
            does not count.

    Example:
        >>> import torch, tidegate as tg
        >>> tagger = tg.nn.LSTM(8, 16, bidirectional=True)
        >>> with torch.no_grad(), tg.frozen(tagger):
        ...     lengths = [len(tagger(torch.zeros(steps, 1, 8))[0]) for steps in (3, 1, 2)]
        >>> lengths
        [3, 1, 2]
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "MODEL",
            f"expected a torch.nn.Module, got {type(model).__name__}",
            fix="pass the model that contains the layers",
        )
    with keep(group for module in model.modules() for group in _groups(module)):
        yield


def _groups(module: torch.nn.Module) -> Iterator[Sequence[torch.Tensor]]:
    """The parameters of each direction of each layer."""
    if isinstance(module, RecurrentCell):
        yield module.step_parameters()
    elif isinstance(module, Recurrent):
        for layer, cell in enumerate(module.cells):
            tensors = module.layer_parameters(layer)
            count = len(cell.parameters)
            for first in range(0, len(tensors), count):
                yield tensors[first : first + count]
