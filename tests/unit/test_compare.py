"""The protocol: equal budgets, paired seeds, records, resume. Runs are tiny; the statistics have tests of their own."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy import stats

from tests.sample import VARIED
from tidegate import compare, report, tasks, zoo
from tidegate.cell import Cell, sigmoid, tanh
from tidegate.cell.measure import flops
from tidegate.compare.budget import Sizes, count_parameters, measure_hidden_size, solve_hidden_size
from tidegate.compare.cost import flops_per_step
from tidegate.compare.executor import record_path, run_all
from tidegate.compare.executors.job import Progress, Workers
from tidegate.compare.trial import TrialSpec, _train, run_trial
from tidegate.compare.tuning import Candidate, tuned, variants
from tidegate.errors import InputError
from tidegate.tasks import Forecaster
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train.layer import make_layer
from tidegate.train.plan import Plan, derive
from tidegate.train.task import Task


class Own(Cell):
    """A user's cell: it exists in this process only, so workers must get it as data."""

    gates = "z n"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(h).n)
        return z * h + (1 - z) * n


OWN = Candidate(4e-3, 0.0, 1, 4)  # the recipe's learning rate, dropout and layers, and a small model


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load("elnino", setting=ForecastSetting(epochs=2, difference="last"))


def spec(task, cell: str = "GRU", seed: int = 0) -> TrialSpec:
    return TrialSpec(task.to_json(), cell, zoo.find(cell).graph.to_json(), seed, (OWN,))


def layer_of(task, graph, hidden_size: int):
    return make_layer(graph, replace(task.setting, hidden_size=hidden_size))


@pytest.mark.parametrize("cell", [zoo.CELLS[name] for name in VARIED], ids=lambda cell: cell.name)
def test_hidden_sizes_meet_the_budget(task, cell) -> None:
    size, parameters = solve_hidden_size(task, cell.graph, 30_000)
    assert parameters == count_parameters(task, cell.graph, size)
    assert abs(parameters / 30_000 - 1) < 0.02
    nearby = [count_parameters(task, cell.graph, size + step) for step in (-1, 1)]
    assert all(abs(parameters - 30_000) <= abs(other - 30_000) for other in nearby)


def test_a_cell_that_takes_as_many_features_as_units_gets_a_map_in_front(task) -> None:
    graph = zoo.MUT1.graph
    model = task.model(layer_of(task, graph, 7))
    features = task.encoding.features
    assert [tuple(p.shape) for p in model.encoder.parameters()] == [(7, features), (7,)]
    assert flops_per_step(model) == 7 * (2 * features + 1) + flops(graph, {"H": 7})
    plain = task.model(layer_of(task, zoo.GRU.graph, 7))
    assert not list(plain.encoder.parameters())
    assert flops_per_step(plain) == flops(zoo.GRU.graph, {"I": features, "H": 7})
    outputs, _ = model(next(iter(task.batches("valid"))))
    assert outputs.isfinite().all()


@pytest.mark.parametrize("cell", ["MUT2", "SCRN", "SLSTM"])
def test_cells_with_widths_of_their_own_are_trained_and_tested(task, tmp_path, cell) -> None:
    record = run_trial(spec(task, cell), tmp_path, lambda *_: None)
    assert record.status == "finished"


def test_a_budget_below_one_unit_is_refused(task) -> None:
    with pytest.raises(InputError, match="with 1 unit"):
        solve_hidden_size(task, zoo.FGR.graph, 10)
    with pytest.raises(InputError, match="GRU with 9 layers cannot have about 10 parameters"):
        solve_hidden_size(task, zoo.GRU.graph, 10, replace(task.setting, layers=9))


def test_a_budget_beyond_the_largest_cell_is_refused(task) -> None:
    with pytest.raises(InputError, match="at most"):
        solve_hidden_size(task, zoo.GRU.graph, 10**13)


def test_order_is_shared_and_first_parameters_are_not(task) -> None:
    lstm, again, gru = (spec(task, name).plans(task.setting)[0] for name in ("LSTM", "LSTM", "GRU"))
    assert lstm == again
    assert lstm.order_seed == gru.order_seed
    assert lstm.initial_seed != gru.initial_seed
    twin = replace(spec(task, "LSTM"), cell="twin").plans(task.setting)[0]
    assert twin.initial_seed != lstm.initial_seed
    assert len({derive(k, purpose) for k in range(50) for purpose in ("order", "initial")}) == 100


def test_the_name_of_a_trial_depends_on_everything(task) -> None:
    base = spec(task)
    longer = replace(base, task={**base.task, "setting": {**base.task["setting"], "epochs": 3}})
    others = [replace(base, seed=1), replace(base, candidates=(OWN, OWN)), longer, replace(base, cell="x")]
    assert len({trial.hash for trial in [base, *others]}) == 5
    moved = replace(base, task={**base.task, "source": "elsewhere"})
    assert moved.hash == base.hash
    assert spec(task).hash == base.hash


def test_a_trial_survives_json_and_runs_the_same(task, tmp_path) -> None:
    trial = spec(task)
    first = run_trial(trial, tmp_path, lambda *_: None)
    second = run_trial(trial, tmp_path, lambda *_: None)
    assert (first.valid, first.test) == (second.valid, second.test)
    assert list(tmp_path.iterdir()) == []  # checkpoints of finished trials are removed
    assert json.loads(json.dumps(trial.graph)) == trial.graph


def test_a_trial_is_what_train_does_with_the_same_seed(tmp_path) -> None:
    """Also where training begins with a choice, as it does here between several differences."""
    task = tasks.load("elnino", setting=ForecastSetting(epochs=2))
    assert len(task.candidates()) > 1
    trial = spec(task, seed=3)
    record = run_trial(trial, tmp_path, lambda *_: None)
    (plan,) = trial.plans(task.setting)
    chosen, outcome = _train(task, zoo.GRU.graph, plan, tmp_path / "again", lambda _: None)
    fitted = Forecaster(cell="gru", hidden_size=4, seed=3, epochs=2).fit("elnino")
    assert [epoch.valid for epoch in record.curve] == [epoch.valid for epoch in fitted.curve_]
    assert record.test == fitted.scores_[0].value
    weights, own = chosen.settle(outcome.model).state_dict(), fitted.model_.state_dict()
    assert list(weights) == list(own)
    assert all(torch.equal(weights[name], own[name]) for name in own)


def test_tuning_begins_with_the_recipe_and_covers_the_ranges(task) -> None:
    recipe = replace(task.setting, learning_rate=0.01, recurrent_dropout=0.25)
    tried = variants(recipe, 65)
    assert tried[0] is recipe  # so that the first trial is what train does
    assert tried[:3] == variants(recipe, 3)
    assert variants(recipe, 1) == [recipe]
    assert tuned(tried[1]) == pytest.approx({"learning_rate": 0.01 / 3, "recurrent_dropout": 0.4, "layers": 1})
    rates, dropouts, layers = np.array([list(tuned(one).values()) for one in tried[1:]]).T
    assert stats.kstest(np.log(rates / 0.01) / np.log(81) + 0.5, "uniform").pvalue > 0.5
    assert stats.kstest(dropouts / 0.6, "uniform").pvalue > 0.5
    assert sorted(set(layers)) == [1, 2]
    assert 24 <= np.sum(layers == 1) <= 40
    assert {one.layers for one in variants(replace(recipe, layers=3), 33)} == {1, 2, 3}


def test_every_candidate_fits_the_budget_with_its_own_layers(task, tmp_path) -> None:
    sizes = Sizes(task, 30_000, "parameters", tmp_path)
    for recipe in variants(task.setting, 4):
        size = sizes.of(zoo.GRU.graph, recipe)
        assert abs(count_parameters(task, zoo.GRU.graph, size, recipe) / 30_000 - 1) < 0.02
    assert len({sizes.of(zoo.GRU.graph, replace(task.setting, layers=layers)) for layers in (1, 2)}) == 2


def test_the_settings_that_validate_best_are_tested(task, tmp_path) -> None:
    other = Candidate(1e-6, 0.3, 2, 3)
    alone = run_trial(spec(task), tmp_path, lambda *_: None)
    seen = []
    both = run_trial(replace(spec(task), candidates=(OWN, other)), tmp_path, lambda k, record: seen.append(k))
    assert seen == [0, 0, 1, 1]
    assert both.tried[0] == alone.valid
    assert both.valid == min(both.tried)
    chosen = (OWN, other)[both.tried.index(both.valid)]
    assert {name: getattr(both, name) for name in asdict(chosen)} == asdict(chosen)
    assert both.train_seconds > sum(epoch.seconds for epoch in both.curve)


def test_the_second_trial_is_what_train_does_with_its_settings(task, tmp_path) -> None:
    good = Candidate(8e-3, 0.3, 2, 3)
    trial = replace(spec(task), candidates=(replace(OWN, learning_rate=1e-9), good))
    record = run_trial(trial, tmp_path, lambda *_: None)
    plan = Plan.of(replace(task.setting, learning_rate=8e-3, recurrent_dropout=0.3, layers=2, hidden_size=3), "GRU", 1)
    assert record.layers == 2
    _, outcome = _train(task, zoo.GRU.graph, plan, tmp_path / "again", lambda _: None)
    assert [epoch.valid for epoch in record.curve] == [epoch.valid for epoch in outcome.curve]


def test_steps_of_equal_latency(tmp_path) -> None:
    """On a size where a step's arithmetic outweighs its overhead; RNNs have a quarter of an LSTM's products."""
    task = tasks.load("elnino", setting=ForecastSetting(hidden_size=160))
    budget = count_parameters(task, zoo.LSTM.graph, 160)
    sizes = Sizes(task, budget, "latency", tmp_path)
    size = sizes.of(zoo.RNN.graph, task.setting)
    assert 200 < size < 500
    assert sizes.of(zoo.LSTM.graph, task.setting) == 160
    assert Sizes(task, budget, "latency", tmp_path).of(zoo.RNN.graph, task.setting) == size  # as kept in the folder
    (tmp_path / "latency.json").write_text("{")
    with pytest.raises(InputError, match="delete it to measure again"):
        Sizes(task, budget, "latency", tmp_path)
    with pytest.raises(InputError, match="use parameters or latency"):
        Sizes(task, budget, "flops", tmp_path)
    with pytest.raises(InputError, match="even with 1 unit"):
        measure_hidden_size(task, zoo.LSTM.graph, 200, replace(task.setting, layers=9))


def test_a_folder_of_an_earlier_version_is_refused(task, tmp_path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "0123.json").write_text('{"run": "0123", "learning_rate": 0.004}')
    with pytest.raises(InputError, match="has runs of an earlier version"):
        compare.run(task, "gru", folder=tmp_path, seeds=1)


class Watch(Progress):
    def __init__(self) -> None:
        self.known, self.finished, self.epochs = 0, [], 0

    def begin(self, done, waiting) -> None:
        self.known = len(done)

    def epoch(self, cell, seed, setting, record) -> None:
        self.epochs += 1

    def finish(self, record) -> None:
        self.finished.append((record.cell, record.seed))


def test_compare_runs_records_and_goes_on(task, tmp_path) -> None:
    """Two workers against one, whole against resumed: the same runs, none of them twice."""
    cells = {"GRU": zoo.GRU, "own": Own}
    watch = Watch()
    many = {"first_seed": 7, "epochs": 2, "parameters": 500, "trials": 3}
    whole = compare.run(task, cells, folder=tmp_path / "a", seeds=2, **many, progress=watch)
    assert sorted(watch.finished) == [("GRU", 7), ("GRU", 8), ("own", 7), ("own", 8)]
    assert "No evidence" in whole.answer.headline
    assert [cell.name for cell in whole.cells] == ["GRU", "own"]
    assert len(whole.pairs) == 1

    compare.run(task, cells, folder=tmp_path / "b", seeds=1, **many, workers=1)
    watch = Watch()
    resumed = compare.run(task, cells, folder=tmp_path / "b", seeds=2, **many, workers=1, progress=watch)
    assert watch.known == 2
    assert sorted(watch.finished) == [("GRU", 8), ("own", 8)]
    for folder, record in (("a", whole), ("b", resumed)):
        report.write_runs_csv(record.runs, tmp_path / f"{folder}.csv")
    rows = [[line.rsplit(",", 1)[0] for line in (tmp_path / f"{f}.csv").read_text().splitlines()] for f in "ab"]
    assert rows[0] == rows[1]


def test_a_test_score_that_is_not_finite_is_a_diverged_run(task, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tidegate.compare.trial.evaluate", lambda *_: float("nan"))
    record = run_trial(spec(task), tmp_path, lambda *_: None)
    assert (record.status, record.valid, record.test) == ("diverged", None, None)


SCRIPT = """
from tidegate import compare, tasks
from tidegate.tasks.forecast.setting import ForecastSetting
task = tasks.load("elnino", setting=ForecastSetting(recurrent_dropout=0.5))
record = compare.run(task, "mingru", folder=FOLDER, seeds=1, trials=2, epochs=1, parameters=500, workers=1)
print(record.answer.headline)
"""
FROM_STANDARD_INPUT = f"""
import runpy
FOLDER = "one"
{SCRIPT}
runpy.run_path("script.py", {{"FOLDER": "two"}}, "__main__")  # as Python runs a file
"""


def test_an_option_without_effect_on_a_cell_is_said_once(tmp_path) -> None:
    (tmp_path / "recipe.toml").write_text("recurrent_dropout = 0.5\n")
    words = "compare elnino --config recipe.toml --cells mingru --parameters 500 --seeds 1 --trials 2 --epochs 1"
    run = [sys.executable, "-m", "tidegate", *words.split(), "--out", "out"]
    finished = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    said = [line for line in finished.stderr.splitlines() if "has no effect" in line]
    assert said == ["note: MinGRU has no recurrent matrix, so recurrent_dropout has no effect"]


def test_a_script_needs_no_main_guard_and_says_once_what_has_no_effect(tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    run = [sys.executable, "-"]
    done = subprocess.run(run, input=FROM_STANDARD_INPUT, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("MinGRU is the only cell on") == 2
    assert done.stderr.count("MinGRU has no recurrent matrix, so recurrent_dropout has no effect") == 2, done.stderr


def test_a_folder_in_use_is_refused(task, tmp_path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / "lock"), pytest.raises(InputError, match="another comparison is using"):
        run_all([spec(task)], tmp_path, Workers(count=1), Progress())


def test_a_damaged_record_is_one_clear_error(task, tmp_path) -> None:
    trial = spec(task)
    (tmp_path / f"{trial.hash}.json").write_text("{")
    with pytest.raises(InputError, match="is not the record of this run"):
        run_all([trial], tmp_path, Workers(count=1), Progress())


EPOCH = {"epoch": 1, "train": 1.0, "valid": 2.0, "gradient_norm": 1.0, "learning_rate": 0.1, "seconds": 1}
RAW = [b"[" * 100_000, b'{"run": ' + b"9" * 5000 + b"}", b"\xff", b"", b"null", b"[]"]
WRONG = [
    *({"run": "another"}, {"cell": "lstm"}, {"seed": 99}, {"hidden_size": 3}, {"learning_rate": 0.5}, {"tried": []}),
    *({"test": float("nan")}, {"valid": None}, {"test": 10**400}, {"status": "diverged"}, {"status": "lost"}),
    *({"train_seconds": float("inf")}, {"seed": "1"}, {"curve": [{**EPOCH, "x": 1}]}, {"curve": [{}]}, {"\x1b[2J": 1}),
]


@pytest.mark.parametrize("content", [*RAW, *WRONG], ids=lambda content: str(content)[:30])
def test_a_record_of_another_kind_or_run_is_refused_by_name(task, tmp_path, content) -> None:
    trial = spec(task)
    own = {"run": trial.hash, "cell": trial.cell, "seed": trial.seed, "parameters": 9, **asdict(OWN)}
    scores = {"status": "finished", "valid": 2.0, "test": 2.0, "best_epoch": 1, "tried": [2.0]}
    record = {**own, **scores, "train_seconds": 1.0, "curve": [EPOCH]}
    path = record_path(tmp_path, trial.hash)
    path.write_text(json.dumps(record))
    assert run_all([trial], tmp_path, Workers(count=1), Progress())[0].test == 2
    path.write_bytes(content if isinstance(content, bytes) else json.dumps({**record, **content}).encode())
    with pytest.raises(InputError) as caught:
        run_all([trial], tmp_path, Workers(count=1), Progress())
    line = str(caught.value)
    assert line.startswith(f"{path} is not the record of this run: ")
    assert line.isprintable()
    assert len(line) < 500
    assert not re.search("Error|recursion|limit", line)


@pytest.mark.parametrize(
    "wrong", [{"seeds": 0}, {"workers": 0}, {"epochs": 0}, {"trials": 0}, {"parameters": -5}, {"first_seed": -1}]
)
def test_numbers_out_of_range_are_refused(task, tmp_path, wrong) -> None:
    with pytest.raises(InputError, match="use at least"):
        compare.run(task, ["gru"], folder=tmp_path, **wrong)


@pytest.mark.parametrize(
    ("cells", "message"), [(["gru", "GRU"], "twice"), ([], "no cells"), (["gruu"], "did you mean")]
)
def test_cells_that_cannot_take_part(cells, message) -> None:
    with pytest.raises(InputError, match=message):
        compare.named(cells)
