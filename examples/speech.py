"""Spoken digits to text: train on spectra, save, then transcribe WAV files that the training has not heard.

python examples/speech.py
"""

import math
import tempfile

from tidegate.tasks import Transcriber


def main() -> None:
    """Train for some seconds, listen to the twelve bundled recordings, and doubt the least certain of them."""
    with tempfile.TemporaryDirectory() as folder:
        Transcriber(cell="gru", hidden_size=64, epochs=10).fit("fsdd", folder=folder)
        model = Transcriber.from_pretrained(folder)
    for score in model.evaluate():
        print(f"{score.name} {score.value:.1%}, nearest template {score.baselines['nearest template']:.1%}")
    found = list(model.transcribe("fsdd", beam=8, best=3))
    for one in found:
        print(f"{one.name:17} {one.text:6} {math.exp(one.log_probability):.1%}")
    doubted = min(found, key=lambda one: one.log_probability)
    others = ", ".join(f"{text or 'nothing'} {math.exp(chance):.1%}" for text, chance in doubted.others)
    print(f"{doubted.name} might also be {others}")


if __name__ == "__main__":
    main()
