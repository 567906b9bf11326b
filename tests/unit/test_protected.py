"""Units of private training: which rows they are, and that their losses are those of the batch."""

import dataclasses
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from tidegate.data import Source, locate, read_pairs
from tidegate.errors import InputError
from tidegate.ship import check, ship
from tidegate.tasks import TABLE, Forecaster
from tidegate.train.fitted import Fitted, accepted
from tidegate.train.layer import make_layer
from tidegate.train.loop import Outcome
from tidegate.train.protected import Protected
from tidegate.train.setting import privately
from tidegate.zoo import graph_of

WORDS = ["tide", "gate", "moon", "salt", "wave", "shore"]
MARK = "xyzzy"  # stands in training rows that no file of a private model may repeat
LARGE = 98765.4321  # a value of such rows


class Case(NamedTuple):
    """Rows of a task, the settings that read them, and what a model may learn from them."""

    task: str
    source: Source
    options: dict[str, Any]
    public: tuple[str, ...]


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def _texts() -> Case:
    texts = [" ".join(WORDS[(k + j) % 6] for j in range(1 + k % 4)) for k in range(40)]
    texts += [f"{MARK}{k} tide" for k in range(4)]
    rows = [{"text": text, "label": "ab"[k % 2], "user": f"u{k % 7}"} for k, text in enumerate(texts)]
    options = {"unit": "word", "vocabulary": 6}
    return Case("classification", Source("a.jsonl", "a.jsonl", _lines(rows)), options, ("classes", "vocabulary"))


def _series() -> Case:
    generator = torch.Generator().manual_seed(0)
    rows = ["name,kind,patient,x,y"]
    for k in range(30):
        for _ in range(3 + k % 3):
            x, y = torch.randn(2, generator=generator).tolist()
            rows.append(f"s{k},{'ab'[k % 2]},p{k % 6},{x:.3f},{y:.3f}")
    rows += [f"{MARK}{k},{'ab'[k % 2]},p{k % 6},0,{LARGE}" for k in range(4)]
    options = {"series": "name", "label": "kind", "frame": 1}
    source = Source("a.csv", "a.csv", "\n".join(rows).encode())
    return Case("classification", source, options, ("classes", "columns", "scale"))


def _irregular() -> Case:
    generator = torch.Generator().manual_seed(0)
    rows = ["name,kind,patient,day,x,y"]
    for k in range(34):
        name = f"{MARK}{k}" if k % 8 == 0 else f"s{k}"
        days = torch.rand(4 + k % 3, generator=generator).cumsum(0).tolist()
        x = [LARGE if k % 8 == 0 and j == 1 else j - k / 9 for j in range(len(days))]
        rows += [f"{name},{'ab'[k % 2]},p{k % 6},{day:.3f},{x[j]},{'' if j % 3 else j}" for j, day in enumerate(days)]
    options = {"series": "name", "label": "kind", "time": "day", "frame": 1, "missing": "inputs"}
    source = Source("b.csv", "b.csv", "\n".join(rows).encode())
    return Case("classification", source, options, ("classes", "columns", "scale", "gaps"))


def _tagged() -> Case:
    words = [[WORDS[(k + j) % 6] for j in range(1 + k % 5)] for k in range(40)] + [[f"{MARK}{k}"] for k in range(4)]
    rows = (
        {"words": own, "tags": [f"T{j % 3}" for j in range(len(own))], "user": k % 8} for k, own in enumerate(words)
    )
    options = {"word_dropout": 0, "longest": 3, "embedding_size": 5, "ends_size": 4, "vocabulary": 6}
    public = ("tags", "vocabulary", "scheme")
    return Case("tagging", Source("a.jsonl", "a.jsonl", _lines(rows)), options, public)


def _pairs() -> Case:
    pairs = [(f"{WORDS[k % 6]} {WORDS[k // 6]} {k}", " ".join(WORDS[: 1 + k % 4])) for k in range(36)]
    pairs += [(f"{MARK} {k}", f"{MARK}{k}") for k in range(4)]
    rows = ({"source": left, "target": right, "user": f"u{k % 25}"} for k, (left, right) in enumerate(pairs))
    options = {"source_unit": "character", "target_unit": "word", "embedding_size": 5}
    return Case("translation", Source("a.jsonl", "a.jsonl", _lines(rows)), options, ("vocabulary",))


def _spoken() -> Case:
    data = dict(np.load(io.BytesIO(locate("bundled:fsdd").raw)))
    kept = np.arange(0, len(data["texts"]), 12)  # of 3,000 recordings
    frames = np.split(data["frames"], np.cumsum(data["lengths"])[:-1])
    data["frames"] = np.concatenate([frames[row] for row in kept])
    data |= {name: data[name][kept] for name in ("lengths", "names", "texts", "speakers", "splits")}
    train = np.flatnonzero(data["splits"] == "train")[::30]
    data["texts"][train] = MARK
    raw = io.BytesIO()
    np.savez(raw, **data)
    public = ("symbols", "unit", "scale")
    return Case("speech", Source("a.npz", "a.npz", raw.getvalue()), {}, public)


def _played() -> Case:
    pieces = [[[60 + (k + t) % 12, 67] for t in range(5 + 4 * k)] for k in range(6)]
    raw = json.dumps({"train": pieces, "valid": pieces[:1], "test": pieces[:1]}).encode()
    return Case("music", Source("a.json", "a.json", raw), {"window": 6, "nade_size": 4}, ())


def _written() -> Case:
    text = " ".join(f"{MARK}" if k % 100 == 50 else WORDS[(k * k) % 6] for k in range(500))
    options = {"window": 16, "embedding_size": 5, "tied": True}
    return Case("language", Source("a.txt", "a.txt", text.encode()), options, ("vocabulary",))


def _meters() -> Case:
    generator = torch.Generator().manual_seed(0)
    rows = ["meter,house,price,load"]
    for k in range(24):
        name = f"{MARK}{k}" if k % 5 == 0 else f"m{k}"
        walk = torch.randn(50 + k, generator=generator).cumsum(0).tolist()
        rows += [f"{name},{MARK}h{k % 12},{t % 5},{LARGE if t == 20 else value:.4f}" for t, value in enumerate(walk)]
    options = {"target": "load", "series": "meter", "known": ("price",), "horizon": 3, "window": 12}
    source = Source("a.csv", "a.csv", "\n".join(rows).encode())
    return Case("forecast", source, {**options, "protect": "house"}, ("columns", "scale", "decimal"))


CASES = {
    "texts": _texts(),
    "series": _series(),
    "irregular": _irregular(),
    "tagging": _tagged(),
    "translation": _pairs(),
    "speech": _spoken(),
    "music": _played(),
    "language": _written(),
    "forecast": _meters(),
}


def _task(name: str, **options: Any) -> Any:
    """The task of a private training."""
    case = CASES[name]
    setting = privately(TABLE[case.task].setting, 8.0)
    setting = dataclasses.replace(setting, hidden_size=6, **{**case.options, **options})
    return TABLE[case.task].task(case.source, setting)


def _model(task: Any) -> Any:
    torch.manual_seed(0)
    return task.model(make_layer(graph_of("gru"), task.setting)).train()


@pytest.mark.parametrize("name", CASES)
def test_losses_of_units_sum_to_the_loss_of_their_batch(name: str) -> None:
    task = _task(name)
    model, (batch, owner) = _model(task), task.protected(task.setting.protect).batch([3, 0, 5])
    outputs, _ = model(batch)
    each = task.measure_each(outputs, batch, owner, 3)
    assert each.sum().item() == pytest.approx(task.measure(outputs, batch).loss.item(), rel=1e-6)
    alone = torch.zeros(3)
    for row, unit in enumerate(owner.tolist()):
        part = batch.share(row, len(owner))
        alone[unit] += task.losses(model(part)[0], part)[0].detach()
    assert each.tolist() == pytest.approx(alone.tolist(), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_without_units_has_no_rows_and_no_gradient(name: str) -> None:
    task = _task(name)
    batch, owner = task.protected(task.setting.protect).batch([])
    outputs, _ = _model(task)(batch)
    assert batch.inputs.shape[1] == 0
    assert task.measure_each(outputs, batch, owner, 0).shape == (0,)
    task.measure(outputs, batch).loss.backward()


@pytest.mark.parametrize("name", CASES)
def test_every_training_row_belongs_to_one_unit(name: str) -> None:
    task = _task(name)
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
    task = _task("texts", protect="user")
    whole = {part: set(own.owners) for part, own in task.content.parts.items()}
    assert not whole["train"] & (whole["valid"] | whole["test"])
    protected = task.protected("user")
    assert len(protected) == len(whole["train"])
    counts = protected.batch([0, 1])[1].bincount().tolist()
    owners = list(task.content.parts["train"].owners)
    assert counts == [owners.count(owner) for owner in list(dict.fromkeys(owners))[:2]]
    assert protected.unit == "all sequences with their classes that share a value of 'user'"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("series", "patient"),
        ("irregular", "patient"),
        ("tagging", "user"),
        ("translation", "user"),
        ("forecast", "house"),
    ],
)
def test_all_rows_of_an_owner_are_one_unit(name: str, column: str) -> None:
    task = _task(name, protect=column)
    protected = task.protected(column)
    batch, owner = protected.batch(range(len(protected)))
    assert batch.inputs.shape[1] > len(protected) == len(set(owner.tolist()))
    assert column in protected.unit
    with pytest.raises(InputError, match="were read for"):
        task.protected("row")


def test_recordings_of_a_speaker_are_one_unit() -> None:
    task = _task("speech", protect="speaker")
    speakers = [utterance.owner for utterance in task.utterances["train"]]
    assert len(task.protected("speaker")) == len(set(speakers)) == 5
    assert task.protected("speaker").batch([1])[1].tolist() == [0] * speakers.count(list(dict.fromkeys(speakers))[1])
    assert not set(speakers) & {utterance.owner for utterance in task.utterances["valid"]}


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("texts", b"text,label,user\na b,x,u\nc d,y,\n" + b"e f,x,v\n" * 20, "'user' in row 2 below the header"),
        ("texts", b"x a b\ny c d\n" * 20, "a file of lines, whose rows have no columns"),
        ("series", b"name,kind,x,user\ns1,a,1,u\ns1,a,2,v\n" + b"s2,b,1,u\n", "'s1' .* belongs to 'u' and to 'v'"),
        ("translation", b"hund\tdog\nkatze\tcat\n" * 20, "whose first line does not name its columns"),
    ],
)
def test_whom_a_row_belongs_to_must_be_said(name: str, raw: bytes, says: str) -> None:
    kind, suffix = TABLE[CASES[name].task], {"translation": "tsv"}.get(name, "csv" if b"," in raw else "txt")
    options = {**CASES[name].options, "protect": "user"}
    setting = dataclasses.replace(privately(kind.setting, 8.0), **options)
    with pytest.raises(InputError, match=says):
        kind.task(Source(f"a.{suffix}", f"a.{suffix}", raw), setting)


def test_the_same_pair_of_another_owner_is_kept() -> None:
    raw = b"source,target,user\n" + b"".join(b"a%d,b,u%d\n" % (k // 2, k % 2) for k in range(8)) + b"a0,b,u0\n"
    assert read_pairs(Source("a.csv", "a.csv", raw), owner="user").owners == ("u0", "u1") * 4
    assert len(read_pairs(Source("a.csv", "a.csv", raw)).sources) == 4


def test_a_missing_column_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(InputError, match=r"no column 'person'.*'text', 'label', 'user'"):
        _task("texts", protect="person")


def test_what_is_learnt_must_be_given_or_public() -> None:
    learnt = (Fitted("vocabulary", "words"), Fitted("frame", "4 steps", "frame=4"))
    assert accepted(learnt, ("frame", "vocabulary")) == ("vocabulary", "frame")
    with pytest.raises(InputError, match=r"frame=4 gives the frame.*--public vocabulary,frame") as caught:
        accepted(learnt, ("vocabulary",))
    assert "vocabulary (" not in str(caught.value)
    with pytest.raises(InputError, match="names nothing that is learnt"):
        accepted(learnt, ("scale",))


def test_what_each_task_learns_beside_the_weights() -> None:
    learnt = {name: [one.name for one in _task(name).fitted] for name in CASES}
    assert learnt == {
        "texts": ["classes", "vocabulary"],
        "series": ["classes", "columns", "scale"],
        "irregular": ["classes", "columns", "scale", "gaps"],
        "tagging": ["tags", "vocabulary", "scheme"],
        "translation": ["vocabulary"],
        "speech": ["symbols", "unit", "scale"],
        "music": [],
        "language": ["vocabulary"],
        "forecast": ["columns", "scale", "decimal"],
    }
    assert [one.name for one in _task("tagging", plain=True).fitted] == ["tags", "vocabulary"]
    assert [one.name for one in _task("speech", normalise="recording", symbols="words").fitted] == ["symbols"]
    forecast = _task("forecast", protect="meter", public=("changes",), decimal=".")
    assert [one.name for one in forecast.fitted] == ["columns", "scale", "categories", "changes"]


REFUSED = {
    "votes": ("texts", {"votes": True}, "votes are fitted"),
    "calibrate": ("texts", {"calibrate": True}, "temperature"),
    "join": ("speech", {"join": 3}, "losses have no parts"),
    "rows of a series": ("forecast", {"protect": "row"}, "no row can be protected by itself"),
    "ridge": ("forecast", {"difference": "linear"}, "ridge regression"),
    "season": ("forecast", {"difference": "season"}, "season is estimated"),
    "logarithm": ("forecast", {"logarithm": "yes"}, "logarithms"),
    "one series": ("forecast", {"series": None}, "no row can be protected"),
    "music has no columns": ("music", {"protect": "composer"}, "no columns"),
    "text has no columns": ("language", {"protect": "author"}, "no columns"),
    "one symbol": ("language", {"window": 1}, "nothing to learn"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_private_is_refused_by_name(name: str) -> None:
    case, options, says = REFUSED[name]

    def units() -> Any:
        task = _task(case, **options)
        return task.protected(task.setting.protect)

    with pytest.raises(InputError, match=says):
        units()


def test_a_private_forecast_draws_whole_series_and_knows_no_scale_of_them() -> None:
    task = _task("forecast")
    owner = task.panel.owners
    parts = {part: {owner[k] for k, (a, b) in enumerate(task._bounds(part)) if b > a} for part in ("valid", "test")}
    train = {owner[k] for k in task.learning}
    assert not train & (parts["valid"] | parts["test"])
    assert train | parts["valid"] | parts["test"] == set(owner)
    assert (task.encoding.scales, task.encoding.naive, task.encoding.ridge) == ({}, {}, "")
    assert task.encoding.change == (1.0,) * 3 != _task("forecast", public=("changes",)).encoding.change


def test_windows_of_a_series_are_drawn_at_all_places_of_its_training_rows() -> None:
    task = _task("forecast")
    span = task.grid.spans[task.learning[0]]
    torch.manual_seed(0)
    first = {int(task.protected("house").batch([0])[0].first[0]) - span.start for _ in range(400)}
    rows = span.first - span.start - 3
    assert first == set(range(rows - 12 + 1))


def test_the_score_of_validation_reads_no_symbol_of_training() -> None:
    task = _task("language")
    bounds, sizes = task.bounds, task.corpus.sizes
    assert bounds["valid"][0] == sizes["train"] + 1
    assert bounds["test"][0] == sizes["train"] + sizes["valid"] + 1


def test_texts_learn_classes_and_a_vocabulary() -> None:
    assert [one.name for one in _task("texts").fitted] == ["classes", "vocabulary"]
    assert _task("texts").encoding.shares == ()


@pytest.mark.parametrize("name", ["texts", "tagging", "music"])
def test_a_private_model_stands_beside_what_the_test_alone_shows(name: str) -> None:
    """So that one that is worse is called so, and no row of training is counted."""
    task = _task(name)
    lines = task.baselines()
    assert lines
    assert all(line.how.endswith("the test") for line in lines)
    for held in {"parts", "pieces", "inputs", "targets"} & vars(task).keys():
        setattr(task, held, {"test": getattr(task, held)["test"]})
    task.__dict__.pop("_rivals", None)
    assert task.baselines() == lines


@pytest.mark.parametrize("name", ["texts", "series", "tagging", "translation", "speech", "language", "forecast"])
def test_public_data_give_what_training_rows_would(name: str, tmp_path: Path) -> None:
    """From the same rows the same is learnt; it is not that of the training rows, which are others here."""
    case = CASES[name]
    kind, path = TABLE[case.task], tmp_path / case.source.title
    path.write_bytes(case.source.raw)
    setting = privately(kind.setting, 8.0)
    setting = dataclasses.replace(setting, hidden_size=6, **case.options, public_data=str(path))
    task, own = kind.task.load(case.source, setting), _task(name, public=kind.task.accepts)
    assert task.fitted == () != own.fitted
    assert task.encoding.to_json() == own.encoding.to_json()
    assert task.remarks(_model(task))[0].endswith(f"learnt from {path}, which is public")
    batch, owner = task.protected(setting.protect).batch([0, 1])
    assert len(owner) == batch.inputs.shape[1]


def test_public_data_are_read_in_place_of_training_rows(tmp_path: Path) -> None:
    case = CASES["texts"]
    path = tmp_path / "public.jsonl"
    path.write_bytes(case.source.raw.replace(b"moon", b"star"))
    setting = dataclasses.replace(
        privately(TABLE["classification"].setting, 8.0), **case.options, public_data=str(path)
    )
    units = TABLE["classification"].task.load(case.source, setting).encoding.reading.units
    assert "star" in units
    assert "moon" not in units
    with pytest.raises(InputError, match="no effect"):
        _task("music", public_data=str(path))


def _untrained(task: Any, layer: Any, plan: Any, **_: Any) -> Outcome:
    """A training of no steps."""
    return Outcome(task.model(layer, plan.setting), False, 0.0, 0, ())  # noqa: FBT003  not diverged


def _files(name: str, home: Path, **options: Any) -> dict[str, bytes]:
    """The files of a model of a task, which stays as it began."""
    case = CASES[name]
    estimator = TABLE[case.task].estimator
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidegate.train.estimator.train", _untrained)
        estimator(hidden_size=6, **{**case.options, **options}).fit(case.source, folder=home)
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}


def _found(files: dict[str, bytes]) -> set[str]:
    """The files that repeat marked rows."""
    traces = (MARK.encode(), b"98765", np.float32(LARGE).tobytes(), np.float64(LARGE).tobytes())
    return {name for name, content in files.items() if any(trace in content for trace in traces)}


@pytest.mark.parametrize("name", CASES)
def test_no_file_of_a_private_model_repeats_a_training_row(name: str, tmp_path: Path) -> None:
    files = _files(name, tmp_path / "model", epsilon=8.0, public=CASES[name].public)
    assert {"config.toml", "model.json", "model.safetensors"} <= files.keys()
    assert _found(files) == set()
    card = json.loads(files["model.json"])
    said = {"name": CASES[name].source.title, "licence": "", "test": "", "hash": "", "description": "", "split": ""}
    assert (card["data"], card["memory"]) == ({**said, "warnings": []}, {})
    assert any("private training does without" in note for note in card["notes"])


def test_files_of_other_models_do_repeat_rows(tmp_path: Path) -> None:
    assert _found(_files("tagging", tmp_path / "model", vocabulary=50)) == {"model.json"}


def test_a_shipped_private_forecaster_is_given_the_scale_of_a_series(tmp_path: Path) -> None:
    case = CASES["forecast"]
    path = tmp_path / case.source.title
    path.write_bytes(case.source.raw)
    _files("forecast", tmp_path / "model", epsilon=8.0, public=case.public)
    shipped = ship(Forecaster.from_pretrained(tmp_path / "model"), to="onnx")
    assert "scale" in [one.name for flow in shipped.flows.values() for one in flow.inputs]
    assert check(shipped, path).passed
