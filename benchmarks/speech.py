"""Word error rates on spoken digits: the official test, speakers that training never heard, and strings of digits.

    python benchmarks/speech.py --recordings FOLDER/WITH/0_george_0.wav

Everything is trained with default settings on the bundled spectra. Strings are made of samples: recordings of one
speaker from the official test, 3 to 7 of them with pauses of up to 0.2 s, at random levels, each recording once.
Without --recordings the strings are left out. Rows go to benchmarks/results/speech.csv as they are measured.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tidegate.data import locate, read_speech
from tidegate.estimator import Transcriber
from tidegate.tasks.speech.error import word_error_rate

RESULTS = Path(__file__).parent / "results" / "speech.csv"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RATE = 8000


def strings(folder: Path, seed: int) -> Iterator[tuple[np.ndarray, str]]:
    """Strings of digits as samples, with what is said."""
    rng = np.random.default_rng(seed)
    test = [one for one in read_speech(locate(folder, folders=True), "digits").recordings if one.split == "test"]
    for speaker in SPEAKERS:
        own = [one for one in test if one.speaker == speaker]
        left = [own[place] for place in rng.permutation(len(own))]
        while len(left) >= 3:
            some, left = np.split(np.array(left, dtype=object), [int(rng.integers(3, 8))])
            sounds = [rng.uniform(0.5, 1) * one.sound / np.abs(one.sound).max() for one in some]
            pauses = [np.zeros(int(rng.integers(0, RATE // 5))) for _ in some]
            yield (
                np.concatenate([part for pair in zip(sounds, pauses, strict=True) for part in pair]),
                " ".join(one.text for one in some),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, help="the folder of all 3,000 WAV files")
    parser.add_argument("--seeds", type=int, default=3, help="runs of the official test")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []

    def fitted(what: str, **settings: object) -> Transcriber:
        start = time.perf_counter()
        model = Transcriber(**settings).fit("fsdd")
        score = model.evaluate()[0]
        add(
            what, settings.get("seed", 0), score.value, score.baselines["nearest template"], time.perf_counter() - start
        )
        return model

    def add(what: str, seed: object, wer: float, template: float | str, seconds: float | str) -> None:
        taken = seconds if isinstance(seconds, str) else f"{seconds:.0f}"
        naive = template if isinstance(template, str) else f"{template:.4f}"
        rows.append({"test": what, "seed": seed, "wer": f"{wer:.4f}", "nearest_template": naive, "seconds": taken})
        print(*rows[-1].values(), flush=True)
        with RESULTS.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    model = fitted("strings of 1 to 7, spectra joined", join=7, batch_size=8)
    if given.recordings:
        spoken = list(strings(given.recordings, seed=0))
        truth = [text for _, text in spoken]
        for beam in (1, 8):
            found = [one.text for one in model.transcribe([sound for sound, _ in spoken], rate=RATE, beam=beam)]
            add(f"strings of 3 to 7, samples joined, beam {beam}", 0, word_error_rate(truth, found), "", "")
    for seed in range(given.seeds):
        fitted("official", seed=seed)
    for speaker in SPEAKERS:
        fitted(f"unseen speaker {speaker}", hold_out=speaker)


if __name__ == "__main__":
    main()
