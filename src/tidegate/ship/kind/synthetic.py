"""Models of the generated problems, and any other of an identity, recurrent layers and a linear head."""

from __future__ import annotations

import torch

from tidegate.ship.flow import Draft, Flow
from tidegate.ship.kind.base import into_layers
from tidegate.train.task import SequenceModel


def flow_of(model: SequenceModel, name: str = "model") -> Flow:
    """The flow of a model that reads numbers and answers at each step.

    Args:
        model: its encoder is an identity, perhaps with a linear map behind it.
        name: of the flow.
    """
    draft = Draft(name)
    joint = model.encoder[1] if isinstance(model.encoder, torch.nn.Sequential) else None
    first = joint.in_features if isinstance(joint, torch.nn.Linear) else model.layer.input_size
    x = draft.input("x", first, "the input of a step")
    hidden = draft.recurrent(into_layers(draft, x, model.encoder), model.layer)
    draft.output("y", draft.linear(hidden, model.head, name="head"), "the output at each step")
    return draft.flow()
