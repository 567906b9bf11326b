"""Sound files to samples."""

from __future__ import annotations

import io
import re
from math import gcd

import numpy as np
import scipy  # loads scipy.signal, which takes two seconds, when a sound is first resampled
import soundfile
from numpy.typing import NDArray

from tidegate.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".au")

UNKNOWN = 0xFFFFFFFF  # length in the header of a file that was written to a pipe

Samples = NDArray[np.float32]


def read_sound(raw: bytes, name: str) -> tuple[Samples, int, int]:
    """Samples [n] from -1 to 1 (the mean of all channels), their rate, and the number of channels.

    Args:
        raw: the content of a WAV file (8, 16, 24 or 32 bits, float, mu-law) or of another format in ``SUFFIXES``.
        name: of the file, for errors.

    Raises:
        InputError: the file is not readable sound, is truncated, or contains NaN or infinite samples.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            sound, rate, notes = file.read(dtype="float32", always_2d=True), file.samplerate, file.extra_info
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
        raise InputError(
            "AUDIO_FORMAT",
            f"{name} is not a readable sound file ({len(raw):,} bytes): {reason}",
            fix="pass WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav",
        ) from None
    cut = next((line for line in notes.splitlines() if line.startswith("data") and "(should be" in line), "")
    promised, present = (int(word) for word in re.findall(r"\d+", cut)) if cut else (0, 0)
    if present < promised != UNKNOWN:
        raise InputError(
            "AUDIO_CUT",
            f"{name} is cut off: its header promises {promised:,} bytes of sound, but it has {present:,}",
            fix="copy or record it again",
        )
    if not np.isfinite(sound).all():
        place = int(np.argmin(np.isfinite(sound).all(1)))
        raise InputError("AUDIO_NAN", f"{name} contains NaN or infinity at sample {place:,}", fix="record it again")
    return sound.mean(1), rate, sound.shape[1]


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """The same sound at another rate, by a polyphase filter."""
    common = gcd(rate, wanted)
    return np.asarray(scipy.signal.resample_poly(samples, wanted // common, rate // common), dtype=np.float32)
