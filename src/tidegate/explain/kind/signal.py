"""Models of signals: music, speech, and the classes of texts and series."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tidegate.data import LOWEST
from tidegate.errors import InputError
from tidegate.explain.kind.base import Aim, Kind, in_all
from tidegate.explain.kind.symbol import nearest
from tidegate.language import say
from tidegate.tasks.classification.encoding import Vocabulary
from tidegate.tasks.speech.decode import BLANK
from tidegate.train.task import Split

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class MusicKind(Kind):
    """The next chord of a piece."""

    each, says = True, say("log-probability of the next chord")

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(steps))
        answer, truth = outputs[steps, rows], batch.targets[steps, rows]
        return binary_cross_entropy_with_logits(answer, truth, reduction="none").sum(-1)

    def labels(self, batch: Any, row: int) -> list[str]:
        chords = batch.inputs[: int(self.lengths(batch)[row]), row]
        return [" ".join(_note(key) for key in chord.nonzero()[:, 0].tolist()) or say("rest") for chord in chords]

    def features(self, batch: Any) -> tuple[str, ...]:
        return tuple(map(_note, range(batch.inputs.shape[-1])))

    def target(self, target: str) -> str:
        return say("{target}, of all 88 keys", target=super().target(target))


class SpeechKind(Kind):
    """A symbol of a transcript: the most probable answer at a step, where it is not the blank."""

    default, each = "all", True
    says = say("log-probability of the symbol that the model answers")

    def steps(self, batch: Any, target: str) -> torch.Tensor:
        """The target steps; the nearest step before them that answers with a symbol, or else the first behind them."""
        with torch.no_grad():
            best = self.ask(self.model, batch).argmax(-1)
        spoken = (best != BLANK) & (torch.arange(len(best))[:, None] < self.lengths(batch))
        steps = super().steps(batch, target)
        silent = ~spoken.any(0)
        spoken[steps[silent], silent.nonzero()[:, 0]] = True  # a model that says nothing is asked for its blank
        return nearest(spoken, steps)

    def at(self, batch: Any, steps: torch.Tensor) -> Aim:
        """The answers at these steps: what the model says there now, whatever it says of other inputs."""
        with torch.no_grad():
            said = self.ask(self.model, batch)[steps, torch.arange(len(steps))].argmax(-1)
        return super().at(replace(batch, targets=said), steps)

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs[steps, torch.arange(len(steps))], batch.targets, reduction="none")

    @property
    def seconds(self) -> float:
        return float(self.task.encoding.seconds)

    def labels(self, batch: Any, row: int) -> list[str]:
        return [say("{time:.2f} s", time=step * self.seconds) for step in range(int(self.lengths(batch)[row]))]

    def features(self, batch: Any) -> tuple[str, ...]:
        del batch
        bands, stack = self.task.encoding.filterbank.bands, self.task.encoding.stack
        frames = [say(" of frame {frame}", frame=frame + 1) if stack > 1 else "" for frame in range(stack)]
        return tuple(say("band {band}{frame}", band=band + 1, frame=frame) for frame in frames for band in range(bands))

    def target(self, target: str) -> str:
        return say("{target}, of the symbol that the model answers there", target=super().target(target))


class Lead:
    """By how much the first class leads the second one, both as the whole model answers them to a batch.

    Args:
        kind: of the model.
        batch: the sequences.
    """

    def __init__(self, kind: ClassificationKind, batch: Any) -> None:
        self.kind, self.batch = kind, batch

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """[B] what the layers contribute, from their logits [B, classes]."""
        return self.kind.heard * self._of(logits)

    @property
    def votes(self) -> torch.Tensor:
        """[B] what the votes contribute."""
        return self._of(self._parts["votes"])

    def _of(self, logits: torch.Tensor) -> torch.Tensor:
        first, second = self._classes
        rows = torch.arange(len(logits))
        return logits[rows, first] - logits[rows, second]

    @cached_property
    def _parts(self) -> dict[str, torch.Tensor]:
        return self.kind.parts(self.batch)

    @cached_property
    def _classes(self) -> tuple[torch.Tensor, ...]:
        return (self._parts["votes"] + self._parts["layers"]).topk(2).indices.unbind(-1)


class ClassificationKind(Kind):
    """The class of a sequence. What is explained are the layers; votes beside them are a part of the answer.

    Attributes:
        whole: the model with its votes; ``model`` is without.
    """

    says, answers_in = say("lead of the class that the model answers over the next one"), say("logits")

    def __init__(self, model: torch.nn.Module, task: Any, split: Split = "test") -> None:
        super().__init__(model, task, split)
        self.whole = copy.deepcopy(self.model)
        self.model.votes = None

    def steps(self, batch: Any, target: str) -> torch.Tensor:
        if target != "last":
            raise InputError(
                "TARGET",
                f"target={target!r}, but a classifier answers once, behind the last step",
                fix="choose target='last'",
            )
        return super().steps(batch, target)

    @torch.no_grad()
    def parts(self, batch: Any) -> dict[str, torch.Tensor]:
        """[B, classes] the summands of the logits."""
        layers = self.heard * self.ask(self.model, batch)
        return {say("votes"): self.whole(batch)[0] - layers, say("layers"): layers}

    @property
    def heard(self) -> float:
        """How much the logits of the layers count."""
        return 1.0 if self.whole.votes is None else float(self.whole.shares[0])

    def shares(self, aim: Aim) -> Mapping[str, float]:
        """How far each part moves the class that the model answers from the mean of all classes, on average."""
        if self.whole.votes is None:
            return {}
        parts = self.parts(aim.batch)
        answer = torch.stack([*parts.values()]).sum(0).argmax(-1, keepdim=True)
        leads = {name: part.gather(-1, answer) - part.mean(-1, keepdim=True) for name, part in parts.items()}
        return in_all({name: float(lead.abs().mean()) for name, lead in leads.items()})

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        del steps
        return cross_entropy(outputs, batch.targets, reduction="none")

    def at(self, batch: Any, steps: torch.Tensor) -> Aim:
        """The answers: how far the class that the model answers leads the next one, by the layers."""
        return replace(super().at(batch, steps), answer=Lead(self, batch))

    def labels(self, batch: Any, row: int) -> list[str]:
        inputs, reading = batch.inputs[: int(self.lengths(batch)[row]), row], self.task.encoding.reading
        if not isinstance(reading, Vocabulary):
            return [str(step + 1) for step in range(len(inputs))]
        units = inputs if inputs.dim() == 1 else inputs[:, 0]
        return ["<unknown>" if unit == 0 else reading.units[unit - 1] for unit in units.tolist()]

    def features(self, batch: Any) -> tuple[str, ...]:
        if not batch.inputs.is_floating_point():
            return ()
        encoding = self.task.encoding
        named: tuple[str, ...] = encoding.reading.named(encoding.columns and encoding.columns.names)
        return named

    def target(self, target: str) -> str:
        del target
        return say("the loss of the class")


def _note(key: int) -> str:
    """The name of a key, such as ``C4``."""
    pitch = LOWEST + key
    return f"{PITCHES[pitch % 12]}{pitch // 12 - 1}"
