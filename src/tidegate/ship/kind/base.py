"""What the kinds share: facts of a model, the way into its layers, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from tidegate._version import __version__
from tidegate.errors import InputError
from tidegate.ship.flow import Draft, Value
from tidegate.ship.flow.node import Array

Part = Literal["whole", "layers", "point"]


def facts(model: Any, **more: Any) -> dict[str, Any]:
    """What an artefact says of a trained model: task, cell, data, version and the score that training reports first.

    Args:
        model: the estimator.
        more: further facts of its task.
    """
    score = next(iter(model.scores_), None)
    metric = {} if score is None else {"metric": {"name": score.name, "value": score.value, "unit": score.unit}}
    own = {"task": type(model)._task_class.name, "cell": model.graph_.name, "data": model.data_.name}  # noqa: SLF001
    return {**own, "version": __version__, **metric, **more}


def refused(what: str, instead: str) -> InputError:
    """The error of a model that a flow cannot say.

    Args:
        what: which part of the model, and why.
        instead: what can be shipped.
    """
    return InputError("SHIP_FLOW", what, fix=instead)


def check_part(part: Part, parts: Sequence[Part], task: str) -> None:
    """Refuse a part that a task does not have."""
    if part not in parts:
        raise refused(f"a model of the task {task} has no part {part!r}", f"pass part={parts[0]!r}")


def array(tensor: torch.Tensor) -> Array:
    """A parameter in float64."""
    values: Array = tensor.detach().double().numpy()
    return values


def into_layers(draft: Draft, x: Value, encoder: torch.nn.Module) -> Value:
    """What the layers read: ``x``, through the linear map that joins encoder and layers of different widths, if any."""
    return draft.linear(x, encoder[1], name="joint") if isinstance(encoder, torch.nn.Sequential) else x


def first_of(encoder: torch.nn.Module) -> Any:
    """The encoder without that map."""
    return encoder[0] if isinstance(encoder, torch.nn.Sequential) else encoder


def chances(draft: Draft, logits: Value, says: str, labels: Sequence[str], *, last: bool = False) -> None:
    """Outputs ``logits`` and ``chances``, their softmax."""
    draft.output("logits", logits, f"logits: {says}", last=last, labels=labels)
    draft.output("chances", draft.add("softmax", logits, name="chances"), says, last=last, labels=labels)


def dots(width: int) -> Array:
    """[1, width] ones: the sum of so many numbers."""
    return np.ones((1, width))
