"""Speech to feed to networks for sound: the spoken digits that the project bundles, one after the other."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tidegate

RECORDINGS = Path(tidegate.__file__).parent / "data" / "bundled" / "fsdd" / "recordings"


def speech(rate: int, seconds: float) -> NDArray[Any]:
    """So many samples a second, between -1 and 1; a third of a second of faint noise after each word."""
    noise = np.random.default_rng(0)
    pieces: list[NDArray[Any]] = []
    for path in sorted(RECORDINGS.glob("*.wav")):
        with wave.open(str(path)) as file:
            own, samples = file.getframerate(), np.frombuffer(file.readframes(-1), np.int16) / 32768
        at = np.arange(int(len(samples) * rate / own)) * own / rate
        pieces += [np.interp(at, np.arange(len(samples)), samples), 1e-3 * noise.standard_normal(rate // 3)]
    once = np.concatenate(pieces)
    length = int(rate * seconds)
    return np.tile(once, -(-length // len(once)))[:length].astype(np.float32)
