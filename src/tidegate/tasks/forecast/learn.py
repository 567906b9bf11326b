"""Learn an encoding from training rows: scales, the season, the ridge regression, what layers correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import Clock, Panel, cycles
from tidegate.data.category import named
from tidegate.errors import InputError
from tidegate.tasks.forecast.encoding import ForecastEncoding, scale_of
from tidegate.tasks.forecast.grid import Grid, make_grid
from tidegate.tasks.forecast.ridge import FITTED, Check, Fit, ridge, stride
from tidegate.tasks.forecast.season import season as estimated_season
from tidegate.tasks.forecast.setting import Difference, ForecastSetting, Plain, Strategy
from tidegate.tasks.forecast.split import Span

STRAIGHT = 1e-9  # standard deviations; smaller changes of slope are rounding
NEAR = 0.05  # relative; an estimate this close to a day, a week or a year is replaced by it
LEAST = 1e-3  # smallest scale, relative to the largest; some series hardly change over whole seasons
BETTER = 0.98  # of the squared error in validation: less is no reason to change the target
WEAK = 1e-3  # strength of the regression on columns known ahead, per row

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What layers correct, and how they forecast several rows."""

    strategy: Strategy
    difference: Difference


def learn(panel: Panel, spans: Sequence[Span], setting: ForecastSetting) -> tuple[ForecastEncoding, tuple[str, ...]]:
    """Learn an encoding from the training rows, and choose on validation what is chosen without layers.

    Returns:
        The encoding of a model that corrects the last value, and warnings about columns that are left out.

    Raises:
        InputError: the target is constant in training, changes by the same amount in every row, has no season
            although the settings need one, or has no logarithm although they ask for it.
    """
    start, warnings = _described(panel, spans, setting)
    plain = start
    fits: dict[str, tuple[ForecastEncoding, Fit]] = {}
    for logarithm in _logarithms(panel, setting):
        one = replace(start, logs=_logs(panel, spans) if logarithm == "yes" else {})
        fits[logarithm] = one, _ridge(make_grid(panel, one, spans, setting.horizon))
    plain, fit = fits.get("no") or fits["yes"]
    if "yes" in fits and fits["yes"][1].error < BETTER * fit.error:
        plain, fit = fits["yes"]
    plain, fit = _without_effects(panel, spans, setting, plain, fit)
    encoding = replace(plain, ridge=fit.linear.rounded().to_text())
    return replace(encoding, plain=_plain(make_grid(panel, encoding, spans, setting.horizon))), warnings


def with_choice(
    panel: Panel, spans: Sequence[Span], setting: ForecastSetting, encoding: ForecastEncoding, choice: Choice
) -> ForecastEncoding:
    """The encoding of a model that makes this choice."""
    chosen = taking(encoding, choice, setting)
    if choice.difference == "season":
        _check_season(encoding.season, spans, setting)
    grid = make_grid(panel, chosen, spans, setting.horizon)
    if _alone(choice, setting) and choice.difference == "linear":
        weights = _ridge(grid, recursive=True).linear.rounded().weights
        chosen = replace(chosen, linear=tuple(map(tuple, weights.tolist())))
        grid = make_grid(panel, chosen, spans, setting.horizon)
    return replace(chosen, change=changes(grid))


def taking(encoding: ForecastEncoding, choice: Choice, setting: ForecastSetting) -> ForecastEncoding:
    """The encoding with this choice, and the columns that it reads; nothing is fitted to it yet."""
    inputs = 1 if _alone(choice, setting) else len(encoding.columns)
    others = len(encoding.columns) - 1
    return replace(
        encoding,
        strategy=choice.strategy,
        difference=choice.difference,
        columns=encoding.columns[:inputs],
        mean=encoding.mean[: inputs - 1] + encoding.mean[others:],
        sd=encoding.sd[: inputs - 1] + encoding.sd[others:],
    )


def _alone(choice: Choice, setting: ForecastSetting) -> bool:
    """Whether the model reads nothing but the target and what is known ahead, since it forecasts what it reads."""
    return choice.strategy == "recursive" and setting.horizon > 1


def first_choice(setting: ForecastSetting) -> Choice:
    """What to correct where nothing is tried: what the settings say, or the last value."""
    direct = setting.horizon > 1 if setting.strategy == "auto" else setting.strategy == "direct"
    return Choice("direct" if direct else "recursive", "last" if setting.difference == "auto" else setting.difference)


def choices(encoding: ForecastEncoding, setting: ForecastSetting) -> list[Choice]:
    """All choices that the settings leave open; the season only where it repeats."""
    both: tuple[Strategy, ...] = ("direct", "recursive") if setting.horizon > 1 else ("recursive",)
    strategies = both if setting.strategy == "auto" else (setting.strategy,)
    differences: tuple[Difference, ...] = ("linear", "last", "none")
    if setting.difference != "auto":
        differences = (setting.difference,)
    elif encoding.plain == "season":
        differences = ("linear", "last", "none", "season")
    return [Choice(strategy, difference) for difference in differences for strategy in strategies]


def _described(
    panel: Panel, spans: Sequence[Span], setting: ForecastSetting
) -> tuple[ForecastEncoding, tuple[str, ...]]:
    """The columns, their scales and the season, and warnings about columns that are left out."""
    train = np.concatenate([np.arange(span.start, span.first) for span in spans])
    varies = np.ptp(panel.values[train], axis=0) > 0
    targets = tuple(dict.fromkeys(panel.targets))
    for target in targets:
        _check_varies(panel, spans, target)
    border = len(panel.columns) - panel.known
    used = np.flatnonzero(varies)
    others = panel.values[train][:, used[1:]]
    series = [panel.values[span.start : span.first, 0] for span in spans]
    scales = dict(zip(panel.names, map(scale_of, series), strict=True))
    levels = [(values - mean) / sd for values, (mean, sd) in zip(series, scales.values(), strict=True)]
    pace, clock = pace_of(levels, panel.target), written(panel.clock)
    period = _season(levels, setting, panel.clock)
    encoding = ForecastEncoding(
        columns=tuple(panel.columns[k] for k in used if k < border),
        known=tuple(panel.columns[k] for k in used if k >= border),
        cycles=calendar(panel, spans),
        mean=tuple(others.mean(0).tolist()),
        sd=tuple(others.std(0).tolist()),
        step=clock["step"],
        scales=scales,
        difference="last",
        centre=setting.centre,
        linear=(),
        season=period,
        pace=pace,
        change=(1.0,) * setting.horizon,
        naive={name: _naive(values, period) for name, values in zip(panel.names, series, strict=True)},
        dates=clock["dates"],
        zone=clock["zone"],
        decimal=panel.decimal,
        targets=targets if len(targets) > 1 else (),
        categories=categories(panel, [panel.columns[k] for k in used]),
    )
    constant = [name for name, varying in zip(panel.columns, varies, strict=True) if not varying]
    return encoding, tuple(f"column {name!r} was left out: it is constant in training" for name in constant)


def categories(panel: Panel, used: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The texts of training, by column; those that only occur later, or in every row, are no inputs."""
    texts = {
        column: tuple(text for text in texts if not text or named(column, text) in used)
        for column, texts in panel.categories.items()
    }
    return {column: kept for column, kept in texts.items() if any(kept)}


def _check_varies(panel: Panel, spans: Sequence[Span], target: str) -> None:
    parts = [
        panel.values[span.start : span.first, 0]
        for span, own in zip(spans, panel.targets, strict=True)
        if own == target
    ]
    values = np.concatenate(parts)
    if np.ptp(values) == 0:
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {target!r} is {values[0]:g} in all {len(values)} training rows",
            fix="pass a longer series, or name another column",
        )


def written(clock: Clock | None) -> dict[str, str]:
    """The step between rows, and how times are written; empty without a time column."""
    if clock is None:
        return dict.fromkeys(("step", "dates", "zone"), "")
    return {"step": clock.step, "dates": clock.form, "zone": clock.zone}


def pace_of(levels: Sequence[Values], target: str) -> float:
    """The standard deviation of the change from row to row, in standard deviations of each series."""
    pace = float(np.concatenate([np.diff(part) for part in levels]).std())
    if pace < STRAIGHT:
        raise InputError(
            "SERIES_LINE",
            f"the target {target!r} changes by the same amount in every training row: there is nothing to learn",
            fix="name another column",
        )
    return pace


def _naive(values: Values, period: int) -> float:
    late = values[period:] if len(values) > period else values[1:]
    return float(np.abs(late - values[: len(late)]).mean())


def _season(levels: Sequence[Values], setting: ForecastSetting, clock: Clock | None) -> int:
    """Rows in a season: as set, as estimated, or as usual for the time step."""
    estimate = estimated_season(max(levels, key=len))[0]
    usual = clock.periods if clock else ()
    near = min(usual, key=lambda period: abs(period - estimate), default=0)
    estimate = near if abs(near - estimate) <= NEAR * estimate else estimate
    return setting.season or estimate or next(iter(usual), 1)


def _seasonal(period: int, spans: Sequence[Span], horizon: int) -> bool:
    """Whether there is a season, and training has two of them."""
    return period > 1 and min(span.first - span.start for span in spans) >= 2 * period + horizon


def _check_season(period: int, spans: Sequence[Span], setting: ForecastSetting) -> None:
    if not _seasonal(period, spans, setting.horizon):
        shortest = min(span.first - span.start for span in spans)
        what = "training shows no season" if period == 1 else f"a season has {period} rows, but training {shortest}"
        raise InputError(
            "SERIES_SEASON",
            f"difference='season' is not possible: {what}",
            fix="set season= to the number of rows, or choose another difference=",
        )


def calendar(panel: Panel, spans: Sequence[Span]) -> tuple[str, ...]:
    """The calendar cycles that occur often enough in the training rows."""
    if panel.clock is None or not panel.clock.dated:
        return ()
    times = panel.clock.wall
    longest = max(spans, key=lambda span: span.first - span.start)
    own = times[longest.start : longest.first]
    step = np.median(np.diff(own.to_numpy()))
    return tuple(cycles(own, own[-1].to_numpy() - own[0].to_numpy(), step))


def _logarithms(panel: Panel, setting: ForecastSetting) -> tuple[str, ...]:
    """Whether logarithms are tried, and whether anything else is."""
    positive = bool((panel.values[~np.isnan(panel.values[:, 0]), 0] > 0).all())
    if setting.logarithm == "yes" and not positive:
        raise InputError(
            "SERIES_LOGARITHM",
            f"the target {panel.target!r} has values that are not positive, which have no logarithm",
            fix="set logarithm='no'",
        )
    return {"yes": ("yes",), "no": ("no",), "auto": ("no", "yes") if positive else ("no",)}[setting.logarithm]


def _logs(panel: Panel, spans: Sequence[Span]) -> dict[str, tuple[float, float]]:
    parts = [np.log(panel.values[span.start : span.first, 0]) for span in spans]
    return dict(zip(panel.names, map(scale_of, parts), strict=True))


def _check_of(grid: Grid, horizon: int) -> Check:
    """Validation on the rows of a grid, in standard deviations of the target itself."""
    levels = [grid.levels[span.start : span.second].numpy() for span in grid.spans]
    return Check(levels, [span.local for span in grid.spans], horizon, grid.restored)


def _ridge(grid: Grid, *, recursive: bool = False, lags: Sequence[int] | None = None) -> Fit:
    check = _check_of(grid, len(grid.encoding.change))
    return ridge(check, period=grid.encoding.season, recursive=recursive, lags=lags)


def _without_effects(
    panel: Panel, spans: Sequence[Span], setting: ForecastSetting, encoding: ForecastEncoding, fit: Fit
) -> tuple[ForecastEncoding, Fit]:
    """Take the linear effect of what is known ahead out of the target, if the rest is then forecast better."""
    if not encoding.ahead:
        return encoding, fit
    grid = make_grid(panel, encoding, spans, setting.horizon)
    lags = (fit.linear.order,)
    tried = [(encoding, fit)]
    for kept in {len(encoding.known), encoding.ahead} - {0}:
        for change in (False, True):
            one = replace(encoding, effect=_effect(grid, kept, change=change))
            tried.append((one, _ridge(make_grid(panel, one, spans, setting.horizon), lags=lags)))
    best = min(tried, key=lambda pair: pair[1].error)
    if best[1].error >= BETTER * fit.error:
        return encoding, fit
    return best[0], _ridge(make_grid(panel, best[0], spans, setting.horizon))


def _effect(grid: Grid, kept: int, *, change: bool) -> tuple[float, ...]:
    """Regress the target, or its changes, on the first columns known ahead, or on theirs, over the training rows."""
    parts = []
    for span in grid.spans:
        train = slice(span.start, span.first)
        both = np.column_stack([grid.ahead[train, :kept].double().numpy(), grid.levels[train].numpy()])
        both = np.diff(both, axis=0) if change else both
        parts.append(both - both.mean(0))
    rows = np.concatenate(parts)
    known, wanted = rows[:, :-1], rows[:, -1]
    gram = known.T @ known + WEAK * len(rows) * np.eye(kept) * (known**2).mean()
    effect = np.zeros(grid.ahead.shape[1])
    effect[:kept] = np.linalg.solve(gram, known.T @ wanted)
    return tuple(effect.tolist())


def _plain(grid: Grid) -> Plain:
    """The forecast without layers that validates best by its absolute errors."""
    kinds: list[Plain] = ["linear", "last"]
    if _seasonal(grid.encoding.season, grid.spans, len(grid.encoding.change)):
        kinds.append("season")
    errors = {kind: _error(replace(grid, encoding=replace(grid.encoding, plain=kind))) for kind in kinds}
    return min(kinds, key=lambda kind: errors[kind])


def _error(grid: Grid) -> float:
    """The mean absolute error of the plain forecast in validation."""
    horizon = len(grid.encoding.change)
    total, count = 0.0, 0
    for place, span in enumerate(grid.spans):
        rows = torch.arange(span.first - 1, span.second - horizon)
        found = grid.restored(place, rows.numpy() - span.start, grid.plainly(rows, horizon).numpy())
        truth = grid.own(place, rows, horizon)
        total, count = total + float(np.abs(truth - found).sum()), count + found.size
    return total / count


def changes(grid: Grid) -> tuple[float, ...]:
    """The standard deviation of the difference to forecast in training, for each step ahead."""
    encoding, horizon = grid.encoding, len(grid.encoding.change)
    step = stride((span.first - span.start - horizon for span in grid.spans), FITTED)
    misses = []
    for span in grid.spans:
        least = min(span.start + encoding.reach, span.first - horizon - 2)
        rows = torch.arange(max(span.start, least), span.first - horizon, step)
        truth = grid.levels[rows[:, None] + torch.arange(1, horizon + 1)]
        misses.append(truth - encoding.base(grid.levels, rows, horizon))
    scales = torch.cat(misses).std(0, correction=0)
    floor = LEAST * max(float(scales.max()), LEAST * encoding.pace)
    changes: list[float] = scales.clamp(min=floor).tolist()
    return tuple(changes)
