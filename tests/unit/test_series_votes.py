"""Votes of series, and folds, against computations written out by hand."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import nn
from tidegate.data.labelled import in_memory
from tidegate.tasks import SequenceClassifier
from tidegate.tasks.classification import linear
from tidegate.tasks.classification.ballot import features_for, resampled, rows_for
from tidegate.tasks.classification.convolution import GRID, KERNELS, Convolution, Convolutions
from tidegate.tasks.classification.encoding import ClassificationEncoding
from tidegate.tasks.classification.fold import SeriesTask
from tidegate.tasks.classification.hold import Choice, Holding, Pair
from tidegate.tasks.classification.known import ragged
from tidegate.tasks.classification.linear import logistic, ridge, ridges
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.stack import LARGEST, stacked, weighed
from tidegate.tasks.classification.task import ClassificationTask
from tidegate.train.watch import Watch


def waves(rows=60, seed=0, channels=1):
    """Ragged series: class "slow" has half the frequency of "fast"."""
    rng = np.random.default_rng(seed)
    labels = ["slow" if row % 2 else "fast" for row in range(rows)]
    series = [
        np.sin((1 if label == "slow" else 2) * np.arange(rng.integers(15, 25))[:, None] + rng.uniform(0, 6, channels))
        for label in labels
    ]
    return series, labels


def task(data, **chosen):
    return SeriesTask(ClassificationTask(in_memory(*data), ClassificationSetting(**chosen)))


def layer(inputs, **options):
    return nn.GRU(inputs, 3, **options)


def drawn(lengths, channels, seed=0):
    rng = np.random.default_rng(seed)
    return ragged([torch.from_numpy(rng.normal(size=(n, channels))).float() for n in lengths])


class TestConvolutions:
    def by_hand(self, made, series):
        """The features of one series [T, C], from the definition, kernel by kernel and step by step."""
        steps, features, place = len(series), [], 0
        series = np.round(series.astype(np.float64) * GRID) / GRID
        for level, (dilation, count) in enumerate(zip(made.plan.dilations, made.plan.thresholds, strict=True)):
            for number, places in enumerate(itertools.combinations(range(9), 3)):
                summed = series[:, made.channels[level, number].numpy()].sum(1)
                margin = 4 * dilation if (level + number) % 2 else 0
                seen = [t + (np.arange(9) - 4) * dilation for t in range(margin, steps - margin)]
                weights = np.where(np.isin(np.arange(9), places), 2.0, -1.0)
                answers = [weights[(at >= 0) & (at < steps)] @ summed[at[(at >= 0) & (at < steps)]] for at in seen]
                limits = made.thresholds[place : place + count].numpy().astype(np.float64)
                features += [np.mean(np.array(answers) > limit) if answers else 0.0 for limit in limits]
                place += count
        return features

    @settings(max_examples=10)
    @given(st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(1, 4), st.integers(0, 99))
    def test_against_the_definition(self, lengths, channels, seed):
        made = Convolutions(Convolution(channels, (1, 3), (1, 2)))
        made.fit(*drawn([20, 9, 30], channels, seed + 1), seed)
        values, ends = drawn(lengths, channels, seed)
        found = made(values, ends)
        for row, length in enumerate(lengths):
            assert found[row].tolist() == pytest.approx(self.by_hand(made, values[:length, row].numpy()), abs=1e-6)

    def test_features_depend_neither_on_other_rows_nor_on_padding(self):
        lengths = [40, 7, 23, 40, 11]
        values, ends = drawn(lengths, 2)
        values = 0.3 * values.cumsum(0).round()  # many ties, and numbers that binary fractions do not have
        made = Convolutions(Convolution.of(2, 40, 840))
        made.fit(values, ends, 0)
        together = made(values, ends)
        for row, length in enumerate(lengths):
            assert torch.equal(made(values[:length, row : row + 1], ends[row : row + 1])[0], together[row])

    def test_kernels_are_published_ones(self):
        assert KERNELS.shape == (84, 9)
        assert len({tuple(kernel) for kernel in KERNELS.tolist()}) == 84
        assert (KERNELS.sum(1) == 0).all()
        assert {tuple(sorted(kernel)) for kernel in KERNELS.tolist()} == {(-1.0,) * 6 + (2.0,) * 3}

    @pytest.mark.parametrize("steps", [1, 8, 24, 150, 1000, 100_000])
    @pytest.mark.parametrize("features", [1, 84, 2_520, 9_996])
    def test_as_many_features_as_asked_for(self, steps, features):
        plan = Convolution.of(1, steps, features)
        assert plan.features == max(84, features // 84 * 84)
        assert plan.dilations[0] == 1
        assert plan.dilations[-1] <= max(1, (steps - 1) / 8)

    def test_thresholds_divide_training_evenly(self):
        values, ends = drawn([200] * 50, 1)
        made = Convolutions(Convolution.of(1, 200, 9_996))
        made.fit(values, ends, 0)
        assert made(values, ends).mean() == pytest.approx(0.5, abs=0.01)

    def test_the_seed_alone_decides(self):
        values, ends = drawn([30, 20, 25], 3)
        states = []
        for seed in (1, 1, 2):
            made = Convolutions(Convolution.of(3, 30, 840))
            made.fit(values, ends, seed)
            states.append(made.state_dict())
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert not torch.equal(states[0]["channels"], states[2]["channels"])


class TestLinear:
    @pytest.mark.parametrize(("rows", "columns"), [(12, 30), (30, 12), (5, 5)])
    def test_ridge_against_normal_equations(self, rows, columns):
        rng = np.random.default_rng(0)
        inputs, targets = rng.normal(size=(rows, columns)) + 3, rng.normal(size=(rows, 2))
        unit = ((inputs - inputs.mean(0)) ** 2).sum() / rows
        found = ridges(torch.from_numpy(inputs), torch.from_numpy(targets), [0.01, 1.0])
        for strength, (weight, bias) in zip([0.01, 1.0], found, strict=True):
            ones = np.hstack([inputs, np.ones((rows, 1))])
            penalty = np.diag([strength * unit] * columns + [0.0])  # none on the bias
            exact = np.linalg.solve(ones.T @ ones + penalty, ones.T @ targets)
            assert weight.T.numpy() == pytest.approx(exact[:-1], abs=1e-8)
            assert bias.numpy() == pytest.approx(exact[-1], abs=1e-8)

    @pytest.mark.parametrize(("method", "penalties"), [(ridge, "RIDGE"), (logistic, "LOGISTIC")])
    def test_rows_held_out_are_not_learnt_from(self, method, penalties, monkeypatch):
        monkeypatch.setattr(linear, penalties, (0.5,))
        rng = np.random.default_rng(0)
        features, truth = torch.from_numpy(rng.normal(size=(20, 6))), np.arange(20) % 3
        holding = Holding((Pair(np.arange(5, 20), np.arange(5)), Pair(np.arange(5), np.arange(5, 20))), np.arange(20))
        first = method(features, truth, 3, holding).held
        other = truth.copy()
        other[:5] = (truth[:5] + 1) % 3
        second = method(features, other, 3, holding).held
        unit = [held[:5] / held[:5].norm() for held in (first, second)]  # the scale has seen all rows
        assert torch.allclose(*unit)
        assert not torch.allclose(first[5:], second[5:])

    @pytest.mark.parametrize("method", [ridge, logistic])
    def test_a_map_of_the_features_as_they_are(self, method):
        rng = np.random.default_rng(0)
        truth = np.arange(60) % 3
        features = torch.from_numpy(rng.normal(size=(60, 4)) * [1, 100, 0.01, 0] + [5, -300, 1, 0.1])
        features[:, 0] += torch.from_numpy(6.0 * (truth == 1))
        features[:, 1] += torch.from_numpy(600.0 * (truth == 2))
        holding = Holding((Pair(np.arange(40), np.arange(40, 60)),), np.arange(60))
        made = method(features, truth, 3, holding)
        assert (made(features).argmax(1).numpy() == truth).mean() > 0.8
        assert (made.weight[:, 3] == 0).all()  # a feature that never changes

    def test_a_class_that_a_fold_lacks(self):
        features, truth = torch.randn(9, 3, dtype=torch.float64), np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
        holding = Holding((Pair(np.arange(8), np.array([8])), Pair(np.arange(4, 9), np.arange(4))), np.arange(9))
        for method in (ridge, logistic):
            assert torch.isfinite(method(features, truth, 3, holding).held).all()


class TestStack:
    def test_against_a_search(self):
        rng = np.random.default_rng(0)
        truth = rng.integers(3, size=40)
        logits = [torch.from_numpy(scale * np.eye(3)[truth] + rng.normal(size=(40, 3))) for scale in (1.5, 0.5)]

        def loss(weights):
            mixed = sum(w * one.numpy() for w, one in zip(weights, logits, strict=True))
            chances = np.exp(mixed) / np.exp(mixed).sum(1, keepdims=True)
            share = 1 / 42
            return -np.mean(
                [math.log(c[k]) * (1 - share) + share * np.log(c).mean() for c, k in zip(chances, truth, strict=True)]
            )

        exact = scipy.optimize.minimize(loss, [1.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-6})
        weights, least = weighed(logits, truth)
        assert weights == pytest.approx(exact.x, abs=1e-3)
        assert least == pytest.approx(exact.fun)

    @pytest.mark.parametrize("strength", [0.3, 0.9, 2.0])
    def test_a_part_joins_if_it_lowers_the_loss_by_a_nat(self, strength):
        rng = np.random.default_rng(1)
        truth = rng.integers(3, size=40)
        first = torch.from_numpy(np.eye(3)[truth] + rng.normal(size=(40, 3)))
        second = torch.from_numpy(strength * np.eye(3)[truth] + rng.normal(size=(40, 3)))
        alone, both = [weighed(parts, truth) for parts in ([first], [first, second])]
        gain = 40 * (alone[1] - both[1])
        assert (stacked([first, second], truth)[1] > 0) == (gain > 1) == (strength > 0.5)

    def test_what_misleads_has_no_weight(self):
        truth = np.arange(30) % 2
        right = torch.from_numpy(np.eye(2)[truth] + np.random.default_rng(0).normal(size=(30, 2)))
        wrong = torch.from_numpy(np.eye(2)[1 - truth])
        assert stacked([right, wrong], truth)[1] == 0

    def test_rows_that_are_all_right_do_not_make_certain(self):
        truth = np.arange(10) % 2
        (weight,) = stacked([torch.from_numpy(2.0 * np.eye(2)[truth])], truth)
        assert math.exp(2 * weight) / (1 + math.exp(2 * weight)) == pytest.approx(1 - 1 / 24, abs=1e-4)
        assert stacked([torch.from_numpy(1e-6 * np.eye(2)[truth])], truth)[0] <= LARGEST


@given(st.lists(st.integers(1, 90), min_size=1, max_size=3))
def test_resampled_by_interpolation(lengths):
    values, ends = drawn(lengths, 2)
    found = resampled(values, ends)
    for row, length in enumerate(lengths):
        at = np.linspace(0, length - 1, 64)
        for channel in range(2):
            exact = np.interp(at, np.arange(length), values[:length, row, channel])
            assert found[row, :, channel].numpy() == pytest.approx(exact, abs=1e-9)


class TestHolding:
    def choice(self, rows=50, *, drawn=True):
        return Choice([row // 2 for row in range(rows)], rows - 5, drawn, 0), np.arange(rows) // 2 % 3

    def test_folds_hold_each_row_out_once_and_copies_together(self):
        holding = Holding.of(*self.choice(), few=100)
        assert sorted(holding.held) == list(range(50))
        assert len(holding.pairs) == 5
        for pair in holding.pairs:
            assert not set(pair.fit) & set(pair.held)
            assert len(pair.fit) + len(pair.held) == 50
            assert not {row // 2 for row in pair.fit} & {row // 2 for row in pair.held}
        assert list(holding.last) == list(range(50))

    def test_many_rows_have_their_validation_part(self):
        (pair,) = Holding.of(*self.choice(), few=50).pairs
        assert (list(pair.fit), list(pair.held)) == (list(range(45)), list(range(45, 50)))
        assert len(Holding.of(*self.choice(), few=50).last) == 50

    def test_a_file_for_validation_is_never_learnt_from(self):
        holding = Holding.of(*self.choice(drawn=False), few=100)
        assert not holding.folded
        assert list(holding.last) == list(holding.pairs[0].fit) == list(range(45))

    def test_a_sample_of_many_rows(self):
        choice, classes = Choice(range(1000), 900, True, 0), np.arange(1000) % 2  # noqa: FBT003  drawn
        holding = Holding.of(choice, classes, few=10).sample(100, seed=3)
        rows, compact = holding.compact()
        assert (len(holding.last), len(holding.pairs[0].fit), len(holding.held)) == (100, 100, 50)
        assert np.array_equal(rows[compact.last], holding.last)
        assert np.array_equal(rows[compact.held], holding.held)
        assert len(rows) <= 250

    def test_work_is_bounded(self):
        assert features_for(100, 2) == 9_996
        assert features_for(1_000_000, 2) == 2_520
        assert rows_for(1_000_000, 2, 100) == (1 << 25) // 2_520
        assert rows_for(1_000_000, 2, 100_000) < 200


class TestFolds:
    def test_no_member_learns_from_what_it_is_scored_on(self):
        made = task(waves())
        made._framed = [torch.full_like(sequence, row) for row, sequence in enumerate(made._framed)]
        learnt = [set() for _ in range(6)]
        for batch in made.batches("train", torch.Generator().manual_seed(0)):
            for row, member in zip(batch.inputs[0, :, 0].tolist(), batch.member.tolist(), strict=True):
                learnt[member].add(int(row))
        scored = [set() for _ in range(6)]
        for batch in made.batches("valid"):
            for row, member in zip(batch.inputs[0, :, 0].tolist(), batch.member.tolist(), strict=True):
                scored[member].add(int(row))
        assert not any(mine & theirs for mine, theirs in zip(learnt, scored, strict=True))
        assert set.union(*scored) == learnt[5] == set(range(len(made._framed)))
        assert sum(map(len, scored)) == len(made._framed)

    def test_members_answer_as_they_do_alone(self):
        made = task(waves())
        model = made.model(layer).eval()
        (batch, *_) = made.batches("train", torch.Generator().manual_seed(0))
        together, _ = model(batch)
        for number, member in enumerate(model.members):
            rows = batch.member == number
            part = dataclasses.replace(
                batch,
                inputs=batch.inputs[:, rows],
                targets=batch.targets[rows],
                lengths=batch.lengths[rows],
                member=None,
            )
            assert torch.allclose(member(part)[0], together[rows], atol=1e-6)

    def test_every_parameter_has_a_gradient_in_a_process_without_rows(self):
        made = task(waves())
        model = made.model(layer).train()
        (batch, *_) = made.batches("train", torch.Generator().manual_seed(0))
        model(batch.share(0, 40))[0].sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_votes_of_rows_held_out_meet_the_layers_of_the_same_rows(self, monkeypatch):
        """Layers that know all answers, and votes that know nothing, give the layers all weight."""
        made = task(waves())
        model = made.model(layer)
        truth = torch.from_numpy(made.known.classes)
        order = made.known.holding.held
        monkeypatch.setattr(made, "_unseen", lambda _: 3.0 * torch.eye(2, dtype=torch.float64)[truth[order]])
        ballot = made.ballot
        blind = dataclasses.replace(ballot, held=torch.zeros_like(ballot.held))
        monkeypatch.setattr(made, "ballot", blind, raising=False)
        kept = made.settle(model)
        assert kept.shares[0] > 0.9
        assert kept.shares[1] == 0
        assert made.remarks(kept)[0].endswith("the votes added nothing, so the layers answer alone")
        monkeypatch.setattr(
            made, "ballot", dataclasses.replace(ballot, held=3.0 * torch.eye(2)[truth[made.known.voting.held]])
        )
        monkeypatch.setattr(made, "_unseen", lambda _: torch.zeros(len(order), 2, dtype=torch.float64))
        assert made.settle(made.model(layer)).shares[1] > 0.9
        (told,) = made.remarks(model)
        assert told.startswith("log loss of 54 series held out: layers 0.6931, votes of random convolutions")
        assert told.endswith("the layers added nothing, so the votes answer alone")

    def test_compare_trains_the_layers_alone(self):
        plain = ClassificationTask(in_memory(*waves()), ClassificationSetting())
        assert plain.model(layer).votes is None
        assert {line.name for line in plain.baselines()} == {"majority class", "random convolutions", "linear"}

    def test_a_sample_is_told(self, monkeypatch):
        monkeypatch.setattr("tidegate.tasks.classification.task.rows_for", lambda *_: 20)
        made = task(waves())
        assert made.data.warnings == ("votes, and baselines like them, learn from 20 of 54 series, drawn",)
        assert made.ballot.learnt == 20
        assert "20 rows drawn" in made._rivals[1].how


SMALL = {"hidden_size": 4, "epochs": 1, "bidirectional": False}


@pytest.fixture(scope="module")
def data():
    return waves(60, channels=2)


@pytest.fixture(scope="module")
def model(data):
    return SequenceClassifier(**SMALL).fit(*data)


class TestEstimator:
    def test_what_was_chosen_is_told(self, model):
        assert "series held out" in model.notes_[0]

    def test_layers_and_votes_are_scored_alone(self, model):
        accuracy = model.scores_[0]
        assert set(accuracy.parts) == {"layers alone", "votes alone"}
        assert accuracy.parts["votes alone"] == 1

    def test_the_answer_is_the_weighted_sum(self, model, data):
        made = task(data, **SMALL)
        (batch,) = made.batches("test")
        with torch.inference_mode():
            layers, votes = model.model_.parts(batch)
            expected = model.model_.shares[0] * layers + model.model_.shares[1] * votes
            assert torch.equal(model.model_(batch)[0], expected)
            ballot = made.ballot
            values, ends = ragged([made._unframed(one) for one in made.sequences["test"]])
            order = torch.tensor([row for rows in made._groups("test", None) for row in rows])
            random = ballot.random(ballot.convolutions(values, ends))[order]
            even = ballot.values(resampled(values, ends).flatten(1))[order]
        assert torch.allclose(votes.double(), ballot.weights[0] * random + ballot.weights[1] * even, atol=1e-4)

    def test_saved_models_answer_the_same(self, model, data, tmp_path):
        model.save_pretrained(tmp_path)
        again = SequenceClassifier.from_pretrained(tmp_path)
        assert np.array_equal(again.predict_proba(data[0]), model.predict_proba(data[0]))
        assert again.scores_ == model.scores_

    def test_a_killed_training_goes_on_to_the_same_model(self, model, data, tmp_path, monkeypatch):
        monkeypatch.setattr("tidegate.train.loop.SAVE_EVERY_SECONDS", 0.0)
        monkeypatch.setattr("tidegate.train.loop.SAVE_SHARE", 1e9)

        def stop(record):
            if record.step == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            SequenceClassifier(**SMALL).fit(*data, folder=tmp_path, watch=Watch(on_step=stop))
        steps = []
        again = SequenceClassifier(**SMALL).fit(
            *data, folder=tmp_path, watch=Watch(on_step=lambda record: steps.append((record.epoch, record.step)))
        )
        assert steps[0][1] > 1
        assert np.array_equal(again.predict_proba(data[0]), model.predict_proba(data[0]))

    def test_without_votes(self, data):
        model = SequenceClassifier(**SMALL, votes=False, calibrate=True).fit(*data)
        assert model.model_.votes is None
        assert model.scores_[0].parts == {}
        assert float(model.model_.temperature) != 1

    def test_encodings_from_before_there_were_votes(self, model):
        record = json.loads(json.dumps(model.encoding_.to_json()))
        assert ClassificationEncoding.from_json(record) == model.encoding_
        del record["convolution"]
        assert ClassificationEncoding.from_json(record).model(layer, ClassificationSetting()).votes is None

    def test_float64(self, data):
        model = SequenceClassifier(**SMALL, precision="float64").fit(*data)
        assert model.predict_proba(data[0]).shape == (60, 2)
        assert model.model_.votes.bias.dtype == torch.float64
