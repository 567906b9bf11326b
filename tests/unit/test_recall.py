"""What the best run of each cell remembers: kept models are those that were tested, measured on validation data."""

import json
from dataclasses import replace

import pytest
import torch

from tests.unit.report_record import comparison, recall
from tidegate import compare, report, tasks, zoo
from tidegate.compare.kept import model_path, packed, read_model, setting_of
from tidegate.compare.recall import recalls
from tidegate.explain import gradient_by_lag
from tidegate.explain.kind import KINDS
from tidegate.explain.kind.generated import AddingKind
from tidegate.nn import GRU
from tidegate.plain import typed
from tidegate.records import CellRecord, to_json
from tidegate.report.html import render
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.train.loop import evaluate

CELLS = ("lstm", "rnn")


@pytest.fixture(scope="module")
def task():
    return tasks.load(
        "elnino",
        setting=ForecastSetting(epochs=1, horizon=3, strategy="direct", difference="last", context=32, window=16),
    )


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    """A comparison with its folder."""
    folder = tmp_path_factory.mktemp("compared")
    record = compare.run(task, CELLS, folder=folder, seeds=1, parameters=400, workers=1, trials=1)
    report.write_html(record, folder / "report.html")
    return record, folder


def kept(task, record, folder, place):
    run = record.runs[place]
    graph = zoo.find(run.cell).graph
    return read_model(model_path(folder / "runs", run.run), task, graph, setting_of(task.setting, run))


@pytest.mark.parametrize("place", range(len(CELLS)))
def test_the_kept_model_is_the_one_that_was_tested(task, whole, place) -> None:
    record, folder = whole
    model, own = kept(task, record, folder, place)
    assert evaluate(own, model, "test") == pytest.approx(record.runs[place].test, rel=1e-9)
    assert own.data.hash == task.data.hash


def test_every_cell_is_measured_at_one_lag_on_validation_rows(task, whole) -> None:
    record, folder = whole
    recalled = [cell.recall for cell in record.cells]
    assert [own.problem for own in recalled] == ["", ""]
    assert {own.lag for own in recalled} == {12}
    assert [own.run for own in recalled] == [run.run for run in record.runs]
    model, own = kept(task, record, folder, 0)
    kind = KINDS["forecast"](model, own, "valid")
    batch = kind.draw(8)
    first, last = own.grid.spans[0].bounds("valid")
    origins = batch.first + len(batch.levels) - 1
    assert ((origins >= first - 1) & (origins < last - 3)).all()
    aim = kind.aim(batch, kind.default)
    curve = gradient_by_lag(aim.model, aim.mean, aim.x, **aim.named).curves[0]
    assert recalled[0].flow.median == pytest.approx(curve.quartiles[1][1:].tolist(), rel=1e-9)
    assert recalled[0].memory[0].gate == "f"
    assert {one.part for one in recalled[0].memory[0].saturated} == {"g"}
    assert recalled[1].memory[0].units == ()


def test_the_report_links_to_pages_beside_it(whole) -> None:
    record, folder = whole
    text = (folder / "report.html").read_text(encoding="utf-8")
    for cell in record.cells:
        assert f'href="{cell.recall.page}"' in text
        page = (folder / cell.recall.page).read_text(encoding="utf-8")
        assert f"<h1>{cell.name} on El Niño" in page or f"{cell.name} on El Niño" in page
        assert len(page) < 1_000_000
    settings = (folder / "explain" / "1-LSTM.toml").read_text()
    assert f"hidden_size = {record.runs[0].hidden_size}" in settings


def test_what_cannot_be_measured_is_named(task, whole, tmp_path) -> None:
    record, folder = whole
    specs = compare.named(["lstm", "rnn"])
    lost = replace(record.runs[0], valid=None, test=None, status="diverged")
    (tmp_path / "runs").mkdir()
    path = model_path(tmp_path / "runs", record.runs[1].run)
    found = recalls(task, specs, [lost, record.runs[1]], tmp_path, "")
    assert "no run finished" in found["LSTM"].problem
    assert "was not kept" in found["RNN"].problem
    content = model_path(folder / "runs", record.runs[1].run).read_bytes()
    for wrong in (content[: len(content) // 2], b"{}", content.replace(b"weight", b"height")):
        path.write_bytes(wrong)
        assert "holds no model of this run" in recalls(task, specs, record.runs[1:], tmp_path, "")["RNN"].problem
    cells = tuple(replace(cell, recall=found[cell.name]) for cell in record.cells)
    assert "LSTM was not measured: no run finished" in render(replace(record, cells=cells))


def test_another_cell_is_measured_where_one_cannot_be(task, whole) -> None:
    record, folder = whole
    specs = compare.named(["lstm", "rnn"])
    found = recalls(task, specs, record.runs[1:], folder, "")
    assert found["LSTM"].problem
    assert found["RNN"].flow is not None


def test_nothing_is_measured_unless_asked(task, tmp_path) -> None:
    record = compare.run(task, "rnn", folder=tmp_path, seeds=1, parameters=300, epochs=1, workers=1, explain=False)
    assert record.cells[0].recall is None
    assert not (tmp_path / "explain").exists()
    assert '<section id="memory"' not in render(record)


def test_records_from_before_are_read(whole) -> None:
    old = to_json(whole[0].cells[0])
    del old["recall"]
    assert typed(json.loads(json.dumps(old)), CellRecord, "the record").recall is None


def test_a_model_beyond_the_limit_is_not_kept(task, monkeypatch) -> None:
    model = torch.nn.Linear(2, 3)
    assert packed(model, task)
    monkeypatch.setattr("tidegate.compare.kept.MOST", 100)
    assert packed(model, task) == b""


@pytest.mark.parametrize("name", ["adding", "copy", "selective", "order", "timing"])
def test_losses_of_generated_problems_are_those_of_the_task(name) -> None:
    task = tasks.load(name, setting=SyntheticSetting(length=20, batch_size=4, steps=1))
    model = task.model(lambda features, **_: GRU(features, 5))
    kind = KINDS[name](model, task, "valid")
    batch = kind.draw(6)
    lengths = kind.lengths(batch)
    total = 0.0
    for step in range(int(lengths.max())):
        scored = batch.scored()[step]
        steps = torch.full_like(lengths, step).minimum(lengths - 1)
        losses = kind.at(batch, steps).losses()
        total += float(losses[scored].sum())
    with torch.no_grad():
        measure = task.measure(kind.model(batch)[0], batch)
    assert total == pytest.approx(float(measure.loss), rel=1e-9)
    assert kind.labels(batch, 0)[-1] == str(int(lengths[0]))
    assert len(kind.features(batch)) == batch.inputs.shape[-1]


def test_the_table_has_gradients_half_lives_and_saturation() -> None:
    record, own = comparison(epochs=3), recall("gru", 0.2)
    cells = (replace(record.cells[0], recall=replace(own, verdicts=("It <b>dies</b>.",))), *record.cells[1:])
    text = render(replace(record, cells=cells))
    section = text[text.index('<section id="memory"') : text.index('<section id="runs"')]
    assert "−2.40" in section  # noqa: RUF001  a minus sign
    assert all(part in section for part in ("never", "g\N{NO-BREAK SPACE}3\N{NO-BREAK SPACE}%", "It &lt;b&gt;dies"))
    assert section.count('class="figure"') == 2
    assert 'href="#memory"' in text


def test_layers_of_a_stack_have_rows_of_their_own() -> None:
    record, own = comparison(epochs=3), recall("gru")
    stack = replace(own, memory=(replace(own.memory[0], layer="layer.l0"), replace(own.memory[0], layer="layer.l1")))
    rows = report.recall.recall_rows(replace(record, cells=(replace(record.cells[0], recall=stack),)))
    assert [row["layer"] for row in rows] == ["layer.l0", "layer.l1"]
    assert [row["first"] for row in rows] == [True, False]


def test_a_page_of_a_cell_with_any_name_is_a_safe_file(task, whole, tmp_path) -> None:
    record, folder = whole
    run = replace(record.runs[1], cell="../<b> ä")
    (tmp_path / "runs").mkdir()
    path = model_path(tmp_path / "runs", run.run)
    path.write_bytes(model_path(folder / "runs", run.run).read_bytes())
    found = recalls(task, {run.cell: compare.Spec("rnn")}, [run], tmp_path, "")[run.cell]
    assert found.page == "explain/1-____b___.html"
    assert (tmp_path / found.page).exists()


def test_a_generated_problem_is_compared_and_explained(tmp_path) -> None:
    task = tasks.load("adding", setting=SyntheticSetting(length=30, batch_size=8, steps=2))
    record = compare.run(task, "gru", folder=tmp_path, seeds=1, parameters=300, epochs=1, workers=1)
    own = record.cells[0].recall
    assert (own.problem, own.lag) == ("", 29)
    assert AddingKind.unit in (tmp_path / own.page).read_text(encoding="utf-8")
