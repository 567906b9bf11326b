"""Does every setting survive saving and loading?

Each value of every choice and both ends of every range, alone and with each value of every other setting, trains a
model for one epoch of a few steps. It is saved, and loaded by another process; what both answer must be equal to the
bit. Ends that no machine has room or time for are replaced (``ENDS``). A row tries many pairs at once; where it is
refused, settings go back to their defaults one by one until what is left is refused for itself.

python -m benchmarks.check_settings                    # all tasks; goes on where it stopped
python -m benchmarks.check_settings --task forecast    # one of them
python -m benchmarks.check_settings --task music --only '{"nade_size": 0, "cell": "gru"}'
"""

import argparse
import hashlib
import json
import multiprocessing
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from benchmarks.fuzz import seed

from tidegate.errors import InputError
from tidegate.tasks import ESTIMATORS, from_pretrained
from tidegate.train.setting import Range, marks, names
from tidegate.zoo import CELLS

ENDS = {  # the largest values that are tried, where a range has none or a larger one
    "hidden_size": 24,
    "layers": 3,
    "embedding_size": 40,
    "ends_size": 40,
    "nade_size": 40,
    "epochs": 1,
    "steps": 2,
    "horizon": 3,
    "centre": 20,
    "frame": 6,
    "season": 9,
    "beam": 3,
    "longest": 30,
    "join": 3,
    "ngrams": 4,
    "pieces": 320,
    "bands": 40,
    "window_ms": 64.0,
    "hop_ms": 40.0,
    "low_hz": 500.0,
    "high_hz": 3900.0,
    "mask_bands": 8,
}
HIGH = 100_000  # of other ranges without an end
OPEN: Mapping[str, list[Any]] = {  # settings whose values are no choice among some
    "quantiles": [(), (0.1, 0.9)],
    "known": [(), ("wind",)],
    "cell": sorted(CELLS),
    "hold_out": [None, "ann"],
}
Pairs = set[tuple[tuple[str, int], tuple[str, int]]]
FIXED = {"epochs": 1, "hidden_size": 6, "batch_size": 16, "steps": 2}
TRIES = 30  # candidates for each row of the covering list


@dataclass(frozen=True)
class Job:
    """How a task is tried: its files, the one to learn from, settings that the file needs, and what to ask a model."""

    files: Callable[[], dict[str, bytes]]
    data: str
    needs: Mapping[str, Any]
    ask: Callable[[Any, Path], Any]


def _sound(folder: Path) -> str:
    return str(folder / "0.wav")


JOBS = {
    "forecast": Job(
        lambda: {"a.csv": seed.table(seed.measured())},
        "a.csv",
        {"target": "level", "series": "port", "time": "day"},
        lambda model, folder: [
            model.predict(1, history=folder / "a.csv" if not model.known else None).to_csv() if not model.known else ""
        ],
    ),
    "classification": Job(
        lambda: {"a.csv": seed.table(seed.labelled())},
        "a.csv",
        {},
        lambda model, _: model.predict_proba([seed.sentence(3), "unheard of", ""]).tolist(),
    ),
    "classification of series": Job(
        lambda: {"a.npz": seed.npz(seed.series())},
        "a.npz",
        {},
        lambda model, _: model.predict_proba(list(seed.series()["x"][:3])).tolist(),
    ),
    "language": Job(
        lambda: {"a.txt": seed.prose()},
        "a.txt",
        {},
        lambda model, _: ["".join(model.generate("The", 8, seed=1)), model.bits_per_character("a tide, and a gate")],
    ),
    "translation": Job(
        lambda: {"a.tsv": seed.bare_pairs()},
        "a.tsv",
        {},
        lambda model, _: [model.translate([seed.sentence(3)], beam=width) for width in (1, 2)],
    ),
    "speech": Job(
        lambda: {**seed.recordings(), "a.csv": seed.table(seed.spoken())},
        "a.csv",
        {},
        lambda model, folder: [one.text for one in model.transcribe(_sound(folder))],
    ),
    "music": Job(lambda: {"a.json": seed.rolls()}, "a.json", {}, lambda model, _: model.compose(4, seed=1).tolist()),
    "tagging": Job(
        lambda: {"a.conll": seed.columns_of_words()},
        "a.conll",
        {},
        lambda model, _: [row.tolist() for row in model.predict_proba([seed.sentence(3).split(), ["unheard"]])],
    ),
}


# --- what is tried ---


def choices(task: str) -> dict[str, list[Any]]:
    """The values of each setting that a task's file does not decide."""
    kind = ESTIMATORS[task.partition(" ")[0]].estimator._task_class.setting_type  # noqa: SLF001
    hints, ranges, found = get_type_hints(kind), marks(kind, Range), {}
    for name in names(kind):
        if name in JOBS[task].needs:
            continue
        values = OPEN.get(name) or _values(name, hints[name], ranges.get(name))
        if len(values) > 1:
            found[name] = values
    return found


def _values(name: str, hint: Any, bounds: Range | None) -> list[Any]:
    kinds = get_args(hint) if get_origin(hint) is not Literal else [hint]
    kinds = [*kinds] or [hint]
    values: list[Any] = [None] if NoneType in kinds else []
    if bounds is not None:
        whole = int in kinds or hint is int
        high = min(bounds.high, ENDS.get(name, HIGH))
        low = max(bounds.low, -high)
        values += [int(low), int(high)] if whole else [float(low), float(high)]
    for kind in kinds:
        if kind is bool:
            values += [False, True]
        elif get_origin(kind) is Literal:
            values += get_args(kind)
    return list(dict.fromkeys(values))


class Covering:
    """Rows of settings until each pair of values of two of them has been tried or is refused.

    Args:
        values: of each setting.
        attempt: tries a row; its outcome.
    """

    def __init__(self, values: Mapping[str, list[Any]], attempt: Callable[[dict[str, Any]], str]) -> None:
        self._values, self._attempt, self._rng = values, attempt, Random(0)  # noqa: S311
        self.open: Pairs = {
            ((a, i), (b, j))
            for a, b in combinations(sorted(values), 2)
            for i in range(len(values[a]))
            for j in range(len(values[b]))
        }
        self.refused: set[frozenset[tuple[str, int]]] = set()

    def run(self) -> None:
        """Try rows until no pair is open."""
        while self.open:
            row = max((self._candidate() for _ in range(TRIES)), key=lambda row: len(_pairs(row) & self.open))
            self._settle(row)

    def _candidate(self) -> dict[str, int]:
        """A drawn row with an open pair, from which settings that are refused with it are left out."""
        first = self._rng.choice(sorted(self.open))
        row = dict(first)
        for name in self._rng.sample(sorted(self._values), len(self._values)):
            if name not in row:
                more = row | {name: self._rng.randrange(len(self._values[name]))}
                if not any(small <= more.items() for small in self.refused):
                    row = more
        return row

    def _settle(self, row: dict[str, int]) -> None:
        """Try a row; find the least part of it that is refused."""
        if self._outcome(row) != "refused":
            self.open -= _pairs(row)
            return
        small = dict(row)
        for name in row:
            less = {other: at for other, at in small.items() if other != name}
            if self._outcome(less) == "refused":
                small = less
        self.refused.add(frozenset(small.items()))
        if len(small) <= 2:
            self.open -= {pair for pair in self.open if small.items() <= set(pair)}

    def _outcome(self, row: Mapping[str, int]) -> str:
        return self._attempt({name: self._values[name][at] for name, at in sorted(row.items())})


def _pairs(row: Mapping[str, int]) -> Pairs:
    return set(combinations(sorted(row.items()), 2))


# --- trying it ---


def made(task: str, settings: Mapping[str, Any], folder: Path) -> str:
    """Train and save a model; a hash of what it answers."""
    torch.set_num_threads(1)
    job = JOBS[task]
    estimator = ESTIMATORS[task.partition(" ")[0]].estimator(**{**FIXED, **job.needs, **settings})
    estimator.fit(folder / job.data)
    estimator.save_pretrained(folder / "model")
    return answered(task, estimator, folder)


def loaded(task: str, _: Mapping[str, Any], folder: Path) -> str:
    """The same of the model on the disk."""
    torch.set_num_threads(1)
    return answered(task, from_pretrained(folder / "model"), folder)


def answered(task: str, model: Any, folder: Path) -> str:
    """A hash of scores on data, of the test's scores, the verdict, and of what is answered to a question."""
    said = [model.evaluate(folder / JOBS[task].data), model.scores_, model.verdict_, JOBS[task].ask(model, folder)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def served(work: Callable[..., str], pipe: Any) -> None:
    """Answer each question of another process."""
    warnings.simplefilter("ignore")
    with suppress(EOFError):  # who asks has ended
        _serve(work, pipe)


def _serve(work: Callable[..., str], pipe: Any) -> None:
    while True:
        asked = pipe.recv()
        try:
            pipe.send(("ok", work(*asked)))
        except InputError as error:
            pipe.send(("refused", str(error)))
        except Exception:  # noqa: BLE001  the fault that is looked for
            pipe.send(("fault", traceback.format_exc()[-1500:]))


class Pair:
    """A process that makes models, and one that loads them."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for work in (made, loaded):
            here, there = context.Pipe()
            context.Process(target=served, args=(work, there), daemon=True).start()
            self._pipes.append(here)

    def tried(self, task: str, settings: Mapping[str, Any]) -> tuple[str, str]:
        """``equal``, ``refused``, ``fault`` or ``different``, and what was said."""
        with tempfile.TemporaryDirectory() as name:
            for path, raw in JOBS[task].files().items():
                (Path(name) / path).write_bytes(raw)
            answers = []
            for pipe in self._pipes:
                pipe.send((task, settings, Path(name)))
                answers.append(pipe.recv())
                if answers[-1][0] != "ok":
                    step = "" if len(answers) == 1 else "on loading: "
                    outcome = answers[-1][0] if len(answers) == 1 else "fault"
                    return outcome, step + answers[-1][1]
        return ("equal", "") if answers[0] == answers[1] else ("different", "answers differ")


class Log:
    """What has been tried of a task, in a file; a later run goes on from there."""

    def __init__(self, path: Path, task: str, pair: Pair) -> None:
        self._task, self._pair = task, pair
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.records = {json.dumps(record["settings"]): record for record in map(json.loads, lines)}
        self._file = path.open("a", encoding="utf-8")

    def attempt(self, settings: dict[str, Any]) -> str:
        """The outcome of these settings, tried now unless it is known."""
        key = json.dumps(settings)
        if key not in self.records:
            outcome, said = self._pair.tried(self._task, settings)
            self.records[key] = {"settings": settings, "outcome": outcome, "said": said}
            self._file.write(json.dumps(self.records[key]) + "\n")
            self._file.flush()
        return str(self.records[key]["outcome"])


def checked(task: str, log: Log) -> int:
    """Try all of a task and print what came of it; the number of faults."""
    values = choices(task)
    sound = {name: [value for value in own if log.attempt({name: value}) != "refused"] for name, own in values.items()}
    cover = Covering({name: own for name, own in sound.items() if own}, log.attempt)
    cover.run()
    bad = [record for record in log.records.values() if record["outcome"] in ("fault", "different")]
    for record in bad:
        print(f"{task} {json.dumps(record['settings'])}: {record['outcome']}: {record['said'][-400:]}")
    for name, own in values.items():
        if alone := [value for value in own if value not in sound[name]]:
            print(f"{task}: {name} is refused alone: {', '.join(map(repr, alone))}")
    counts = Counter(record["outcome"] for record in log.records.values())
    total = sum(map(len, values.values()))
    print(
        f"{task}: {total} values of {len(values)} settings, {len(log.records)} combinations: "
        + ", ".join(f"{counts[kind]} {kind}" for kind in ("equal", "refused", "fault", "different"))
        + f"; {len(cover.refused)} kinds of pairs and more are refused",
        flush=True,
    )
    return len(bad)


def main() -> int:
    """Exit code 0 without faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=JOBS)
    parser.add_argument("--only", type=json.loads, help="one combination, as JSON")
    parser.add_argument("--out", type=Path, default=Path("build/settings"))
    asked = parser.parse_args()
    pair = Pair()
    if asked.only is not None:
        print(*pair.tried(asked.task, asked.only), sep="\n")
        return 0
    asked.out.mkdir(parents=True, exist_ok=True)
    tasks = [asked.task] if asked.task else list(JOBS)
    return int(sum(checked(task, Log(asked.out / f"{task.replace(' ', '-')}.jsonl", task, pair)) for task in tasks) > 0)


if __name__ == "__main__":
    sys.exit(main())
