"""Continue a chorale: train a model of Bach's chorales, save the result as MIDI and as a picture.

python examples/music.py
"""

from pathlib import Path

import numpy as np

from tidegate.tasks import Composer
from tidegate.tasks.music.plot import draw_piano_roll

NOTES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]


def main() -> None:
    """Train for some seconds, then compose eight bars: four are given, four are new."""
    model = Composer(epochs=15).fit("jsb")
    (score,) = model.evaluate()
    print(f"{score.name} {score.value:.2f}, repeating the last chord {score.baselines['repeat last chord']:.2f}")
    roll = model.compose(32, "bundled:jsb", prompt_steps=16, temperature=0.7, seed=1)
    for step, keys in enumerate(roll):
        names = " ".join(f"{NOTES[(key + 9) % 12]}{(key + 9) // 12}" for key in np.flatnonzero(keys))
        print(f"{step:3} {'given' if step < 16 else '':6}{names}")
    model.write_midi(Path("tune.mid"), roll, tempo=80)
    draw_piano_roll(roll, Path("tune.png"), "after a chorale", prompt=16)
    print("wrote tune.mid and tune.png")


if __name__ == "__main__":
    main()
