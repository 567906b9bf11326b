"""Log-mel spectra of sounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch

from tidegate.errors import InputError
from tidegate.tasks.speech.setting import SpeechSetting

FLOOR = 1e-4  # added to the power of each band, for a recording whose loudest sample is 1


@dataclass(frozen=True)
class Filterbank:
    """The front end: windows, power spectra, triangular filters, logarithm.

    Equations:
        X[t,k] = Σ_n hamming[n] x[t hop + n] exp(-2πi k n / size), n < window, size = the second power of two >= window
        y[t,b] = log(floor + Σ_k F[k,b] |X[t,k]|²)
        mel(f) = 2595 log10(1 + f / 700); edges e[0..bands+1] lie evenly in mel from low to high, in bins
        e = floor((size + 1) f / rate); F[k,b] rises from 0 at e[b] to 1 at e[b+1] and falls to 0 at e[b+2]

    Frame t reads samples t hop to t hop + window - 1 and no others, so the frames of a sound stay the same when more
    sound arrives (except for their scale, with ``peak``). There are 1 + (samples - window) // hop of them.

    Attributes:
        rate: samples per second.
        bands: the number of filters.
        window, hop: length of a window and distance between windows, in samples.
        low, high: range of frequencies in Hz.
        peak: whether a sound is first divided by its largest absolute sample.

    Raises:
        InputError: two edges of a band fall on the same bin, or ``high`` is above half of the rate.

    References:
        Davis and Mermelstein 1980, doi 10.1109/TASSP.1980.1163420 (filters evenly in mel).
    """

    rate: int
    bands: int
    window: int
    hop: int
    low: float
    high: float
    peak: bool

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise InputError(
                "BANDS_RANGE",
                f"the bands must lie between 0 and {self.rate / 2:g} Hz, came {self.low:g} to {self.high:g}",
                fix="correct low_hz= and high_hz=",
            )
        if self.hop < 1 or self.window < 2:
            raise InputError("WINDOW", f"a window of {self.window} samples is too short", fix="raise window_ms=")
        if (np.diff(self.edges) < 1).any():
            raise InputError(
                "BANDS_NARROW",
                f"{self.bands} bands are too narrow for a window of {self.window} samples: two edges fall on one bin",
                fix="use fewer bands=, or a longer window_ms=",
            )

    @classmethod
    def of(cls, setting: SpeechSetting, rate: int) -> Self:
        """The front end of these settings, for sounds of a given rate."""
        window, hop = (round(rate * ms / 1000) for ms in (setting.window_ms, setting.hop_ms))
        high = setting.high_hz if setting.high_hz is not None else 0.475 * rate
        return cls(rate, setting.bands, window, hop, setting.low_hz, high, setting.level == "peak")

    @property
    def size(self) -> int:
        """Points of the Fourier transform: the second power of two that is not below the window."""
        return 1 << self.window.bit_length() if self.window & (self.window - 1) else 2 * self.window

    @cached_property
    def edges(self) -> Any:
        """[bands + 2] bins at which filters begin, peak and end."""
        low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (self.low, self.high))
        hertz = 700 * (10 ** (np.linspace(low, high, self.bands + 2) / 2595) - 1)
        return np.floor((self.size + 1) * hertz / self.rate)

    @cached_property
    def filters(self) -> torch.Tensor:
        """[bins, bands] weights of the power spectrum."""
        bins, edges = np.arange(self.size // 2 + 1)[:, None], self.edges
        rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        return torch.from_numpy(np.minimum(rise, fall).clip(min=0)).float()

    @cached_property
    def taper(self) -> torch.Tensor:
        """[size] the window, then zeros."""
        return torch.nn.functional.pad(torch.from_numpy(np.hamming(self.window)).float(), (0, self.size - self.window))

    def count(self, samples: int) -> int:
        """The number of frames of a sound with this many samples."""
        return 1 + (samples - self.window) // self.hop if samples >= self.window else 0

    def __call__(self, samples: Any) -> torch.Tensor:
        """Log-mel spectra [T, bands] of samples [n]; no frames if the sound is shorter than a window."""
        sound = torch.as_tensor(samples, dtype=torch.float32)
        if not self.count(len(sound)):
            return torch.zeros(0, self.bands)
        if self.peak:
            sound = sound / sound.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        padded = torch.nn.functional.pad(sound, (0, self.size - self.window))
        spectra = torch.stft(padded, self.size, self.hop, window=self.taper, center=False, return_complex=True)
        return (spectra.abs().square().T @ self.filters + FLOOR).log()


def stacked(frames: torch.Tensor, steps: int) -> torch.Tensor:
    """Concatenate every ``steps`` frames [T, bands] into one [ceil(T / steps), steps bands]; the last repeats."""
    if steps == 1 or not len(frames):
        return frames
    missing = -len(frames) % steps
    return torch.cat([frames, frames[-1:].expand(missing, -1)]).reshape(-1, steps * frames.shape[1])
