"""Units of private training: which rows they are, and that their losses are those of the batch."""

import dataclasses
import json
from typing import Any

import pytest
import torch

from tidegate.data import Source, locate
from tidegate.errors import InputError
from tidegate.tasks import TABLE
from tidegate.train.fitted import Fitted, accepted
from tidegate.train.layer import make_layer
from tidegate.train.protected import Protected
from tidegate.train.setting import privately
from tidegate.zoo import graph_of

WORDS = ["tide", "gate", "moon", "salt", "wave", "shore"]


def _private(name: str, protect: str = "row", **options: Any) -> Any:
    """The settings of a task in private training."""
    return dataclasses.replace(privately(TABLE[name].setting, 8.0), hidden_size=6, protect=protect, **options)


def _texts(protect: str = "row", **options: Any) -> Any:
    rows = [
        {"text": " ".join(WORDS[(k + j) % 6] for j in range(1 + k % 4)), "label": "ab"[k % 2], "user": f"u{k % 7}"}
        for k in range(40)
    ]
    setting = _private("classification", protect, unit="word", unit_dropout=0, **options)
    return TABLE["classification"].task(Source("rows.jsonl", "rows.jsonl", _lines(rows)), setting)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def _series(protect: str = "row", **options: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    rows = ["name,kind,patient,x,y"]
    for k in range(30):
        for _ in range(3 + k % 3):
            x, y = torch.randn(2, generator=generator).tolist()
            rows.append(f"s{k},{'ab'[k % 2]},p{k % 6},{x:.3f},{y:.3f}")
    setting = _private("classification", protect, series="name", label="kind", frame=1, **options)
    return TABLE["classification"].task(Source("steps.csv", "steps.csv", "\n".join(rows).encode()), setting)


def _tagged(protect: str = "row", **options: Any) -> Any:
    rows = [
        {"words": [WORDS[(k + j) % 6] for j in range(1 + k % 5)], "tags": [f"T{j % 3}" for j in range(1 + k % 5)]}
        for k in range(40)
    ]
    raw = _lines([{**row, "user": k % 8} for k, row in enumerate(rows)])
    setting = _private("tagging", protect, word_dropout=0, longest=3, embedding_size=5, ends_size=4, **options)
    return TABLE["tagging"].task(Source("rows.jsonl", "rows.jsonl", raw), setting)


def _pairs(protect: str = "row", **options: Any) -> Any:
    rows = [
        {"source": f"{WORDS[k % 6]} {WORDS[k // 6]} {k}", "target": " ".join(WORDS[: 1 + k % 4]), "user": f"u{k % 25}"}
        for k in range(36)
    ]
    options = {"source_unit": "character", "target_unit": "word", "embedding_size": 5, **options}
    return TABLE["translation"].task(
        Source("rows.jsonl", "rows.jsonl", _lines(rows)), _private("translation", protect, **options)
    )


def _spoken(protect: str = "row", **options: Any) -> Any:
    source = dataclasses.replace(locate("bundled:fsdd"), title="digits")
    setting = _private("speech", protect, mask_frames=0, mask_bands=0, **options)
    return TABLE["speech"].task(source, setting)


def _played(protect: str = "row", **options: Any) -> Any:
    pieces = [[[60 + (k + t) % 12, 67] for t in range(5 + 4 * k)] for k in range(6)]
    raw = json.dumps({"train": pieces, "valid": pieces[:1], "test": pieces[:1]}).encode()
    setting = _private("music", protect, recurrent_dropout=0, window=6, nade_size=4, **options)
    return TABLE["music"].task(Source("rolls.json", "rolls.json", raw), setting)


def _written(protect: str = "row", **options: Any) -> Any:
    text = " ".join(WORDS[(k * k) % 6] for k in range(500))
    setting = _private("language", protect, **{"window": 16, "embedding_size": 5, "tied": True, **options})
    return TABLE["language"].task(Source("a.txt", "a.txt", text.encode()), setting)


def _forecast(protect: str = "meter", **options: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    rows = ["meter,house,price,load"]
    for k in range(24):
        walk = torch.randn(50 + k, generator=generator).cumsum(0)
        rows += [f"m{k},h{k % 12},{t % 5},{10 * k + value:.4f}" for t, value in enumerate(walk.tolist())]
    options = {"target": "load", "series": "meter", "known": ("price",), "horizon": 3, "window": 12, **options}
    source = Source("loads.csv", "loads.csv", "\n".join(rows).encode())
    return TABLE["forecast"].task(source, _private("forecast", protect, **options))


MADE = {
    "texts": _texts,
    "series": _series,
    "tagging": _tagged,
    "translation": _pairs,
    "speech": _spoken,
    "music": _played,
    "language": _written,
    "forecast": _forecast,
}


def _model(task: Any) -> Any:
    torch.manual_seed(0)
    return task.model(make_layer(graph_of("gru"), task.setting)).train()


@pytest.mark.parametrize("name", MADE)
def test_losses_of_units_sum_to_the_loss_of_their_batch(name: str) -> None:
    task = MADE[name]()
    model, (batch, owner) = _model(task), task.protected(task.setting.protect).batch([3, 0, 5])
    outputs, _ = model(batch)
    each = task.measure_each(outputs, batch, owner, 3)
    assert each.sum().item() == pytest.approx(task.measure(outputs, batch).loss.item(), rel=1e-6)
    alone = torch.zeros(3)
    for row, unit in enumerate(owner.tolist()):
        part = batch.share(row, len(owner))
        alone[unit] += task.losses(model(part)[0], part)[0].detach()
    assert each.tolist() == pytest.approx(alone.tolist(), rel=1e-5)


@pytest.mark.parametrize("name", MADE)
def test_a_batch_without_units_has_no_rows_and_no_gradient(name: str) -> None:
    task = MADE[name]()
    batch, owner = task.protected(task.setting.protect).batch([])
    outputs, _ = _model(task)(batch)
    assert batch.inputs.shape[1] == 0
    assert task.measure_each(outputs, batch, owner, 0).shape == (0,)
    task.measure(outputs, batch).loss.backward()


@pytest.mark.parametrize("name", MADE)
def test_every_training_row_belongs_to_one_unit(name: str) -> None:
    task = MADE[name]()
    protected = task.protected(task.setting.protect)
    batch, owner = protected.batch(range(len(protected)))
    assert sorted(set(owner.tolist())) == list(range(len(protected)))
    assert (owner.diff() >= 0).all()
    assert len(owner) == batch.inputs.shape[1]


def test_owners_keep_their_rows_together() -> None:
    rows: list[list[int]] = []

    def make(own: list[int]) -> Any:
        rows.append(own)

    protected = Protected.of(["b", "a", "b", "c", "a"], 6, make, "unit")  # the last row was planted
    assert len(protected) == 4
    assert protected.batch([2, 0, 3])[1].tolist() == [0, 1, 1, 2]
    assert rows == [[3, 0, 2, 5]]


def test_texts_of_a_user_are_one_unit_and_in_one_part() -> None:
    task = _texts("user")
    whole = {part: set(own.owners) for part, own in task.content.parts.items()}
    assert not whole["train"] & (whole["valid"] | whole["test"])
    protected = task.protected("user")
    assert len(protected) == len(whole["train"])
    counts = protected.batch([0, 1])[1].bincount().tolist()
    owners = list(task.content.parts["train"].owners)
    assert counts == [owners.count(owner) for owner in list(dict.fromkeys(owners))[:2]]
    assert protected.unit == "all sequences with their classes that share a value of 'user'"


@pytest.mark.parametrize(
    ("name", "column"), [("series", "patient"), ("tagging", "user"), ("translation", "user"), ("forecast", "house")]
)
def test_all_rows_of_an_owner_are_one_unit(name: str, column: str) -> None:
    task = MADE[name](column)
    protected = task.protected(column)
    batch, owner = protected.batch(range(len(protected)))
    assert batch.inputs.shape[1] > len(protected) == len(set(owner.tolist()))
    assert column in protected.unit
    with pytest.raises(InputError, match="were read for"):
        task.protected("row")


def test_recordings_of_a_speaker_are_one_unit() -> None:
    task = _spoken("speaker")
    speakers = [utterance.owner for utterance in task.utterances["train"]]
    assert len(task.protected("speaker")) == len(set(speakers)) == 5
    assert task.protected("speaker").batch([1])[1].tolist() == [0] * speakers.count(list(dict.fromkeys(speakers))[1])
    assert not set(speakers) & {utterance.owner for utterance in task.utterances["valid"]}


def test_a_missing_column_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(InputError, match=r"no column 'person'.*'text', 'label', 'user'"):
        _texts("person")


def test_what_is_learnt_must_be_given_or_public() -> None:
    learnt = (Fitted("vocabulary", "words"), Fitted("frame", "4 steps", "frame=4"))
    assert accepted(learnt, ("frame", "vocabulary")) == ("vocabulary", "frame")
    with pytest.raises(InputError, match=r"frame=4 gives the frame.*--public vocabulary,frame") as caught:
        accepted(learnt, ("vocabulary",))
    assert "vocabulary (" not in str(caught.value)
    with pytest.raises(InputError, match="names nothing that is learnt"):
        accepted(learnt, ("scale",))


def test_what_each_task_learns_beside_the_weights() -> None:
    learnt = {name: [one.name for one in make().fitted] for name, make in MADE.items()}
    assert learnt == {
        "texts": ["classes", "vocabulary"],
        "series": ["classes", "columns", "scale"],
        "tagging": ["tags", "vocabulary", "scheme"],
        "translation": ["vocabulary"],
        "speech": ["symbols", "unit", "scale"],
        "music": [],
        "language": ["vocabulary"],
        "forecast": ["columns", "scale", "categories", "decimal"],
    }
    assert [one.name for one in _tagged(plain=True).fitted] == ["tags", "vocabulary"]
    assert [one.name for one in _spoken(normalise="recording", symbols="words").fitted] == ["symbols"]
    learnt["forecast"] = [one.name for one in _forecast("house", public=("changes",), decimal=".").fitted]
    assert learnt["forecast"] == ["columns", "scale", "changes"]


REFUSED = {
    "votes": (_texts, {"votes": True}, "votes are fitted"),
    "calibrate": (_texts, {"calibrate": True}, "temperature"),
    "join": (_spoken, {"join": 3}, "losses have no parts"),
    "rows of a series": (_forecast, {"protect": "row"}, "no row can be protected by itself"),
    "ridge": (_forecast, {"difference": "linear"}, "ridge regression"),
    "season": (_forecast, {"difference": "season"}, "season is estimated"),
    "logarithm": (_forecast, {"logarithm": "yes"}, "logarithms"),
    "one series": (_forecast, {"series": None}, "no row can be protected"),
    "music has no columns": (_played, {"protect": "composer"}, "no columns"),
    "text has no columns": (_written, {"protect": "author"}, "no columns"),
    "one symbol": (_written, {"window": 1}, "nothing to learn"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_private_is_refused_by_name(name: str) -> None:
    make, options, says = REFUSED[name]

    def units() -> Any:
        task = make(**options)
        return task.protected(task.setting.protect)

    with pytest.raises(InputError, match=says):
        units()


def test_a_private_forecast_draws_whole_series_and_knows_no_scale_of_them() -> None:
    task = _forecast()
    owner = task.panel.owners
    parts = {part: {owner[k] for k, (a, b) in enumerate(task._bounds(part)) if b > a} for part in ("valid", "test")}
    train = {owner[k] for k in task.learning}
    assert not train & (parts["valid"] | parts["test"])
    assert train | parts["valid"] | parts["test"] == set(owner)
    assert (task.encoding.scales, task.encoding.naive, task.encoding.ridge) == ({}, {}, "")
    assert task.encoding.change == (1.0,) * 3 != _forecast(public=("changes",)).encoding.change


def test_windows_of_a_series_are_drawn_at_all_places_of_its_training_rows() -> None:
    task = _forecast()
    span = task.grid.spans[task.learning[0]]
    torch.manual_seed(0)
    first = {int(task.protected("meter").batch([0])[0].first) - span.start for _ in range(400)}
    rows = span.first - span.start - 3
    assert first == set(range(rows - 12 + 1))


def test_texts_learn_classes_and_a_vocabulary() -> None:
    assert [one.name for one in _texts().fitted] == ["classes", "vocabulary"]
    assert _texts().encoding.shares == ()
    assert _texts().baselines() == []
    assert dataclasses.replace(_texts().kept, name="") == dataclasses.replace(_texts().kept, name="", hash="")
