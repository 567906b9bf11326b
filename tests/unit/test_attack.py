"""``tidegate attack``: changes stay where they may and break the model as users call it; the checklist sees faults."""

import copy
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.test_report import EVIL
from tidegate.cli import main
from tidegate.errors import InputError
from tidegate.plain import typed
from tidegate.records import AttackRecord

torch = pytest.importorskip("torch")

from tidegate import attack, nn  # noqa: E402
from tidegate.adversary import Ball, margin, projected_gradient  # noqa: E402
from tidegate.attack.checklist import CHECKS, Case, checklist  # noqa: E402
from tidegate.attack.curve import curve_of, flips_of  # noqa: E402
from tidegate.attack.effort import Effort  # noqa: E402
from tidegate.attack.interval import bootstrapped, wilson  # noqa: E402
from tidegate.attack.kind import ForecastKind, Limits, ModuleKind, SeriesKind  # noqa: E402
from tidegate.attack.kind.votes import SlopedVotes  # noqa: E402
from tidegate.data.labelled import Gapped  # noqa: E402
from tidegate.report.attack import render  # noqa: E402
from tidegate.tasks import Forecaster, SequenceClassifier  # noqa: E402
from tidegate.tasks.classification import ballot  # noqa: E402
from tidegate.tasks.classification.ballot import SeriesVotes  # noqa: E402
from tidegate.tasks.classification.batch import padded  # noqa: E402
from tidegate.tasks.classification.convolution import Convolution  # noqa: E402

QUICK, ENOUGH = Effort(steps=6, restarts=2), Effort(steps=16, restarts=2)


def drawn(count=60, seed=0, gaps=False):
    """Ragged series of two channels, whose level is their class."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    series = [rng.normal(size=(int(rng.integers(9, 14)), 2)) + 1.2 * (2 * c - 1) for c in classes]
    if gaps:
        for one in series:
            one[rng.random(one.shape) < 0.2] = np.nan
            one[-1, 0] = 1.0  # steps without any value at the end would be cut off
    return series, classes


def written(path, series, classes):
    lines = [":".join(",".join("?" if math.isnan(v) else repr(float(v)) for v in c) for c in one.T) for one in series]
    facts = ("problemName x", "timeStamps false", "univariate false", "dimensions 2", "equalLength false")
    head = "".join(f"@{fact}\n" for fact in (*facts, "classLabel true 0 1", "data"))
    path.write_text(head + "\n".join(f"{line}:{c}" for line, c in zip(lines, classes, strict=True)) + "\n")
    return path


@pytest.fixture(scope="module")
def series():
    """A classifier whose layers and votes both answer; its votes hear few convolutions, which is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ballot, "FEATURES", 168)
        return trained_series()


def trained_series():
    made = SequenceClassifier(epochs=3, hidden_size=8, test_share=0, frame=2, learning_rate=0.02)
    made.fit(*drawn(40))
    made.model_.shares.fill_(0.5)
    return made


@pytest.fixture(scope="module")
def folder(series, tmp_path_factory):
    home = tmp_path_factory.mktemp("attack")
    series.save_pretrained(home / "model")
    written(home / "data.ts", *drawn(20, seed=1))
    return home


def kind_of(series, path, limits=None, rows=range(12)):
    return SeriesKind(series, series.tested(path), rows, limits or Limits())


# --- series ---


def test_a_kind_answers_as_the_model_does_bit_by_bit(series, folder) -> None:
    kind = kind_of(series, folder / "data.ts")
    encoded = padded([series.encoding_.reading.encode(item) for item in kind.items], kind.targets)
    assert torch.equal(kind.outputs(kind.x, torch.arange(kind.count)), series.model_(encoded)[0])
    some = torch.tensor([7, 2])
    assert torch.allclose(kind.outputs(kind.x[:, some], some).softmax(1), series.model_(encoded)[0].softmax(1)[some])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_breaks_breaks_through_predict_within_the_ball_and_nowhere_else(series, folder, norm) -> None:
    limits = Limits(norm, steps=(2, 8), features=("channel 2",))
    kind = kind_of(series, folder / "data.ts", limits)
    budgets = (1.0, 4.0) if norm == "linf" else (2.0, 8.0)
    curve = curve_of(kind, budgets, QUICK)
    assert curve.budgets == (0.0, *budgets)
    assert (curve.scores.diff(dim=0) >= 0).all()
    assert (curve.scores[-1] > 0).sum() > (curve.scores[0] > 0).sum()
    names, rows = np.array([0, 1]), torch.arange(kind.count)
    for budget, found in zip(curve.budgets, curve.found, strict=True):
        items = [kind.item(row, kind.ball.moved(kind.x, found.change)[:, row]) for row in range(kind.count)]
        answers = names[series.predict(items).astype(int)]
        assert ((answers != kind.targets.numpy()) == (found.score > 0).numpy()).all()
        assert kind.verified(rows, found.change) == (found.score > 0).sum()
        for row, item in enumerate(items):
            moved = (item - kind.items[row]) / np.array(series.encoding_.reading.sd)
            size = np.abs(moved).max() if norm == "linf" else np.sqrt((moved**2).sum())
            assert size <= budget * (1 + 1e-5) + 1e-6
            assert np.abs(moved[:, 0]).max() < 1e-6  # as far as float32 holds a value
            assert np.abs(np.delete(moved[:, 1], slice(2, 8))).max() < 1e-6


def test_smallest_changes_break_and_lie_between_two_budgets(series, folder) -> None:
    kind = kind_of(series, folder / "data.ts")
    curve = curve_of(kind, (0.5, 1.0, 2.0), QUICK)
    flips = flips_of(kind, curve, QUICK)
    for row, flip in enumerate(flips.tolist()):
        broke = [budget for budget, hit in zip(curve.budgets, curve.scores[:, row] > 0, strict=True) if hit]
        assert flip <= broke[0] if broke else math.isinf(flip)
        held = [budget for budget, hit in zip(curve.budgets, curve.scores[:, row] > 0, strict=True) if not hit]
        assert not held or flip > held[-1] or not broke


def test_gaps_stay_gaps_and_are_filled_from_changed_values(tmp_path) -> None:
    made = SequenceClassifier(epochs=1, hidden_size=4, test_share=0, frame=2, votes=False, missing="inputs")
    made.fit(*drawn(12, gaps=True))
    data, classes = drawn(6, seed=2, gaps=True)
    kind = SeriesKind(made, made.tested(written(tmp_path / "gaps.ts", data, classes)), range(6), Limits())
    rows = torch.arange(6)
    reading = made.encoding_.reading
    direct = padded([reading.encode(item) for item in kind.items], kind.targets)
    assert torch.allclose(kind.outputs(kind.x, rows), made.model_(direct)[0], atol=1e-5)
    assert any(isinstance(item, Gapped) for item in kind.items)
    found = kind.search(rows, torch.full((6,), 2.0), QUICK)
    moved = kind.ball.moved(kind.x, found.change)
    items = [kind.item(row, moved[:, row]) for row in range(6)]
    for row, item in enumerate(items):
        values = item.values if isinstance(item, Gapped) else item
        assert (np.isnan(values) == np.isnan(data[row])).all()
    again = padded([reading.encode(item) for item in items], kind.targets)
    assert torch.allclose(kind.outputs(moved, rows), made.model_(again)[0], atol=1e-4)
    assert kind.verified(rows, found.change) == (found.score > 0).sum()


def test_votes_answer_the_same_and_their_gradient_is_of_use() -> None:
    torch.manual_seed(0)
    votes = SeriesVotes(Convolution.of(2, 30, 500), 3)
    x, lengths = torch.randn(30, 8, 2), torch.tensor([30, 9, 17, 30, 25, 12, 30, 28])
    votes.convolutions.fit(x, lengths, 0)
    votes.by_features.normal_()
    votes.by_values.normal_(std=0.1)
    sloped, targets = SlopedVotes(votes), votes(x, lengths).argmax(1)
    assert torch.equal(sloped(x, lengths), votes(x, lengths))
    ball = Ball("linf", 0.1)
    found = projected_gradient(lambda z: margin(sloped(z, lengths), targets), x, ball, steps=10, restarts=1)
    chance = [margin(votes(x + ball.edge(x), lengths), targets) for _ in range(30)]
    assert (found.score > torch.stack(chance).amax(0)).sum() >= 7
    assert torch.equal(found.score, margin(votes(x + found.change, lengths), targets))


# --- forecasts ---


@pytest.fixture(scope="module")
def forecaster():
    rng = np.random.default_rng(0)
    steps = np.arange(160)
    wave = 10 + 3 * np.sin(steps / 3) + rng.normal(size=160) * 0.3
    made = Forecaster(
        horizon=2, epochs=2, hidden_size=4, strategy="direct", difference="last", logarithm="yes", context=20, centre=4
    )
    made.fit(wave)
    made.model_.share.fill_(0.5)
    return made


@pytest.mark.parametrize("direction", ["error", "up", "down"])
def test_a_forecast_is_pushed_and_users_get_the_same(forecaster, direction) -> None:
    task = forecaster.tested()
    kind = ForecastKind(forecaster, task, range(6), Limits(direction=direction))
    rows, before = torch.arange(6), kind.before
    asked = torch.stack([kind._asked(row, kind.x[:, row]) for row in range(6)])
    assert torch.allclose(asked, before, atol=1e-5)
    found = kind.search(rows, torch.full((6,), 0.3), QUICK)
    after = kind.outputs(kind.ball.moved(kind.x, found.change), rows)
    if direction == "error":
        assert ((after - kind.truth).abs().mean(1) > kind.error).all()
    else:
        assert ((after - before).mean(1) * (1 if direction == "up" else -1) > 0.1).all()
    assert kind.verified(rows, found.change) == (found.score > 0).sum()
    assert torch.allclose(kind.valued(rows, found.change).float(), kind._mean(after, rows).float())


def test_the_gradient_of_a_forecast_is_that_of_differences(forecaster) -> None:
    kind = ForecastKind(forecaster, forecaster.tested(), range(4), Limits())
    rows, x = torch.arange(4), kind.x.double().requires_grad_()
    (gradient,) = torch.autograd.grad(kind._mean(kind.outputs(x, rows), rows).sum(), x)
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * kind.ball.mask
    with torch.no_grad():
        ends = [kind._mean(kind.outputs(x + step * way, rows), rows).sum() for step in (1e-3, -1e-3)]
    assert float((gradient * way).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-3, rel=5e-3)


# --- the checklist ---


class Small(torch.nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head, self.fault, self.kept = nn.LSTM(2, 8), torch.nn.Linear(8, 2), fault, None

    def forward(self, x, lengths):
        x = (2 * x).round() / 2 if self.fault == "quantised" else x
        kept = self.kept if self.kept is not None and self.kept[0].shape[1] == x.shape[1] else None
        hidden, state = self.layer(x, kept, lengths=lengths)
        self.kept = tuple(one.detach() for one in state) if self.fault == "state" else None
        last = hidden.sum(0) / lengths[:, None]
        if self.fault == "padding":
            last = last + 0.1 * x.sum(0).sum(1, keepdim=True)
        if self.fault == "dropout":
            last = torch.nn.functional.dropout(last, 0.3, self.training)
        return self.head(last) * (1e4 if self.fault == "saturated" else 1)


@pytest.fixture(scope="module")
def learnt():
    series, classes = drawn(40)
    lengths, targets = torch.tensor(list(map(len, series))), torch.from_numpy(classes)
    x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one).float() for one in series])
    model = Small()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x, lengths), targets).backward()
        optimizer.step()
    return model.state_dict(), x, targets, lengths


FAULTS = {
    "": set(),
    "saturated": {"losses"},
    "quantised": {"gradient"},
    "dropout": {"evaluation"},
    "state": {"state"},
    "padding": {"padding"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checklist_names_what_hinders_an_attack(learnt, fault) -> None:
    weights, x, targets, lengths = learnt
    model = Small(fault)
    model.load_state_dict(weights)
    model.train(fault == "dropout").requires_grad_(requires_grad=False)
    kind = ModuleKind(model, x[:, :16], targets[:16], lengths[:16])
    curve = curve_of(kind, (0.8, 1.6), ENOUGH)
    lines = {line.name: line for line in checklist(Case(kind, curve, ENOUGH))}
    assert list(lines) == list(CHECKS)
    failed = {name for name, line in lines.items() if line.passed is False}
    assert failed >= FAULTS[fault]
    assert bool(failed) == bool(fault)
    assert all(line.remedy for line in lines.values() if line.passed is False)


def test_nothing_to_attack_says_so_and_limits_excuse_the_unbounded(learnt) -> None:
    weights, x, targets, lengths = learnt
    model = Small()
    model.load_state_dict(weights)
    model.eval()
    wrong = ModuleKind(model, x[:, :4], 1 - targets[:4], lengths[:4])
    lines = checklist(Case(wrong, curve_of(wrong, (0.1,), QUICK), QUICK))
    assert {line.passed for line in lines} == {None}
    kind = ModuleKind(model, x[:, :8], targets[:8], lengths[:8], limits=Limits(steps=(0, 1)))
    case = Case(kind, curve_of(kind, (0.1,), QUICK), QUICK, limited=True)
    assert CHECKS["unbounded"](case).passed is None


# --- intervals ---


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (10, 10), (37, 100)])
def test_wilson_solves_its_equation(hits, count) -> None:
    p, z = hits / count, 1.959963984540054
    for end in wilson(hits, count):
        assert (p - end) ** 2 == pytest.approx(z * z * end * (1 - end) / count, abs=1e-12)


def test_a_bootstrapped_interval_covers_a_mean() -> None:
    values = torch.randn(200, generator=torch.Generator().manual_seed(0))
    low, high = bootstrapped(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 200**0.5, rel=0.1)
    assert bootstrapped(values) == (low, high)


# --- the verb ---


@pytest.fixture(scope="module")
def found(folder):
    return attack.run(folder / "model", folder / "data.ts", eps=(0.5, 2.0), steps=6, restarts=1, examples=8)


def test_the_record_is_whole_and_survives_json(found, tmp_path) -> None:
    record = found.record
    assert [point.budget for point in record.curve] == [0.0, 0.5, 2.0]
    assert all(point.low <= point.value <= point.high for point in record.curve)
    assert record.verified == record.curve[-1].broken
    assert [line.name for line in record.checks] == list(CHECKS)
    assert record.worst
    assert record.command.startswith("tidegate attack ")
    found.to_json(tmp_path / "a.json")
    assert typed(json.loads((tmp_path / "a.json").read_text()), AttackRecord, "record") == record


def test_the_page_is_small_offline_and_escaped(found) -> None:
    worst = replace(found.record.worst[0], name=EVIL, before=EVIL, texts=(EVIL,))
    line = replace(found.record.checks[0], passed=False, sentence=EVIL, remedy=EVIL)
    evil = replace(found.record, title=EVIL, model=EVIL, data=EVIL, notes=(EVIL,), worst=(worst,), checks=(line,))
    for record in (replace(found.record, worst=found.record.worst[:1]), evil):
        page = render(record)
        assert len(page.encode()) < 1_000_000
        assert EVIL not in page
        assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
        assert "://" not in re.sub(r"http://www\.w3\.org/\S+", "", page)
    assert "1 of 1 checks failed" in render(evil)


def test_the_command_prints_writes_and_ends_as_asked(folder, tmp_path, capsys) -> None:
    words = [
        "attack",
        str(folder / "model"),
        str(folder / "data.ts"),
        "--eps",
        "0:2:3",
        "--steps",
        "3",
        "--restarts",
        "1",
    ]
    out = ["--out", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json"), "--examples", "4"]
    code = main([*words, *out, "--fail-on", "checklist"])
    failed = [line for line in json.loads((tmp_path / "a.json").read_text())["checks"] if line["passed"] is False]
    assert code == bool(failed)
    said = capsys.readouterr().out
    assert "smallest change" in said
    assert "passed evaluation" in said
    assert "<!doctype html>" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--eps", "0:1"], "neither FROM:TO:COUNT"),
        (["--eps", "-1"], "numbers of at least 0"),
        (["--eps", "0,nan"], "numbers of at least 0"),
        (["--only-steps", "3"], "not FROM:TO"),
        (["--features", "chanel 1"], "did you mean"),
        (["--target-direction", "up"], "for forecasts"),
        (["--steps", "0"], "at least 1"),
        (["--fail-on", "honesty"], "no verdict"),
        (["--fail-on", "noise", "--no-checks"], "needs the checklist"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(folder, capsys, words, said) -> None:
    assert main(["attack", str(folder / "model"), str(folder / "data.ts"), *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_estimator_is_attacked_and_an_empty_test_is_refused(series, folder) -> None:
    made = copy.copy(series)
    found = attack.run(made, folder / "data.ts", eps=(0.5,), steps=2, restarts=1, examples=4, checks=False)
    assert found.record.model == "SequenceClassifier"
    assert found.record.checks == ()
    assert not found.failed
    with pytest.raises(InputError, match="at least 1"):
        attack.run(made, folder / "data.ts", examples=0)
