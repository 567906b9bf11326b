"""Explain two public models with trained weights: silero-vad on speech, and textgenrnn on English.

    KERAS_BACKEND=torch python -m benchmarks.explain.public --work FOLDER

The folder is that of ``benchmarks.real_models``, which downloads both packages. Writes what ``tidegate explain`` would
print of them into ``benchmarks/results/explain/``, and the pages into the folder.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import onnx
import torch
from benchmarks.real.audio import speech
from benchmarks.real.silero import BLOCK, CONTEXT, FRAME, RATE, Detector
from benchmarks.real.textgenrnn import WINDOW, Writer
from rich.console import Console

import tidegate as tg
from tidegate.cli.explained import print_explanation

RESULTS = Path(__file__).parent.parent / "results" / "explain" / "public.md"
STEPS, SECOND = 160, 31  # frames of 32 ms
TEXT = (
    "What is the best thing that has happened to you in the last year? I was asked this by my mother on the phone, "
    "and I had no answer for her. People of this city, what do you do when the power goes out for a whole day?"
)


class Case(NamedTuple):
    """A model, its input, and what is explained.

    Attributes:
        name: of the package.
        says: what is explained.
    """

    name: str
    says: str
    model: torch.nn.Module
    x: torch.Tensor
    loss: Callable[[Any], torch.Tensor]
    lag: int


class Hearing(torch.nn.Module):
    """silero-vad behind its convolutions: from their features [T, B, 128] to the logit of speech [T, B]."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.lstm = detector.lstm
        self.head = torch.nn.Linear(128, 1)
        self.head.weight = torch.nn.Parameter(detector.weights["output.weight"][:, :, 0])
        self.head.bias = torch.nn.Parameter(detector.weights["output.bias"])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(features)[0].relu())[..., 0]


class Writing(torch.nn.Module):
    """textgenrnn: from windows of characters [B, T] to the logarithms of the probabilities of the next one."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(writer.embedding)
        self.rnn_1, self.rnn_2 = writer.lstms
        self.attention, self.output = (torch.nn.Linear(len(w), w.shape[1]) for w in (writer.attention, writer.weight))
        for linear, weight in ((self.attention, writer.attention), (self.output, writer.weight)):
            linear.weight = torch.nn.Parameter(weight.T.contiguous())
        self.attention.bias = None
        self.output.bias = torch.nn.Parameter(writer.bias)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        embedded = self.embedding(ids)
        first, _ = self.rnn_1(embedded)
        second, _ = self.rnn_2(first)
        joined = torch.cat([embedded, first, second], -1)
        mean = (joined * self.attention(joined).softmax(1)).sum(1)
        return self.output(mean).log_softmax(-1)


def silero(folder: Path) -> Case:
    """Eight passages of 5 s of spoken digits, each behind a pause; the logit of speech at its end."""
    model = onnx.load(folder / "silero_vad" / "data" / "silero_vad_16k_sequence.onnx")
    detector, audio = Detector(model), speech(RATE, 60.0)
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), audio])
    starts = np.arange(0, len(audio) - FRAME, FRAME)
    frames = np.stack([padded[start : start + FRAME + CONTEXT] for start in starts])
    with torch.no_grad():
        features = torch.cat([detector.front(frames[at : at + BLOCK]) for at in range(0, len(frames), BLOCK)])[:, 0]
    ends = np.linspace(STEPS, len(features), 8).astype(int)
    x = torch.stack([features[end - STEPS : end] for end in ends], 1)
    says = f"the logit of speech at the end of 8 passages of {STEPS * FRAME / RATE:.1f} s; a step is 32 ms"
    return Case("silero-vad 6.2.3", says, Hearing(detector), x, lambda logits: logits[-1], SECOND)


def textgenrnn(folder: Path) -> Case:
    """Windows of an English text; the cost of the character behind each."""
    numbers = json.loads((folder / "textgenrnn" / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
    ids = torch.tensor([numbers[character] for character in TEXT])
    places = torch.linspace(0, len(ids) - WINDOW - 1, 8).long()
    x = torch.stack([ids[place : place + WINDOW] for place in places])
    following = ids[places + WINDOW]
    with h5py.File(folder / "textgenrnn" / "textgenrnn_weights.hdf5") as file:
        model = Writing(Writer(file))
    rows = torch.arange(len(x))
    says = f"the cost of the next character, in nats, behind 8 windows of {WINDOW}"
    return Case("textgenrnn 2.0.0", says, model, x, lambda said: -said[rows, following], 20)


def cases(work: Path) -> Iterator[Case]:
    """Both models."""
    yield silero(work / "silero-vad-6.2.3")
    yield textgenrnn(work / "textgenrnn-2.0.0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "tidegate-real-models")
    work = parser.parse_args().work
    parts = ["# Public models, explained", "", "`KERAS_BACKEND=torch python -m benchmarks.explain.public`", ""]
    for case in cases(work):
        found = tg.explain.run(case.model, case.x, lag=case.lag, loss=case.loss, checks="all")
        text = io.StringIO()
        print_explanation(Console(file=text, width=120), found.record)
        print(case.name, text.getvalue(), sep="\n", flush=True)
        found.to_html(work / f"{case.name.partition(' ')[0]}.html")
        parts += [
            f"## {case.name}",
            "",
            f"Explained is {case.says}.",
            "",
            "```text",
            text.getvalue().strip(),
            "```",
            "",
        ]
    RESULTS.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
