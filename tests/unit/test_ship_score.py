"""Scores of an artefact in the place of a model, by the task's own metrics: those of the model, and worse if it is."""

from dataclasses import replace

import pytest

from tests.unit.test_explain_tasks import book, pairs, pieces, series, tagged, texts, tones
from tests.unit.test_ship_kind import SMALL, untrained
from tidegate.errors import InputError
from tidegate.ship import flows
from tidegate.ship.flow import Answer
from tidegate.ship.kind.score import by_itself, scores
from tidegate.tasks import (
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Transcriber,
    Translator,
)
from tidegate.tasks.forecast.learn import Choice

LETTERS = {"source_unit": "character", "target_unit": "character", "longest": 16}
MODELS = {
    "language": (lambda: LanguageModel(**SMALL), book, "whole"),
    "music": (lambda: Composer(**SMALL, nade_size=0), pieces, "whole"),
    "nade": (lambda: Composer(**SMALL, nade_size=4), pieces, "whole"),
    "tagging": (lambda: SequenceTagger(**SMALL), tagged, "whole"),
    "texts": (lambda: SequenceClassifier(**SMALL), texts, "whole"),
    "series": (lambda: SequenceClassifier(**SMALL), series, "whole"),
    "speech": (lambda: Transcriber(**SMALL), tones, "layers"),
    "translation": (lambda: Translator(**SMALL, **LETTERS), pairs, "whole"),
}
CHOICES = {
    "quantiles": (Choice("direct", "last"), {"horizon": 3, "quantiles": (0.1, 0.9), "logarithm": "yes"}),
    "several rows": (Choice("recursive", "season"), {"horizon": 4}),
    "one row": (Choice("recursive", "linear"), {"horizon": 1}),
}


def spoilt(flow, inputs, lengths, states):
    """An artefact that is wrong: its outputs are too small, and in another order."""
    answer = flow.run(inputs, lengths, states)
    return Answer({name: 0.8 * value[..., ::-1].copy() for name, value in answer.outputs.items()}, answer.states)


def compared(model, task, part="whole") -> None:
    own = {one.name: one.value for one in model._scores(task)}
    made = flows(model, part=part)
    right, wrong = (scores(model, task, made, ask, part) for ask in (by_itself, spoilt))
    right, wrong = ({one.name: one.value for one in records} for records in (right, wrong))
    assert own == pytest.approx(right, rel=1e-5)
    assert own != pytest.approx(wrong, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_an_artefact_that_is_right_scores_as_the_model_and_a_wrong_one_does_not(name, tmp_path) -> None:
    make, data, part = MODELS[name]
    model = make()
    seen = []
    read = model._read_task
    model._read_task = lambda *given, **files: seen.append(read(*given, **files)) or seen[0]
    untrained(model, data(tmp_path))
    if name == "speech":
        model.model_.head.weight.data.mul_(50)  # so that it writes something down
    compared(model, seen[0], part)


@pytest.mark.parametrize("what", CHOICES)
def test_an_artefact_forecasts_as_the_model(what) -> None:
    choice, own = CHOICES[what]
    model = untrained(Forecaster(**SMALL, context=32, **own), "elnino", choice=choice)
    model.model_.share.fill_(0.6)
    model.encoding_ = replace(model.encoding_, usual={"": 0.3}, lately={"": 1.4})
    compared(model, model.tested("elnino"))


def test_what_the_task_does_not_hand_on_is_refused(tmp_path) -> None:
    model = untrained(Transcriber(**SMALL), tones(tmp_path))
    with pytest.raises(InputError, match="spectra"):
        scores(model, None, flows(model))
