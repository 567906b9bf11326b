"""Canaries: made-up rows, planted by the toss of a coin, that can be drawn again from a file beside the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tidegate import compare, tasks
from tidegate.errors import InputError
from tidegate.train.canary import CANARIES, Canaries, chosen_half, planted, read_canaries
from tidegate.train.example import Examples
from tidegate.train.layer import make_layer
from tidegate.train.loop import identity
from tidegate.train.plan import Plan
from tidegate.train.watch import Watch
from tidegate.zoo import graph_of

ROWS = [f"{first}{vowel}{last}" for first in "abdgk" for vowel in "aeiou" for last in ("", "n", "nna", "r")]
NAMES = "".join(f"{name},{'vowel' if name[-1] in 'aeiou' else 'other'}\n" for name in ROWS)
TAGGED = "".join(
    "".join(f"{word} {word[0]}\n" for word in (one, "sees", two)) + "\n" for one in ROWS[:8] for two in ROWS[8:14]
)
PAIRS = "".join(f"{one} {two}\t{two} {one}\n" for one in "abcdefgh" for two in "stuvw")
TEXT = "".join(f"{place} tides turn, {place % 7} gates open.\n" for place in range(200))
SOURCES = {
    "classification": ("rows.csv", "text,label\n" + NAMES),
    "tagging": ("rows.conll", TAGGED),
    "translation": ("rows.tsv", PAIRS),
    "language": ("rows.txt", TEXT),
}
EACH = pytest.mark.parametrize("name", SOURCES)


def task_of(name: str, folder: Path, **setting: Any) -> Any:
    file, content = SOURCES[name]
    path = folder / file
    path.write_text(content)
    row = tasks.TABLE[name]
    return row.task.load(path, row.setting(**setting))


@EACH
def test_canaries_are_drawn_again_from_the_key(name: str, tmp_path: Path) -> None:
    examples: Examples[Any, Any] = task_of(name, tmp_path).examples
    canaries = Canaries.new(examples, 50)
    (tmp_path / CANARIES).write_text(canaries.to_text())
    again = read_canaries(tmp_path)
    assert again == canaries
    assert again.fit(task_of(name, tmp_path).examples)
    assert 5 < canaries.coins.sum() < 45
    assert not dataclasses.replace(canaries, key="0" * 64).fit(examples)
    assert Canaries.new(examples, 50).key != canaries.key
    assert {examples.length(row) for row in canaries.drawn(examples)} == {canaries.steps}
    assert examples.digest(canaries.others(examples, 50)) != canaries.rows


@EACH
def test_planted_rows_are_learnt_from_and_nothing_else_changes(name: str, tmp_path: Path) -> None:
    task = task_of(name, tmp_path)
    examples = task.examples
    rows, extra = list(examples.rows("train")), Canaries.new(examples, 6).drawn(examples)
    before, size = examples.digest(rows), steps(task)
    other = examples.learning_from([*rows, *extra])
    assert other.encoding is task.encoding
    assert steps(other) == size + steps(examples.learning_from(extra))
    assert steps(examples.learning_from(rows)) == size
    for split in ("valid", "test"):
        assert [b.inputs.tolist() for b in other.batches(split)] == [b.inputs.tolist() for b in task.batches(split)]
    assert examples.digest(task.examples.rows("train")) == before
    assert steps(task) == size


def steps(task: Any) -> int:
    """The answers of one pass over the training part that count."""
    return sum(int(batch.scored().sum()) for batch in task.batches("train"))


@EACH
def test_losses_of_rows_are_those_of_the_measure(name: str, tmp_path: Path) -> None:
    task = task_of(name, tmp_path, hidden_size=8)
    torch.manual_seed(0)
    model = task.model(make_layer(graph_of("gru"), task.setting)).eval()
    examples = task.examples
    rows = [*list(examples.rows("test"))[:4], *Canaries.new(examples, 2).drawn(examples)]
    found = examples.losses(model, rows)
    for row, loss in zip(rows, found, strict=True):
        batch = examples.batch([row])
        with torch.inference_mode():
            measure = task.measure(model(batch)[0], batch)
        assert loss == pytest.approx(measure.loss.item() * examples.nats, rel=1e-5)


def test_a_canary_of_language_is_one_unit_of_private_training(tmp_path: Path) -> None:
    task = task_of("language", tmp_path)
    examples = task.examples
    canary = Canaries.new(examples, 1).drawn(examples)[0]
    other = examples.learning_from([*examples.rows("train"), canary])
    first, window = other.bounds["train"][0], other.setting.window
    places = [
        k for k in range(0, len(other.symbols) - first, window) if (other.symbols[first + k :][:window] == canary).all()
    ]
    assert len(places) == 1


def test_training_plants_and_keeps_the_coins_beside_the_model(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("text,label\n" + NAMES)
    home = tmp_path / "model"
    seen: list[Any] = []
    model = classifier(canaries=30).fit(path, folder=home, watch=Watch(on_data=seen.append))
    canaries = read_canaries(home)
    assert canaries is not None
    assert canaries.count == 30
    assert model.planted_ == canaries.hash == tasks.from_pretrained(home).planted_
    assert canaries.key not in (home / "model.json").read_text()
    again = classifier(canaries=30).fit(path, folder=home)  # the model that lies there
    assert read_canaries(home) == canaries
    with pytest.raises(InputError, match="canaries=30 instead of 0"):
        classifier().fit(path, folder=home)
    assert read_canaries(saved(classifier(canaries=30).fit(path), tmp_path / "memory")) is not None
    assert read_canaries(saved(again, tmp_path / "copy")) is None  # a copy of a model tells nobody which were planted


def classifier(**setting: Any) -> Any:
    return tasks.SequenceClassifier(epochs=1, hidden_size=4, cell="gru", votes=False, bidirectional=False, **setting)


def saved(model: Any, home: Path) -> Path:
    model.save_pretrained(home)
    return home


def test_a_training_goes_on_with_the_canaries_that_it_began_with(tmp_path: Path) -> None:
    task = task_of("classification", tmp_path, canaries=20)
    first, canaries = planted(task, tmp_path)
    again, kept = planted(task_of("classification", tmp_path, canaries=20), tmp_path)
    assert kept == canaries
    plan = Plan.of(task.setting, "gru")
    assert identity(first, plan) == identity(again, plan) != identity(task, plan)
    (tmp_path / CANARIES).unlink()
    fresh, _ = planted(task, tmp_path)
    assert identity(fresh, plan) != identity(first, plan)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"format": 1}', '{"format": 2, "count": 1, "steps": 1, "key": "", "rows": ""}', "[1]"]
)
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / CANARIES).write_text(content)
    with pytest.raises(InputError, match="holds no canaries"):
        read_canaries(tmp_path)


def test_a_shadow_learns_from_half_of_the_rows(tmp_path: Path) -> None:
    task = task_of("translation", tmp_path)
    half, inside = chosen_half(task, 3)
    again, same = chosen_half(task_of("translation", tmp_path), 3)
    assert (inside == same).all()
    assert len(inside) == len(task.coded["train"]) + len(task.coded["test"])
    assert half.examples.digest(half.coded["train"]) == again.examples.digest(again.coded["train"])
    assert len(half.coded["train"]) == inside.sum()
    data = {**task.to_json(), "half": 3}
    assert len(tasks.from_json(data).coded["train"]) == inside.sum()
    assert not np.array_equal(inside, chosen_half(task, 4)[1])


def test_what_has_no_rows_and_what_has_many_models_refuses_canaries(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows that could be exchanged"):
        planted(tasks.TABLE["forecast"].task.load("elnino", tasks.TABLE["forecast"].setting(canaries=3)), tmp_path)
    with pytest.raises(InputError, match="planted for the audit of one model"):
        compare.run(task_of("translation", tmp_path, canaries=3), folder=tmp_path / "runs")
