"""How few columns may a delta session send, how long does a step then take, and what does it cost?

    python -m benchmarks.lean.delta
    python -m benchmarks.lean.delta --output benchmarks/results/lean

- **digits**: 3,000 recordings of spoken digits, in six turns: trained on four speakers, validated on a fifth, tested on
  the sixth. The threshold for a speaker is the largest with which no fewer recordings of the five others were right,
  when they were validated, than without. Nothing is trained for it: the same weights run with and without.
- **stream**: the sea surface temperature of El Nino, month after month, each predicting the next: trained on what
  came before 1994, measured on the rest.

Shares are of multiplications by matrices. Times are those of a thread, the best of all rounds in turns, in blocks of a
whole stream; the thresholds of inputs, which have a variance of 1, are twice those of states, which lie in -1 to 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from benchmarks.engine import processor
from torch.nn.functional import cross_entropy, mse_loss

import tidegate as tg

BUNDLED = Path(tg.__file__).parent / "data" / "bundled"
THRESHOLDS = (0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.4)  # of states
SLOW = (0.0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04)  # where they move little
UNITS, EPOCHS, BATCH = 256, 15, 64
MONTHS_TRAINED = 44 * 12
ROUNDS = 15


class Row(NamedTuple):
    """One threshold on one set."""

    threshold: float
    score: float
    share: float
    inputs: float
    states: float
    microseconds: float


def session_of(layer: tg.nn.Recurrent, threshold: float) -> tg.Session:
    return tg.Session(layer, delta=(2 * threshold, threshold))


def microseconds(layer: tg.nn.Recurrent, x: torch.Tensor, thresholds: Sequence[float]) -> list[float]:
    """Of a step, for each threshold."""
    sessions = [session_of(layer, threshold) for threshold in thresholds]
    best = [float("inf")] * len(sessions)
    for _ in range(ROUNDS):
        for k, session in enumerate(sessions):
            session.run(x)
            start = time.thread_time()
            session.run(x)
            best[k] = min(best[k], (time.thread_time() - start) / len(x) * 1e6)
    return best


# Spoken digits


class Speaker(NamedTuple):
    """Recordings of one speaker: normed frames of each, and what is said."""

    frames: list[torch.Tensor]
    digits: torch.Tensor


def speakers() -> list[Speaker]:
    data = np.load(BUNDLED / "fsdd" / "logmel16.npz")
    frames = torch.from_numpy(data["frames"].astype(np.float32))
    frames = (frames - frames.mean(0)) / frames.std(0)
    parts = frames.split(data["lengths"].tolist())
    digits = np.array([int(name[0]) for name in data["names"]])
    return [
        Speaker(
            [parts[k] for k in np.flatnonzero(data["speakers"] == who)],
            torch.from_numpy(digits[data["speakers"] == who]),
        )
        for who in sorted({*data["speakers"].tolist()})
    ]


class Digits(torch.nn.Module):
    """A GRU whose mean over all frames is read."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = tg.nn.GRU(16, UNITS)
        self.readout = torch.nn.Linear(UNITS, 10)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        y, _ = self.gru(x, lengths=lengths)
        there = torch.arange(len(x))[:, None] < lengths
        return self.readout((y * there[:, :, None]).sum(0) / lengths[:, None])


def train_digits(known: Sequence[Speaker], seed: int) -> Digits:
    torch.manual_seed(seed)
    model = Digits()
    frames, digits = [f for one in known for f in one.frames], torch.cat([one.digits for one in known])
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    steps = EPOCHS * (len(frames) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for step in range(steps):
        if step % (len(frames) // BATCH) == 0:
            order = torch.randperm(len(frames))
        chosen = order[(step % (len(frames) // BATCH)) * BATCH :][:BATCH]
        own = [frames[k] for k in chosen]
        x = torch.nn.utils.rnn.pad_sequence(own)
        x = x + 0.3 * torch.randn_like(x) + 0.5 * torch.randn(1, len(own), 16)  # other voices and rooms
        optimizer.zero_grad()
        cross_entropy(model(x, torch.tensor([*map(len, own)])), digits[chosen]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def right(model: Digits, speaker: Speaker, threshold: float) -> tuple[int, tg.Session]:
    """How many recordings are understood, and the session that heard them."""
    session, count = session_of(model.gru, threshold), 0
    for frames, digit in zip(speaker.frames, speaker.digits, strict=True):
        session.reset()
        y = session.run(frames[:, None])
        count += int(model.readout(y.mean(0)).argmax() == digit)
    return count, session


def digits() -> tuple[list[Row], list[str]]:
    """The curve over all recordings, and a line for each turn."""
    every = speakers()
    total, turns = sum(len(one.frames) for one in every), len(every)
    right_of = np.zeros((2, turns, len(THRESHOLDS)))  # of each speaker, when validated and when tested
    sent = np.zeros((turns, len(THRESHOLDS), 3))
    for tested in range(turns):
        held = (tested + 1) % turns
        model = train_digits([one for k, one in enumerate(every) if k not in (tested, held)], tested)
        for k, threshold in enumerate(THRESHOLDS):
            right_of[0, held, k], _ = right(model, every[held], threshold)
            right_of[1, tested, k], session = right(model, every[tested], threshold)
            sent[tested, k] = session.sent.overall, session.sent.inputs, session.sent.states
    lines, kept = [], []
    for tested, one in enumerate(every):
        others = np.delete(right_of[0], tested, axis=0).sum(0)
        best = int(np.flatnonzero(others >= others[0])[-1])
        kept.append((right_of[1, tested, best], sent[tested, best, 0]))
        shares = [right_of[1, tested, k] / len(one.frames) for k in (0, best)]
        lines.append(_turn(str(tested + 1), len(one.frames), str(THRESHOLDS[best]), shares, kept[-1][1]))
    found, share = np.array(kept).sum(0) / (total, turns)
    lines.append(_turn("all", total, "chosen", [right_of[1, :, 0].sum() / total, found], share))
    times = microseconds(model.gru, torch.cat(every[-1].frames[:200])[:, None], THRESHOLDS)
    scores = right_of[1].sum(0) / total
    rows = [Row(*row) for row in zip(THRESHOLDS, scores, *sent.mean(0).T, times, strict=True)]
    return rows, lines


def _turn(name: str, recordings: int, threshold: str, shares: Sequence[float], sent: float) -> str:
    plain, delta = shares
    return f"| {name} | {recordings} | {threshold} | {plain:.2%} | {delta:.2%} | {sent:.3f} | {1 / sent:.2f} |"


# A stream


def train_months(series: torch.Tensor) -> tuple[tg.nn.Recurrent, torch.nn.Linear]:
    torch.manual_seed(0)
    layer, readout = tg.nn.LSTM(1, UNITS), torch.nn.Linear(UNITS, 1)
    parameters = [*layer.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, 2e-3)
    windows = series[:MONTHS_TRAINED].unfold(0, 97, 6).T  # eight years each
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / 150)
        x = windows[:-1, :, None] + 0.1 * torch.randn(96, windows.shape[1], 1)
        y, _ = layer(x)
        optimizer.zero_grad()
        mse_loss((x + readout(y))[12:, :, 0], windows[13:]).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return layer, readout


def stream() -> list[Row]:
    """The error of the next month, as a share of that of the same month again."""
    path = BUNDLED / "elnino" / "elnino.csv"
    series = torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1, usecols=1, dtype=np.float32))
    series = (series - series[:MONTHS_TRAINED].mean()) / series[:MONTHS_TRAINED].std()
    layer, readout = train_months(series)
    naive = mse_loss(series[MONTHS_TRAINED:-1], series[MONTHS_TRAINED + 1 :]).sqrt()
    rows = []
    times = microseconds(layer, series[:, None, None], SLOW)
    for threshold, duration in zip(SLOW, times, strict=True):
        session = session_of(layer, threshold)
        with torch.inference_mode():
            guess = series[:, None] + readout(session.run(series[:, None, None])[:, 0])
            error = mse_loss(guess[MONTHS_TRAINED:-1, 0], series[MONTHS_TRAINED + 1 :]).sqrt()
        sent = session.sent
        rows.append(Row(threshold, float(error / naive), sent.overall, sent.inputs, sent.states or 0.0, duration))
    return rows


# What is shown


def table(rows: Sequence[Row], score: str, *, percent: bool) -> list[str]:
    head = f"| threshold of states | {score} | sent | of inputs | of states | columns fewer | a step, us | quicker |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        shown = f"{row.score:.2%}" if percent else f"{row.score:.3f}"
        lines.append(
            f"| {row.threshold} | {shown} | {row.share:.3f} | {row.inputs:.3f} | {row.states:.3f} "
            f"| {1 / row.share:.2f} | {row.microseconds:.2f} | {rows[0].microseconds / row.microseconds:.2f} |"
        )
    return lines


def draw(curves: dict[str, tuple[str, Sequence[Row]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "delta", "font.size": 9}
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(curves), figsize=(4.2 * len(curves), 5), sharex="col", layout="constrained")
    for column, (name, (score, rows)) in enumerate(curves.items()):
        shares = [row.share for row in rows]
        axes[0][column].plot(shares, [row.score for row in rows], "o-", color="#1f5fa8", markersize=3)
        axes[1][column].plot(shares, [row.microseconds for row in rows], "o-", color="#b3541e", markersize=3)
        axes[0][column].set(title=name, ylabel=score)
        axes[1][column].set(ylabel="microseconds a step", xlabel="share of columns sent", ylim=0, xlim=(0, 1.03))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Train, measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="a folder for the page and the curves, named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spoken, turns = digits()
    months = stream()
    text = ["# Delta sessions", "", f"`python -m benchmarks.lean.delta` on {processor()}, one thread.", ""]
    text += [f"## Spoken digits, a GRU of {UNITS} units", ""]
    text += [
        "| turn | recordings | threshold of states | plain | delta | sent | columns fewer |",
        "|---|---|---|---|---|---|---|",
    ]
    text += [*turns, "", *table(spoken, "right", percent=True), ""]
    text += [f"## El Nino, an LSTM of {UNITS} units", "", "The error is a share of that of the month before.", ""]
    text += [*table(months, "error", percent=False), ""]
    print(*text, sep="\n")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"delta-{processor().slug}.md"
        path.write_text("\n".join(text), encoding="utf-8")
        curves = {"Spoken digits": ("right", spoken), "El Nino": ("error", months)}
        draw(curves, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
