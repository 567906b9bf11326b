"""Private training: what a step does, what is kept and what is not, and how it goes on."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tidegate.errors import InputError
from tidegate.private.generator import WORDS, seed_default
from tidegate.private.gradient import Gradients
from tidegate.private.sampler import PoissonSampler
from tidegate.private.stream import SecretStream
from tidegate.records import EpochRecord
from tidegate.tasks import ESTIMATORS, SequenceClassifier, from_pretrained
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.train import loop, private
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.train.private import Budget, PrivateStep
from tidegate.train.promise import check_private, public_parts
from tidegate.train.setting import privately
from tidegate.train.state import RunState
from tidegate.train.toml import from_toml, to_toml
from tidegate.train.verdict import verdict
from tidegate.train.watch import Watch

NAMES = [f"{first}{second}{third}" for first in "abcd" for second in "efg" for third in "hijkl"]
CLASSES = [name[0] in "ab" for name in NAMES]
UNITS = 42  # of the training part
SMALL = {
    "epsilon": 8.0,
    "hidden_size": 5,
    "embedding_size": 4,
    "batch_size": 12,
    "epochs": 3,
    "test_share": 0.2,
    "unit": "character",
    "public": ("classes,vocabulary",),
}


def fitted(folder=None, watch=None, **changes) -> SequenceClassifier:
    return SequenceClassifier(**{**SMALL, **changes}).fit(NAMES, CLASSES, folder=folder, watch=watch)


def flat(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def plan_of(**changes):
    """A task and a plan that trains on it."""
    model = SequenceClassifier(**{**SMALL, **changes})
    setting = model._setting()
    task = model._read_task(model._source(NAMES, CLASSES), setting)
    return task, Plan.of(task.setting, "lstm")


def layer_of(task):
    from tidegate.train.layer import make_layer
    from tidegate.zoo import graph_of

    return make_layer(graph_of(task.setting.cell), task.setting)


class TestWithoutNoise:
    """sigma = 0 and C = infinity: what the private path then learns is what plain training learns."""

    def test_fifty_steps_are_those_of_plain_training_with_the_same_batches_and_divisor(
        self, tmp_path, monkeypatch
    ) -> None:
        """On passages of a text, whose loss has the type of the weights."""
        text = "".join(NAMES[k * k % len(NAMES)] + " " for k in range(300))
        (tmp_path / "text.txt").write_text(text)
        setting = LanguageSetting(
            epsilon=8.0,
            insecure_seed=7,
            precision="float64",
            clip_norm=math.inf,
            public=("vocabulary",),
            hidden_size=5,
            embedding_size=4,
            window=10,
            batch_size=20,
            epochs=13,
            schedule="constant",
            averaging=0.0,
            dropout=0.0,
            weight_decay=0.01,
            learning_rate=0.01,
        )
        task = LanguageTask.load(str(tmp_path / "text.txt"), setting)
        plan = Plan.of(task.setting, "lstm")
        budget = Budget(len(task.protected()), 0.25, 4, 52, 1e-3, 0.0)
        added, add = [], Gradients.add
        monkeypatch.setattr(Budget, "of", lambda *_: budget)
        monkeypatch.setattr(PrivateStep, "statement", lambda *_: None)  # nothing is promised
        monkeypatch.setattr(Gradients, "add", lambda self, run, units: added.append(units) or add(self, run, units))
        outcome = train(task, layer_of(task), plan)
        plain, sizes = self.plain(task, plan, budget)
        assert sum(added) == sum(sizes) > 52 * 15  # the private path ran, on these very batches
        assert (flat(outcome.model) - flat(plain)).abs().max() < 1e-12

    def plain(self, task, plan, budget):
        """The same by torch alone: gradients of sums, divided by q N, and AdamW."""
        torch.manual_seed(plan.initial_seed)
        model = task.model(layer_of(task), task.setting).double()
        stream = SecretStream.fresh(7)
        seed_default(stream)
        sampler = PoissonSampler(budget.units, budget.rate, stream)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
        units, sizes = task.protected(), []
        for _ in range(budget.steps):
            places = sampler.draw()
            sizes.append(len(places))
            batch, _ = units.batch(places.tolist())
            optimizer.zero_grad(set_to_none=False)
            (task.losses(model(batch)[0], batch).sum() / (budget.rate * budget.units)).backward()
            optimizer.step()
        return model, sizes

    def test_noise_and_clipping_make_a_difference(self) -> None:
        loud, louder, clipped = (
            flat(fitted(insecure_seed=7, epsilon=epsilon, clip_norm=norm).model_)
            for epsilon, norm in ((8.0, 1.0), (1.0, 1.0), (8.0, 0.1))
        )
        assert not torch.allclose(loud, louder)
        assert not torch.allclose(loud, clipped)


class TestBudget:
    def test_it_is_fixed_before_the_training_begins(self) -> None:
        task, plan = plan_of(epochs=7, steps=3)
        budget = Budget.of(len(task.protected()), plan.setting)
        assert (budget.units, budget.rate, budget.each, budget.steps) == (UNITS, 12 / UNITS, 3, 21)
        assert budget.delta == UNITS**-1.1

    def test_more_rows_than_units_are_one_step_of_all(self) -> None:
        budget = Budget.of(UNITS, plan_of(batch_size=1000)[1].setting)
        assert (budget.rate, budget.each) == (1.0, 1)

    def test_a_delta_that_would_allow_to_publish_a_row(self) -> None:
        with pytest.raises(InputError, match="allows a training to publish one of 42 units"):
            fitted(delta=0.03)

    def test_what_is_spent_grows_to_epsilon_and_no_further(self) -> None:
        model = fitted(epochs=4)
        spent = [epoch.epsilon for epoch in model.curve_]
        assert sorted(spent) == spent
        assert spent[0] < spent[-1] <= 8
        assert model.privacy_.epsilon == spent[-1] > 7.8
        assert model.privacy_.steps == 16
        assert model.privacy_.public == ("classes", "vocabulary")


class TestChance:
    def test_two_trainings_with_equal_seed_differ(self) -> None:
        first, second = fitted(seed=3), fitted(seed=3)
        assert first.privacy_ == second.privacy_
        assert not torch.equal(flat(first.model_), flat(second.model_))

    def test_an_insecure_seed_repeats_the_bytes_and_promises_nothing(self, tmp_path) -> None:
        for name in ("a", "b"):
            fitted(tmp_path / name, seed=3, insecure_seed=4)
        files = ["model.safetensors", "config.toml", "model.json", "log.csv"]
        assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
        promise = json.loads((tmp_path / "a" / "model.json").read_text())["privacy"]
        assert promise["epsilon"] is None
        assert promise["insecure_seed"] == 4
        assert all(epoch.epsilon is None for epoch in from_pretrained(tmp_path / "a").curve_)

    def test_torchs_generator_gets_a_whole_state_and_not_a_seed(self) -> None:
        """Its numbers are those of a Mersenne Twister with these 624 words."""
        with torch.random.fork_rng(devices=[]):
            torch.rand(3)
            seed_default(SecretStream.fresh(1))
            drawn = torch.randint(1 << 20, (1000,))
        twister = np.random.MT19937()
        key = (SecretStream.fresh(1).words(624) & 0xFFFFFFFF).astype("u4")
        twister.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 624}}
        assert drawn.tolist() == (twister.random_raw(1000) % (1 << 20)).tolist()

    def test_masks_of_dropout_are_secret_too(self, monkeypatch) -> None:
        """With the same noise and draws, another state of torch's generator changes the weights."""
        made = [flat(fitted(insecure_seed=1, dropout=0.5).model_)]
        monkeypatch.setattr(private, "seed_default", lambda stream: stream.words(WORDS))
        made.append(flat(fitted(insecure_seed=1, dropout=0.5).model_))
        assert not torch.equal(*made)


@pytest.fixture
def saved_always(monkeypatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", math.inf)


@pytest.fixture
def keys(monkeypatch) -> list[bytes]:
    """The keys of all streams that are made."""
    seen = []
    fresh = SecretStream.fresh.__func__

    def make(kind, seed=None):
        stream = fresh(kind, seed)
        seen.append(bytes.fromhex(stream.state()["key"]))
        return stream

    monkeypatch.setattr(SecretStream, "fresh", classmethod(make))
    return seen


def holders(folder, keys) -> list[str]:
    """The files of a folder that hold a key, as bytes, hexadecimal digits or a number."""
    every = [form for key in keys for form in (key, key.hex().encode(), str(int.from_bytes(key, "big")).encode())]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(form in path.read_bytes() for form in every)]


def stop_at(epoch, step):
    def stop(record) -> None:
        if (record.epoch, record.step) == (epoch, step):
            raise KeyboardInterrupt

    return Watch(on_step=stop)


class TestResume:
    @pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 3), (3, 4)])
    def test_an_interrupted_training_ends_as_an_uninterrupted_one(self, epoch, step, tmp_path, saved_always) -> None:
        """Also with dropout; a secret seed could not be compared, so this one is not."""
        fitted(tmp_path / "whole", insecure_seed=5, dropout=0.3)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path / "cut", stop_at(epoch, step), insecure_seed=5, dropout=0.3)
        fitted(tmp_path / "cut", insecure_seed=5, dropout=0.3)
        for file in ("model.safetensors", "model.json", "log.csv"):
            assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()

    def test_the_stream_goes_on_and_nothing_is_drawn_twice(self, tmp_path, saved_always, keys, monkeypatch) -> None:
        """The key of the first start serves both parts, every position of it once."""
        drawn = []
        words = SecretStream.words

        def spy(stream, count):
            drawn.append((stream.state()["key"], stream.position, count))
            return words(stream, count)

        monkeypatch.setattr(SecretStream, "words", spy)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path, stop_at(2, 3))
        assert holders(tmp_path, keys) == ["checkpoint.safetensors"]
        model = fitted(tmp_path)
        assert model.privacy_.epsilon == model.curve_[-1].epsilon <= 8
        own = [(position, count) for key, position, count in drawn if key == keys[0].hex()]
        assert len({key for key, *_ in drawn}) == 2  # the second start made a key, and took the old one
        assert [count for key, _, count in drawn if key == keys[1].hex()] == [WORDS]
        repeated = [position for position, _ in own if [other for other, _ in own].count(position) > 1]
        again = [draw for draw in own if draw[0] in repeated]
        assert again[: len(again) // 2] == again[len(again) // 2 :]  # the step that was not saved, drawn as before
        assert [count for _, count in again].count(UNITS) == 2  # its coins

    def test_a_checkpoint_without_its_secret_is_damaged(self, tmp_path, saved_always) -> None:
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path, stop_at(2, 3))
        path = tmp_path / "checkpoint.safetensors"
        kept = loop.Checkpoint.load(path)
        replace(kept, data={**kept.data, "step": {"stream": None}}).save(path)
        with pytest.raises(InputError, match="the secret of the noise is missing"):
            fitted(tmp_path)
        replace(kept, data={**kept.data, "step": {"stream": {"key": "12", "position": 3}}}).save(path)
        with pytest.raises(InputError, match=r"damaged|incomplete|not the state"):
            fitted(tmp_path)


class TestSecrets:
    def test_no_file_of_a_finished_model_holds_the_key(self, tmp_path, saved_always, keys) -> None:
        (tmp_path / ".checkpoint.safetensors.999999.draft").write_bytes(b"of a killed process")
        fitted(tmp_path)
        assert len(keys) == 1
        assert holders(tmp_path, keys) == []
        assert {path.name for path in tmp_path.iterdir()} == {
            "config.toml", "model.json", "model.safetensors", "log.csv", ".lock"
        }  # fmt: skip

    def test_nor_where_saving_was_interrupted(self, tmp_path, saved_always, keys, monkeypatch) -> None:
        """The checkpoint forgets the key before the model is there, and leads to the same model."""
        with monkeypatch.context() as patch:
            patch.setattr("tidegate.train.estimator.replace_files", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fitted(tmp_path)
        assert (tmp_path / "checkpoint.safetensors").exists()
        assert holders(tmp_path, keys) == []
        model = fitted(tmp_path)
        assert model.privacy_.epsilon <= 8
        assert holders(tmp_path, keys) == []

    def test_nor_where_the_process_died_before_it_removed_the_checkpoint(self, tmp_path, keys, monkeypatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("tidegate.train.estimator.clean", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fitted(tmp_path)
        assert holders(tmp_path, keys) == []

    def test_nor_after_a_divergence(self, tmp_path, saved_always, keys, monkeypatch) -> None:
        (tmp_path / ".checkpoint.safetensors.999999.draft").write_bytes(b"of a killed process")
        monkeypatch.setattr(loop, "evaluate", lambda *_: math.nan)
        with pytest.raises(InputError, match="training diverged in epoch 1"):
            fitted(tmp_path)
        assert len(keys) == 1
        assert holders(tmp_path, keys) == []
        assert {path.name for path in tmp_path.iterdir()} <= {".lock", "log.csv"}

    def test_no_file_has_what_is_made_of_training_rows_without_noise(self, tmp_path) -> None:
        shown: list[EpochRecord] = []
        model = fitted(tmp_path, Watch(on_epoch=shown.append))
        assert all(epoch.train > 0 for epoch in shown)
        head, *rows = (tmp_path / "log.csv").read_text().splitlines()
        assert head == "epoch,valid,gradient_norm,learning_rate,epsilon"
        assert len(rows) == 3
        curve = json.loads((tmp_path / "model.json").read_text())["curve"]
        assert all(epoch["train"] is None and epoch["seconds"] == 0 for epoch in curve)
        assert from_pretrained(tmp_path).curve_ == model.curve_
        assert from_pretrained(tmp_path).privacy_ == model.privacy_

    def test_events_have_no_loss_either(self, tmp_path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        SequenceClassifier(**SMALL).fit(NAMES, CLASSES, folder=tmp_path, tensorboard=True)
        events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()["scalars"]
        assert "step/gradient norm" in events
        assert {"epoch/valid", "epoch/epsilon"} <= set(events)
        assert not {"step/loss", "epoch/train", "epoch/seconds"} & set(events)

    def test_the_same_training_again_finds_its_model(self, tmp_path) -> None:
        first = fitted(tmp_path)
        assert torch.equal(flat(fitted(tmp_path).model_), flat(first.model_))
        with pytest.raises(InputError, match=r"epsilon=8\.0 instead of 7\.0"):
            fitted(tmp_path, epsilon=7.0)


def interrupted(*_) -> None:
    raise KeyboardInterrupt


class TestLastWeights:
    def test_no_score_chooses_or_ends(self, monkeypatch) -> None:
        scores = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
        weights = []

        def scored(task, model, split, hardened):
            weights.append(flat(model))
            return next(scores)

        monkeypatch.setattr(loop, "evaluate", scored)
        task, plan = plan_of(epochs=8)
        outcome = train(task, layer_of(task), plan)
        assert len(outcome.curve) == 8
        assert outcome.best_epoch == 8
        assert torch.equal(flat(outcome.model), weights[-1])

    def test_a_plain_state_stops_where_it_did(self) -> None:
        state, setting = RunState(rate=0.1), ClassificationSetting(patience=1)
        for epoch, valid in enumerate((1.0, 2.0), 1):
            state.take(EpochRecord(epoch, 0.0, valid, 0.0, 0.0, 0.0), setting)
        assert state.finished(setting)
        assert not state.finished(privately(ClassificationSetting, 8.0))


REFUSED = {
    "patience": ({"patience": 3}, "PRIVATE_SETTING", "patience=3 does not go with epsilon=: .*nothing stops early"),
    "patience_rate": ({"patience_rate": 7}, "PRIVATE_SETTING", "validation changes no rate"),
    "clip": ({"clip": 0.5}, "PRIVATE_SETTING", "set clip_norm="),
    "schedule": ({"schedule": "plateau"}, "PRIVATE_SCHEDULE", "set schedule='cosine' or schedule='constant'"),
    "precision": ({"precision": "bfloat16"}, "PRIVATE_PRECISION", "set precision='float32'"),
    "no epsilon": (
        {"epsilon": None, "clip_norm": 2.0},
        "PRIVATE_EPSILON",
        "clip_norm= has an effect with epsilon= only",
    ),
    "no promise": ({"epsilon": None, "public": ("scale",)}, "PRIVATE_EPSILON", "public= has an effect"),
    "infinite": ({"clip_norm": math.inf}, "PRIVATE_CLIP", "clip_norm=inf leaves nothing"),
    "not public": ({"public": ("classes",)}, "PRIVATE_FITTED", "vocabulary"),
    "too little": ({"epsilon": 1001.0}, "SETTING_RANGE", "at most 1000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_the_promise_is_refused_by_name(name) -> None:
    changes, code, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as caught:
        fitted(**changes)
    assert caught.value.code == code


def test_several_processes_are_refused(monkeypatch) -> None:
    task, plan = plan_of()
    monkeypatch.setattr(loop.World, "size", 2, raising=False)

    class Two(loop.World):
        def __init__(self) -> None:
            self.rank, self.size = 0, 2

    with pytest.raises(InputError, match="torchrun started 2"):
        PrivateStep(task, task.model(layer_of(task)), plan, Two())


def test_a_choice_among_candidates_is_refused(monkeypatch) -> None:
    task, _ = plan_of()
    monkeypatch.setattr(type(task), "candidates", lambda self: [self, self])
    with pytest.raises(InputError, match="ask to choose among 2"):
        fitted()


def test_a_comparison_is_refused(tmp_path) -> None:
    from tidegate import compare

    task, _ = plan_of()
    with pytest.raises(InputError, match="a comparison has many on the same rows"):
        compare.run(task, ["lstm", "gru"], folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_recipe_of_private_training_gives_way_to_what_is_said(name) -> None:
    kind, estimator = ESTIMATORS[name].setting, ESTIMATORS[name].estimator
    recipe, made = privately(kind, 2.0), estimator(epsilon=2.0)
    assert made._setting() == recipe
    check_private(recipe)
    assert recipe.schedule == "cosine"
    assert estimator(epsilon=2.0, dropout=0.25)._setting() == replace(recipe, dropout=0.25)
    assert estimator()._setting() == kind()
    assert from_toml("epsilon = 2.0\n", kind) == recipe
    assert from_toml(to_toml(recipe), kind) == recipe


def test_names_of_what_is_public_may_have_commas() -> None:
    assert public_parts(ClassificationSetting(public=("scale, classes", "vocabulary"))) == (
        "scale", "classes", "vocabulary"
    )  # fmt: skip


def test_advice_for_a_private_model_is_about_privacy() -> None:
    from tidegate.records import ScoreRecord

    score = ScoreRecord("NLL", 2.0, "nats", "lower", {"majority": 1.0}, errors={"majority": 0.1}, over="20 rows")
    advice = verdict(
        [score], [EpochRecord(1, None, 2.0, 1.0, 0.1, 0.0, 3.0)], privately(ClassificationSetting, 3.0)
    ).advice
    assert "epsilon=" in advice
    assert "dropout" not in advice
