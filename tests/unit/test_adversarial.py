"""Adversarial training: what a change of the data changes, edits of texts, and runs that go on exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tidegate import nn
from tidegate.adversary.edit import DELETE, EXCHANGE, INSERT, SUBSTITUTE, Edits, Rules, applied, estimates, worst_edits
from tidegate.data import Source
from tidegate.data.labelled import in_memory
from tidegate.errors import InputError
from tidegate.tasks import ESTIMATORS, SequenceClassifier
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.tasks.forecast.grid import make_grid
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.forecast.task import ForecastTask
from tidegate.train import loop
from tidegate.train.loop import evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.setting import check
from tidegate.train.worst import attacked

SYMBOLS = 5


def sequences(*rows):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows]), torch.tensor(list(map(len, rows)))


def by_hand(row, kind, place, unit):
    row = list(row)
    if kind == SUBSTITUTE:
        row[place] = unit
    elif kind == INSERT:
        row.insert(place, unit)
    elif kind == DELETE:
        del row[place]
    else:
        row[place : place + 2] = row[place : place + 2][::-1]
    return row


def all_edits(row):
    """Every edit of a sequence, but those that change nothing."""
    made = [(SUBSTITUTE, t, u) for t in range(len(row)) for u in range(1, SYMBOLS) if u != row[t]]
    made += [(INSERT, t, u) for t in range(len(row) + 1) for u in range(1, SYMBOLS)]
    made += [(DELETE, t, 0) for t in range(len(row)) if len(row) > 1]
    return made + [(EXCHANGE, t, 0) for t in range(len(row) - 1) if row[t] != row[t + 1]]


def rules(features):
    known = torch.arange(1, SYMBOLS)
    return Rules(known[None], known, features)


ROWS = [[1, 2, 3, 4], [2], [4, 4, 1]]


class TestEdits:
    def test_every_edit_against_lists(self):
        units, lengths = sequences(*ROWS)
        edits = [(row, *edit) for row, own in enumerate(ROWS) for edit in all_edits(own)]
        found, after = applied(units, lengths, Edits(*map(torch.tensor, zip(*edits, strict=True))))
        for n, (row, *edit) in enumerate(edits):
            assert found[: after[n], n].tolist() == by_hand(ROWS[row], *edit)
            assert not found[after[n] :, n].any()

    def test_estimates_are_exact_for_a_linear_loss_and_in_order(self):
        """Where the loss is linear in the features of each step, the gain of an edit is exact for all but ends."""
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(SYMBOLS, 3, generator=generator, dtype=torch.float64)
        units, lengths = sequences(*ROWS)
        slope = torch.randn(len(units), len(ROWS), 3, generator=generator, dtype=torch.float64)
        found, gain = estimates(units, lengths, slope, rules(features), most=10_000)

        def value(units, row):
            return sum(float(slope[t, row] @ features[unit]) for t, unit in enumerate(units[: len(ROWS[row])]))

        rows = found.row.tolist()
        listed = list(zip(rows, found.kind.tolist(), found.place.tolist(), found.unit.tolist(), strict=True))
        assert sorted(listed) == sorted((row, *edit) for row, own in enumerate(ROWS) for edit in all_edits(own))
        for (row, *edit), own in zip(listed, gain.tolist(), strict=True):
            if edit[0] == INSERT and edit[1] == len(ROWS[row]):
                continue  # an end that the gradient says nothing of
            assert own == pytest.approx(value(by_hand(ROWS[row], *edit), row) - value(ROWS[row], row), abs=1e-12)
        few, _ = estimates(units, lengths, slope, rules(features), most=1)
        assert torch.bincount(few.row).tolist() == [4, 2, 4]

    def test_the_worst_edit_is_found_where_all_are_tried(self):
        units, lengths = sequences(*ROWS)
        weight = torch.tensor([0.0, 1.0, -2.0, 0.5, 3.0])

        def score(units):
            return sum((t + 1) * float(weight[u]) * (-1) ** t for t, u in enumerate(units))

        def loss(units, lengths, row):
            del row
            return torch.tensor([score(units[:n, k].tolist()) for k, n in enumerate(lengths.tolist())])

        def slope(units, lengths):
            del lengths
            return torch.zeros(*units.shape, 1)

        edits, own = torch.tensor([2, 2, 1]), rules(torch.zeros(SYMBOLS, 1))
        found, after = worst_edits(loss, slope, units, lengths, own, edits=edits, tried=10_000)
        for k, own in enumerate(ROWS):
            count = 1 if k == 2 else 2
            once = max((by_hand(own, *edit) for edit in all_edits(own)), key=score)
            twice = max((by_hand(once, *edit) for edit in all_edits(once)), key=score)
            assert score(found[: after[k], k].tolist()) == pytest.approx(score(twice if count == 2 else once))


def forecast(rows=160, **options):
    rng = np.random.default_rng(0)
    y, x = 5 + np.sin(np.arange(rows) / 2) + 0.1 * rng.normal(size=rows).cumsum(), rng.normal(size=rows)
    days = np.datetime64("2024-01-01") + np.arange(rows)
    lines = [f"{day},{a!r},{b!r}" for day, a, b in zip(days, y.tolist(), x.tolist(), strict=True)]
    setting = ForecastSetting(target="y", season=12, horizon=3, logarithm="no", **options)
    return ForecastTask(Source("/a.csv", "a.csv", "\n".join(["day,y,x", *lines]).encode()), setting)


class TestChanged:
    @pytest.mark.parametrize("difference", ["last", "season", "linear", "none"])
    @pytest.mark.parametrize("first", [0, 30])
    def test_a_window_is_what_the_grid_makes_of_changed_data(self, difference, first) -> None:
        task = forecast(difference=difference, strategy="direct")
        span, count = task.spans[0], len(task.encoding.columns)
        start, rows, steps = task.grid.spans[0].start + first, 20, 3
        window = task.grid.window(torch.tensor([0]), torch.tensor([start]), rows, steps)
        change = 0.3 * torch.randn(rows, 1, count, generator=torch.Generator().manual_seed(1))
        moved = task.changed(window, change)
        panel = task.panel
        values, places = panel.values.copy(), [panel.columns.index(name) for name in task.encoding.columns]
        sd = np.array([task.grid.scales[0, 1], *task.encoding.sd[: count - 1]])
        values[span.start + first : span.start + first + rows, places] += change[:, 0].numpy() * sd
        other = make_grid(replace(panel, values=values), task.encoding, task.spans, task.horizon)
        wanted = other.window(torch.tensor([0]), torch.tensor([start]), rows, steps)
        assert count == 2
        assert torch.allclose(moved.inputs, wanted.inputs, atol=2e-5)
        assert torch.allclose(moved.levels, wanted.levels, atol=1e-5)
        base, theirs = (
            grid.encoding.base(grid.levels, start + torch.arange(rows)[:, None], steps) for grid in (task.grid, other)
        )
        scale = torch.tensor(task.encoding.change[:steps])
        assert torch.allclose(moved.moved.double(), (theirs - base) / scale, atol=2e-5)
        if wanted.plain is not None:
            assert torch.allclose(moved.plain, wanted.plain, atol=2e-4)

    def test_what_is_known_ahead_and_padding_stay(self) -> None:
        task = forecast(strategy="direct", difference="last")
        window = task.grid.window(torch.tensor([0, 0]), torch.tensor([3, 9]), 8, 3, lengths=torch.tensor([8, 5]))
        free = task.pliable(window)
        assert free.shape == (8, 2, 2)
        assert free[:, 0].all()
        assert free[:, 1, 0].tolist() == [True] * 5 + [False] * 3
        moved = task.changed(window, torch.where(free, 1.0, 0.0))
        known = len(task.encoding.columns) + 1
        assert torch.equal(moved.inputs[..., known:], window.inputs[..., known:])
        assert torch.equal(moved.inputs[5:, 1], window.inputs[5:, 1])

    def test_missing_values_masks_and_times_stay(self) -> None:
        series = [[np.array([1.0 + k, np.nan, 3.0, 4.0]), np.array([k, 2.0])][k % 2] for k in range(20)]
        setting = ClassificationSetting(frame=1, missing="inputs", votes=False)
        task = ClassificationTask(in_memory(series, [0, 1] * 10), setting)
        batch = next(iter(task.batches("test")))
        free = task.pliable(batch)
        width = task.encoding.reading.width
        assert torch.equal(
            free, (batch.inputs[..., width : 2 * width] > 0) & (batch.inputs[..., width : 2 * width] < 2)
        )
        changed = task.changed(batch, torch.where(free, 0.5, 0.0))
        assert torch.equal(changed.inputs[..., width:], batch.inputs[..., width:])
        assert (changed.inputs[..., :width] != batch.inputs[..., :width]).equal(free)


def waves(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(12)
    return [np.sin(time * (0.4 + 0.3 * (k % 2)) + rng.uniform(0, 6)) + 0.1 * rng.normal(size=12) for k in range(rows)]


def series_task(**options):
    setting = ClassificationSetting(
        hidden_size=6, dropout=0.1, votes=False, frame=1, epochs=3, steps=10, cell="gru", **options
    )
    return ClassificationTask(in_memory(waves(), [k % 2 for k in range(40)]), setting)


def learnt(task, **options):
    def layer(features, **more):
        return nn.Recurrent("gru", features, 6, **more)

    return train(task, layer, Plan(task.setting, 1, 2), **options)


def loss_of(task, model, batch):
    with torch.inference_mode():
        return float(task.measure(model.eval()(batch)[0], batch).loss)


class TestTraining:
    def test_the_loss_of_changed_rows_is_higher_within_the_bound_and_each_row_for_itself(self) -> None:
        task = series_task(adversarial=0.3)
        model = learnt(series_task()).model
        batch = next(iter(task.batches("test")))
        with attacked(model):
            worst = task.worst(model, batch)
            alone = task.worst(model, batch.share(0, 2))
        change = worst.inputs - batch.inputs
        assert 0.2 < change.abs().max() <= 0.3 + 1e-6
        assert loss_of(task, model, worst) > loss_of(task, model, batch)
        assert torch.allclose(alone.inputs, worst.inputs[:, 0::2], atol=1e-6)

    def test_a_model_that_is_attacked_stays_as_it_is(self) -> None:
        task = series_task(adversarial=0.3)
        model = learnt(series_task()).model.train()
        model.zero_grad(set_to_none=True)
        model.head.bias.requires_grad = False
        with attacked(model):
            assert not model.training
            task.worst(model, next(iter(task.batches("test"))))
        assert model.training
        assert [p.requires_grad for p in model.parameters()].count(False) == 1
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_the_bound_rises_over_half_of_the_epochs_and_validation_has_the_whole(self, monkeypatch) -> None:
        task, shares = series_task(adversarial=0.3), {True: [], False: []}
        find = type(task).worst

        def noted(self, model, batch, generator=None, share=1.0):
            shares[generator is not None].append(share)
            return find(self, model, batch, generator, share)

        monkeypatch.setattr(type(task), "worst", noted)
        learnt(task)
        assert shares[True] == pytest.approx([2 / 3] * 10 + [1] * 20)  # 1 of 1.5 epochs, then all
        assert set(shares[False]) == {1.0}

    def test_validation_is_attacked_and_the_model_bears_more(self) -> None:
        plain, hard = learnt(series_task()), learnt(series_task(adversarial=0.5))
        assert hard.curve[-1].valid > evaluate(series_task(), hard.model, "valid")
        assert plain.curve[-1].valid == pytest.approx(evaluate(series_task(), plain.model, "valid"))

        def under_attack(model):
            task = series_task(adversarial=0.5, attack_steps=10)
            batch = next(iter(task.batches("valid")))
            with attacked(model):
                worst = task.worst(model, batch)
            return loss_of(task, model, worst)

        assert under_attack(hard.model) < under_attack(plain.model)

    @pytest.mark.parametrize("option", ["adversarial", "smooth"])
    def test_an_interrupted_run_ends_as_an_uninterrupted_one(self, option, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
        monkeypatch.setattr(loop, "SAVE_SHARE", np.inf)
        task, path = series_task(**{option: 0.3}), tmp_path / "run.safetensors"
        whole = learnt(task)

        def stop(record) -> None:
            if record.total == 16:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learnt(task, checkpoint=path, on_step=stop)
        resumed = learnt(task, checkpoint=path)
        for name, tensor in whole.model.state_dict().items():
            assert torch.equal(tensor, resumed.model.state_dict()[name])

    def test_names_are_learnt_from_with_edits(self) -> None:
        names = ["anna", "hannah", "otto", "bob", "ada", "aha"] * 5
        options = {"epochs": 2, "test_share": 0, "hidden_size": 4, "cell": "gru"}
        plain = SequenceClassifier(**options, votes=False)
        hard = SequenceClassifier(**options, adversarial=1)
        labels = [name[0] in "ao" for name in names]
        plain.fit(names, labels)
        hard.fit(names, labels)
        assert hard.model_.votes is None
        assert any("votes" in note for note in hard.notes_)
        assert not torch.equal(plain.model_.head.weight, hard.model_.head.weight)

    @pytest.mark.parametrize("task", ["music", "language", "tagging", "translation"])
    def test_tasks_whose_inputs_do_not_change_a_little(self, task) -> None:
        with pytest.raises(InputError) as error:
            check(ESTIMATORS[task].setting(adversarial=0.1))
        assert error.value.code == "ADVERSARIAL_TASK"
        assert task in error.value.message

    def test_half_an_edit(self) -> None:
        with pytest.raises(InputError) as error:
            SequenceClassifier(adversarial=0.5, test_share=0).fit(["anna", "bob", "otto"] * 5, [0, 1, 1] * 5)
        assert error.value.code == "ADVERSARIAL_EDITS"
