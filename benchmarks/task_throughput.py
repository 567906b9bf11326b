"""Training steps of each task with our layers and with torch.nn's, in turns: ``python benchmarks/task_throughput.py``.

The same model from the same weights, the same batches, loss, clipping and Adam; only the recurrent layers differ, and
torch's get ragged batches as a PackedSequence. Before anything is timed, both must give the same loss and
the same gradients. A round of one is followed by a round of the other; the ratio is that of each pair of rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tidegate import tasks
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.music.setting import MusicSetting
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.train.carry import detached
from tidegate.train.layer import make_layer
from tidegate.train.setting import task_of
from tidegate.zoo import graph_of

BATCHES = 20
TOLERANCE = 2e-3  # of the largest gradient: float32 sums in another order over some hundred steps

NOTE = """\
`python benchmarks/task_throughput.py`, {threads} threads, torch {torch}; the ratio is torch's time over ours, median
[range] over pairs of rounds. Items are what the loss counts: symbols, values, frames or sequences."""

WORK = {
    "language": ("shakespeare", LanguageSetting()),
    "translation": ("tatoeba", TranslationSetting()),
    "pronunciation": ("cmudict", TranslationSetting()),
    "texts": ("names", ClassificationSetting()),
    "forecast": ("elnino", ForecastSetting(horizon=12, quantiles=(0.1, 0.9))),
    "speech": ("fsdd", SpeechSetting()),
    "music": ("jsb", MusicSetting(recurrent_dropout=0.0, nade_size=0)),  # torch.nn has none
}


class Raw:
    """A layer of torch.nn that takes ``lengths``, and knows its widths as ours do."""

    def forward(self, input, hx=None, *, lengths=None):
        if lengths is None:
            return super().forward(input, hx)
        packed = pack_padded_sequence(input, lengths.cpu().clamp(min=1), enforce_sorted=False)
        output, state = super().forward(packed, hx)
        return pad_packed_sequence(output, total_length=len(input))[0], state

    @property
    def output_size(self) -> int:
        return self.hidden_size * (1 + self.bidirectional)


class RawLSTM(Raw, torch.nn.LSTM):
    pass


class RawGRU(Raw, torch.nn.GRU):
    pass


def torch_layer(one):
    kind = {"lstm": RawLSTM, "gru": RawGRU}[one.cell]

    def make(features, /, **options):
        asked = {"num_layers": one.layers, "dropout": one.dropout if one.layers > 1 else 0.0} | options
        return kind(features, one.hidden_size, **asked)

    return make


class Contestant:
    def __init__(self, task, model) -> None:
        self.task, self.model = task, model.train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def round(self, batches) -> float:
        state, start = None, time.perf_counter()
        for batch in batches:
            outputs, state = self.model(batch, None if batch.starts else detached(state))
            measure = self.task.measure(outputs, batch)
            self.optimizer.zero_grad(set_to_none=True)
            (measure.loss / measure.count).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        return time.perf_counter() - start

    def gradients(self, batch):
        self.model.eval()
        self.model.zero_grad(set_to_none=True)
        outputs, _ = self.model(batch, None)
        measure = self.task.measure(outputs, batch)
        (measure.loss / measure.count).backward()
        self.model.train()
        return float(measure.loss.detach()), {name: p.grad for name, p in self.model.named_parameters()}, measure.count


def check(ours, theirs, batch) -> None:
    """The gate: the same loss and the same gradients, or no figure."""
    (loss, mine, _), (other, others, _) = ours.gradients(batch), theirs.gradients(batch)
    assert abs(loss - other) <= 1e-4 * abs(other), (loss, other)
    largest = max(float(gradient.abs().max()) for gradient in others.values())
    for name, gradient in mine.items():
        worst = float((gradient - others[name]).abs().max())
        assert worst <= TOLERANCE * largest, (name, worst, largest)


def measure(name: str, rounds: int) -> dict:
    data, one = WORK[name]
    task = tasks.load(data, task_of(one), one)
    torch.manual_seed(0)
    ours = Contestant(task, task.model(make_layer(graph_of(one.cell), one)))
    theirs = Contestant(task, task.model(torch_layer(one)))
    theirs.model.load_state_dict(ours.model.state_dict())
    batches = list(itertools.islice(task.batches("train", torch.Generator().manual_seed(0)), BATCHES))
    check(ours, theirs, batches[0])
    items = sum(ours.gradients(batch)[2] for batch in batches)
    times = {"tidegate": [], "torch.nn": []}
    for k in range(rounds + 1):
        pair = {"tidegate": ours.round(batches), "torch.nn": theirs.round(batches)}
        if k:  # the first warms up
            for who, seconds in pair.items():
                times[who].append(seconds)
    ratios = [b / a for a, b in zip(times["tidegate"], times["torch.nn"], strict=True)]
    return {
        "task": name,
        "data": task.data.name,
        "model": f"{one.cell} {one.layers}x{one.hidden_size}, batch {one.batch_size}",
        "items": items,
        "seconds": times,
        "ratio": [statistics.median(ratios), min(ratios), max(ratios)],
        "threads": torch.get_num_threads(),
    }


def table(rows: list[dict]) -> str:
    lines = [
        "# Training throughput of each task, against the same model with the layers of torch.nn",
        "",
        NOTE.format(threads=rows[0]["threads"], torch=torch.__version__),
        "",
        "| task | data | model | items/s, ours | items/s, torch.nn | ratio |",
        "|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        ours, theirs = (row["items"] / statistics.median(row["seconds"][who]) for who in ("tidegate", "torch.nn"))
        middle, low, high = row["ratio"]
        lines.append(
            f"| {row['task']} | {row['data']} | {row['model']} | {ours:,.0f} | {theirs:,.0f} "
            f"| {middle:.2f} [{low:.2f}, {high:.2f}] |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for name in WORK:
        if options.only in name:
            rows.append(measure(name, options.rounds))
            print(json.dumps({key: value for key, value in rows[-1].items() if key != "seconds"}), flush=True)
    (options.out / "task_throughput.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.out / "task_throughput.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
