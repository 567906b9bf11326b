"""Word error rates on spoken digits: the official test, speakers that training never heard, and strings of digits.

    python benchmarks/speech.py --recordings FOLDER/WITH/0_george_0.wav

Everything is trained with default settings on the bundled spectra. Strings are made of samples: recordings of one
speaker from the official test, 3 to 7 of them with pauses of up to 0.2 s, at random levels, each recording once.
Without --recordings these strings are left out. Rows go to benchmarks/results/speech.csv as they are measured; with
--only, those of other tests stay there as they are.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tidegate.data import locate, read_speech
from tidegate.tasks import Transcriber
from tidegate.tasks.speech.score import word_error_rate

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


def known_rows() -> dict[tuple[str, str], dict[str, str]]:
    """What stands in the results, by test and seed."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return {(row["test"], row["seed"]): row for row in csv.DictReader(file)}


def write(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    """All rows, over those of other processes that measured meanwhile."""
    rows.update({key: row for key, row in known_rows().items() if key not in rows})
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["test", "seed", "wer", "nearest_template", "cpu_seconds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, help="the folder of all 3,000 WAV files")
    parser.add_argument("--seeds", type=int, default=3, help="runs of the official test")
    parser.add_argument("--only", default="", help="measure only tests whose name begins so")
    given = parser.parse_args()
    rows = known_rows()

    def add(what: str, seed: int, wer: float, template: float | None, seconds: float | None) -> None:
        rows[what, str(seed)] = {
            "test": what,
            "seed": str(seed),
            "wer": f"{wer:.4f}",
            "nearest_template": "" if template is None else f"{template:.4f}",
            "cpu_seconds": "" if seconds is None else f"{seconds:.0f}",
        }
        print(*rows[what, str(seed)].values(), flush=True)
        write(rows)

    def fitted(what: str, seed: int = 0, **settings: object) -> Transcriber:
        start = time.process_time()
        model = Transcriber(seed=seed, **settings).fit("fsdd")
        score = model.evaluate()[0]
        add(what, seed, score.value, score.baselines["nearest template"], time.process_time() - start)
        return model

    for seed in range(given.seeds if "official".startswith(given.only) else 0):
        fitted("official", seed)
    for speaker in SPEAKERS:
        if f"unseen {speaker}".startswith(given.only):
            fitted(f"unseen {speaker}", hold_out=speaker)
    if "strings".startswith(given.only):
        model = fitted("strings of 1 to 7, spectra joined", join=7, batch_size=8)
        spoken = list(strings(given.recordings, seed=0)) if given.recordings else []
        for beam in (1, 8) if spoken else ():
            found = [one.text for one in model.transcribe([sound for sound, _ in spoken], rate=RATE, beam=beam)]
            wer = word_error_rate([text for _, text in spoken], found)
            add(f"strings of 3 to 7, samples joined, beam {beam}", 0, wer, None, None)


if __name__ == "__main__":
    main()
