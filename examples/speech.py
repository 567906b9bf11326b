"""Spoken digits to text: train on spectra, transcribe WAV files, one after the other and as one sound.

python examples/speech.py
"""

from importlib import resources
from pathlib import Path

import numpy as np

from tidegate.data import read_sound
from tidegate.estimator import Transcriber

RECORDINGS = Path(str(resources.files("tidegate.data"))) / "bundled" / "fsdd" / "recordings"


def main() -> None:
    """Train for some seconds, then listen to recordings that the training has not heard."""
    model = Transcriber(join=4, hidden_size=64, epochs=5, schedule="cosine").fit("fsdd")
    for score in model.evaluate():
        print(f"{score.name} {score.value:.1%}, nearest template {score.baselines['nearest template']:.1%}")
    for found in model.transcribe("fsdd", beam=4):
        print(f"{found.name:17} {found.text}")
    files = sorted(RECORDINGS.glob("*_theo_*.wav"))
    sounds = [read_sound(file.read_bytes(), file.name)[0] for file in files]
    (found,) = model.transcribe(np.concatenate(sounds), rate=8000)
    print(" + ".join(file.name for file in files), "as one sound:", found.text)
    for part in found.spoken:
        print(f"  {part.start:.2f} s to {part.end:.2f} s  {part.symbol}")


if __name__ == "__main__":
    main()
