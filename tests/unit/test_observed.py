"""Series with missing values and times of their own: how tables become them, and what layers read."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.refusal import refused
from tidegate import nn
from tidegate.compare.cost import step_latency_us
from tidegate.data import Source
from tidegate.data.labelled import Columns, Gapped, Layout, complete, in_memory, read_labelled
from tidegate.errors import InputError
from tidegate.ship import flows
from tidegate.tasks import SequenceClassifier, from_pretrained
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.encoding import ClassificationEncoding
from tidegate.tasks.classification.scale import Observed, Scale
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.task import ClassificationTask

TABLE = """\
id;day;level;note;flow;class
b;01.02.2024;1,5;warm;;up
a;03.02.2024;2;cold;7;down
b;02.02.2024;;warm;3;up
b;05.02.2024;2,5;warm;;
a;04.02.2024;?;cold;9;down
"""
COLUMNS = {"series": "id", "time": "day"}


def read(content, name="a.csv", **options):
    return read_labelled(Source(f"/{name}", name, content.encode()), Layout(**options))["train"]


def visits(rows=40, seed=0):
    """A frame in which the class is how fast a level rises; a third of the cells is empty."""
    rng = np.random.default_rng(seed)
    parts = []
    for row in range(rows):
        count = int(rng.integers(5, 9))
        hour = np.sort(rng.choice(100, count, replace=False)) / 4
        level = (1 + row % 2) * hour + rng.normal(size=count)
        other = rng.normal(size=count)
        level[rng.random(count) < 0.3] = np.nan
        part = {"who": f"p{row:02}", "hour": hour, "level": level, "other": other, "class": ["slow", "fast"][row % 2]}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


QUICK = {"hidden_size": 4, "epochs": 1, "test_share": 0, "votes": False, "series": "who", "cell": "gru"}


class TestTable:
    def test_rows_become_series(self):
        found = read(TABLE, **COLUMNS)
        assert found.names == ("a", "b")
        assert found.labels == ("down", "up")
        a, b = found.items
        day = 86400.0
        assert (b.times - b.times[0]).tolist() == [0, day, 4 * day]
        np.testing.assert_array_equal(b.values, [[1.5, np.nan], [np.nan, 3], [2.5, np.nan]])
        np.testing.assert_array_equal(a.values, [[2, 7], [np.nan, 9]])
        assert found.columns == Columns(("level", "flow"), "%d.%m.%Y", "", ",")
        assert "left out columns without numbers: 'note'" in found.warnings
        assert "4 of 10 values are missing" in found.warnings

    def test_without_times_rows_follow_one_another(self):
        found = read("id,v,label\na,1,x\na,2,x\nb,5,y\n", series="id")
        assert [item.tolist() for item in found.items] == [[[1], [2]], [[5]]]
        assert not found.warnings

    def test_a_trained_model_reads_its_own_columns(self):
        columns = Columns(("flow", "level"), "%d.%m.%Y", "", ",")
        plain = TABLE.replace(";class", ";y").replace(";up", ";1").replace(";down", ";2")
        found = read(plain, **COLUMNS, columns=columns, labelled=False, label="class")
        assert found.labels == ()
        np.testing.assert_array_equal(found.items[0].values, [[7, 2], [9, np.nan]])
        refused("COLUMN", lambda: read("id,day,flow\na,1,2\n", **COLUMNS, columns=columns, labelled=False), "'level'")

    def test_the_columns_of_a_test_file_are_those_of_training(self):
        test = Source("/b.csv", "b.csv", b"id,w,v,label\nc,30,3,x\nd,40,4,y\n")
        source = Source("/a.csv", "a.csv", b"id,v,w,label\na,1,10,x\nb,2,20,y\n", test=test)
        parts = read_labelled(source, Layout(series="id"))
        assert [item.tolist() for item in parts["test"].items] == [[[3, 30]], [[4, 40]]]

    def test_days_that_can_be_read_in_two_ways_are_asked(self):
        rows = "".join(f"{who},0{day}/0{1 + day * day % 7}/2024,1,x\n" for who in "ab" for day in range(1, 6))
        table = "id,day,v,label\n" + rows
        with pytest.raises(InputError) as caught:
            read(table, **COLUMNS)
        assert caught.value.code in ("SERIES_AMBIGUOUS", "SERIES_ORDER")

    def test_time_stamps_of_ts(self):
        head = "@timeStamps true\n@classLabel true u d\n@data\n"
        found = read(head + "(0,1),(2.5,2):(0,5),(1,?),(4,7):u\n(1,3):(1,4):d\n", "a.ts")
        first, second = found.items
        assert first.times.tolist() == [0, 1, 2.5, 4]
        np.testing.assert_array_equal(first.values, [[1, 5], [np.nan, np.nan], [2, np.nan], [np.nan, 7]])
        np.testing.assert_array_equal(second.values, [[3, 4]])
        assert found.labels == ("u", "d")


class TestEncoding:
    def test_lines_run_in_time(self):
        item = Gapped(np.array([[np.nan], [1.0], [np.nan], [5.0], [np.nan]]), np.array([0.0, 1.0, 2.0, 5.0, 6.0]))
        assert item.filled()[:, 0].tolist() == [1, 1, 2, 5, 5]
        assert complete(Gapped(item.values)).tolist() == [[1], [1], [3], [5], [5]]

    def test_the_scale_is_of_observed_values_and_the_step_of_training(self):
        series = [
            Gapped(np.array([[1.0], [np.nan], [3.0]]), np.array([0.0, 2.0, 5.0])),
            Gapped(np.array([[8.0], [np.nan]]), np.array([0.0, 4.0])),
        ]
        found = Observed.of(series, ClassificationSetting())
        assert found.mean == pytest.approx((4,))
        assert found.sd == pytest.approx((math.sqrt((9 + 1 + 16) / 3),))
        assert (found.step, found.frame) == (3.0, 1)
        x, m, dt = found.encode(series[0]).T.tolist()
        assert x == pytest.approx([-3 / found.sd[0], (1.8 - 4) / found.sd[0], -1 / found.sd[0]])
        assert m == [1, 0, 1]
        assert dt == pytest.approx([0, 2 / 3, 1])

    def test_frames_hold_the_values_and_masks_of_their_steps(self):
        found = Observed((0.0, 0.0), (1.0, 1.0), frame=2, step=2.0)
        first, later = (f" of step {place} of the frame" for place in (1, 2))
        names = [f"pulse{first}", f"age{first}", f"pulse{later}", f"age{later}"]
        assert found.named(("pulse", "age")) == (
            *names,
            *(f"{n} observed" for n in names),
            "time since the step before",
        )
        item = Gapped(np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan]]), np.array([0.0, 4.0, 10.0]))
        first, second = found.encode(item).tolist()
        assert first == [1, 2, pytest.approx(2.2), 3, 1, 1, 0, 1, 0]
        assert second == [4, 3, 4, 3, 1, 0, 0, 0, 3]

    def test_even_steps_are_one_apart(self):
        found = Observed((0.0,), (1.0,), frame=1)
        assert found.encode(np.array([[1.0], [2.0], [3.0]]))[:, -1].tolist() == [0, 1, 1]

    def test_what_had_no_gaps_is_read_as_ever(self):
        complete_series = np.random.default_rng(0).normal(size=(20, 6, 2))
        task = ClassificationTask(in_memory(complete_series, [0, 1] * 10), ClassificationSetting())
        assert type(task.encoding.reading) is Scale
        gaps = Gapped(np.array([[1.0, np.nan], [2.0, 3.0]]))
        assert torch.equal(task.encoding.reading.encode(gaps), task.encoding.reading.encode(gaps.filled()))

    def test_encodings_survive_json(self):
        task = ClassificationTask(in_memory(visits(), long=True), ClassificationSetting(series="who", time="hour"))
        again = ClassificationEncoding.from_json(json.loads(json.dumps(task.encoding.to_json())))
        assert again == task.encoding
        assert again.columns.names == ("level", "other")
        assert again.reading.step == 1 / 4 * round(4 * again.reading.step)

    def test_votes_read_filled_values(self):
        task = ClassificationTask(in_memory(visits(), long=True), ClassificationSetting(series="who", time="hour"))
        reading = task.encoding.reading
        item = task.parts["test"].items[0]
        assert torch.equal(reading.unframed(reading.encode(item)), torch.from_numpy(reading.scaled(item)))


class TestModel:
    @pytest.mark.parametrize(("missing", "features"), [("fill", 2), ("inputs", 5)])
    def test_a_plain_cell_reads_what_is_asked(self, missing, features, tmp_path):
        model = SequenceClassifier(**QUICK, time="hour", missing=missing).fit(visits())
        assert model.model_.layer.input_size == features
        assert ("as further inputs" in model.notes_[0]) == (missing == "inputs")
        new = visits(seed=1)
        model.save_pretrained(tmp_path / "m")
        again = from_pretrained(tmp_path / "m")
        shuffled = new[["other", "class", "hour", "who", "level"]]
        assert np.array_equal(again.predict_proba(shuffled), model.predict_proba(new))
        (answer, *_) = again.answers(new.drop(columns="class"))
        assert answer.record["series"] == "p00"
        assert len(model.evaluate(new)) > 1
        refused("COLUMN", lambda: model.predict(new.drop(columns="hour")), "'hour'")

    def test_steps_without_times_are_refused_where_training_had_times(self):
        setting = ClassificationSetting(series="who", time="hour")
        encoding = ClassificationTask(in_memory(visits(), long=True), setting).encoding
        even = in_memory([np.ones((3, 2))], ["slow"])
        plain = ClassificationSetting()
        refused("CLASSIFICATION_TIMES", lambda: ClassificationTask(even, plain, encoding), "steps with times")

    def test_padding_does_not_show(self):
        task = ClassificationTask(
            in_memory(visits(), long=True), ClassificationSetting(series="who", time="hour", missing="inputs")
        )
        from tidegate.train.layer import make_layer
        from tidegate.zoo import graph_of

        model = task.model(make_layer(graph_of("gru"), task.setting)).eval()
        rows = task.sequences["train"][:3]
        with torch.no_grad():
            alone = [model(padded([row], torch.zeros(1, dtype=torch.int64)))[0][0] for row in rows]
            beside = model(padded(rows, torch.zeros(3, dtype=torch.int64)))[0]
        assert torch.allclose(torch.stack(alone), beside, atol=1e-6)


class TestGiven:
    """Cells that read dt and m in their equations."""

    def test_they_get_what_was_observed_and_when(self, tmp_path):
        settings = {**QUICK, "cell": "grud", "bidirectional": False, "pooling": "last"}
        model = SequenceClassifier(**settings, time="hour").fit(visits())
        assert model.notes_[0].endswith("the layers read dt and m beside the input")
        net, reading = model.model_, model.encoding_.reading
        new = visits(seed=1)
        model.save_pretrained(tmp_path / "m")
        chances = from_pretrained(tmp_path / "m").predict_proba(new)
        for (_, rows), wanted in zip(new.groupby("who"), chances, strict=True):
            times = torch.tensor(rows["hour"].to_numpy(), dtype=torch.float32)
            values = torch.tensor(rows[["level", "other"]].to_numpy())
            m = values.isfinite()
            x = ((values - torch.tensor(reading.mean)) / torch.tensor(reading.sd)).nan_to_num(nan=-7.0).float()
            dt = times.diff(prepend=times[:1]) / reading.step
            with torch.no_grad():
                h = net.layer(x, given={"dt": dt, "m": m})[0][-1]
                found = (net.head(h) / net.temperature).softmax(-1)
            assert found.tolist() == pytest.approx(wanted, abs=1e-5)
        (flow,) = flows(model)
        inputs = reading.raw(
            reading.encode(Gapped(values.numpy(), times.numpy()))[:, None].double().numpy(), ("dt", "m")
        )
        assert flow.run(inputs).outputs["chances"][0].tolist() == pytest.approx(wanted, abs=1e-5)

    def test_complete_series_at_even_steps_have_dt_1_and_nothing_missing(self):
        series, labels = np.random.default_rng(0).normal(size=(20, 6, 2)), [0, 1] * 10
        settings = {**QUICK, "series": None, "cell": "grud", "bidirectional": False, "pooling": "last"}
        model = SequenceClassifier(**settings).fit(series, labels)
        inputs = model.encoding_.reading.encode(series[0])
        given = {"dt": torch.tensor([0.0, 1, 1, 1, 1, 1]), "m": torch.ones(6, 2)}
        with torch.no_grad():
            h = model.model_.layer(inputs, given=given)[0][-1]
            found = (model.model_.head(h) / model.model_.temperature).softmax(-1)
        assert found.tolist() == pytest.approx(model.predict_proba(series[:1])[0], abs=1e-5)
        (flow,) = flows(model)
        shipped = flow.run({"values": series[0][:, None]}).outputs["chances"][0]
        assert shipped.tolist() == pytest.approx(found.tolist(), abs=1e-5)

    def test_a_comparison_times_their_steps(self):
        layers = {"grud": nn.Recurrent("grud", 3, 5), "gru": nn.GRU(3, 5)}
        assert all(median > 0 for median, _ in step_latency_us(layers).values())

    def test_what_has_no_time_or_no_backward_direction_is_refused(self):
        settings = {"cell": "cfc", "epochs": 1}
        both = SequenceClassifier(**settings, series="who", time="hour")
        refused("CELL_TIME", lambda: both.fit(visits()), "dt", "bidirectional=False")
        texts, labels = [f"a text of {k}" for k in range(20)], [0, 1] * 10
        refused("CELL_GIVEN", lambda: SequenceClassifier(**settings).fit(texts, labels), "CfC", "dt:1", "series")
