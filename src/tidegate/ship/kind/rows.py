"""Rows of a series as a forecaster reads them: scaled, with what is known ahead, and their plain forecasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tidegate.ship.flow import Draft, Value
from tidegate.ship.flow.node import Array
from tidegate.ship.kind.base import into_layers
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import FARTHEST
from tidegate.tasks.forecast.ridge import Linear

CALENDAR = {  # of each cycle: name, limit, and what the caller gives
    "day": ("second", 86_400, "the second of the day, from 0"),
    "week": ("weekday", 7, "the day of the week, 0 for Monday"),
    "year": ("yearday", 367, "the day of the year, from 1"),
}
UNIT = (0.0, 1.0)  # mean and standard deviation, where a private model keeps none


@dataclass(frozen=True)
class Rows:
    """The values of one step of a forecaster.

    Attributes:
        draft: to which they belong.
        model: the estimator.
        series: the number of the series; None for one series.
        ahead: what is known ahead, row by row in standard deviations, from row ``first`` on; None if nothing is.
        first: 0 for the present row, 1 for the next.
        effect: its effect on each of those rows; None if that was not taken out of the target.
        own: the target in standard deviations of its series, less that effect.
        past: the last values of ``own``, the oldest first.
        scale: mean and standard deviation of the target, or of its logarithm.
        made: linear forecasts that are there already.
    """

    draft: Draft
    model: Any
    series: Value | None
    ahead: Value | None
    first: int
    effect: Value | None
    own: Value
    past: Value
    scale: tuple[Value, Value]
    made: dict[tuple[str, int], Value] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any, draft: Draft, steps: int) -> Rows:
        """The values for forecasts of so many rows."""
        encoding: ForecastEncoding = model.encoding_
        mean, sd = np.mean([*encoding.scales.values()], 0) if encoding.scales else UNIT
        says = f"the value of {encoding.columns[0]!r} in this row"
        target = draft.input("target", 1, says, "the unit of the target", mean=mean, sd=sd)
        series = None
        if len(encoding.scales) > 1:
            draft.facts["symbols"] = {"series": list(encoding.scales)}
            series = draft.input("series", 1, "the number of the series", limit=len(encoding.scales))
        first = 0 if encoding.effect else 1
        last = steps if encoding.effect or getattr(model.model_, "mix", None) is not None else 1
        ahead = _ahead(draft, encoding, first, last) if encoding.ahead else None
        effect = None
        if encoding.effect and ahead is not None:
            weight = np.array([encoding.effect])
            effect = draft.add("linear", ahead, name="effect", weight=weight, blocks=last - first + 1)
        scale = _scale(draft, encoding, series)
        own = _standard(draft, encoding, target, scale)
        own = own if effect is None else (own - effect[:1]).named("level")
        past = draft.window(own, encoding.early + 1, name="past")
        return cls(draft, model, series, ahead, first, effect, own, past, scale)

    @property
    def encoding(self) -> ForecastEncoding:
        """What the model learnt of its columns."""
        encoding: ForecastEncoding = self.model.encoding_
        return encoding

    def known(self, first: int, last: int) -> Value:
        """What is known ahead of these rows, side by side."""
        assert self.ahead is not None
        width = self.encoding.ahead
        return self.ahead[(first - self.first) * width : (last + 1 - self.first) * width]

    def hidden(self) -> Value:
        """The output of the layers."""
        draft, encoding, own = self.draft, self.encoding, self.own
        level = own
        if encoding.centre:
            recent = draft.window(own, encoding.centre, 0.0, name="recent")
            total = draft.add("linear", recent, name="total", weight=np.ones((1, encoding.centre)))
            count = draft.add("minimum", draft.add("sum", 1.0, name="rows"), float(encoding.centre))
            level = (own - total / count).named("centred")
        before = self.past[-2:-1] if self.past.width > 1 else draft.window(own, 2, name="lag")[:1]
        change = ((own - before) / encoding.pace).named("change_now")
        parts = [level, *_observed(draft, encoding), change]
        if self.ahead is not None:
            parts.append(self.known(1, 1))
        x, module = draft.concat(*parts, name="features"), self.model.model_
        return draft.recurrent(into_layers(draft, x, module.encoder), module.layer)

    def base(self, steps: int) -> Value:
        """The base that the layers correct, of each row ahead, or one number for all of them."""
        return self._forecast(self.encoding.difference, self.encoding.own, steps)

    def plain(self, steps: int) -> Value:
        """The forecast with which that of the layers is blended."""
        return self._forecast(self.encoding.plain, self.encoding.forecaster, steps)

    def _forecast(self, kind: str, linear: Linear | None, steps: int) -> Value:
        if kind == "none":
            return self.draft.constant(0.0)
        if kind == "last":
            return self.own
        if kind == "season":
            ahead, season = np.arange(1, steps + 1), self.encoding.season
            return self.past[(self.past.width - 1 + ahead - season * -(-ahead // season)).tolist()]
        assert linear is not None
        key = ("ridge" if linear is self.encoding.forecaster else "base", steps)
        if key not in self.made:
            weight, bias = composed(linear, steps)
            name = f"{key[0]}_{steps}"
            self.made[key] = self.draft.add("linear", self.past[-linear.order :], name=name, weight=weight, bias=bias)
        return self.made[key]

    def in_units(self, levels: Value) -> Value:
        """Standard deviations in the unit of the target."""
        mean, sd = self.scale
        values = mean + sd * levels
        return self.draft.add("exp", values) if self.encoding.logs else values

    def spread(self) -> Value:
        """How much wider intervals were at the end of training than in validation."""
        encoding = self.encoding
        factors = [encoding.lately.get(name, 1.0) for name in encoding.scales] or [1.0]
        if self.series is None:
            return self.draft.constant(factors[0], name="spread")
        return self.draft.add("embed", self.series, name="spread", table=np.array(factors)[:, None])


def _scale(draft: Draft, encoding: ForecastEncoding, series: Value | None) -> tuple[Value, Value]:
    """Mean and standard deviation of the target, or of its logarithm; inputs, where the model keeps none."""
    if not encoding.scales:
        says = f"mean and standard deviation of what is known of {encoding.columns[0]!r}, the same in all rows"
        given = draft.input("scale", 2, says, "the unit of the target", mean=UNIT, sd=(1.0, 0.1))
        return given[:1], given[1:]
    table = np.array(list((encoding.logs or encoding.scales).values()))
    if series is None:
        return draft.constant(table[0, 0], name="mean"), draft.constant(table[0, 1], name="deviation")
    scale = draft.add("embed", series, name="scale", table=table)
    return scale[:1], scale[1:]


def _standard(draft: Draft, encoding: ForecastEncoding, target: Value, scale: tuple[Value, Value]) -> Value:
    """The target in standard deviations of its series."""
    mean, sd = scale
    if encoding.logs:
        least = draft.add("exp", mean - FARTHEST * sd, name="least")
        target = draft.add("log", draft.add("maximum", target, least), name="logarithm")
    return ((target - mean) / sd).named("standard")


def _observed(draft: Draft, encoding: ForecastEncoding) -> list[Value]:
    """The columns known up to the present row, in standard deviations."""
    names = encoding.columns[1:]
    if not names:
        return []
    count = len(names)
    mean, sd = np.array(encoding.mean[:count]), np.array([spread or 1.0 for spread in encoding.sd[:count]])
    x = draft.input("columns", count, f"the values of {', '.join(map(repr, names))} in this row", mean=mean, sd=sd)
    return [((x - mean) / sd).named("observed")]


def _ahead(draft: Draft, encoding: ForecastEncoding, first: int, last: int) -> Value:
    """What is known ahead of rows ``first`` to ``last`` from the present one, side by side."""
    rows, names = last - first + 1, encoding.known
    which = "the next row" if first else "this row"
    which += f" and of the rows up to {last} behind this one" if rows > 1 else ""
    parts = []
    if names:
        says = f"the values of {', '.join(map(repr, names))} of {which}, row by row"
        mean, sd = np.array(encoding.mean[-len(names) :]), np.array([one or 1.0 for one in encoding.sd[-len(names) :]])
        mean, sd = np.tile(mean, rows), np.tile(sd, rows)
        x = draft.input("known", rows * len(names), says, mean=mean, sd=sd)
        parts.append(((x - mean) / sd).named("known_now"))
    waves = _waves(draft, encoding, rows, which)
    width = len(names)
    order = np.arange(rows * width).reshape(rows, width)
    columns = rows * width + np.arange(len(waves) * rows).reshape(-1, rows).T
    return draft.concat(*parts, *waves, name="columns_ahead")[np.concatenate([order, columns], 1).ravel().tolist()]


def _waves(draft: Draft, encoding: ForecastEncoding, rows: int, which: str) -> list[Value]:
    """[rows] each: the sines of all cycles of the calendar, then their cosines."""
    given: dict[str, Value] = {}
    needed = {*encoding.cycles, *(["day"] if "week" in encoding.cycles else [])}
    for cycle, (name, limit, says) in CALENDAR.items():
        if cycle in needed:
            given[cycle] = draft.add("number", draft.input(name, rows, f"{says}, of {which}", limit=limit))
    places = []
    for cycle in encoding.cycles:
        if cycle == "day":
            places.append(given["day"] / 86_400.0)
        elif cycle == "week":
            places.append((given["week"] + given["day"] / 86_400.0) / 7.0)
        else:
            places.append((given["year"] - 1.0) / 366.0)
    turns = [*places, *(place + 0.25 for place in places)]
    return [2**0.5 * draft.add("wave", turn) for turn in turns]


def composed(linear: Linear, steps: int) -> tuple[Array, Array]:
    """[steps, lags] weights and [steps] intercepts of a linear forecast that continues from its own answers."""
    bias = linear.continued(np.zeros((1, linear.order)), steps)[0]
    return (linear.continued(np.eye(linear.order), steps) - bias).T, bias
