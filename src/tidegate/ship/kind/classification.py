"""Classifiers: raw values or symbols in, the chances of the classes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tidegate.ship.flow import Draft, Flow, Value
from tidegate.ship.kind.base import (
    Part,
    array,
    chances,
    check_part,
    facts,
    first_of,
    into_layers,
    refused,
)  # fmt: skip
from tidegate.tasks.classification.scale import Observed, Scale

LARGEST = 60.0  # e to this and its inverse are float32 numbers, and sums of a million of them, too


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``SequenceClassifier``.

    Args:
        model: the estimator.
        part: ``"layers"`` for what the recurrent layers answer, without the votes beside them.

    Raises:
        InputError: votes, of n-grams or of noisy copies, are part of the answer and ``part`` is not ``"layers"``, or
            scores of attention that float32 cannot hold.
    """
    check_part(part, ("whole", "layers"), "classification")
    module, encoding = model.model_, model.encoding_
    if module.votes is not None and part == "whole":
        kind = "random convolutions" if isinstance(encoding.reading, Scale) else "n-grams"
        raise refused(
            f"votes of {kind} are part of this model's answer, and they read the whole sequence at once",
            "part='layers' ships what the recurrent layers answer without them; votes=False trains without votes",
        )
    if model.smooth is not None and part == "whole":
        raise refused(
            "this model answers by the votes of noisy copies, and a program of one step has one copy",
            "part='layers' ships the network that answers to each copy; draw the noise and count the votes yourself",
        )
    draft = Draft("classification", facts(model, classes=[str(name) for name in encoding.classes], part=part))
    x, given = _series(draft, model) if isinstance(encoding.reading, Scale) else (_units(draft, model), ())
    hidden = draft.recurrent(into_layers(draft, x, module.encoder), module.layer, given=given)
    pooled = POOLED[module.pooling](draft, hidden, module)
    logits = draft.linear(pooled, module.head, name="head") / float(module.temperature)
    logits = logits.named("tempered")
    labels = [str(name) for name in encoding.classes]
    chances(draft, logits, "the chance of each class, behind the last step", labels, last=True)
    return (draft.flow(),)


def _series(draft: Draft, model: Any) -> tuple[Value, Sequence[Value]]:
    """The values of a series with what else its layers read as input, and what their cell is given beside it."""
    scale, series = model.encoding_.reading, model.model_.series
    values = _values(draft, scale)
    aside = {
        name: _aside(draft, scale, name, observed=series.observed) for name in (*series.beside, *series.given_names)
    }
    read = draft.concat(values, *(aside[name] for name in series.beside), name="read")
    return read, [aside[name] for name in series.given_names]


def _aside(draft: Draft, scale: Scale, name: str, *, observed: bool) -> Value:
    """The time since the step before, or which values were observed; both are known of complete series."""
    if name == "dt" and not observed:
        return draft.add("minimum", draft.add("sum", 1.0, name="begun") - 1.0, 1.0, name="elapsed")
    if name == "dt":
        step = getattr(scale, "step", 0.0)
        unit = "seconds or the unit of the times in training" if step else "steps in a frame"
        dt = draft.input("dt", 1, f"the time since the step before, in {unit}; 0 at the first")
        return (dt / (step or scale.frame)).named("elapsed")
    if not observed:
        return draft.constant(np.ones(scale.width), name="observed")
    return draft.input("observed", scale.width, "for each of the values 1 if it was observed, 0 if it was filled")


def _values(draft: Draft, scale: Scale) -> Value:
    """Raw values of a series in standard deviations from the mean."""
    frame, channels = scale.frame, scale.channels
    draft.facts |= {"channels": channels, "frame": frame}
    rows = f"{frame} steps in a row, the first first, each with its " if frame > 1 else "one step: its "
    gaps = "the straight line in time across the gap" if isinstance(scale, Observed) else "the mean"
    says = f"{rows}{channels} value{'s' * (channels > 1)}, as the data have them; in place of a missing one {gaps}"
    if frame > 1:
        says += ". The last frame repeats the last step where steps are missing"
    mean, sd = np.tile(scale.mean, frame), np.tile(scale.sd, frame)
    x = draft.input("values", frame * channels, says, mean=mean, sd=sd)
    return ((x - mean) / sd).named("standard")


def _units(draft: Draft, model: Any) -> Value:
    """Embedded units of a text."""
    reading = model.encoding_.reading
    draft.facts |= {"unit": reading.unit, "longest": reading.longest}
    draft.facts["symbols"] = {"unit": ["<unknown>", *reading.units]}
    what = "word or mark in lower case" if reading.unit == "word" else "character"
    unit = draft.input("unit", 1, f"the number of a {what}; 0 for an unknown one", limit=reading.size)
    return draft.add("embed", unit, name="embedding", table=array(first_of(model.model_.encoder).table.weight))


def _last(draft: Draft, hidden: Value, module: torch.nn.Module) -> Value:
    """The output at the last step; of the backward direction that at the first one."""
    if not module.layer.bidirectional:  # type: ignore[union-attr]
        return hidden
    half = hidden.width // 2
    beginning = draft.add("relu", 2.0 - draft.add("sum", 1.0, name="steps"), name="beginning")  # 1, then 0
    first = draft.add("sum", beginning * hidden[half:], name="first")
    return draft.concat(hidden[:half], first, name="ends")


def _mean(draft: Draft, hidden: Value, module: torch.nn.Module) -> Value:
    del module
    return draft.add("sum", hidden, name="total") / draft.add("sum", 1.0, name="steps")


def _highest(draft: Draft, hidden: Value, module: torch.nn.Module) -> Value:
    del module
    return draft.add("highest", hidden, name="highest")


def _attended(draft: Draft, hidden: Value, module: Any) -> Value:
    """The mean weighted by exp(v . tanh(V h)), which is bounded by the sum of |v|."""
    inner, _, outer = module.attention
    most = float(outer.weight.detach().abs().sum())
    if most > LARGEST:
        raise refused(
            f"the scores of its attention reach {most:.0f}, but running sums of their exponentials hold {LARGEST:g}",
            "train with another pooling=",
        )
    score = draft.linear(draft.add("tanh", draft.linear(hidden, inner)), outer, name="score")
    weight = draft.add("exp", score, name="weight")
    return draft.add("sum", weight * hidden, name="total") / draft.add("sum", weight, name="weights")


POOLED = {"last": _last, "mean": _mean, "max": _highest, "attention": _attended}
