"""Layers of a trained model in whole numbers, their formats chosen from the data of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.ship.int8.stack import Quantised
from tidegate.ship.quantise import quantise
from tidegate.train.task import AnyTask, Split


def whole_layers(model: Any, data: Any = None) -> Mapping[str, Quantised]:
    """The recurrent layers of a trained model in whole numbers, by their names.

    Args:
        model: the estimator.
        data: what they are calibrated on, as ``evaluate`` takes it; the validation part of the training data unless
            given, if these are bundled.

    Raises:
        InputError: the data cannot be used, or layers hand their states to others, whose numbers have other scales.
    """
    task, network = _tested(model, data), model.model_
    if task.name == "translation":
        raise InputError(
            "SHIP_INT8",
            "the decoder begins with the states of the encoder, and in whole numbers those have other scales",
            fix="ship with weights='float32'",
        )
    split = _split(task) if task.data.hash == model.data_.hash else "test"

    def run() -> None:
        state = None
        with torch.inference_mode():
            for batch in counted("calibrating", task.batches(split), task.count(split)):
                _, state = network(batch, None if batch.starts else state)

    whole: Mapping[str, Quantised] = quantise(network, run)
    return whole


def _tested(model: Any, data: Any) -> AnyTask:
    try:
        task: AnyTask = model.tested(data)
    except InputError as error:
        if data is not None:
            raise
        raise InputError(
            "SHIP_INT8",
            f"formats of whole numbers are chosen from data: {error.message}",
            fix="name such data with calibrate=, the file of the training for example",
        ) from error
    return task


def _split(task: AnyTask) -> Split:
    """The part of the training data that is read: never what the model is scored on, where there is another."""
    try:
        return "valid" if next(iter(task.batches("valid")), None) is not None else "test"
    except KeyError:  # data that are read otherwise than in training are all the test
        return "test"
