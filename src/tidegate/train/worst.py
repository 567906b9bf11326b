"""The worst change of the inputs of a batch, found while a model learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tidegate.adversary import Ball

if TYPE_CHECKING:
    from tidegate.train.batch import Batch
    from tidegate.train.task import AnyTask

STRIDE = 2.5  # of all steps together, in radii, so that every change of the ball can be reached from any other


def within(
    task: AnyTask, model: torch.nn.Module, batch: Batch, generator: torch.Generator | None, share: float = 1.0
) -> Batch:
    """The worst change in an L-inf ball, by projected gradient.

    Equations:
        d_{k+1} = clip(d_k + 2.5 eps / K sign(dloss/dd), -eps, eps),  k < K;  eps = share adversarial, K = attack_steps

    Args:
        task: says which values may change, and what follows from a change.
        model: as it is attacked.
        batch: the rows; each row's change depends on that row alone.
        generator: draws d_0 from the ball; 0 without one.
        share: of the bound that is used.

    References:
        Madry et al. 2018, arXiv 1706.06083.
    """
    radius, steps = share * task.setting.adversarial, task.setting.attack_steps
    free = task.pliable(batch)
    ball, change = Ball("linf", radius, free), torch.zeros(free.shape, dtype=batch.inputs.dtype)
    if generator is not None:
        change = ball.start(change, generator)
    for _ in range(steps):
        change.requires_grad_()
        changed = task.changed(batch, change)
        loss = task.measure(model(changed)[0], changed).loss
        (slope,) = torch.autograd.grad(loss, change)
        change = ball.project(change.detach() + ball.step(slope, STRIDE * radius / steps))
    return task.changed(batch, change)


@contextmanager
def attacked(model: torch.nn.Module) -> Iterator[None]:
    """Let a model be differentiated by its inputs: without dropout, and without gradients of its parameters."""
    training, learnt = model.training, [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in learnt:
        parameter.requires_grad = False
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        for parameter in learnt:
            parameter.requires_grad = True
        model.train(training)


def learnable(batch: Batch) -> Batch:
    """The batch with tensors that may take part in gradients, even if it was made in inference mode."""
    made: dict[str, Any] = {
        field.name: value.clone()
        for field in dataclasses.fields(batch)
        if isinstance(value := getattr(batch, field.name), torch.Tensor) and value.is_inference()
    }
    return dataclasses.replace(batch, **made)
