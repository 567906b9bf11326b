"""What is known of a file for another place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.errors import InputError, visible
from tidegate.ship.check.proof import Tested

SECONDS = 0.2  # that a measurement of latency takes
LARGEST = 1 << 31  # bytes of a file that is read
VERDICTS = {True: "passed", False: "FAILED", None: "not run"}


@dataclass(frozen=True)
class Inspection:
    """What is known of a file.

    Attributes:
        path: of the file.
        format: what it is.
        bytes: its size.
        facts: what the file says of itself, and sizes, in words.
        inputs, outputs, states: names and shapes.
        layers: the recurrent layers, in words.
        multiplies: multiplications of weights in a step; None where unknown.
        latency: seconds a step takes here; None where it was not run.
        how: how the latency was measured.
        tested: the self-test; None for a file without one, or which was not run.
        runs: what runs it.
        beware: what is known to run it wrong.
    """

    path: Path
    format: str
    bytes: int
    facts: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[tuple[str, str]] = ()
    outputs: Sequence[tuple[str, str]] = ()
    states: Sequence[tuple[str, str]] = ()
    layers: Sequence[str] = ()
    multiplies: int | None = None
    latency: float | None = None
    how: str = ""
    tested: Tested | None = None
    runs: str = ""
    beware: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts, for a table."""
        rows = [("format", self.format), ("size", f"{self.bytes:,} bytes"), *self.facts.items()]
        for label, values in (("input", self.inputs), ("output", self.outputs), ("state", self.states)):
            rows += [(label, f"{name} {shape}") for name, shape in values]
        rows += [("layer", text) for text in self.layers]
        if self.multiplies is not None:
            rows.append(("a step", f"{self.multiplies:,} multiplications of weights"))
        if self.latency is not None:
            rows.append(("latency", f"{duration(self.latency)} a step: {self.how}"))
        if self.tested is not None:
            rows.append(("self-test", f"{VERDICTS[self.tested.passed]}: {self.tested.says}"))
        rows += [(label, text) for label, text in (("runs in", self.runs), ("beware", self.beware)) if text]
        return rows

    def __str__(self) -> str:
        return "\n".join([str(self.path), *(f"  {label:10}{text}" for label, text in self.lines())])


def duration(seconds: float) -> str:
    """A short time in words, such as ``"0.71 us"``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.2g} us"


def shortest(run: Callable[[], Any], steps: int = 1) -> float:
    """Processor seconds of a step, the shortest of many short runs."""
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best / steps


def content_of(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(
                "INSPECT", f"{visible(str(file))} has {file.stat().st_size:,} bytes", fix="pass a smaller file"
            )
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            "INSPECT", f"{visible(str(file))} cannot be read: {error.strerror}", fix="check the path"
        ) from error


def damaged(file: Path, what: object) -> InputError:
    """The error of a file that is not what its name says."""
    text = " ".join(str(what).split())[:160]
    return InputError("INSPECT_DAMAGED", f"{visible(str(file))} is damaged: {visible(text)}", fix="ship it again")
