"""Forecasts by the default command, beside simple baselines and peers on the same rows.

    python benchmarks/forecast.py FOLDER [--only NAME ...] [--seeds 3]

FOLDER holds public series: ETTh1.csv, airline-passengers.csv, co2.csv, daily-min-temperatures.csv, nile.csv and
sunspots.csv; those that are missing are left out, and said. El Nino is bundled. Each row is stored in
``results/forecast.json`` as soon as it is known, and not computed again; ``results/forecast.md`` shows them.

All errors are in standard deviations of the training rows of each series, over all origins of the test and all steps.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import HistGradientBoostingRegressor

from tidegate.errors import TidegateWarning
from tidegate.tasks import Forecaster
from tidegate.tasks.forecast.split import Span

RESULTS = Path(__file__).parent / "results"
LAGS, KERNEL = 336, 25
MOST_ROWS = 5_000
PAIRS = 100_000  # of an origin and a step, on which trees are grown


@dataclass(frozen=True)
class Set:
    """Series to forecast: how they are read, and the options of the command beside --target and --horizon."""

    horizon: int
    time: str
    target: str
    read: Callable[[Path], Any]
    share: float = 0.15
    season: int = 1  # rows, for the models of statsforecast


def _table(name: str, **options: Any) -> Callable[[Path], pd.DataFrame]:
    return lambda folder: pd.read_csv(folder / name, **options)


def _months(folder: Path) -> pd.DataFrame:
    frame = pd.read_csv(folder / "co2.csv")
    dates = pd.to_datetime(frame["date"].astype(str), format="%Y%m%d")
    monthly = frame.set_index(dates)["co2"].resample("MS").mean().interpolate()
    return monthly.rename_axis("month").reset_index()


SETS = {
    "elnino, 12": Set(12, "month", "temperature", lambda _: "elnino", season=12),
    "elnino, 1": Set(1, "month", "temperature", lambda _: "elnino", season=12),
    "temperatures, 14": Set(14, "Date", "Temp", _table("daily-min-temperatures.csv")),
    "airline, 12": Set(12, "Month", "Passengers", _table("airline-passengers.csv"), season=12),
    "co2, 12": Set(12, "month", "co2", _months, season=12),
    "sunspots, 10": Set(10, "YEAR", "SUNACTIVITY", _table("sunspots.csv"), season=11),
    "nile, 5": Set(5, "year", "volume", _table("nile.csv")),
    "ETTh1 OT, 24": Set(24, "date", "OT", _table("ETTh1.csv", nrows=14_400, usecols=["date", "OT"]), 0.2),
    "ETTh1, 96": Set(96, "date", "all", _table("ETTh1.csv", nrows=14_400), 0.2),
}


@dataclass(frozen=True)
class Scaled:
    """Series in standard deviations of their training rows, and the forecasts that are scored."""

    series: list[np.ndarray]
    spans: list[Span]
    horizon: int

    def origins(self, part: str) -> list[np.ndarray]:
        """The rows of each series from which a part is forecast."""
        if part == "train":
            return [np.arange(LAGS - 1, span.first - self.horizon) for span in self.spans]
        bounds = [(span.first, span.second) if part == "valid" else (span.second, span.end) for span in self.spans]
        return [np.arange(first - 1, last - self.horizon) for first, last in bounds]

    def pairs(self, part: str, lags: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each series the last values less the last one, and the changes that follow."""
        for values, rows in zip(self.series, self.origins(part), strict=True):
            past = sliding_window_view(values, lags)[rows - lags + 1]
            ahead = sliding_window_view(values, self.horizon)[rows + 1]
            yield past - past[:, -1:], ahead - past[:, -1:]

    def errors(self, forecast: Callable[[np.ndarray], np.ndarray], part: str, lags: int) -> dict[str, float]:
        """MAE and MSE of forecasts of changes."""
        misses = np.concatenate([(ahead - forecast(past)).ravel() for past, ahead in self.pairs(part, lags)])
        return {"MAE": float(np.abs(misses).mean()), "MSE": float((misses**2).mean())}


def scaled(made: Forecaster) -> Scaled:
    """The rows that a forecaster was trained on."""
    grid = made._fitted_task.grid  # noqa: SLF001
    series = []
    for span, (mean, sd) in zip(grid.spans, grid.scales, strict=True):
        series.append((grid.truth[span.start : span.end] - mean) / sd)
    return Scaled(series, [span.local for span in grid.spans], made.horizon)


def ridge(data: Scaled) -> dict[str, float]:
    """Ridge regression on 336 lags less the last, its strength by validation, in plain NumPy."""
    known, wanted = (np.concatenate(part) for part in zip(*data.pairs("train", LAGS), strict=True))
    mean, centre = known.mean(0), wanted.mean(0)
    gram, cross = (known - mean).T @ (known - mean), (known - mean).T @ (wanted - centre)
    best: tuple[float, Any] = (np.inf, None)
    for strength in 10.0 ** np.arange(-2, 6):
        weights = np.linalg.solve(gram + strength * np.eye(LAGS), cross)

        def forecast(past: np.ndarray, weights: np.ndarray = weights) -> np.ndarray:
            return (past - mean) @ weights + centre

        best = min(best, (data.errors(forecast, "valid", LAGS)["MSE"], forecast), key=lambda pair: pair[0])
    return data.errors(best[1], "test", LAGS)


class DLinear(torch.nn.Module):
    """Two linear maps, of a moving average and of what remains, after Zeng et al. 2022, arXiv 2205.13504."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.slow, self.rest = (torch.nn.Linear(LAGS, horizon) for _ in range(2))
        for part in (self.slow, self.rest):
            torch.nn.init.constant_(part.weight, 1 / LAGS)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(past[:, None], (KERNEL // 2, KERNEL // 2), mode="replicate")
        slow = torch.nn.functional.avg_pool1d(padded, KERNEL, 1)[:, 0]
        return self.slow(slow) + self.rest(past - slow)


def dlinear(data: Scaled) -> dict[str, float]:
    """DLinear by Adam on squared errors, batches of all series at 32 origins, ten epochs, the best by validation."""
    torch.manual_seed(0)
    parts = zip(*data.pairs("train", LAGS), strict=True)
    known, wanted = (torch.tensor(np.concatenate(part), dtype=torch.float32) for part in parts)
    model, size = DLinear(data.horizon), 32 * len(data.series)
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    best: tuple[float, dict[str, float]] = (np.inf, {})

    def forecast(past: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor(past, dtype=torch.float32)).numpy()

    for _ in range(10):
        for rows in torch.randperm(len(known)).split(size):
            adam.zero_grad()
            (model(known[rows]) - wanted[rows]).square().mean().backward()
            adam.step()
        valid = data.errors(forecast, "valid", LAGS)["MSE"]
        if valid < best[0]:
            best = valid, data.errors(forecast, "test", LAGS)
    return best[1]


def trees(data: Scaled, lags: int = 168) -> dict[str, float]:
    """Boosted trees on lags less the last and on the step, grown on a sample of origins and steps."""
    known, wanted = (np.concatenate(part) for part in zip(*data.pairs("train", lags), strict=True))
    rng = np.random.default_rng(0)
    rows, steps = rng.integers(len(known), size=PAIRS), rng.integers(data.horizon, size=PAIRS)
    model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=200, random_state=0)
    model.fit(np.column_stack([known[rows, :-1], steps]), wanted[rows, steps])

    def forecast(past: np.ndarray) -> np.ndarray:
        columns = [model.predict(np.column_stack([past[:, :-1], np.full(len(past), k)])) for k in range(data.horizon)]
        return np.stack(columns, axis=1)

    return data.errors(forecast, "test", lags)


PEERS: dict[str, Callable[[Scaled], dict[str, float]]] = {
    "ridge, 336 lags": ridge,
    "DLinear, 336 lags": dlinear,
    "boosted trees, 168 lags": trees,
}


def classical(given: Set, data: Any) -> dict[str, dict[str, float]]:
    """AutoETS and AutoARIMA of statsforecast: chosen and fitted on the rows before the test, then carried forward.

    Series of more than MOST_ROWS rows, on which that takes hours, are left out, and all of them where the package is
    not installed.
    """
    rows = scaled(fitted(given, data, 0, epochs=1, difference="last", strategy="direct"))
    if not find_spec("statsforecast") or max(map(len, rows.series)) > MOST_ROWS:
        return {}
    from statsforecast.models import AutoARIMA, AutoETS  # a large package, which is not among ours

    scores = {}
    for kind in (AutoETS, AutoARIMA):
        misses = []
        for values, span, origins in zip(rows.series, rows.spans, rows.origins("test"), strict=True):
            model = kind(season_length=given.season).fit(values[: span.second])
            for row in origins:
                ahead = model.forward(values[: row + 1], rows.horizon)["mean"]
                misses.append(values[row + 1 : row + 1 + rows.horizon] - ahead)
        error = np.stack(misses)
        scores[kind.__name__] = {"MAE": float(np.abs(error).mean()), "MSE": float((error**2).mean())}
    return scores


def fitted(given: Set, data: Any, seed: int, **options: Any) -> Forecaster:
    """What the default command gives, with an 80 % interval."""
    made = Forecaster(
        target=given.target, time=given.time, horizon=given.horizon, quantiles=(0.1, 0.9), seed=seed,
        valid_share=given.share, test_share=given.share, **options,
    )  # fmt: skip
    return made.fit(data)


def own(given: Set, data: Any, seed: int) -> dict[str, Any]:
    """The scores of a training, and of its baselines."""
    made = fitted(given, data, seed)
    scores = {score.name: score for score in made.scores_}
    cover = next(score for name, score in scores.items() if name.startswith("coverage"))
    return {
        "MAE": scores["MAE/sd"].value, "MSE": scores["MSE/var"].value, "cover": cover.value, "doubt": cover.unit,
        "baselines": {name: [scores["MAE/sd"].baselines[name], scores["MSE/var"].baselines[name]]
                      for name in scores["MAE/sd"].baselines},
        "notes": made.notes_, "epochs": len(made.curve_),
    }  # fmt: skip


def peers(given: Set, data: Any) -> dict[str, dict[str, float]]:
    """The scores of those peers that the rows suffice for."""
    rows = scaled(fitted(given, data, 0, epochs=1, difference="last", strategy="direct"))
    if min(span.first for span in rows.spans) < 4 * LAGS:
        return {}
    return {name: peer(rows) for name, peer in PEERS.items()}


def table(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Forecasts by the default command",
        "",
        "MAE (MSE) in standard deviations of the training rows, over all origins and steps of the test; mean and",
        "standard deviation over seeds. `python benchmarks/forecast.py FOLDER` computes them.",
        "",
        "| data, rows ahead | model | best baseline | ridge | peers | 80 % interval covers |",
        "|---|---|---|---|---|---|",
    ]
    for name in SETS:
        runs = [row for key, row in found.items() if key.startswith(f"{name}; seed")]
        if not runs:
            continue
        mae, mse = (np.array([run[kind] for run in runs]) for kind in ("MAE", "MSE"))
        best = min(runs[0]["baselines"], key=lambda line: runs[0]["baselines"][line][0])
        others = found.get(f"{name}; peers", {}) | found.get(f"{name}; statsforecast", {})
        told = ", ".join(f"{peer} {row['MAE']:.3f} ({row['MSE']:.3f})" for peer, row in others.items()) or "-"
        first, linear = runs[0]["baselines"][best], runs[0]["baselines"]["ridge"]
        cover = np.mean([run["cover"] for run in runs])
        doubt = runs[0]["doubt"].removeprefix("%, ").removesuffix(" by the bootstrap")
        lines.append(
            f"| {name} | {mae.mean():.4f} ± {mae.std(ddof=1) if len(mae) > 1 else 0:.4f} ({mse.mean():.4f}) | "
            f"{best} {first[0]:.4f} | {linear[0]:.4f} ({linear[1]:.4f}) | {told} | {cover:.1f} % ({doubt}) |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", TidegateWarning)
    store = RESULTS / "forecast.json"
    found = json.loads(store.read_text()) if store.exists() else {}
    for name in arguments.only:
        try:
            data = SETS[name].read(arguments.folder)
        except FileNotFoundError as error:
            print(f"{name}: left out, {error.filename} is missing", file=sys.stderr)
            continue
        rows: dict[str, Callable[[], Any]] = {
            f"{name}; peers": lambda: peers(SETS[name], data),  # noqa: B023
            f"{name}; statsforecast": lambda: classical(SETS[name], data),  # noqa: B023
        }
        for seed in range(arguments.seeds):
            rows[f"{name}; seed {seed}"] = lambda seed=seed: own(SETS[name], data, seed)  # noqa: B023
        for key, compute in rows.items():
            if key not in found:
                begun = time.process_time()
                found[key] = compute()
                print(f"{key}: {time.process_time() - begun:.0f} s of processor time", flush=True)
                store.write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "forecast.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
