"""The sounds behind the spectra that a speech task reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.ship.flow.node import Array
from tidegate.tasks.speech.encoding import SpeechEncoding
from tidegate.train.batch import Batch
from tidegate.train.task import AnyTask


class Sounds:
    """Finds the windows of sound of the sequences of a batch.

    Args:
        encoding: of the model.
        task: of the recordings.

    Raises:
        InputError: the data hold spectra instead of sounds.
    """

    def __init__(self, encoding: SpeechEncoding, task: AnyTask) -> None:
        corpus: Any = task.source.read_by(type(task).reader(task.setting, encoding.filterbank.rate))
        if corpus.spectra is not None:
            raise InputError(
                "SHIP_SOUNDS",
                f"{task.source.title} holds spectra, but the artefact reads sounds",
                fix="pass a folder of recordings, or ship with part='layers'",
            )
        self.encoding = encoding
        self._known = {}
        for recording in counted("preparing the sounds", corpus.recordings):
            frames = encoding.filterbank(recording.sound)
            if len(frames):
                self._known[encoding.steps(frames).numpy().tobytes()] = np.asarray(recording.sound)

    def of(self, batch: Batch) -> Array:
        """[T, B, stack x window] for the spectra of a batch."""
        bank, stack = self.encoding.filterbank, self.encoding.stack
        steps, size = batch.inputs.shape[:2]
        lengths = [steps] * size if batch.lengths is None else batch.lengths.tolist()
        made = np.zeros((steps, size, stack * bank.window), np.float32)
        for row, length in enumerate(lengths):
            sound = self._sound(batch.inputs[:length, row])
            windows = np.lib.stride_tricks.sliding_window_view(sound, bank.window)[:: bank.hop]
            windows = np.concatenate([windows, np.repeat(windows[-1:], -len(windows) % stack, 0)])
            made[:length, row] = windows.reshape(length, -1)
        return made

    def _sound(self, spectra: torch.Tensor) -> Array:
        sound = self._known.get(spectra.numpy().tobytes())
        if sound is None:
            raise InputError(
                "SHIP_SOUNDS",
                "the task joins recordings, whose sounds do not stand side by side in any file",
                fix="ship with part='layers', or pass other recordings",
            )
        return (
            sound / max(float(np.abs(sound).max()), np.finfo(np.float32).tiny)
            if self.encoding.filterbank.peak
            else sound
        )
