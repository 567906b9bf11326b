"""An artefact in the place of a trained model, so that the task itself scores it.

The network of a copied estimator asks somebody else: a runtime, compiled C, or the flow's own float64 reference.
Everything around it, data and metrics, is the task's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from tidegate.records import ScoreRecord
from tidegate.ship.flow import Answer, Flow
from tidegate.ship.flow.node import Array
from tidegate.ship.kind.base import Part, refused
from tidegate.ship.kind.score_forecast import forecasting


class Ask(Protocol):
    """Runs a flow, or what was made of it, as ``Flow.run`` does."""

    def __call__(
        self, flow: Flow, inputs: Mapping[str, Array], lengths: Sequence[int] | None, states: Mapping[str, Array] | None
    ) -> Answer: ...


def by_itself(
    flow: Flow, inputs: Mapping[str, Array], lengths: Sequence[int] | None, states: Mapping[str, Array] | None
) -> Answer:
    """The flow's own float64 reference."""
    return flow.run(inputs, lengths, states)


def scores(
    model: Any, task: Any, flows: Sequence[Flow], ask: Ask = by_itself, part: Part = "whole"
) -> list[ScoreRecord]:
    """The scores of an artefact on the test part of a task, as ``Estimator.evaluate`` has those of the model.

    Args:
        model: a fitted estimator.
        task: such as ``model.tested(data)``.
        flows: what ``ship.flows`` made of the model.
        ask: runs them, or what was made of them.
        part: of the model that they are.

    Raises:
        InputError: the flow begins before what the task hands to its network: sound, where it hands on spectra; or it
            is only a part of the answer.
    """
    name = type(model)._task_class.name  # noqa: SLF001
    if name == "speech" and part == "whole":
        raise refused("the task hands spectra to its network, not sound", "score part='layers'")
    if name == "classification" and model.model_.votes is not None:
        raise refused("votes are part of this model's answer", "score a model that was trained with votes=False")
    copied = copy.copy(model)
    copied.model_ = copy.deepcopy(model.model_)
    ROLES[name](Role(copied, task, tuple(flows), ask))
    scored: list[ScoreRecord] = copied._scores(task)  # noqa: SLF001
    return scored


def _lengths(batch: Any) -> list[int] | None:
    return None if batch.lengths is None else batch.lengths.tolist()


def _as_state(flow: Flow, states: Mapping[str, Array]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(states[state.name]) for state in flow.states)


def _as_states(flow: Flow, state: Any) -> dict[str, Array] | None:
    if state is None:
        return None
    return {own.name: value.numpy() for own, value in zip(flow.states, state, strict=True)}


@dataclass(frozen=True)
class Role:
    """Whose network is stood in for.

    Attributes:
        model: an estimator with a network of its own, whose methods are replaced.
        task: what is scored.
        flows: of the model.
        ask: runs them.
    """

    model: Any
    task: Any
    flows: tuple[Flow, ...]
    ask: Ask


Take = Callable[[Role], None]


def _stepwise(read: Callable[[Any, Any], dict[str, torch.Tensor]]) -> Take:
    """A network that answers a batch of sequences."""

    def take(role: Role) -> None:
        (flow,) = role.flows

        def forward(batch: Any, state: Any = None) -> tuple[torch.Tensor, Any]:
            given = read(role.model, batch)
            inputs = {one.name: given[one.name].numpy() for one in flow.inputs}
            answer = role.ask(flow, inputs, _lengths(batch), _as_states(flow, state))
            return torch.from_numpy(answer.outputs["logits"]), _as_state(flow, answer.states)

        role.model.model_.forward = forward

    return take


def _values(model: Any, batch: Any) -> dict[str, torch.Tensor]:
    """What a classifier reads: raw values of series, or numbers of units."""
    if not batch.inputs.is_floating_point():
        return {"unit": batch.inputs[..., None] if batch.inputs.dim() == 2 else batch.inputs[..., :1]}
    reading = model.encoding_.reading
    mean, sd = (torch.tensor(part, dtype=torch.float64).repeat(reading.frame) for part in (reading.mean, reading.sd))
    return {"values": batch.inputs.double() * sd + mean}


def _words(_model: Any, batch: Any) -> dict[str, torch.Tensor]:
    return {"word": batch.inputs[..., :1], "shape": batch.inputs[..., 1:2], "ends": batch.inputs[..., 2:]}


def _music(role: Role) -> None:
    """The layers, and with a NADE the keys of each step behind them."""
    if len(role.flows) == 1:
        _stepwise(lambda _model, batch: {"keys": batch.inputs})(role)
        return
    (layers, keys), ask = role.flows, role.ask

    def forward(batch: Any, state: Any = None) -> tuple[torch.Tensor, Any]:
        heard = ask(layers, {"keys": batch.inputs.numpy()}, _lengths(batch), _as_states(layers, state))
        bias, hidden = (heard.outputs[name] for name in ("bias", "hidden"))
        steps, size, count = bias.shape
        chord = batch.targets.reshape(-1, count).numpy().T
        inputs = {
            "key": np.tile(np.arange(count)[:, None, None], (1, steps * size, 1)),
            "sounded": np.concatenate([np.zeros_like(chord[:1]), chord[:-1]])[..., None],
            "hidden": np.tile(hidden.reshape(1, steps * size, -1), (count, 1, 1)),
            "bias": bias.reshape(-1, count).T[..., None],
        }
        chance = ask(keys, inputs, None, None).outputs["chance"][..., 0].T.reshape(bias.shape)
        return torch.from_numpy(chance).logit(), _as_state(layers, heard.states)

    role.model.model_.forward = forward


def _translation(role: Role) -> None:
    from tidegate.tasks.translation.model import Memory

    (encoder, decoder), ask = role.flows, role.ask
    module, steps = role.model.model_, decoder.facts["source_steps"]

    def read(sources: torch.Tensor, lengths: torch.Tensor) -> tuple[Memory, Any]:
        answer = ask(encoder, {"source": sources[..., None].numpy()}, lengths.tolist(), None)
        values, keys = (torch.from_numpy(answer.outputs[name]).transpose(0, 1) for name in ("values", "keys"))
        there = (torch.arange(len(sources)) < lengths[:, None])[:, None]
        layers = module.layer.num_layers
        parts = [torch.from_numpy(answer.states[state.name]).movedim(0, 1) for state in encoder.states]
        first = tuple(part.unflatten(0, (layers, -1)).mean(1) for part in parts)
        return Memory(values, keys, there), first if len(first) > 1 else first[0]

    def write(inputs: torch.Tensor, memory: Memory, state: Any, lengths: Any = None) -> tuple[Any, Any, Any]:
        parts = state if isinstance(state, tuple) else (state,)
        own = {known.name: part.movedim(0, 1).numpy() for known, part in zip(decoder.states, parts, strict=True)}
        given = {name: _beside(getattr(memory, name), len(inputs), steps) for name in ("keys", "values")}
        given["there"] = _beside(memory.there[:, 0, :, None].double(), len(inputs), steps)
        given["target"] = inputs[..., None].numpy()
        ends = None if lengths is None else lengths.tolist()
        answer = ask(decoder, {one.name: given[one.name] for one in decoder.inputs}, ends, own)
        after = tuple(torch.from_numpy(answer.states[known.name]).movedim(0, 1) for known in decoder.states)
        logits, weights = (torch.from_numpy(answer.outputs[name]) for name in ("logits", "attention"))
        return logits, weights[..., : memory.keys.shape[1]], after if len(after) > 1 else after[0]

    def forward(batch: Any, state: Any = None) -> tuple[torch.Tensor, None]:
        del state
        memory, first = read(batch.sources, batch.source_lengths)
        return write(batch.inputs, memory, first, batch.lengths)[0][batch.scored()], None

    module.read, module.write, module.forward = read, write, forward


def _beside(values: torch.Tensor, count: int, steps: int) -> Array:
    """[B, S, M] with zeros up to ``steps``, the same for each step of the decoder: [count, B, steps * M]."""
    padded = torch.nn.functional.pad(values, (0, 0, 0, steps - values.shape[1])).flatten(1)
    spread: Array = padded.expand(count, *padded.shape).numpy()
    return spread


ROLES: Mapping[str, Take] = {
    "classification": _stepwise(_values),
    "forecast": lambda role: forecasting(
        role.model.model_, role.model.encoding_, role.task.grid, role.flows[0], role.ask
    ),
    "language": _stepwise(lambda _model, batch: {"symbol": batch.inputs[..., None]}),
    "music": _music,
    "speech": _stepwise(lambda _model, batch: {"spectrum": batch.inputs}),
    "tagging": _stepwise(_words),
    "translation": _translation,
}
