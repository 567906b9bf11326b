"""Texts with the few edits that a classifier bears worst, for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tidegate.adversary import cross_entropy
from tidegate.adversary.edit import Rules, worst_edits
from tidegate.errors import InputError
from tidegate.tasks.classification.batch import Sequences
from tidegate.tasks.classification.encoding import UNKNOWN, Vocabulary
from tidegate.tasks.classification.model import UnitEmbedding
from tidegate.tasks.classification.setting import ClassificationSetting

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def edited(
    model: torch.nn.Module,
    batch: Sequences,
    reading: Vocabulary,
    setting: ClassificationSetting,
    generator: torch.Generator | None = None,
) -> Sequences:
    """The batch after ``setting.adversarial`` edits of each text, as the model would read the edited texts.

    Where units are characters, one of the vocabulary is put in or takes the place of another, one is taken out, or
    neighbours change places. Where units are words, one becomes unknown, as it mostly does when its spelling changes.

    Args:
        model: as it is attacked, without dropout.
        batch: the texts.
        reading: the vocabulary.
        setting: the number of edits, and how many are tried for each.
        generator: draws the number of edits of each text, from none to all; without one each has all of them.
    """
    units = batch.inputs if batch.inputs.dim() == 2 else batch.inputs[..., 0].long()
    assert batch.lengths is not None
    most = edits_of(setting)
    edits = torch.full((len(batch.targets),), most)
    if generator is not None:
        edits = torch.randint(most + 1, edits.shape, generator=generator)

    def losses(units: torch.Tensor, lengths: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        targets = batch.targets[row]
        return cross_entropy(model(Sequences(units, targets, lengths))[0], targets)

    found, lengths = worst_edits(
        losses,
        lambda units, lengths: slope(model, Sequences(units, batch.targets, lengths)),
        units,
        batch.lengths,
        rules_of(model, reading),
        edits=edits,
        tried=setting.attack_steps,
    )
    longest = reading.longest
    return Sequences(found[:longest], batch.targets, lengths.clamp(max=longest))


def edits_of(setting: ClassificationSetting) -> int:
    """The number of edits.

    Raises:
        InputError: it is none.
    """
    edits = setting.adversarial or 0.0
    if edits != int(edits):
        raise InputError(
            "ADVERSARIAL_EDITS",
            f"adversarial={edits:g} is no number of edits, in which changes of texts are counted",
            fix="use adversarial=1",
        )
    return int(edits)


def rules_of(model: torch.nn.Module, reading: Vocabulary) -> Rules:
    """What counts as an edit of what the model reads."""
    features = table_of(model).weight.detach()
    known = torch.arange(1, reading.size)
    if reading.unit == "character":
        return Rules(known[None], known, features)
    return Rules(torch.tensor([[UNKNOWN]]), known[:0], features, delete=False, exchange=False)


def table_of(model: torch.nn.Module) -> torch.nn.Embedding:
    """The embedding of units."""
    return next(module.table for module in model.modules() if isinstance(module, UnitEmbedding))


def slope(model: torch.nn.Module, batch: Sequences, loss: Loss = cross_entropy) -> torch.Tensor:
    """[T, B, E] the gradient of the loss of each text in the embeddings of its units.

    Args:
        model: the classifier.
        batch: the texts.
        loss: [B] of logits and classes.
    """
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        del module, inputs
        kept.append(output.detach().requires_grad_())
        return kept[0]

    hook = table_of(model).register_forward_hook(keep)
    try:
        total = loss(model(batch)[0].float(), batch.targets).sum()
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(total, kept[0])
    return gradient
