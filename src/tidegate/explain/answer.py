"""``run``: a trained model and its data to an explanation."""

from __future__ import annotations

import io
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import numpy as np
import torch

from tidegate.errors import InputError
from tidegate.explain.checked import checks_of
from tidegate.explain.control import untrained
from tidegate.explain.further import Further, further
from tidegate.explain.inputs import inputs_of
from tidegate.explain.kind import ForecastKind
from tidegate.explain.lag import lag_of
from tidegate.explain.remedy import try_remedy as attempt
from tidegate.explain.sequence import shown
from tidegate.explain.subject import MANY, Subject, subject_of
from tidegate.explain.verdict import Verdict, verdicts
from tidegate.explain.work import Arrays, work
from tidegate.language import say
from tidegate.phase import phase
from tidegate.records import (
    AttributionRecord,
    CheckRecord,
    ContextRecord,
    DynamicsRecord,
    ExplanationRecord,
    FlowRecord,
    ForcingRecord,
    MemoryRecord,
    VerdictLine,
)
from tidegate.storage import replace_file

MOST = 256  # sequences
TRIED = 60  # steps of training with a remedy


@dataclass(frozen=True)
class Explanation:
    """What was found of a model.

    Attributes:
        record: everything as plain data.
        gates: of each layer by its path every gate and state at every step, [T, B, width], NaN after the end of a
            sequence.
        arrays: further arrays by name, for ``to_npz``.
    """

    record: ExplanationRecord
    gates: Mapping[str, Mapping[str, torch.Tensor]] = field(repr=False)
    arrays: Arrays = field(repr=False)

    @property
    def verdicts(self) -> tuple[VerdictLine, ...]:
        """What is wrong, causes first, each with its numbers and a remedy; nothing for a healthy network."""
        return self.record.verdicts

    @property
    def memory(self) -> tuple[MemoryRecord, ...]:
        """How long each layer keeps what it has."""
        return self.record.memory

    @property
    def flow(self) -> tuple[FlowRecord, ...]:
        """The gradient by lag of each layer."""
        return self.record.flow

    @property
    def dynamics(self) -> tuple[DynamicsRecord, ...]:
        """Exponents and fixed points."""
        return self.record.dynamics

    @property
    def inputs(self) -> tuple[tuple[AttributionRecord, ...], ContextRecord | None]:
        """What the answers rest on by lag and feature, and how much history they need."""
        return self.record.attributions, self.record.context

    @property
    def checks(self) -> tuple[CheckRecord, ...]:
        """Whether padding, chunks, resets or a leaky input change the answers."""
        return self.record.checks

    def to_html(self, path: str | Path, language: str = "en") -> None:
        """Write the page: one file under a megabyte, without network.

        Args:
            path: the file; it is replaced whole or not at all.
            language: ``"en"`` or ``"zh"``; records stay in English.

        Raises:
            InputError: there is no such language.
        """
        from tidegate.report import write_explanation  # matplotlib is slow to load

        write_explanation(self.record, Path(path), language)

    def to_json(self, path: str | Path) -> None:
        """Write all records as JSON.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        from tidegate.report import write_json  # as above

        write_json(self.record, Path(path))

    def to_npz(self, path: str | Path) -> None:
        """Write gates and states of every step, and gradients by lag, as NumPy arrays named ``layer/value``.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        content = io.BytesIO()
        traces = {f"{layer}/{name}": v.numpy() for layer, own in self.gates.items() for name, v in own.items()}
        arrays: dict[str, Any] = {**traces, **self.arrays}
        np.savez_compressed(content, **arrays)
        replace_file(Path(path), content.getvalue())


def run(
    model: Any,
    data: Any = None,
    lag: int | str = "auto",
    target: str = "auto",
    sequences: int = 8,
    checks: Literal["fast", "all"] = "fast",
    compare_init: bool = False,
    try_remedy: bool = False,
    *,
    loss: Callable[[Any], torch.Tensor] | None = None,
    lengths: torch.Tensor | Sequence[int] | None = None,
) -> Explanation:
    """Explain what a recurrent network remembers, where its gradients die, and what to do about it.

    The model itself stays as it is: a copy is measured, in evaluation mode and float64.

    Args:
        model: the folder of a trained model, an estimator, or any torch module that holds recurrent layers.
        data: of a trained model the path of a file or the name of a bundled set; unless given, the bundled set of its
            training, or the history that a forecaster keeps. Of the data of its training only the test part is used. Of
            a module its input, [T, B, features] or tokens [T, B], or a tuple of all positional arguments.
        lag: how many steps back the network should remember; verdicts are relative to it. ``"auto"`` takes the season
            of the data; else, where there is an answer at every step, the shortest history whose loss is level with
            that of the longest; else the median length of the sequences. ``record.lag_from`` says which.
        target: whose loss is explained: ``"last"``, ``"all"`` (one step of each sequence, spread over them), the number
            of a step from 1, or ``"horizon:k"`` of a forecast. ``"auto"`` is the last horizon of a forecast, ``"all"``
            for taggers and transcribers, ``"last"`` for the others.
        sequences: how many to measure, at most 256; of a module's input all are measured, and so many are shown.
        checks: ``"all"`` adds fixed points, exponents of the free run, the loss without single units and features, and
            each layer by itself in silence.
        compare_init: whether to measure the same network with fresh weights, too.
        try_remedy: whether to train copies with and without the remedies, on sequences of the training part, or on
            those of a module, and to measure them on the same sequences as the model.
        loss: of a module, from what it returns to one number, or to one for each sequence. Unless given, its answer at
            the last step in a random direction.
        lengths: of a module's sequences; it is called with ``lengths=`` then.

    Returns:
        Verdicts, measurements and checks, which can write themselves as a page, JSON and arrays.

    Raises:
        InputError: the model is none or could run code when it is loaded, the data do not fit it, or an option is out
            of range.

    Example:
        >>> import torch, tidegate as tg
        >>> _ = torch.manual_seed(0)
        >>> found = tg.explain.run(tg.nn.LSTM(3, 16), torch.randn(40, 4, 3), lag=30)
        >>> [line.name for line in found.verdicts]
        ['vanishing']
    """
    _check(sequences, checks)
    subject = subject_of(model, data, target, sequences, loss, lengths)
    context = subject.context()
    command = _command(subject, data, lag, target, sequences, checks)
    asked = Asked(*lag_of(subject, lag, context), sequences, checks, compare_init, try_remedy, command)
    return explained(subject, context, asked)


@dataclass(frozen=True)
class Asked:
    """What is asked of a subject.

    Attributes:
        lag, lag_from: of verdicts, and how it was chosen.
        sequences: how many to show.
        checks, compare_init, try_remedy: as ``run`` takes them.
        command: that repeats the explanation; empty if none does.
    """

    lag: int
    lag_from: str
    sequences: int = 8
    checks: Literal["fast", "all"] = "fast"
    compare_init: bool = False
    try_remedy: bool = False
    command: str = ""


def explained(subject: Subject, context: ContextRecord | None, asked: Asked) -> Explanation:
    """Explain a subject.

    Args:
        subject: who is explained.
        context: its losses by history, if there are any.
        asked: what to measure, and relative to which lag.
    """
    began = time.perf_counter()
    found, inputs = work(subject, asked.lag, asked.checks), inputs_of(subject)
    more = further(subject, found.measured, found.importance) if asked.checks == "all" else Further()
    done, forcing = tuple(checks_of(subject, found.calls)), _forcing(subject)
    judged = verdicts(found.measured, asked.lag, done, forcing, command=subject.command)
    untried = Judgement(tuple(one.line for one in judged))
    judgement = _tried(subject, judged, asked.lag) if asked.try_remedy else untried
    fresh = tuple(untrained(subject, asked.lag, found.flow, inputs.records[0])) if asked.compare_init else ()
    sequence = shown(subject, found.calls, inputs, found.importance, asked.sequences)
    record = ExplanationRecord(
        **subject.facts,
        **found.facts,
        **sequence.facts,
        lag=asked.lag,
        lag_from=asked.lag_from,
        verdicts=judgement.lines,
        silences=more.silences,
        ablations=more.ablations,
        attributions=inputs.records,
        context=context,
        forcing=forcing,
        checks=done + fresh,
        left_out=(
            *subject.left_out,
            *found.left_out,
            *more.left_out,
            *judgement.left_out,
            *inputs.left_out,
            *sequence.left_out,
        ),
        command=asked.command,
        seconds=time.perf_counter() - began,
    )
    return Explanation(record, found.gates, found.arrays)


def _forcing(subject: Subject) -> ForcingRecord | None:
    """Of a recursive forecaster its errors on the true past and on its own answers."""
    kind = subject.kind
    found = kind.forcing(kind.draw(MANY)) if isinstance(kind, ForecastKind) else None
    if not found:
        return None
    forced, free = zip(*found.values(), strict=True)
    return ForcingRecord(tuple(found), forced, free, say("mean absolute error"), say("standard deviations"))


@dataclass(frozen=True)
class Judgement:
    """Verdicts as records, and remedies that were not tried, with the reason."""

    lines: tuple[VerdictLine, ...]
    left_out: tuple[str, ...] = ()


def _tried(subject: Subject, judged: Sequence[Verdict], lag: int) -> Judgement:
    """The verdicts with what their remedies did on the same sequences."""
    aim, lines, left_out = subject.aim, [], []
    lessons = subject.lessons() if any(verdict.remedy.change for verdict in judged) else None
    for verdict in judged:
        name, line = verdict.line.name, verdict.line
        if verdict.remedy.change is None:
            left_out.append(
                say("the remedy of {name} was not tried: it is not a change of the network alone", name=name)
            )
        else:
            phase(f"trying the remedy of {name}")
            _, tried = attempt(aim.model, verdict, aim.mean, aim.x, lag=lag, steps=TRIED, batches=lessons, **aim.named)
            line = replace(line, tried=tried)
        lines.append(line)
    return Judgement(tuple(lines), tuple(left_out))


def _command(subject: Subject, data: Any, lag: int | str, target: str, sequences: int, checks: str) -> str:
    """The command that repeats this; nothing for a module."""
    if subject.kind is None or not isinstance(data, (str, os.PathLike, NoneType)):
        return ""
    words = ["tidegate", "explain", subject.model, *([] if data is None else [os.fspath(data)])]
    options = {
        "lag": (lag, "auto"),
        "target": (target, "auto"),
        "sequences": (sequences, 8),
        "checks": (checks, "fast"),
    }
    chosen = [word for name, (value, usual) in options.items() if value != usual for word in (f"--{name}", str(value))]
    return shlex.join([*words, *chosen])


def _check(sequences: int, checks: str) -> None:
    if isinstance(sequences, bool) or not isinstance(sequences, int) or not 1 <= sequences <= MOST:
        raise InputError("SEQUENCES", f"sequences={sequences!r} is not from 1 to {MOST}", fix="choose sequences=8")
    if checks not in ("fast", "all"):
        raise InputError("CHECKS", f"checks={checks!r} is neither 'fast' nor 'all'", fix="choose checks='fast'")
