"""One command in a process of its own: what it read, what it printed, and how it ended."""

import dataclasses
import hashlib
import json
import os
import re
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from tidegate.cli import main
from tidegate.cli.console import console, print_line, print_note, say
from tidegate.compare.executors import process
from tidegate.compare.executors.work import done_of, work
from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.records import DataRecord, EpochRecord
from tidegate.tasks import ESTIMATORS
from tidegate.train import loop
from tidegate.train.setting import Training

from .kind import Kind, seal
from .mutation import Mutation

READ, NOTES = "read", ("warnings", "notes", "place")
SECONDS, MEMORY = 20.0, 2 << 30  # beyond what the imported packages take
PYTHON = re.compile(
    r"\b[A-Z]\w*(?:Error|Exception)\b|has no attribute|object is not|unexpected keyword|positional argument"
    r"|not subscriptable"
    r"|unsupported operand|codec can't|invalid literal|not supported between|could not convert|must be str|NoneType"
    r"|\b(?:dict|list|tuple|str|int|float|bool|ndarray)' |recursion depth|cannot reshape|broadcast|digits\) for integer"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclasses.dataclass
class Result:
    """How one command ended.

    Attributes:
        place: of the command among those of the kind.
        code: its exit code; None if an exception came out of it.
        read: what was read, as a hash; empty if nothing was.
        rows: how many rows were read.
        trace: the exception that came out, and the last line of ours.
    """

    command: str
    place: int = 0
    code: int | None = None
    out: str = ""
    error: str = ""
    read: str = ""
    rows: int | None = None
    trace: str = ""


# --- what was read ---


def content(value: Any, digest: Any) -> None:
    """Add everything that a task has learnt from its data, but for notes, and names and hashes of files."""
    if isinstance(value, torch.Tensor):
        content(value.numpy(), digest)
    elif isinstance(value, np.ndarray):
        plain = value.astype(value.dtype.newbyteorder("=")) if value.dtype != object else np.zeros(0)
        digest.update(f"{plain.dtype.kind}{value.shape}".encode() + plain.tobytes())
    elif isinstance(value, Mapping):
        content(list(value.items()), digest)
    elif isinstance(value, (list, tuple)):
        digest.update(b"(%d" % len(value))
        for part in value:
            content(part, digest)
    elif isinstance(value, (str, bytes, int, float, complex, np.generic, type(None))):
        digest.update(repr(value).encode())
    elif hasattr(value, "__dict__") and not isinstance(value, (Source, DataRecord, Training)):
        content(sorted(item for item in vars(value).items() if item[0] not in NOTES), digest)


def read_of(task: Any) -> tuple[str, int | None]:
    digest = hashlib.sha256()
    content(task, digest)
    return digest.hexdigest()[:16], next((count(task) for count in COUNTS if (count(task) is not None)), None)


def _sum(name: str, part: str = "") -> Callable[[Any], int | None]:
    def count(task: Any) -> int | None:
        held = getattr(task, name, None)
        return None if held is None else sum(len(getattr(one, part) if part else one) for one in held.values())

    return count


COUNTS: list[Callable[[Any], int | None]] = [
    lambda task: None if getattr(task, "panel", None) is None else len(task.panel.values),
    _sum("pairs", "sources"),
    _sum("utterances"),
    _sum("pieces"),
    _sum("sequences"),
    _sum("inputs"),
]


# --- the process ---


def prepare(
    kind: Kind, mutation: Mutation | None, rng: Random, here: Path, models: Path
) -> tuple[list[list[str]], Path]:
    """Write the files, one of them damaged; the commands that read them, and the damaged file."""
    for name, raw in kind.files().items():
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    victim = here / kind.victim
    if mutation is not None:
        victim = _damage(victim, mutation, rng)
        if kind.sealed and not mutation.special and rng.random() < 0.9:
            seal(victim.parent)
    words = {"HERE": str(here), "VICTIM": str(victim), "MODELS": str(models)}
    pattern = re.compile("|".join(words))
    commands = [[pattern.sub(lambda match: words[match[0]], word) for word in line] for line in kind.commands]
    return commands, victim


def _damage(victim: Path, mutation: Mutation, rng: Random) -> Path:
    raw = victim.read_bytes()
    victim.unlink()
    victim = victim.with_name(mutation.stem + victim.name + mutation.suffix)
    match mutation.special:
        case "":
            victim.write_bytes(mutation.change(rng, raw))
        case "fifo":
            os.mkfifo(victim)
        case "folder":
            victim.mkdir()
        case "loop":
            victim.symlink_to(victim)
        case target:
            victim.symlink_to(target)
    return victim


def run(place: int, command: list[str], here: Path) -> Result:
    """Run a command in this process, which stops where training would begin."""
    result = Result(" ".join(command), place)
    seen: dict[str, Any] = {}
    _stop_at_training(seen)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(here / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    try:
        result.code = int(_learnt_from(command, seen) if command[0] == READ else main(command))
    except SystemExit as error:  # of the parser of options
        result.code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001  whatever comes out is what we look for
        result.trace = _traced(error)
    sys.stdout.flush()
    sys.stderr.flush()
    result.out, result.error = (_printed(here / name) for name in ("stdout", "stderr"))
    result.read, result.rows = seen.get("read", ("", None))
    return result


def _learnt_from(command: list[str], seen: dict[str, Any]) -> int:
    """Read data as training does, without the command line; prints what a training prints of them."""
    _, name, data, *options = command
    given = {flag[2:].replace("-", "_"): value for flag, value in zip(options[::2], options[1::2], strict=True)}
    kind = ESTIMATORS[name].task
    known = {field: int(value) if value.isdigit() else value for field, value in given.items() if field != "out"}
    try:
        task = kind.load(data, kind.setting_type(**known))
    except InputError as error:
        say(f"tidegate: {error}")
        return 2
    seen["read"] = read_of(task)
    screen = console()
    for line in (task.data.name, task.data.description, task.data.split):
        print_line(screen, line)
    for warning in task.data.warnings:
        print_note(screen, warning)
    return 0


def _printed(path: Path) -> str:
    return path.read_bytes()[:200_000].decode("utf-8", "replace")


def _traced(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tidegate/" in frame.filename]
    place = f"{frames[-1].filename.rpartition('/tidegate/')[2]}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {place}: {str(error)[:200]}"


def _stop_at_training(seen: dict[str, Any]) -> None:
    """Epochs are not trained: the first is made up, so that it is logged, and the next interrupts."""

    def epoch(self: Any) -> EpochRecord:
        if "read" in seen:
            raise KeyboardInterrupt
        seen["read"] = read_of(self.task)
        return EpochRecord(1 + len(self.state.curve), 1.0, 1.0, 1.0, 0.1, 0.1)

    loop._Run.epoch = epoch  # noqa: SLF001
    run_trials_here()


def run_trials_here() -> None:
    """From here on, comparisons run their trials in this process."""
    process.run = lambda job: (done_of(work(trial.to_text(), str(job.folder), lambda _: None)) for trial in job.trials)


def child(commands: Iterable[tuple[int, list[str]]], here: Path, memory: int) -> None:
    """The whole life of a process that tries a mutant."""
    limit = memory + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with (here / "results").open("w", encoding="utf-8") as file:
        for place, command in commands:
            file.write(json.dumps(dataclasses.asdict(run(place, command, here))) + "\n")
            file.flush()


def forked(work: Callable[[], None], here: Path) -> int:
    """Do the work in a fork of this process; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    try:
        warnings.resetwarnings()
        os.setpgrp()
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001
        (here / "broken").write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
        os._exit(70)


def tried(kind: Kind, mutation: Mutation | None, rng: Random, here: Path, models: Path, memory: int) -> int:
    """Start the attempt; the number of its process."""
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)

    def work() -> None:
        files = here / "files"
        commands, victim = prepare(kind, mutation, rng, files, models)
        (here / "victim").write_text(str(victim), encoding="utf-8", errors="surrogateescape")
        numbered = list(enumerate(commands))
        if mutation is not None and len(numbered) > 2:
            numbered = [numbered[0], rng.choice(numbered[1:])]
        child(numbered, here, memory)

    return forked(work, here)


def results(here: Path) -> list[Result]:
    path = here / "results"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Result(**json.loads(line)) for line in lines]


def address_space() -> int:
    """Bytes of address space that this process takes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def deadline() -> float:
    return time.monotonic() + SECONDS
