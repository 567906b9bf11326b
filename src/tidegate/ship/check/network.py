"""Networks whose answers an artefact gives, so that a task scores the artefact by its own code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from tidegate.errors import InputError
from tidegate.ship.check.forecast import forecaster
from tidegate.ship.check.meter import Meter
from tidegate.ship.check.sound import Sounds
from tidegate.ship.flow import Answer, Flow
from tidegate.ship.flow.node import Array
from tidegate.tasks.classification.scale import Scale
from tidegate.tasks.translation.model import Memory
from tidegate.train.batch import Batch
from tidegate.train.task import AnyTask

MOST = 1 << 24  # numbers of an input that are held at once


class Runner(Protocol):
    """Runs an artefact, or a flow."""

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Sequence[int] | None = None,
        states: Mapping[str, Any] | None = None,
    ) -> Answer:
        """As ``Flow.run``."""
        ...


Parts = Sequence[tuple[Flow, Runner]]


def network_of(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
    """The network of a trained model, answered by an artefact.

    Args:
        model: the estimator.
        task: the data that it is scored on.
        parts: the flows of the model, each with what runs it.
        meter: compares all answers with those of the network itself.

    Raises:
        InputError: the data lack what the artefact reads.
    """
    return BY_TASK[task.name](model, task, parts, meter)


def twin(network: torch.nn.Module, **methods: Callable[..., Any]) -> torch.nn.Module:
    """The same network with other methods."""
    made = copy.copy(network)
    for name, method in methods.items():
        setattr(made, name, method)
    return made


def lengths_of(batch: Batch) -> list[int] | None:
    """The lengths as the runner takes them."""
    return None if batch.lengths is None else batch.lengths.tolist()


def _stepwise(read: Callable[[Any, Batch], Mapping[str, Array]], output: str) -> Callable[..., torch.nn.Module]:
    """A network that answers at every step.

    Args:
        read: the inputs of the flow, from the model and a batch.
        output: of the flow, which is the answer of the network.
    """

    def network(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
        del task
        ((_, runner),), own = parts, model.model_

        def forward(batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
            before, states = state or (None, None)
            wanted, after = own(batch, before)
            answer = runner.run(read(model, batch), lengths_of(batch), states)
            got = torch.from_numpy(answer.outputs[output]).to(wanted.dtype)
            there = Batch.scored(batch)  # also what the metric of its kind leaves out
            meter.add(got[there], wanted[there])
            return got, (after, answer.states)

        return twin(own, forward=forward)

    return network


def _symbols(model: Any, batch: Batch) -> dict[str, Array]:
    del model
    return {"symbol": batch.inputs[..., None].numpy()}


def _words(model: Any, batch: Batch) -> dict[str, Array]:
    x = batch.inputs.numpy()
    inputs = {"word": x[..., :1], "shape": x[..., 1:2], "ends": x[..., 2:]}
    if not model.ends_size:
        del inputs["ends"]
    return inputs


def _music(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
    own = model.model_
    if own.nade is None:
        return _stepwise(lambda _, batch: {"keys": batch.inputs.numpy()}, "logits")(model, task, parts, meter)
    (_, layers), (_, keys) = parts

    def forward(batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        before, states = state or (None, None)
        wanted, after = own(batch, before)
        heard = layers.run({"keys": batch.inputs.numpy()}, lengths_of(batch), states)
        there, got = Batch.scored(batch), torch.zeros_like(wanted)
        if there.any():
            chosen = there.numpy()
            values = _key_by_key(keys, heard, chosen, batch.targets[there].numpy())
            got[there] = torch.from_numpy(values).to(wanted.dtype)
            meter.add(got[there], wanted[there])
        return got, (after, heard.states)

    return twin(own, forward=forward)


def _key_by_key(keys: Runner, heard: Answer, chosen: Array, chords: Array) -> Array:
    """[N, 88] logits of the keys of the chosen steps, each given those below it."""
    hidden, bias = heard.outputs["hidden"][chosen], heard.outputs["bias"][chosen]
    count, rows = bias.shape
    below = np.concatenate([np.zeros((1, count)), chords.T[:-1]])
    inputs = {
        "key": np.broadcast_to(np.arange(rows)[:, None, None], (rows, count, 1)),
        "sounded": below[..., None],
        "hidden": np.broadcast_to(hidden, (rows, *hidden.shape)),
        "bias": bias.T[..., None],
    }
    return keys.run(inputs).outputs["logit"][..., 0].T


def _classification(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
    """Votes, if the model has any, stay as they are."""
    del task
    ((_, runner),), own, reading = parts, model.model_, model.encoding_.reading

    def inputs(batch: Batch) -> dict[str, Array]:
        x = batch.inputs
        if isinstance(reading, Scale):
            return reading.raw(x.double().numpy(), (*own.series.beside, *own.series.given_names))
        return {"unit": (x if x.dim() == 2 else x[..., 0])[..., None].numpy()}

    def answered(batch: Batch) -> torch.Tensor:
        wanted = own._answered(batch)  # noqa: SLF001  what this replaces
        logits = runner.run(inputs(batch), lengths_of(batch)).outputs["logits"]
        got = torch.from_numpy(logits).to(wanted.dtype)
        meter.add(got, wanted / own.temperature)
        answer: torch.Tensor = got * own.temperature
        return answer

    return twin(own, _answered=answered)


def _speech(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
    ((flow, _),) = parts
    if flow.inputs[0].name == "spectrum":
        return _stepwise(lambda _, batch: {"spectrum": batch.inputs.numpy()}, "logits")(model, task, parts, meter)
    sounds = Sounds(model.encoding_, task)
    return _stepwise(lambda _, batch: {"sound": sounds.of(batch)}, "logits")(model, task, parts, meter)


def _translation(model: Any, task: AnyTask, parts: Parts, meter: Meter) -> torch.nn.Module:
    del task
    ((_, encoder), (decoding, decoder)), own = parts, model.model_
    steps, layers = decoding.facts["source_steps"], own.layer.num_layers
    names = [state.name for state in decoding.states]  # as those of the encoder, whose directions are averaged

    def read(sources: torch.Tensor, lengths: torch.Tensor) -> tuple[Memory, Any]:
        answer = encoder.run({"source": sources[..., None].numpy()}, lengths.tolist())
        values, keys = (torch.from_numpy(answer.outputs[name]).float().transpose(0, 1) for name in ("values", "keys"))
        there = torch.arange(values.shape[1]) < lengths[:, None]
        state = [
            torch.from_numpy(answer.states[name]).float().unflatten(1, (layers, -1)).mean(2).transpose(0, 1)
            for name in names
        ]
        return Memory(values, keys, there[:, None]), tuple(state) if len(state) > 1 else state[0]

    def attended(inputs: torch.Tensor, memory: Memory, state: Any, lengths: Any = None) -> tuple[Any, Any, Any]:
        wanted, _, _ = own.write(inputs, memory, state, lengths)
        given = dict(zip(names, state if isinstance(state, tuple) else (state,), strict=True))
        first = {name: value.transpose(0, 1).numpy() for name, value in given.items()}
        ends = None if lengths is None else lengths.tolist()
        answer = _decoded(decoder, inputs.numpy(), memory, ends, first, steps)
        got = torch.from_numpy(answer.outputs["logits"]).float()
        there = slice(None) if ends is None else torch.arange(len(inputs))[:, None] < lengths
        meter.add(got[there], wanted[there])
        after = [torch.from_numpy(answer.states[name]).float().transpose(0, 1) for name in names]
        weights = torch.from_numpy(answer.outputs["attention"]).float()[..., : memory.values.shape[1]]
        return got, weights, tuple(after) if len(after) > 1 else after[0]

    return twin(own, read=read, _attended=attended, _head=lambda values: values)


def _decoded(
    decoder: Runner, target: Array, memory: Memory, lengths: list[int] | None, states: Mapping[str, Array], steps: int
) -> Answer:
    """The answers to targets [T, B], some sequences after the other: each of them needs its whole source."""
    count, size = target.shape
    widest = count * steps * max(memory.values.shape[2], memory.keys.shape[2])
    rows, found = max(1, MOST // max(1, widest)), []
    for at in range(0, size, rows):
        part = slice(at, at + rows)
        there = memory.there[part, 0].numpy()
        inputs = {"target": target[:, part, None], "there": _beside(there[..., None], there, steps, count)}
        for name, value in (("keys", memory.keys), ("values", memory.values)):
            inputs[name] = _beside(value[part].numpy(), there, steps, count)
        own = {name: value[part] for name, value in states.items()}
        found.append(decoder.run(inputs, None if lengths is None else lengths[part], own))
    outputs = {name: np.concatenate([one.outputs[name] for one in found], 1) for name in found[0].outputs}
    return Answer(outputs, {name: np.concatenate([one.states[name] for one in found]) for name in found[0].states})


def _beside(value: Array, there: Array, steps: int, count: int) -> Array:
    """[count, B, steps x W]: all steps of a source side by side, with zeros behind its end."""
    whole = np.zeros((len(value), steps, value.shape[2]), np.float32)
    whole[:, : value.shape[1]] = value * there[..., None]
    return np.broadcast_to(whole.reshape(1, len(value), -1), (count, len(value), whole[0].size))


BY_TASK: Mapping[str, Callable[[Any, AnyTask, Parts, Meter], torch.nn.Module]] = {
    "classification": _classification,
    "forecast": lambda model, task, parts, meter: twin(model.model_, **forecaster(model, task, parts[0], meter)),
    "language": _stepwise(_symbols, "logits"),
    "music": _music,
    "speech": _speech,
    "tagging": _stepwise(_words, "logits"),
    "translation": _translation,
}


def check_task(name: str) -> None:
    """Refuse a task without a network here."""
    if name not in BY_TASK:
        raise InputError(
            "SHIP_CHECK", f"models of the task {name} are not scored", fix=f"ship one of {', '.join(BY_TASK)}"
        )
