"""Rows that nobody's data hold, planted by the toss of a coin, so that an audit can ask which were learnt from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.plain import read_json, typed
from tidegate.storage import replace_file
from tidegate.train.example import Examples
from tidegate.train.world import World

CANARIES = "canaries.json"
BITS = 256  # of the key
COINS, ROWS, DRAWS = range(3)  # streams of random numbers, each by itself


@dataclass(frozen=True)
class Canaries:
    """The randomness of canaries, from which they and their coins are drawn again.

    Whoever knows the key knows which canaries were planted, so it is kept beside the model and in no other file.

    Attributes:
        count: the number of canaries, of which about a half was planted.
        steps: the length of each.
        key: 64 hexadecimal digits from the system's entropy.
        rows: the SHA-256 of the canaries as a model reads them.
    """

    count: int
    steps: int
    key: str
    rows: str

    def __post_init__(self) -> None:
        if not (0 < self.count <= 1 << 20 and 0 < self.steps <= 1 << 20):
            raise ValueError(f"{self.count} canaries of {self.steps} steps are out of range")
        if len(self.key) != BITS // 4 or set(self.key) - set("0123456789abcdef"):
            raise ValueError(f"the key is not {BITS // 4} hexadecimal digits")

    @classmethod
    def new(cls, examples: Examples[Any, Any], count: int) -> Self:
        """Draw canaries.

        Args:
            examples: of the task.
            count: the number of canaries.
        """
        made = cls(count, examples.steps, os.urandom(BITS // 8).hex(), "")
        return cls(count, made.steps, made.key, examples.digest(made.drawn(examples)))

    @property
    def coins(self) -> NDArray[np.bool_]:
        """[count] whether each was planted."""
        return self._stream(COINS).integers(2, size=self.count).astype(bool)

    def drawn(self, examples: Examples[Any, Any]) -> list[Any]:
        """All canaries, planted or not.

        Args:
            examples: of the task.
        """
        stream = self._stream(ROWS)
        return [examples.canary(stream, self.steps) for _ in range(self.count)]

    def others(self, examples: Examples[Any, Any], count: int) -> list[Any]:
        """Rows that are drawn like canaries, and that no training has seen.

        Args:
            examples: of the task.
            count: the number of rows.
        """
        stream = self._stream(DRAWS)
        return [examples.canary(stream, self.steps) for _ in range(count)]

    def fit(self, examples: Examples[Any, Any]) -> bool:
        """Whether these canaries are those of a task with such an encoding."""
        return examples.digest(self.drawn(examples)) == self.rows

    def _stream(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(int(self.key, 16), spawn_key=(purpose,)))

    def to_text(self) -> str:
        """The content of the file beside the model."""
        return json.dumps({"format": 1, **asdict(self)}, indent=1) + "\n"

    @property
    def hash(self) -> str:
        """The SHA-256 of the file, by which a model names its canaries; it tells nothing of the key."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()


def read_canaries(home: Path) -> Canaries | None:
    """The canaries of a model; None if there is no such file.

    Args:
        home: the folder of the model.

    Raises:
        InputError: the file is damaged.
    """
    path = home / CANARIES
    if not path.exists():
        return None
    try:
        data = typed(read_json(path.read_bytes()), dict[str, Any], CANARIES)
        if data.pop("format", None) != 1:
            raise ValueError("its format is unknown")  # noqa: TRY301  named below
        canaries: Canaries = typed(data, Canaries, CANARIES)
    except (OSError, ValueError, TypeError, InputError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "CANARIES_DAMAGED", f"{path} holds no canaries: {reason}", fix="restore it, or delete it and train again"
        ) from error
    return canaries


def planted(task: Any, home: Path | None) -> tuple[Any, Canaries | None]:
    """The task with canaries among its training rows, each with probability 1/2.

    They are drawn once and kept in the folder before the first step, so that a training that goes on has the same.

    Args:
        task: as it was read.
        home: the folder of the model.

    Returns:
        The task, and its canaries; the task as it is, and None, where the settings ask for none.

    Raises:
        InputError: rows of this task cannot be planted, or several processes train.
    """
    count = task.setting.canaries
    if not count:
        return task, None
    if World().size > 1:
        raise InputError(
            "CANARIES_PROCESSES", "canaries are drawn by one process, but torchrun started several", fix="start one"
        )
    examples: Examples[Any, Any] = task.examples
    kept = read_canaries(home) if home else None
    canaries = kept if kept and kept.count == count and kept.fit(examples) else Canaries.new(examples, count)
    if home:
        replace_file(home / CANARIES, canaries.to_text())
    rows = canaries.drawn(examples)
    chosen = [row for row, coin in zip(rows, canaries.coins, strict=True) if coin]
    other = examples.learning_from([*examples.rows("train"), *chosen])
    other.planted = canaries.hash
    return other, canaries


def chosen_half(task: Any, seed: int) -> tuple[Any, NDArray[np.bool_]]:
    """The task with a random half of its training and test rows to learn from, as a shadow model does.

    Args:
        task: as it was read.
        seed: of the half.

    Returns:
        The task, and which rows of training, then of the test, it learns from.
    """
    examples: Examples[Any, Any] = task.examples
    rows: Sequence[Any] = [*examples.rows("train"), *examples.rows("test")]
    inside = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(DRAWS + 1,))).integers(2, size=len(rows))
    return examples.learning_from([row for row, coin in zip(rows, inside, strict=True) if coin]), inside.astype(bool)
