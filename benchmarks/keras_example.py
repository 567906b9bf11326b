"""How long do Keras's published examples take with our layers, and with Keras's own?

    python benchmarks/keras_example.py             # writes benchmarks/results/keras_example.md
    python benchmarks/keras_example.py --quick     # a few epochs, printed only

Three models, on torch and the CPU: a forecast of a sine by two LSTMs, as it stands in a tutorial; the same with GRUs;
and a tagger of sentences of different lengths, `Embedding(mask_zero=True)` before the layer. Both sides begin with the
same weights and see the same batches in the same order. Runs alternate, each in a process of its own, and the median
and the range of the seconds of `fit` after its first epoch are printed, behind a check that the losses agree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "keras_example.md"
SIDES = ("tidegate", "keras")
APART = 0.05  # of the final loss: sums in another order, over thousands of updates


def layers_of(side: str) -> Any:
    if side == "tidegate":
        import tidegate.keras as layers
    else:
        from keras import layers
    return layers


def sine(layer: Any, seed: int) -> tuple[Any, Any, Any]:
    """The tutorial's model, and 1,000 windows of a sine."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    wave = np.sin(0.1 * np.arange(1010)).astype("float32")
    x = np.stack([wave[k : k + 10] for k in range(1000)])[..., None]
    model = keras.Sequential(
        [layer(50, input_shape=(10, 1), activation="tanh", return_sequences=True), layer(50), keras.layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    return model, x, wave[10:]


def tagger(layer: Any, seed: int) -> tuple[Any, Any, Any]:
    """A tag for each word: of sentences of 5 to 60 words, whether the sum of this word and the last is even."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    draw = np.random.default_rng(seed)
    x = draw.integers(1, 50, (640, 60)) * (np.arange(60) < draw.integers(5, 61, (640, 1)))
    y = (x + np.roll(x, 1, 1)) % 2
    model = keras.Sequential(
        [keras.Input((60,)), keras.layers.Embedding(50, 32, mask_zero=True), layer(64, return_sequences=True)]
    )
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model, x, y[..., None]


MODELS = {
    "two LSTM(50), sine, 1,000 windows of 10": (sine, "LSTM", 100),
    "two GRU(50), sine, 1,000 windows of 10": (sine, "GRU", 100),
    "tagger, LSTM(64), 640 sentences of 5 to 60": (tagger, "LSTM", 8),
    "tagger, GRU(64), 640 sentences of 5 to 60": (tagger, "GRU", 8),
}


def child(name: str, side: str, epochs: int, seed: int) -> dict[str, Any]:
    """Fit one model in this process."""
    import keras

    make, layer, _ = MODELS[name]
    model, x, y = make(getattr(layers_of(side), layer), seed)
    start = model.get_weights()
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  as Keras calls it
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            seconds.append(time.perf_counter() - self.began)

    losses = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0, callbacks=[Clock()]).history["loss"]
    paths = sorted({layer.last_path for layer in model.layers if hasattr(layer, "last_path")})
    digest = float(sum(abs(w).sum() for w in start))
    return {"seconds": sum(seconds[1:]), "loss": losses[-1], "paths": paths, "start": digest}


def run(name: str, side: str, epochs: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, "--child", name, side, str(epochs), str(seed)]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": "torch"}, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(name: str, epochs: int, rounds: int) -> str:
    """A row of the table; the sides take turns, the one that begins too."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
            found[side].append(run(name, side, epochs, seed=turn))
    ours, theirs = (found[side] for side in SIDES)
    for mine, other in zip(ours, theirs, strict=True):
        if mine["start"] != other["start"]:
            raise SystemExit(f"{name}: the sides begin with different weights")
        if not abs(mine["loss"] - other["loss"]) <= APART * max(abs(other["loss"]), 1e-3):
            raise SystemExit(f"{name}: the losses end apart, {mine['loss']} and {other['loss']}")
        if mine["paths"] != ["fused"]:
            raise SystemExit(f"{name}: our layers ran {mine['paths']}")
    times = [[one["seconds"] for one in side] for side in (ours, theirs)]
    cells = [f"{statistics.median(t):.2f} ({min(t):.2f} to {max(t):.2f})" for t in times]
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    losses = [f"{side[0]['loss']:.3g}" for side in (ours, theirs)]
    return f"| {name} | {epochs} | {cells[0]} | {cells[1]} | {ratio:.1f} | {losses[0]} | {losses[1]} |"


def table(*, quick: bool) -> Iterator[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in ("keras", "torch"))
    threads = len(os.sched_getaffinity(0))
    yield f"{versions}, Python {platform.python_version()}, {threads} processors, batches of 32."
    yield "`python benchmarks/keras_example.py` makes this table. Seconds of `fit` without its first epoch: median and"
    yield "range. The loss is that of the first run."
    yield ""
    yield "| model | epochs | seconds with tidegate.keras | with keras.layers | times as fast | our loss | its loss |"
    yield "|---|---|---|---|---|---|---|"
    for name, (_, _, epochs) in MODELS.items():
        yield compared(name, max(2, epochs // 20) if quick else epochs, 1 if quick else 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few epochs, once")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, side, epochs, seed = arguments.child
        print(json.dumps(child(name, side, int(epochs), int(seed))))
        return
    lines = []
    for line in table(quick=arguments.quick):
        print(line, flush=True)
        lines.append(line)
    if not arguments.quick:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
