"""Canaries: made-up rows, planted by the toss of a coin, that can be drawn again from a file beside the model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tidegate import compare, tasks
from tidegate.errors import InputError
from tidegate.train.canary import CANARIES, Canaries, chosen_half, planted, read_canaries
from tidegate.train.example import Examples
from tidegate.train.loop import identity
from tidegate.train.plan import Plan

ROWS = [f"{first}{vowel}{last}" for first in "abdgk" for vowel in "aeiou" for last in ("", "n", "nna", "r")]
NAMES = "".join(f"{name},{'vowel' if name[-1] in 'aeiou' else 'other'}\n" for name in ROWS)
TAGGED = "".join("".join(f"{word} {word[0].upper()}\n" for word in row.split()) + "\n" for row in ("a bee", "bee a a") * 20)
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
def test_canaries_are_rows_of_the_task_and_drawn_again_from_the_key(name: str, tmp_path: Path) -> None:
    examples: Examples[Any, Any] = task_of(name, tmp_path).examples
    canaries = Canaries.new(examples, 50)
    again = Canaries(**json.loads(canaries.to_text()) | {"format": None} if False else dataclasses.asdict(canaries))
    assert again.fit(task_of(name, tmp_path).examples)
    assert (again.coins == canaries.coins).all()
    assert 5 < canaries.coins.sum() < 45
    assert not dataclasses.replace(canaries, key="0" * 64).fit(examples)
    assert Canaries.new(examples, 50).key != canaries.key
    assert {examples.length(row) for row in canaries.drawn(examples)} == {canaries.steps}
    assert examples.digest(canaries.others(examples, 50)) != canaries.rows


@EACH
def test_planted_rows_are_learnt_from_and_nothing_else_changes(name: str, tmp_path: Path) -> None:
    task = task_of(name, tmp_path)
    examples = task.examples
    rows, extra = list(examples.rows("train")), Canaries.new(examples, 4).drawn(examples)
    other = examples.learning_from([*rows, *extra])
    assert other.encoding is task.encoding
    assert seen(other, "train") == seen(task, "train") + sum(map(examples.length, extra)) * unit(name)
    for split in ("valid", "test"):
        assert [b.inputs.tolist() for b in other.batches(split)] == [b.inputs.tolist() for b in task.batches(split)]
    assert examples.digest(task.examples.rows("train")) == examples.digest(rows)


def seen(task: Any, split: Any) -> int:
    """The steps of one pass, or what is planted of them: pairs have two sides."""
    return sum(int(batch.lengths.sum()) if batch.lengths is not None else batch.inputs.numel() for batch in once(task))


def once(task: Any) -> list[Any]:
    return list(task.batches("train"))


def unit(name: str) -> int:
    del name
    return 1


@EACH
def test_losses_of_rows_are_those_of_the_measure(name: str, tmp_path: Path) -> None:
    task = task_of(name, tmp_path)
    from tidegate.train.layer import make_layer
    from tidegate.zoo import graph_of

    torch.manual_seed(0)
    model = task.model(make_layer(graph_of("gru"), dataclasses.replace(task.setting, hidden_size=8)))
    rows = list(task.examples.rows("test"))[:5]
    found = task.examples.losses(model.eval(), rows)
    for row, loss in zip(rows, found, strict=True):
        batch = task.examples.batch([row])
        with torch.inference_mode():
            measure = task.measure(model(batch)[0], batch)
        assert loss == pytest.approx(measure.loss.item() * task.examples.nats, rel=1e-5)
