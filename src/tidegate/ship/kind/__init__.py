"""How the trained models of each task become flows, one module a task."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tidegate.errors import InputError, explain_missing
from tidegate.nn import Recurrent
from tidegate.ship.flow import Flow

if TYPE_CHECKING:
    from tidegate.ship.kind.base import Part

KINDS = ("classification", "forecast", "language", "music", "speech", "tagging", "translation")


def flows(model: Any, *, part: Part = "whole") -> tuple[Flow, ...]:
    """A trained model as one flow, or as several where a caller stands between them.

    Args:
        model: the folder of a trained model, an estimator, recurrent layers, or a torch module of an encoder, layers
            and a head (``train.task.SequenceModel``) that reads numbers.
        part: of an estimator ``"whole"``, or ``"layers"`` without what stands beside or before them and cannot be
            said step by step, such as the votes of a classifier; of a recursive forecaster with quantiles ``"point"``.

    Returns:
        Of most models one flow. Of music with a NADE two, of the layers and of the keys of a step; of a translator the
        encoder and a step of the decoder.

    Raises:
        InputError: no such model, or one that a flow cannot say; the message names what can be shipped.
    """
    if isinstance(model, Recurrent):
        return (Flow.of(model),)
    with explain_missing():
        from tidegate.ship.kind import synthetic
        from tidegate.train.task import SequenceModel
    if isinstance(model, SequenceModel):
        return (synthetic.flow_of(model),)
    model = estimator_of(model, fix="pass the folder of one, an estimator, or recurrent layers")
    name = model._task_class.name  # noqa: SLF001
    made: tuple[Flow, ...] = import_module(f"{__name__}.{name}").flows(model, part)
    return made


def estimator_of(model: Any, fix: str) -> Any:
    """A trained model that is given as one, or by its folder.

    Args:
        model: the estimator, or the folder.
        fix: what else the caller takes.

    Raises:
        InputError: no such model, or one that is not trained.
    """
    with explain_missing():
        from tidegate.tasks import from_pretrained
        from tidegate.train.estimator import Estimator
    if isinstance(model, (str, os.PathLike)):
        model = from_pretrained(model)
    if not isinstance(model, Estimator):
        raise InputError("SHIP_MODEL", f"{type(model).__name__} is no trained model", fix=fix)
    model._check_fitted()  # noqa: SLF001
    return model
