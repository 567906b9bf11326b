"""The network of a trained model as small targets hold it: recurrent layers, and a head that reads their output."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.nn import Recurrent

Head = torch.nn.Linear | torch.nn.Sequential


def chain_of(model: Any, to: str) -> tuple[Recurrent, Head]:
    """The layers and the head of an estimator.

    Args:
        model: the estimator.
        to: the format, for errors.

    Raises:
        InputError: the network is no such chain.
    """
    network, task = model.model_, type(model)._task_class.name  # noqa: SLF001  of our own estimators
    for holds, what in _obstacles(network, task):
        if holds:
            raise InputError(
                "SHIP_CHAIN",
                f"{to} holds recurrent layers and a linear head, but this model of the task {task} has {what}",
                fix="ship to onnx or c, which hold it, or to safetensors, which holds the arrays alone",
            )
    return network.layer, _head(network)


def _obstacles(network: Any, task: str) -> list[tuple[bool, str]]:
    """What no chain has, and whether this network has it."""
    return [
        (task == "translation", "an encoder, a decoder and attention between them"),
        (getattr(network, "votes", None) is not None, "votes beside its layers"),
        (getattr(network, "pooling", "last") != "last", "pooling over all steps"),
        (getattr(network, "nade", None) is not None, "a NADE behind its layers; nade_size=0 trains without"),
        (getattr(network, "mix", None) is not None, "a network of what is known ahead beside its head"),
        (isinstance(getattr(network, "encoder", None), torch.nn.Sequential), "a linear map before its layers"),
    ]


def _head(network: Any) -> Head:
    """The head; of a language model that is tied, with its embeddings behind it."""
    tied = getattr(network, "bias", None)
    if tied is None:
        head: torch.nn.Linear = network.head
        return head
    weight = network.embedding.weight
    answer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        answer.weight.copy_(weight)
        answer.bias.copy_(tied)
    return answer if isinstance(network.head, torch.nn.Identity) else torch.nn.Sequential(network.head, answer)
