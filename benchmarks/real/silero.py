"""silero-vad: is somebody speaking? An LSTM over frames of 32 ms, behind convolutions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from benchmarks.real.audio import speech
from benchmarks.real.graph import part, session
from benchmarks.real.subject import Package, Subject
from torch.nn.functional import conv1d, pad

import tidegate as tg

PACKAGE = Package("silero-vad", "6.2.3")
RATE, FRAME, CONTEXT, BLOCK = 16000, 512, 64, 512  # samples, and frames that it takes at once
LSTM_INPUT, LSTM_OUTPUT = "/Transpose_output_0", "/recurrent/LSTM_output_0"


def load(path: Path) -> Any:
    return tg.convert.read(path)[0].layer()


def subjects(folder: Path) -> Iterator[Subject]:
    data, threads = folder / "silero_vad" / "data", torch.get_num_threads()
    sys.path.append(str(folder))
    from silero_vad.sequence_vad import SileroVADSequence, frame_blocks  # there once the path is known
    from silero_vad.utils_vad import OnnxWrapper

    torch.set_num_threads(threads)  # which it has set to one
    path = data / "silero_vad_16k_sequence.onnx"
    model = onnx.load(path)
    own, audio = Detector(model, load(path)), speech(RATE, 20.0)
    whole = SileroVADSequence(str(path))
    about: dict[str, Any] = {"cells": "LSTM 128", "source": "onnx", "glue": (load,)}
    yield Subject(
        name="silero-vad, whole file", judge="its SileroVADSequence on onnxruntime", work="20 s of speech",
        theirs=lambda: whole.audio_forward(audio),
        ours=lambda: own.whole(frame_blocks(audio, FRAME, CONTEXT, BLOCK)), **about,
    )  # fmt: skip
    frame_by_frame, samples = OnnxWrapper(str(data / "silero_vad.onnx")), torch.from_numpy(audio)
    yield Subject(
        name="silero-vad, streaming", judge="its OnnxWrapper on onnxruntime", work="20 s of speech, frame by frame",
        theirs=lambda: frame_by_frame.audio_forward(samples, RATE)[0],
        ours=lambda: own.stream(frame_blocks(audio, FRAME, CONTEXT, 1)), **about,
        note="most of ours is torch's convolutions",
    )  # fmt: skip
    alone = session(part(model, [LSTM_INPUT, "h", "c"], [LSTM_OUTPUT, "hn", "cn"]))
    features = torch.cat([own.front(frames) for frames in frame_blocks(audio, FRAME, CONTEXT, BLOCK)])

    def step_by_step() -> Any:
        h, c, found = np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32), []
        for x in features.numpy():
            y, h, c = alone.run(None, {LSTM_INPUT: x[None], "h": h, "c": c})
            found.append(y[0, 0])
        return np.stack(found)

    yield Subject(
        name="silero-vad, its LSTM alone", judge="that node on onnxruntime", work=f"{len(features)} single steps",
        theirs=step_by_step, ours=lambda: own.steps(features), **about,
    )  # fmt: skip


class Detector:
    """Its network in torch, with our LSTM, or our session of it, for the recurrence."""

    def __init__(self, model: onnx.ModelProto, lstm: tg.nn.LSTM) -> None:
        held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.weights = {name: torch.from_numpy(value.copy()) for name, value in held.items()}
        self.lstm, self.session = lstm, tg.Session(lstm)

    def whole(self, blocks: Any) -> Any:
        state, found = None, []
        for block in blocks:
            y, state = self.lstm(self.front(block), state)
            found.append(self.back(y))
        return torch.cat(found)

    def stream(self, frames: Any) -> Any:
        self.session.reset()
        return torch.cat([self.back(self.session.run(self.front(frame))) for frame in frames])

    def steps(self, features: torch.Tensor) -> Any:
        self.session.reset()
        return torch.stack([self.session.step(x) for x in features])

    def front(self, frames: Any) -> torch.Tensor:
        x = pad(torch.from_numpy(frames)[:, None], (0, 64), "reflect")
        real, imaginary = conv1d(x, self.weights["stft.forward_basis_buffer"], stride=128).chunk(2, 1)
        x = (real.square() + imaginary.square()).sqrt()
        for k, stride in enumerate((1, 2, 2, 1)):
            weight, bias = (self.weights[f"encoder.{k}.{name}"] for name in ("weight", "bias"))
            x = conv1d(x, weight, bias, stride, padding=1).relu()
        return x.transpose(1, 2)

    def back(self, y: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(y[:, 0].relu() @ self.weights["output.weight"][0, :, 0] + self.weights["output.bias"])
