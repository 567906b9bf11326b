"""Spoken digits to text: train on spectra, save, then transcribe WAV files that are not in the training data.

python examples/speech.py
"""

import math
import tempfile

from tidegate.tasks import Transcriber


def main() -> None:
    """Train for some seconds, transcribe twelve recordings, and show alternatives for the least certain of them."""
    with tempfile.TemporaryDirectory() as folder:
        Transcriber(cell="gru", hidden_size=64, epochs=10).fit("fsdd", folder=folder)
        model = Transcriber.from_pretrained(folder)
    for score in model.evaluate():
        print(f"{score.name} {score.value:.1%}, nearest template {score.baselines['nearest template']:.1%}")
    transcripts = list(model.transcribe("fsdd", beam=8, best=3))
    for one in transcripts:
        print(f"{one.name:17} {one.text:6} {math.exp(one.log_probability):.1%}")
    doubtful = min(transcripts, key=lambda one: one.log_probability)
    others = ", ".join(f"{text or 'nothing'} {math.exp(log):.1%}" for text, log in doubtful.others)
    print(f"{doubtful.name} might also be {others}")


if __name__ == "__main__":
    main()
