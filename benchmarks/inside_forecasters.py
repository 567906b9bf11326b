"""Our layers inside models of NeuralForecast and Darts: do they forecast as before?

    python benchmarks/inside_forecasters.py    # runs whichever of the two packages is installed

Each model is trained twice by its own package, from the same seed on the same made-up series: as it is, and after
``tidegate.accelerate``, which replaces the recurrent layer in place. Writes results/inside_forecasters.md.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

import tidegate as tg

RESULTS = Path(__file__).parent / "results" / "inside_forecasters.md"
MONTHS, HORIZON = 120, 12
HEAD = ["| package | model | ran on | largest forecast | largest difference |", "|---|---|---|---:|---:|"]
TRAINER = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}


def series() -> tuple[pd.DatetimeIndex, np.ndarray]:
    """A season of twelve months and noise."""
    noise = np.random.default_rng(0).normal(size=MONTHS)
    values = np.sin(np.arange(MONTHS) * 2 * np.pi / 12) + 0.1 * noise
    return pd.date_range("2000-01-01", periods=MONTHS, freq="MS"), values.astype("float32")


def neuralforecast_rows() -> Iterator[str]:
    from neuralforecast import NeuralForecast
    from neuralforecast.models import GRU, LSTM, RNN

    times, values = series()
    frame = pd.DataFrame({"unique_id": "a", "ds": times, "y": values})

    def forecast(kind: type, recurrent: bool, *, swap: bool) -> tuple[np.ndarray, str]:
        sizes = {"encoder_hidden_size": 16, "decoder_hidden_size": 16, "max_steps": 50}
        model = kind(h=HORIZON, input_size=24, recurrent=recurrent, random_seed=1, **sizes, **TRAINER)
        if swap:
            tg.accelerate(model)
        wrapped = NeuralForecast(models=[model], freq="MS")
        wrapped.fit(frame)
        found = wrapped.predict()[kind.__name__].to_numpy()
        return found, getattr(wrapped.models[0].hist_encoder, "last_path", "torch.nn")

    for kind in (RNN, LSTM, GRU):
        for recurrent in (False, True):
            name = f"`{kind.__name__}(recurrent={recurrent})`"
            both = [forecast(kind, recurrent, swap=swap) for swap in (False, True)]
            yield row("neuralforecast", name, *both[0], *both[1])


def darts_rows() -> Iterator[str]:
    from darts import TimeSeries
    from darts.models.forecasting.rnn_model import RNNModel

    target = TimeSeries.from_times_and_values(*series())
    trainer = {name: TRAINER[name] for name in ("accelerator", "enable_progress_bar", "logger")}

    def forecast(kind: str, *, swap: bool) -> tuple[np.ndarray, str]:
        sizes = {"input_chunk_length": 24, "training_length": 36, "hidden_dim": 16}
        model = RNNModel(model=kind, n_epochs=3, random_state=1, pl_trainer_kwargs=trainer, **sizes)
        model.fit(target)
        if swap:
            tg.accelerate(model.model)
        return model.predict(HORIZON).values()[:, 0], getattr(model.model.rnn, "last_path", "torch.nn")

    for kind in ("RNN", "LSTM", "GRU"):
        both = [forecast(kind, swap=swap) for swap in (False, True)]
        yield row("darts", f'`RNNModel(model="{kind}")`', *both[0], *both[1])


def row(package: str, name: str, plain: np.ndarray, _: str, swapped: np.ndarray, path: str) -> str:
    """Refuses a difference that is more than rounding, so that no table can say something wrong."""
    difference, largest = np.abs(plain - swapped).max(), np.abs(plain).max()
    if not difference <= 1e-5 * largest or path != "fused":
        raise SystemExit(f"{name} differs by {difference} of {largest} on the path {path}")
    return f"| {package} {version(package)} | {name} | {path} | {largest:.2f} | {difference:.0e} |"


def main() -> int:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    packages = {"neuralforecast": neuralforecast_rows, "darts": darts_rows}
    rows = [line for name, make in packages.items() if importlib.util.find_spec(name) for line in make()]
    if not rows:
        print("neither neuralforecast nor darts is installed")
        return 1
    what = (
        "Each model trained by its own package from one seed, as it is and with its recurrent layer replaced by "
        "`tidegate.accelerate` (Darts: after training), and the largest difference of twelve forecasts."
    )
    command = "`python benchmarks/inside_forecasters.py`"
    text = ["# Our layers inside NeuralForecast and Darts", "", f"{command}. {what}", "", *HEAD, *rows, ""]
    RESULTS.write_text("\n".join(text), encoding="utf-8")
    print(*HEAD, *rows, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
