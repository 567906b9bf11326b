"""Draws mutants by their numbers, runs a few at once, and writes down what becomes of each."""

import contextlib
import gc
import io
import json
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pyarrow.pandas_compat  # noqa: F401  what commands import when they need it, imported before the forks
import sacrebleu.tokenizers  # noqa: F401
import torch
import torch._dynamo

from tidegate.cli import main
from tidegate.tasks import ESTIMATORS
from tidegate.train import loop

from .attempt import MEMORY, READ, SECONDS, Result, address_space, forked, results, run_trials_here, tried
from .judge import FAULTS, KINDS, judged
from .kind import COMPARE, DATA, MODELS, Kind, kinds
from .mutation import Mutation

PAUSE = 0.002  # seconds between looks at the running processes


@dataclass
class Running:
    """A mutant that is being tried."""

    number: int
    kind: Kind
    mutation: Mutation
    process: int
    here: Path
    since: float


class Fuzz:
    """Mutants of one seed, below one folder.

    Args:
        only: part of the names of the kinds to take.
        reading: whether data are read for training alone, which needs no models.
    """

    def __init__(self, out: Path, seed: int = 0, only: str = "", processes: int = 3, *, reading: bool = False) -> None:
        self.out, self.seed, self.processes = out, seed, processes
        self.log = out / f"results-{seed}{'-' * bool(only)}{only.replace(' ', '-')}.jsonl"
        os.environ["COLUMNS"] = "200"
        _warm(shell=not reading)
        self.work = out / "work"
        if not reading:
            self._make_models()
        every = (
            [replace(kind, commands=[[READ, *kind.commands[0][1:]]]) for kind in DATA] if reading else kinds(self.work)
        )
        self.kinds = [kind for kind in every if only in kind.name]
        self.memory = address_space()
        self.expected = self._whole()

    def run(self, count: int) -> int:
        """Try the mutants that have not been tried; exit code 0 without faults."""
        done = self._done()
        waiting = [number for number in range(count) if number not in done]
        running: list[Running] = []
        with self.log.open("a", encoding="utf-8") as file:
            while waiting or running:
                while waiting and len(running) < self.processes:
                    running.append(self._start(waiting.pop(0)))
                for one, ended in [(one, _ended(one)) for one in running]:
                    if ended is None:
                        continue
                    running.remove(one)
                    record = self._record(one, ended)
                    done[one.number] = record
                    file.write(json.dumps(record) + "\n")
                    file.flush()
                time.sleep(PAUSE)
        return self._summary([done[number] for number in sorted(done) if number < count])

    def again(self, number: int) -> int:
        """Try one mutant and print everything about it."""
        one = self._start(number)
        while (ended := _ended(one)) is None:
            time.sleep(PAUSE)
        record = self._record(one, ended)
        print(json.dumps(record, indent=1))
        kept = self.out / "fault" / f"{self.seed}-{number}"
        for found in results(kept if kept.exists() else one.here):
            print(f"\n$ tidegate {found.command!r}\n{found.out}{found.error}{found.trace}")
            print(f"-> {found.code}, {found.rows} rows")
        return int(record["outcome"] in FAULTS)

    # --- before ---

    def _make_models(self) -> None:
        """Train the models, and leave a training and two comparisons as they are after an interruption."""
        if (self.work / "done").exists():
            return
        shutil.rmtree(self.work, ignore_errors=True)
        for kind in DATA:
            for name, raw in kind.files().items():
                path = self.work / "seed" / kind.name.replace(" ", "-") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(raw)
        jobs = [lambda name=name, own=own: self._train(name, own) for name, (own, _) in MODELS.items()]
        for job in (*jobs, self._interrupted, lambda: self._compare("half", 1), lambda: self._compare("compared", 99)):
            process = forked(lambda job=job: _silent(job, self.work / "log"), self.work)
            if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
                raise RuntimeError((self.work / "broken").read_text() + (self.work / "log").read_text())
        (self.work / "done").touch()

    def _train(self, name: str, own: str, folder: str = "models/{}") -> None:
        kind = next(kind for kind in DATA if kind.name == own)
        here = self.work / "seed" / own.replace(" ", "-")
        words = {
            "HERE/out": str(self.work / folder.format(name)),
            "HERE/d": str(here / "d"),
            "VICTIM": str(here / kind.victim),
        }
        words["HERE/a.csv"] = str(here / "a.csv")
        _check(main([words.get(word, word) for word in kind.commands[0]]))

    def _interrupted(self) -> None:
        _stop_after(1)
        self._train("", "texts csv", "stopped")

    def _compare(self, name: str, epochs: int) -> None:
        _stop_after(epochs)
        run_trials_here()
        data = self.work / "seed/language-txt/a.txt"  # a task that tries no candidates
        _check(main(["compare", str(data), *COMPARE, "--out", str(self.work / name)]))

    def _whole(self) -> dict[str, dict[int, Result]]:
        """What the commands answer to the undamaged file of each kind, by their place."""
        places = {kind.name: self.out / "whole" / kind.name.replace(" ", "-") for kind in self.kinds}
        for at in range(0, len(self.kinds), self.processes):
            for process in [
                tried(kind, None, Random(0), places[kind.name], self.work / "models", self.memory)  # noqa: S311
                for kind in self.kinds[at : at + self.processes]
            ]:
                os.waitpid(process, 0)
        found = {name: {result.place: result for result in results(here)} for name, here in places.items()}
        wrong = [
            f"{kind.name}: {result}"
            for kind in self.kinds
            for result in found[kind.name].values() or [(places[kind.name] / "broken").read_text()]
            if isinstance(result, str)
            or result.code not in (0, 130)
            or result.rows not in (None, kind.rows or result.rows)
        ]
        if wrong:
            raise RuntimeError("\n".join(["undamaged files are not read:", *wrong]))
        return found

    # --- each ---

    def _start(self, number: int) -> Running:
        rng = Random(f"{self.seed}/{number}")  # noqa: S311
        kind = self.kinds[number % len(self.kinds)]
        mutation = rng.choice(kind.mutations)
        here = self.out / "now" / str(number)
        process = tried(kind, mutation, rng, here, self.work / "models", self.memory)
        return Running(number, kind, mutation, process, here, time.monotonic())

    def _record(self, one: Running, ended: tuple[str, int]) -> dict[str, object]:
        how, peak = ended
        victim = (
            Path((one.here / "victim").read_text(errors="surrogateescape"))
            if (one.here / "victim").exists()
            else one.here
        )
        outcome, shown = (
            (how, "")
            if how
            else judged(one.kind, one.mutation, results(one.here), self.expected[one.kind.name], victim)
        )
        if not how and (one.here / "broken").exists():
            outcome, shown = "traceback", (one.here / "broken").read_text()[-400:]
        if outcome in FAULTS:
            kept = self.out / "fault" / f"{self.seed}-{one.number}"
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            one.here.rename(kept)
        else:
            shutil.rmtree(one.here, ignore_errors=True)
        seconds = round(time.monotonic() - one.since, 2)
        return {
            "number": one.number, "kind": one.kind.name, "mutation": one.mutation.name, "keeps": one.mutation.keeps,
            "outcome": outcome, "shown": shown, "seconds": seconds, "peak": peak,
        }  # fmt: skip

    def _done(self) -> dict[int, dict]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return {record["number"]: record for record in map(json.loads, lines)}

    def _summary(self, records: list[dict]) -> int:
        faults = [record for record in records if record["outcome"] in FAULTS]
        for record in faults:
            print("{number:6} {kind}: {mutation}: {outcome}: {shown:.250}".format(**record))
        refused = [record for record in records if record["keeps"] and record["outcome"] == "clear error"]
        seen = Counter(f"{record['kind']}: {record['mutation']}: {record['shown']:.140}" for record in refused)
        for line, times in sorted(seen.items()):
            print(f"refused although it says the same, {times} times: {line}")
        counts = Counter(record["outcome"] for record in records)
        found = ", ".join(f"{counts[outcome]} {outcome}" for outcome in KINDS)
        peak = max(record["peak"] for record in records) >> 20
        print(
            f"{len(records)} mutants of {len(self.kinds)} kinds: {found}; "
            f"{len(refused)} refused although they say the same, most memory {peak} MiB"
        )
        return int(bool(faults))


def _warm(*, shell: bool) -> None:
    """Load and cache in this process what each fork would otherwise load and cache for itself."""
    torch.set_num_threads(1)
    for row in ESTIMATORS.values():
        _ = row.estimator
    with torch.device("meta"):
        torch.nn.Linear(1, 1)
    if shell:
        _parse()
    gc.collect()
    gc.freeze()


def _parse() -> None:
    """Each command once: its options are put together when it is first parsed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name in ESTIMATORS:
            main(["train", name, "--print-config"])
        for verb in ("compare", "evaluate", "predict", "forecast", "translate", "transcribe", "compose", "generate"):
            main([verb, "no-such-thing", *{"predict": ["--text", "a"], "transcribe": ["a"]}.get(verb, [])])


def _ended(one: Running) -> tuple[str, int] | None:
    """How a process ended: empty unless it hung or died; and its most memory, in bytes. None while it runs."""
    process, status, usage = os.wait4(one.process, os.WNOHANG)
    if not process:
        if time.monotonic() - one.since < SECONDS:
            return None
        os.killpg(one.process, signal.SIGKILL)
        os.wait4(one.process, 0)
        return "hang", 0
    peak, code = usage.ru_maxrss << 10, os.waitstatus_to_exitcode(status)
    return ("died" if code < 0 else "memory" if peak > MEMORY * 2 else ""), peak


def _stop_after(epochs: int) -> None:
    """Interrupt the training after so many epochs, with a checkpoint."""
    trained, done = loop._Run.epoch, []  # noqa: SLF001

    def epoch(self):
        if len(done) == epochs:
            raise KeyboardInterrupt
        done.append(1)
        return trained(self)

    loop._Run.epoch = epoch  # noqa: SLF001
    loop.SAVE_EVERY_SECONDS, loop.SAVE_SHARE = -1.0, 1e9


def _silent(job, log: Path) -> None:
    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    job()


def _check(code: int) -> None:
    if code not in (0, 130):
        raise RuntimeError(f"exit code {code}")
