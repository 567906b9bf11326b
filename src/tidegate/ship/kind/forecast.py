"""Forecasters: rows in the user's units in, forecasts in the user's units out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tidegate.ship.flow import Draft, Flow, Value
from tidegate.ship.flow.node import Array
from tidegate.ship.kind.base import Part, array, check_part, facts, refused
from tidegate.ship.kind.rows import Rows
from tidegate.tasks.forecast.model import DirectModel, per_step
from tidegate.tasks.forecast.setting import forecast_levels


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``Forecaster``.

    A direct model answers all rows ahead at every step. A recursive one answers one: the caller gives it back as the
    next row, as ``again`` says. ``Forecaster.predict`` lets the layers begin ``context`` rows before the forecast
    (facts), so for the same numbers the states of the layers, and no others, are reset before that row.

    Args:
        model: the estimator.
        part: ``"point"`` for the path of medians alone of a recursive model with quantiles. Its score is that of this
            path, whereas ``Forecaster.predict`` gives the median of sample paths.

    Raises:
        InputError: quantiles of sample paths and ``part`` is not ``"point"``, or a recursive model of several rows
            whose base looks further back than its context.
    """
    if isinstance(model.model_, DirectModel):
        check_part(part, ("whole",), "forecast with strategy='direct'")
        return (_direct(model),)
    check_part(part, ("whole", "point"), "forecast")
    if model.quantiles and part == "whole":
        raise refused(
            "the quantiles of a recursive forecaster are those of sample paths, which no step can draw",
            "part='point' ships the path of its medians; strategy='direct' trains quantiles that can be shipped",
        )
    return (_recursive(model),)


def _direct(model: Any) -> Flow:
    module = model.model_
    rows = Rows.of(model, _draft(model), model.horizon)
    draft, hidden = rows.draft, rows.hidden()
    answers = draft.linear(hidden, module.head, name="head")
    if module.mix is not None:
        answers = (answers + _local(rows, module, hidden)).named("answers")
    fan = Fan(rows, model, forecast_levels(model))
    answers = fan.blended(answers if fan.count == 1 else draft.add("sort", answers, name="ordered", blocks=fan.steps))
    answers = fan.stretched(fan.shifted(answers))
    levels = (fan.each(rows.base(fan.steps)) + fan.each(fan.change) * answers).named("levels")
    if rows.effect is not None:
        levels = (levels + fan.each(rows.effect[-fan.steps :])).named("levels_with_effect")
    values = rows.in_units(levels).named("values")
    unit = "the unit of the target"
    draft.output("forecast", fan.median(values), f"the forecast of each of the next {fan.steps} rows", unit)
    if fan.count > 1:
        shown = ", ".join(f"{level:g}" for level in fan.levels)
        draft.output("quantiles", values, f"the quantiles {shown} of each of the next {fan.steps} rows", unit)
        draft.facts["quantiles"] = list(fan.levels)
    return draft.flow()


def _recursive(model: Any) -> Flow:
    module, encoding = model.model_, model.encoding_
    if model.horizon > 1 and max(encoding.reach + 1, encoding.centre) > model.context:
        raise refused(
            f"its base looks {encoding.reach + 1} rows back, but its context are {model.context}",
            "train with a larger context=, or with strategy='direct'",
        )
    rows = Rows.of(model, _draft(model), 1)
    draft = rows.draft
    answer = draft.linear(rows.hidden(), module.head, name="head")
    if answer.width > 1:
        answer = draft.add("sort", answer, name="ordered")[answer.width // 2]
    following = (rows.base(1) + float(encoding.change[0]) * answer).named("next_level")
    forecast = following
    if module.blends and encoding.plain:
        forecast = (following + (1 - float(module.share)) * (_held(rows, model.horizon) - following)).named("blended")
    ahead = 0.0 if rows.effect is None else rows.effect[-1:]
    unit = "the unit of the target"
    draft.output("forecast", rows.in_units(forecast + ahead), "the forecast of the next row", unit)
    draft.output("following", rows.in_units(following + ahead), "what to give as the target of the next row", unit)
    draft.again["target"] = "following"
    return draft.flow()


def _held(rows: Rows, horizon: int) -> Value:
    """The plain forecast of the next row: made at the last row of the data, and handed on from there."""
    draft = rows.draft
    rest = draft.input("rest", horizon, "while rolling, the output later of the step before; else zeros")
    rolling = draft.input("rolling", 1, "1 for a row that is a forecast itself, 0 for a row of the data")
    plain = (rolling * rest + (1.0 - rolling) * rows.plain(horizon)).named("plain")
    draft.output("later", plain[[*range(1, horizon), horizon - 1]], "the plain forecast of the rows behind the next")
    draft.again |= {"rest": "later", "rolling": 1.0}
    return plain[:1]


def _draft(model: Any) -> Draft:
    encoding = model.encoding_
    more = {
        "target": encoding.columns[0],
        "step": encoding.step,
        "horizon": model.horizon,
        "strategy": "direct" if isinstance(model.model_, DirectModel) else "recursive",
        "context": model.context,
        "early": max(encoding.early, encoding.centre, 1),
        "share": float(model.model_.share) if model.model_.blends else 1.0,
    }
    return Draft("forecast", facts(model, **more))


def _local(rows: Rows, module: Any, hidden: Value) -> Value:
    """What the rows ahead add to the answers: V tanh(U (M h, a) + u) + v, for each of them."""
    draft, steps = rows.draft, module.horizon
    first, _, last = module.local
    weight, width = array(first.weight), module.mix.out_features
    mixed = draft.linear(hidden, module.mix, name="mixed")
    own = draft.add("linear", mixed, name="from_state", weight=weight[:, :width], bias=array(first.bias))
    known = draft.add("linear", rows.known(1, steps), name="from_known", weight=weight[:, width:], blocks=steps)
    inner = draft.add("tanh", own[tuple(range(own.width)) * steps] + known, name="inner")
    return draft.linear(inner, last, name="local", blocks=steps)


@dataclass(frozen=True)
class Fan:
    """Answers [steps x quantiles] of a direct model."""

    rows: Rows
    model: Any
    levels: tuple[float, ...]

    @property
    def count(self) -> int:
        """The number of quantiles."""
        return len(self.levels)

    @property
    def steps(self) -> int:
        """Rows ahead."""
        return int(self.model.horizon)

    @cached_property
    def change(self) -> Value:
        """[steps] the unit of the answers, in standard deviations."""
        values: Array = per_step(self.model.encoding_.change, self.steps).numpy()
        return self.rows.draft.constant(values, name="change")

    def each(self, value: Value) -> Value:
        """A value of each step, for each of its quantiles."""
        return value if value.width == 1 else value[np.repeat(np.arange(self.steps), self.count).tolist()]

    def median(self, answers: Value) -> Value:
        """[steps]."""
        return answers[self.count // 2 :: self.count]

    def blended(self, answers: Value) -> Value:
        """Moved towards the plain forecast."""
        module = self.model.model_
        if not (module.blends and self.model.encoding_.plain):
            return answers
        plain = (self.rows.plain(self.steps) - self.rows.base(self.steps)) / self.change
        towards = ((1 - float(module.share)) * (plain - self.median(answers))).named("towards_plain")
        return (answers + self.each(towards)).named("blended")

    def shifted(self, answers: Value) -> Value:
        """Corrected quantiles in order; the median stays."""
        module, middle = self.model.model_, self.count // 2
        if not module.blends or self.count == 1:
            return answers
        shift = array(module.shift)[np.minimum(np.arange(self.steps), len(module.shift) - 1)]
        moved, median = (answers + shift.ravel()).named("shifted"), self.median(answers)
        place = np.arange(self.steps * self.count).reshape(self.steps, self.count)
        sides = [median]
        for op, part in (("minimum", place[:, :middle]), ("maximum", place[:, middle + 1 :])):
            width = part.shape[1]
            bound = median[np.repeat(np.arange(self.steps), width).tolist()]
            side = self.rows.draft.add(op, moved[part.ravel().tolist()], bound)
            sides.append(side if width == 1 else self.rows.draft.add("sort", side, blocks=self.steps))
        return self.rows.draft.concat(*sides, name="sides")[self._back(middle)]

    def _back(self, middle: int) -> list[int]:
        """The order of [medians, below, above] that is step by step."""
        step = np.arange(self.steps)[:, None]
        below = self.steps + step * middle + np.arange(middle)
        upper = self.count - middle - 1
        above = self.steps * (1 + middle) + step * upper + np.arange(upper)
        order: list[int] = np.concatenate([below, step, above], 1).ravel().tolist()
        return order

    def stretched(self, answers: Value) -> Value:
        """Moved away from the median, or towards it, as far as the last misses in training said."""
        if self.count == 1 or not self.model.encoding_.usual:
            return answers
        spread, median = self.rows.spread(), self.each(self.median(answers))
        return (median + spread * (answers - median)).named("stretched")
