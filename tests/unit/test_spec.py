"""Cells with settings of their own: how they are written, what is refused, and that a comparison keeps to them."""

from dataclasses import asdict, replace

import pytest

from tidegate import compare, report, tasks, zoo
from tidegate.cli.cell import load_all, load_alone
from tidegate.compare import Spec
from tidegate.compare.budget import Sizes, count_parameters, made, solve_hidden_size
from tidegate.compare.cost import flops_per_step
from tidegate.compare.trial import TrialSpec, run_trial
from tidegate.compare.tuning import Candidate
from tidegate.errors import InputError
from tidegate.nn.sparse import nonzeros
from tidegate.records import in_brackets
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.train.layer import make_layer
from tidegate.train.spec import parsed

OWN = "from tidegate.cell import Cell, tanh\n\nclass MyCell(Cell):\n    gates = 'n'\n\n    def step(self, x, h, U):\n"
OWN += "        n = tanh(x.n + U(h).n)\n        return n\n"


@pytest.fixture(scope="module")
def task():
    return tasks.load("elnino", setting=ForecastSetting(epochs=1, difference="last"))


def losses(record) -> list[float]:
    return [epoch.train for epoch in record.curve]


@pytest.mark.parametrize(
    ("text", "names", "options"),
    [
        ("gru", ["GRU"], [{}]),
        ("gru[]", ["GRU"], [{}]),
        ("gru,gru[zoneout=0.1]", ["GRU", "GRU[zoneout=0.1]"], [{}, {"zoneout": 0.1}]),
        ("gru[ zoneout = 1 , layer-norm ]", ["GRU[layer_norm,zoneout=1.0]"], [{"layer_norm": True, "zoneout": 1.0}]),
        ("small=gru[layers=2,dropout=0],lstm", ["small", "LSTM"], [{"layers": 2, "dropout": 0.0}, {}]),
        ("gru/before[forget_bias=none]", ["GRU/before[forget_bias=none]"], [{"forget_bias": None}]),
        ("gru[forget_bias=0]", ["GRU[forget_bias=0.0]"], [{"forget_bias": 0.0}]),
        ("gru[orthogonal=False]", ["GRU[orthogonal=false]"], [{"orthogonal": False}]),
        (
            "gru[learning_rate=1e-2,clip=5]",
            ["GRU[learning_rate=0.01,clip=5.0]"],
            [{"learning_rate": 0.01, "clip": 5.0}],
        ),
        ("gru[schedule=cosine]", ["GRU[schedule=cosine]"], [{"schedule": "cosine"}]),
    ],
)
def test_settings_stand_in_brackets(text, names, options) -> None:
    specs = compare.named(text)
    assert list(specs) == names
    assert [spec.options for spec in specs.values()] == options
    assert [list(spec.options) for spec in specs.values()] == [list(one) for one in options]  # the flags' order
    again = compare.named(",".join(f"n{k}={spec.name}" for k, spec in enumerate(specs.values())))
    assert list(again.values()) == list(specs.values())  # a name reads back as the cell


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gru[zoneout=0.1", "is not closed"),
        ("gru[zoneout=0.1]]", "was never opened"),
        ("gru[a[b]]", "is not closed"),
        ("gru[zoneouts=0.1]", r"gru\[zoneouts=0.1\]: a cell has no setting 'zoneouts'; did you mean 'zoneout'"),
        ("gru[target=x]", "settings: layers, dropout, .*learning_rate"),
        ("gru[zoneout]", "zoneout is true, expected a number"),
        ("gru[zoneout=much]", "zoneout is 'much', expected a number"),
        ("gru[zoneout=2]", "zoneout=2.0 is out of range — use at least 0 and at most 1"),
        ("gru[dropout=nan]", "dropout=nan is out of range"),
        ("gru[forget_bias=inf]", "forget_bias must be a finite number"),
        ("gru[layers=1.5]", "layers is 1.5, expected an integer"),
        ("gru[layers=0]", "use at least 1"),
        ("gru[schedule=often]", 'expected "plateau" or "cosine" or "constant"'),
        ("gru[chrono=true]", "chrono is true, expected a number or none"),
        ("gru[chrono=9,forget_bias=1]", "exclude each other"),
        ("gru[zoneout=0.1,zoneout=0.1]", "has zoneout twice"),
        ("gru[hidden_size=8]", "hidden_size cannot differ between cells: the budget sets"),
        ("gru[group_penalty=0.1]", "group_penalty cannot differ between cells: no budget"),
        ("gru[epochs=8]", "epochs cannot differ between cells: runs are paired"),
        ("gru[zoneout=0.1],GRU[zoneout=.1]", r"GRU\[zoneout=0.1\] is listed twice"),
        ("gruu[zoneout=0.1]", "there is no cell 'gruu'; did you mean 'gru'"),
        ("[zoneout=0.1]", "there is no cell ''"),
    ],
)
def test_what_is_no_cell_with_settings_is_refused(text, says) -> None:
    with pytest.raises(InputError, match=says) as caught:
        compare.named(text)
    assert caught.value.fix
    with pytest.raises(InputError):
        load_all(text)


def test_a_file_may_have_the_cell_and_brackets_in_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my[1].py").write_text(OWN)
    specs = load_all("my[1].py:MyCell,mine=my[1].py:MyCell[zoneout=0.5],my[1].py:MyCell[zoneout=0.2]")
    assert list(specs) == ["MyCell", "mine", "MyCell[zoneout=0.2]"]
    assert specs["mine"].options == {"zoneout": 0.5}


def test_train_has_options_for_settings() -> None:
    assert load_alone("gru") is zoo.find("gru")
    with pytest.raises(InputError, match=r"write --cell gru --layer-norm --zoneout 0\.1 --no-orthogonal"):
        load_alone("gru[layer_norm,zoneout=0.1,orthogonal=false]")


def test_specs_are_values_that_may_be_given_in_python() -> None:
    spec = Spec(zoo.GRU, zoneout=0.1)
    assert spec == Spec("gru", zoneout=0.1) != Spec("gru")
    assert len({spec, Spec("gru", zoneout=0.1), Spec("gru")}) == 2
    assert repr(spec) == "Spec('GRU', zoneout=0.1)"
    assert list(compare.named([zoo.GRU, spec, "gru[zoneout=0.2]"])) == ["GRU", "GRU[zoneout=0.1]", "GRU[zoneout=0.2]"]
    assert compare.named({"a": spec, "b": "gru[zoneout=0.1]"}) == {"a": spec, "b": spec}
    assert next(parsed("x=gru[zoneout=0.1]")) == ("x", spec)
    with pytest.raises(InputError, match="zoneout is true"):
        Spec("gru", zoneout=True)
    assert in_brackets({}) == ""


def test_runs_from_before_there_were_settings_of_cells_keep_their_names() -> None:
    """The name was taken before any option of lean cells existed; settings that came later must not change it."""
    values = asdict(ForecastSetting())
    setting = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    task = {"task": "forecast", "setting": setting, "hash": "sha256:0"}
    trial = TrialSpec(task, "GRU", {"name": "GRU"}, 0, (Candidate(4e-3, 0.0, 1, 4),), torch="2.13.0")
    assert trial.hash == "4594afd491ad80c6b77d"
    others = [
        replace(trial, options={"zoneout": 0.1}),
        replace(trial, task={**task, "setting": {**setting, "clip": 2}}),
    ]
    assert len({trial.hash, *(other.hash for other in others)}) == 3
    assert TrialSpec.from_text(others[0].to_text()) == others[0]


def test_a_trial_is_trained_with_the_settings_of_its_cell(task, tmp_path) -> None:
    """Also those that a search changes, and the same as if the recipe had them."""
    own = {"weight_dropout": 0.4, "learning_rate": 0.01}
    graph, tried = zoo.GRU.graph.to_json(), (Candidate(0.01, 0.0, 1, 4),)
    record = run_trial(TrialSpec(task.to_json(), "GRU", graph, 0, tried, options=own), tmp_path, lambda *_: None)
    recipe = tasks.load("elnino", setting=replace(task.setting, **own))
    same = run_trial(TrialSpec(recipe.to_json(), "GRU", graph, 0, tried), tmp_path, lambda *_: None)
    assert record.options == own
    assert losses(record) == losses(same)
    plain = run_trial(TrialSpec(task.to_json(), "GRU", graph, 0, tried), tmp_path, lambda *_: None)
    assert losses(record) != losses(plain)


def test_a_comparison_says_which_settings_its_cells_have(task, tmp_path) -> None:
    cells = {"small": Spec("gru", layer_norm=True, learning_rate=0.02)}
    record = compare.run(task, cells, folder=tmp_path, seeds=1, trials=2, parameters=300, workers=1)
    assert {run.learning_rate for run in record.runs} == {0.02}  # which tuning varies otherwise
    (small,) = record.cells
    assert small.options == {"layer_norm": True, "learning_rate": 0.02}
    assert small.graph != zoo.GRU.graph.to_json()
    assert small.recall.problem == ""
    assert "small: GRU[layer_norm,learning_rate=0.02]" in record.protocol["settings of cells"]
    assert "definition: GRU[layer_norm,learning_rate=0.02]" in report.html.render(record)
    report.write_runs_csv(record.runs, tmp_path / "runs.csv")
    assert '"layer_norm,learning_rate=0.02"' in (tmp_path / "runs.csv").read_text()


def test_heads_divide_the_size_that_fits_the_budget(task, tmp_path) -> None:
    sizes = Sizes(task, 30_000, "parameters", tmp_path)
    plain, split = (sizes.of(zoo.GRU.graph, Spec("gru", heads=heads).over(task.setting)) for heads in (1, 8))
    assert split % 8 == 0
    assert split > 1.5 * plain
    recipe = Spec("gru", heads=8).over(task.setting)
    counts = [count_parameters(task, zoo.GRU.graph, split + step, recipe) for step in (-8, 0, 8)]
    assert min(counts, key=lambda count: abs(count - 30_000)) == counts[1]
    with pytest.raises(InputError, match="with 64 units"):
        solve_hidden_size(task, zoo.GRU.graph, 100, Spec("gru", heads=64).over(task.setting))


def test_a_low_rank_is_below_every_size_that_is_tried(task) -> None:
    """At 48 units and fewer, this rank would be refused."""
    size, _ = solve_hidden_size(task, zoo.GRU.graph, 30_000, Spec("gru", rank=48).over(task.setting))
    assert size > solve_hidden_size(task, zoo.GRU.graph, 30_000)[0] > 48
    with pytest.raises(InputError, match="with 48 units"):
        solve_hidden_size(task, zoo.GRU.graph, 1000, Spec("gru", rank=48).over(task.setting))


def test_an_lstm_with_settings_of_its_own_is_measured_like_any_other_cell(task, tmp_path, monkeypatch) -> None:
    """A size as fast as an LSTM's is that of the LSTM only without them."""
    monkeypatch.setattr("tidegate.compare.budget.step_ratio", lambda layer, _: layer.hidden_size / 37)
    sizes = Sizes(task, 30_000, "latency", tmp_path)
    own = sizes.of(zoo.LSTM.graph, task.setting)
    assert own == solve_hidden_size(task, zoo.LSTM.graph, 30_000)[0]
    assert sizes.of(zoo.LSTM.graph, Spec("lstm", heads=4).over(task.setting)) == 36
    assert sizes.of(zoo.LSTM.graph, Spec("lstm", layer_norm=True).over(task.setting)) in (37, 38)


def test_a_budget_counts_what_a_sparse_cell_keeps(task, tmp_path) -> None:
    """The size that fits has as many weights that are not zero, and so has the model after training."""
    sparse = Spec("gru", density=0.25, block=8)
    plain = solve_hidden_size(task, zoo.GRU.graph, 6000)[0]
    size, counted = solve_hidden_size(task, zoo.GRU.graph, 6000, sparse.over(task.setting))
    assert size > 1.6 * plain
    model = made(task, zoo.GRU.graph, replace(sparse.over(task.setting), hidden_size=size))
    assert nonzeros(model) == pytest.approx(counted, rel=0.01)
    dense = task.model(make_layer(zoo.GRU.graph, replace(task.setting, hidden_size=size)))
    zeros = sum(parameter.numel() for parameter in dense.parameters()) - nonzeros(model)
    assert flops_per_step(dense) - flops_per_step(model) == 2 * zeros
    record = compare.run(task, {"sparse": sparse}, folder=tmp_path, seeds=1, parameters=6000, workers=1, explain=False)
    (run,), (cell,) = record.runs, record.cells
    assert (run.hidden_size, cell.hidden_size) == (size, size)
    assert run.parameters == pytest.approx(6000, rel=0.02)
    assert abs(cell.parameter_gap) < 0.02
    assert "the share of the weights that is kept" in record.protocol["parameters"]


def test_what_directions_share_counts_once() -> None:
    task = tasks.load("fsdd", setting=SpeechSetting())
    shared = replace(task.setting, share="directions")
    alone, both = (count_parameters(task, zoo.GRU.graph, 32, setting) for setting in (task.setting, shared))
    layer = 3 * 32 * (16 + 32 + 2)
    assert alone - both == layer
    sparse = replace(shared, density=0.5)
    assert both - count_parameters(task, zoo.GRU.graph, 32, sparse) == 3 * 32 * (16 + 32) // 2
    model = made(task, zoo.GRU.graph, replace(sparse, hidden_size=32, block=8))
    full = made(task, zoo.GRU.graph, replace(shared, hidden_size=32))
    assert flops_per_step(full) - flops_per_step(model) == 2 * 3 * 32 * (16 + 32)  # a half in each direction
