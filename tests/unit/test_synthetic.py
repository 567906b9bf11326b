"""Generated problems against what their papers say, row by row."""

import json
import math

import numpy as np
import pytest
import torch

from tidegate import nn, tasks
from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.tasks.synthetic.task import Adding, CopyMemory, Final, SelectiveCopy, TemporalOrder, Timing
from tidegate.train.loop import evaluate

KINDS = (Adding, CopyMemory, SelectiveCopy, TemporalOrder, Timing)


def made(kind, length=60, rows=8):
    return kind(setting=SyntheticSetting(length=length, batch_size=rows, steps=5))


def drawn(task, seed=0, split="train"):
    return list(task.batches(split, torch.Generator().manual_seed(seed)))


class Oracle(torch.nn.Module):
    """Answers what it is told for each batch."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, batch, state=None):
        return self.answer(batch), None


class TestEvery:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_training_batch_is_new_and_the_test_is_not(self, kind):
        task = made(kind)
        inputs = [batch.inputs[: task.setting.length].flatten().tolist() for batch in drawn(task) + drawn(task, 1)]
        assert len({tuple(values) for values in inputs}) == 10
        for split in ("valid", "test"):
            again = list(task.batches(split))
            assert len(again) == math.ceil(1000 / 8)
            assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(again, task.batches(split), strict=True))

    @pytest.mark.parametrize("kind", KINDS)
    def test_no_test_sequence_is_seen_before(self, kind):
        task = made(kind, rows=1000)
        seen = [
            {row.numpy().tobytes() for batch in batches for row in batch.inputs.transpose(0, 1).contiguous()}
            for batches in (drawn(task), list(task.batches("valid")), list(task.batches("test")))
        ]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_survives_json(self, kind):
        task = made(kind)
        again = tasks.from_json(json.loads(json.dumps(task.to_json())))
        assert again.data == task.data
        assert torch.equal(drawn(again)[0].inputs, drawn(task)[0].inputs)

    def test_a_name_is_enough(self):
        assert {type(tasks.load(kind.name)) for kind in KINDS} == set(KINDS)


class TestAdding:
    def test_the_answer_is_the_sum_of_the_marked_numbers(self):
        for batch in drawn(made(Adding)):
            numbers, marks = batch.inputs.unbind(-1)
            assert (marks[:30].sum(0) == 1).all()
            assert (marks[30:].sum(0) == 1).all()
            assert torch.allclose((numbers * marks).sum(0), batch.targets[-1])
            assert batch.scored().nonzero().tolist() == [[59, row] for row in range(8)]

    def test_baseline_is_the_variance_of_a_sum_of_two(self):
        (line,) = made(Adding).baselines()
        assert line.score == pytest.approx(1 / 6, rel=0.1)
        task = made(Adding)
        assert evaluate(task, Oracle(lambda batch: torch.ones(*batch.targets.shape, 1)), "test") == pytest.approx(
            line.score
        )


class TestCopy:
    def test_layout(self):
        for batch in drawn(made(CopyMemory)):
            seen, said = batch.inputs.argmax(-1), batch.targets
            assert torch.equal(seen[:10], said[-10:])
            assert ((seen[:10] >= 1) & (seen[:10] <= 8)).all()
            assert (seen[10:-11] == 0).all()
            assert (seen[-11:] == 9).all()
            assert (said[:-10] == 0).all()
            assert len(seen) == 80
            assert batch.inputs.sum(-1).eq(1).all()

    def test_the_memoryless_answer_costs_the_baseline(self):
        task = made(CopyMemory)

        def answer(batch):
            logits = torch.full((*batch.targets.shape, 9), -math.inf)
            logits[:-10, :, 0] = 0
            logits[-10:, :, 1:] = 0
            return logits

        cost = evaluate(task, Oracle(answer), "test")
        assert cost == pytest.approx(task.baselines()[0].score) == pytest.approx(10 * math.log(8) / 80)
        assert CopyMemory(setting=SyntheticSetting(length=1000)).baselines()[0].score == pytest.approx(0.0204, abs=5e-5)

    def test_accuracy_counts_the_copies_alone(self):
        task = made(CopyMemory)
        blank = Oracle(lambda batch: torch.nn.functional.one_hot(torch.zeros_like(batch.targets), 9).float())
        right = Oracle(lambda batch: torch.nn.functional.one_hot(batch.targets, 9).float())
        assert task.scores(blank, 0.0)[1].value == 0
        assert task.scores(right, 0.0)[1].value == 1


class TestSelectiveCopy:
    def test_symbols_come_again_in_their_order(self):
        for batch in drawn(made(SelectiveCopy)):
            seen = batch.inputs.argmax(-1)
            for row in range(8):
                kept = [symbol for symbol in seen[:60, row].tolist() if symbol]
                assert kept == batch.targets[60:, row].tolist()
                assert len(kept) == 16
            assert (seen[60:] == 15).all()
            assert batch.scored().sum().item() == 16 * 8

    def test_places_are_drawn_evenly(self):
        task = made(SelectiveCopy, rows=1000)
        share = torch.cat([batch.inputs[:60, :, 0] for batch in drawn(task)], 1).mean(1)
        assert np.abs(share.numpy() - 44 / 60).max() < 0.04


class TestOrder:
    def test_the_answer_is_the_order_of_the_signals(self):
        lengths = set()
        for batch in drawn(made(TemporalOrder, 100, 100)):
            seen = batch.inputs.argmax(-1)
            for row, length in enumerate(batch.lengths.tolist()):
                steps = seen[:length, row].tolist()
                places = [at for at, symbol in enumerate(steps) if symbol >= 6]
                assert len(places) == 2
                assert 10 <= places[0] <= 20
                assert 50 <= places[1] <= 60
                assert steps[0] == 4
                assert steps[-1] == 5
                assert all(symbol < 4 for at, symbol in enumerate(steps[1:-1], 1) if at not in places)
                first, second = (steps[at] - 6 for at in places)
                assert batch.targets[length - 1, row] == 2 * first + second
                assert batch.scored()[:, row].nonzero().tolist() == [[length - 1]]
                lengths.add(length)
        assert lengths == set(range(100, 111))

    def test_a_model_reads_the_last_step_of_each_row(self):
        task = made(TemporalOrder)
        model = task.model(lambda inputs: nn.GRU(inputs, 4))
        batch = drawn(task)[0]
        outputs, _ = model(batch)
        changed = batch.inputs.clone()
        changed[batch.lengths.min() :] = 7.0
        row = int(batch.lengths.argmin())
        other, _ = model(Final(changed, batch.targets, batch.lengths))
        assert torch.equal(outputs[batch.lengths.min() - 1, row], other[batch.lengths.min() - 1, row])
        assert task.measure(outputs, batch).count == 8


class TestTiming:
    def test_the_third_spike_is_as_far_from_the_second_as_the_second_from_the_first(self):
        distances = set()
        for batch in drawn(made(Timing, 20, 100)):
            assert batch.inputs.shape == (151, 100, 1)
            for row in range(100):
                given = batch.inputs[:, row, 0].nonzero().flatten().tolist()
                due = batch.targets[:, row].nonzero().flatten().tolist()
                assert len(given) == 6
                assert due == [2 * second - first for first, second in zip(given[::2], given[1::2], strict=True)]
                assert [1 <= at - end <= 10 for at, end in zip(given[::2], [0, *due], strict=False)] == [True] * 3
                distances |= {second - first for first, second in zip(given[::2], given[1::2], strict=True)}
        assert distances == set(range(10, 21))

    def test_its_baseline_is_the_best_constant(self):
        task = made(Timing, 20, 100)
        (baseline,) = task.baselines()
        rate = math.log(3 / 148)
        found = evaluate(task, Oracle(lambda batch: torch.tensor([0.0, rate]).expand(*batch.targets.shape, 2)), "test")
        assert found == pytest.approx(baseline.score, rel=1e-6)

    def test_one_who_counts_is_always_right(self):
        task = made(Timing, 20, 100)

        def counted(batch):
            spikes = batch.inputs[..., 0].numpy()
            due = torch.zeros(batch.targets.shape, dtype=torch.int64)
            for row in range(spikes.shape[1]):
                first, second = np.flatnonzero(spikes[:, row]).reshape(-1, 2).T
                due[2 * second - first, row] = 1
            return 50 * torch.nn.functional.one_hot(due, 2).float()

        scores = {score.name: score.value for score in task.scores(Oracle(counted), 0.0)}
        assert scores["accuracy"] == 1
