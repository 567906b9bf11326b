"""``run``: a trained model and its data to an attack and its record."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from tidegate.adversary.ball import Norm
from tidegate.adversary.smoothing import LEVEL
from tidegate.attack.budget import Budgets, listed
from tidegate.attack.certificate import certified_rows
from tidegate.attack.checklist import Case, checklist
from tidegate.attack.curve import Curve, curve_of, flips_of
from tidegate.attack.effort import Effort
from tidegate.attack.kind import Continuous, Kind, Limits, TextKind, kind_of
from tidegate.attack.kind.limit import Direction
from tidegate.attack.record import record_of
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.records import AttackRecord, BudgetRecord, HonestyRecord
from tidegate.storage import replace_file
from tidegate.tasks import from_pretrained
from tidegate.train.estimator import Estimator


@dataclass(frozen=True)
class Attack:
    """What an attack found.

    Attributes:
        record: everything as plain data.
        kind: what was attacked.
        curve: the worst changes within each budget.
    """

    record: AttackRecord
    kind: Kind = field(repr=False)
    curve: Curve = field(repr=False)

    @property
    def points(self) -> tuple[BudgetRecord, ...]:
        """What is left of the measure within each budget."""
        return self.record.curve

    @property
    def failed(self) -> tuple[HonestyRecord, ...]:
        """The lines of the checklist that failed: where there are some, the curve flatters the model."""
        return tuple(line for line in self.record.checks if line.passed is False)

    def to_json(self, path: str | Path) -> None:
        """Write the record as JSON.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        from tidegate.report import write_json  # matplotlib is slow to load

        write_json(self.record, Path(path))

    def to_html(self, path: str | Path) -> None:
        """Write the page: one file under a megabyte, without network; beside it the recordings that it plays.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        from tidegate.report import write_attack  # as above

        write_attack(self.record, Path(path))
        for name, content in self.kind.sounds.items():
            replace_file(Path(path).with_name(f"{Path(path).stem}-{name}"), content)


def run(
    model: Any,
    data: Any = None,
    *,
    eps: Sequence[float] | None = None,
    edits: Sequence[float] | None = None,
    audio_snr: Sequence[float] | None = None,
    text: Literal["chars", "words"] | None = None,
    norm: Norm = "linf",
    steps: int = 40,
    restarts: int = 3,
    only_steps: tuple[int, int | None] | None = None,
    features: Sequence[str] | None = None,
    target_direction: Direction = "error",
    tolerance: float | None = None,
    examples: int = 100,
    draws: int = 1000,
    seed: int = 0,
    checks: bool = True,
) -> Attack:
    """Attack a trained model: how its answers hold out when inputs are changed on purpose.

    Args:
        model: the folder of a trained model, or a fitted estimator.
        data: as its ``evaluate`` takes them; the test part of the training data unless given, if they are bundled.
        eps: budgets of numbers: the largest changes, in standard deviations of training.
        edits: budgets of texts: the largest numbers of edits.
        audio_snr: budgets of recordings: signal-to-noise ratios in dB.
        text: what is edited in texts, characters or words; what the model reads, unless given.
        norm: ``"linf"`` bounds each number, ``"l2"`` the length of all changes of a row together.
        steps: of each run of projected gradient ascent.
        restarts: runs.
        only_steps: the first step that may change, and the one behind the last; negative ones count from the end.
        features: names of those that may change; all unless given.
        target_direction: where forecasts are pushed: ``"up"``, ``"down"``, or away from the truth (``"error"``).
        tolerance: by how much a forecast must move to count as broken, in standard deviations; its mean error unless
            given.
        examples: rows to attack, evenly drawn from the test.
        draws: of a model that was trained with ``smooth``: noisy copies of each row whose votes certify it.
        seed: of what is drawn.
        checks: whether to run the checklist.

    Returns:
        The curve, the smallest changes, examples and the checklist.

    Raises:
        InputError: the model is none, its task is not attacked, the data do not fit it, or an argument is out of range.
    """
    effort = Effort(steps, restarts, seed)
    checked(effort, examples)
    budgets = Budgets.checked(eps=eps, edits=edits, audio_snr=audio_snr)
    folder = "" if isinstance(model, Estimator) else os.fspath(model)
    estimator = from_pretrained(folder) if folder else model
    phase("reading")
    task = estimator.tested(data)
    limits = Limits(norm, only_steps, None if features is None else tuple(features), target_direction, tolerance, text)
    kind, total = drawn(estimator, task, limits, examples)
    curve = curve_of(kind, budgets.of(kind), effort)
    flips = flips_of(kind, curve, effort)
    facts = _facts(estimator, task, folder)
    facts |= {"of": total, "command": _command(folder, data, limits, effort, kind, curve)}
    if task.setting.smooth is not None:
        sure = certified_rows(estimator, task, None, draws, LEVEL, examples, seed)
        repeat = f"{facts['command']} --draws {draws}" if facts["command"] else ""
        facts |= {"certificate": sure.curve, "certified": sure.sentence, "command": repeat}
    honest = tuple(_honest(kind, curve, effort, limits)) if checks else ()
    return Attack(record_of(kind, limits, effort, curve, flips, checks=honest, **facts), kind, curve)


def _facts(estimator: Any, task: Any, folder: str) -> dict[str, Any]:
    """What was attacked, in words."""
    title, data = f"{estimator.graph_.name} on {task.data.name}", task.data.name
    return {"title": title, "task": task.name, "model": folder or type(estimator).__name__, "data": data}


def drawn(estimator: Any, task: Any, limits: Limits, examples: int) -> tuple[Kind, int]:
    """What is attacked: so many rows of the test, evenly drawn, and how many there are.

    Raises:
        InputError: there are none, or models of the task are not attacked.
    """
    own = kind_of(task)
    if limits.text is not None and own is not TextKind:
        what = "text= says what is edited in texts, which these data are not"
        raise InputError("ATTACK_TEXT", what, fix="leave it out")
    total = own.total(task)
    if not total:
        raise InputError("ATTACK_EMPTY", "the data have no row to attack", fix="pass other data")
    rows = torch.linspace(0, total - 1, min(examples, total)).round().long().tolist()
    return own.of(estimator, task, rows, limits), total


def checked(effort: Effort, examples: int) -> None:
    """Check how hard an attack tries.

    Raises:
        InputError: a number is out of range.
    """
    for name, value in (("steps", effort.steps), ("restarts", effort.restarts), ("examples", examples)):
        if value < 1:
            raise InputError("ATTACK_NUMBER", f"{name} must be at least 1, got {value}", fix=f"change {name}")


def _honest(kind: Kind, curve: Curve, effort: Effort, limits: Limits) -> Iterable[HonestyRecord]:
    """The checklist."""
    if isinstance(kind, Continuous):
        return checklist(Case(kind, curve, effort, limits.limited))
    return kind.checked(effort, curve.budgets[-1])


def _command(folder: str, data: Any, limits: Limits, effort: Effort, kind: Kind, curve: Curve) -> str:
    """The command that repeats the attack; empty for a model that lies in no folder."""
    if not folder or not (data is None or isinstance(data, (str, os.PathLike))):
        return ""
    words = ["tidegate", "attack", folder, *([] if data is None else [os.fspath(data)])]
    numbers = {"steps": effort.steps, "restarts": effort.restarts, "seed": effort.seed, "examples": kind.count}
    options = {kind.asks.replace("_", "-"): listed(kind.asks, curve.budgets), **limits.options, **numbers}
    return shlex.join([*words, *(word for name, value in options.items() for word in (f"--{name}", str(value)))])
