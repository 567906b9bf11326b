"""Sound files to samples."""

from __future__ import annotations

import io
import re
from math import gcd
from typing import NamedTuple

import numpy as np
import scipy  # loads scipy.signal, which takes two seconds, when a sound is first resampled
import soundfile
from numpy.typing import NDArray

from tidegate.data.riff import Chunk, Order, chunks, only_chunks
from tidegate.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".au")
RATES = (1000, 768_000)  # samples per second; others would make a few bytes fill any memory
LONGEST = 1 << 28  # samples of all channels: a gigabyte, or 4.6 hours at 16,000 a second
CANCELLED = 1e-4  # of the channels' energy; less of it is left when one channel is the other upside down
OPPOSITE = "the channels are opposite, so their mean is silence; pass one channel alone"
RIFF: dict[bytes, Order] = {b"RIFF": "little", b"RIFX": "big", b"RF64": "little", b"BW64": "little"}
STATED = re.compile(r"(?m)^\s*(?:SSND|Data Size)\s*: (\d+) \(should be (\d+)\)")  # of AIFF and AU
UNKNOWN = 0xFFFFFFFF
NO_LENGTH = 1 << 62  # frames, as the decoder counts them where it knows no end

Samples = NDArray[np.float32]


class Sound(NamedTuple):
    """A recording as one channel.

    Attributes:
        samples: [n] from -1 to 1, the mean of all channels.
        rate: samples per second.
        channels: the number of channels in the file.
        cancelled: whether the channels are opposite, so that their mean is nearly silent although they are not.
    """

    samples: Samples
    rate: int
    channels: int
    cancelled: bool


def read_sound(raw: bytes, name: str) -> Sound:
    """Read a sound file. Where a program wrote it to a pipe, and so without its length, it is read to the end.

    Args:
        raw: the content of a WAV file (8, 16, 24 or 32 bits, float, mu-law) or of another format in ``SUFFIXES``.
        name: of the file, for errors.

    Raises:
        InputError: the file is not readable sound, is truncated, lasts for hours, states an impossible sampling rate,
            or contains NaN or infinite samples.
    """
    try:
        with soundfile.SoundFile(_Content(_with_size(raw, name))) as file:
            _check_header(file, name)
            sound, rate, notes = file.read(dtype="float32", always_2d=True), file.samplerate, file.extra_info
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
        raise InputError(
            "AUDIO_FORMAT",
            f"{name} is not a readable sound file ({len(raw):,} bytes): {reason}",
            fix="pass WAV or FLAC, e.g. ffmpeg -i INPUT OUTPUT.wav",
        ) from None
    _check_notes(notes, name)
    if not np.isfinite(sound).all():
        place = int(np.argmin(np.isfinite(sound).all(1)))
        raise InputError("AUDIO_NAN", f"{name} contains NaN or infinity at sample {place:,}", fix="record it again")
    mean = sound.mean(1)
    channels = sound.shape[1]
    return Sound(mean, rate, channels, bool(channels * np.vdot(mean, mean) < CANCELLED * np.vdot(sound, sound)))


class _Content(io.BytesIO):
    """Bytes in which every seek succeeds: Python prints what a callback of the decoder raises."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        target = offset + (0, self.tell(), self.getbuffer().nbytes)[whence]
        return super().seek(min(max(target, 0), NO_LENGTH))


def _with_size(raw: bytes, name: str) -> bytes:
    """The same content, with the size of the sound in its header if a program that writes to a pipe left it open."""
    if raw[:4] == b".snd" and raw[8:12] == bytes(4):
        return raw[:8] + UNKNOWN.to_bytes(4) + raw[12:]
    order = RIFF.get(raw[:4])
    if order is None or raw[8:12] != b"WAVE":
        return raw
    data, stated = _sound_of(raw, order)
    if data is None:
        return raw
    present = len(raw) - data.start
    if stated and not _left_open(stated):
        if stated > present:
            raise _cut(name, stated, present)
        present = stated
    elif stated == 0 and only_chunks(raw, order, start=data.start):
        present = 0
    if present > UNKNOWN - data.start:
        return raw
    # A plain header serves for RF64 as well, whose 64 bits no sound in memory needs.
    head = (b"RIFX" if order == "big" else b"RIFF") + (len(raw) - 8).to_bytes(4, order)
    before = raw[8 : data.start - 4].replace(b"ds64", b"JUNK", 1)
    return head + before + present.to_bytes(4, order) + raw[data.start :]


def _sound_of(raw: bytes, order: Order) -> tuple[Chunk | None, int]:
    """The chunk of the sound, and the size that the header states for it, which RF64 has in a chunk of its own."""
    long = 0
    for chunk in chunks(raw, order):
        if chunk.name == b"ds64":
            long = int.from_bytes(raw[chunk.start + 8 : chunk.start + 16], order)
        if chunk.name == b"data":
            return chunk, long if raw[:4] in (b"RF64", b"BW64") and chunk.size == UNKNOWN else chunk.size
    return None, 0


def _left_open(size: int) -> bool:
    """Whether a size is one that programs write when they cannot know it.

    These are the largest numbers that fit, less a header (ffmpeg: 2**32 - 1, arecord: 2**31, sox: 2**31 - 2**12, for
    AIFF 0x7F000000), or no size that a file can have.
    """
    slack = 1 << 16
    return size >= (1 << 40) or any(-slack <= size - open_ <= 64 for open_ in (1 << 32, 1 << 31, 0x7F000000))


def _check_header(file: soundfile.SoundFile, name: str) -> None:
    low, high = RATES
    if not low <= file.samplerate <= high:
        raise InputError(
            "AUDIO_RATE",
            f"{name} states {file.samplerate:,} samples per second, expected {low:,} to {high:,}",
            fix="correct its header, e.g. sox -r 16000 INPUT OUTPUT.wav",
        )
    if file.frames >= NO_LENGTH:
        raise InputError(
            "AUDIO_FORMAT",
            f"{name} does not state its length, as {file.format} that was written to a pipe",
            fix="write it to a file, not to a pipe",
        )
    if file.frames * file.channels > LONGEST:
        raise InputError(
            "AUDIO_LONG",
            f"{name} has {file.frames * file.channels:,} samples, expected at most {LONGEST:,}",
            fix="cut it into shorter recordings",
        )


def _check_notes(notes: str, name: str) -> None:
    """Refuse what the decoder found truncated."""
    for match in STATED.finditer(notes):
        stated, present = map(int, match.groups())
        if stated > present and not _left_open(stated):
            raise _cut(name, stated, present)
    if "Last page lacks an end-of-stream bit" in notes or "Junk after the last page" in notes:
        raise InputError("AUDIO_CUT", f"{name} is cut off: its last page is missing", fix="copy or record it again")


def _cut(name: str, stated: int, present: int) -> InputError:
    return InputError(
        "AUDIO_CUT",
        f"{name} is cut off: its header promises {stated:,} bytes of sound, but it has {present:,}",
        fix="copy or record it again",
    )


def resample(samples: Samples, rate: int, wanted: int) -> Samples:
    """The same sound at another rate, by a polyphase filter."""
    common = gcd(rate, wanted)
    return np.asarray(scipy.signal.resample_poly(samples, wanted // common, rate // common), dtype=np.float32)
