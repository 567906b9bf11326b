"""Which language is a surname from? And is a voice high or low, told from its wave?

    python examples/classification.py

Trains for a few seconds on four nationalities of the bundled names, then on made-up waves of different lengths.
"""

import numpy as np

from tidegate.data import locate
from tidegate.data.labelled import Layout, read_labelled
from tidegate.tasks import SequenceClassifier

found = read_labelled(locate("bundled:names"), Layout())["train"]
some = {"Italian", "Japanese", "Greek", "Irish"}
rows = [(name, label) for name, label in zip(found.items, found.labels, strict=True) if label in some]
model = SequenceClassifier(cell="gru", epochs=12, learning_rate=4e-3).fit(*zip(*rows, strict=True))
for score in model.scores_[:2]:
    print(f"{score.name} {score.value:.3f} (n-grams {score.baselines['n-grams']:.3f})")
for name in ("Miyazaki", "Bianchi", "O'Sullivan", "Papadakis"):
    chances = zip(model.classes_, model.predict_proba([name])[0], strict=True)
    print(f"{name:12}", ", ".join(f"{label} {chance:.2f}" for label, chance in chances))

rng = np.random.default_rng(0)
high = rng.integers(0, 2, 200)
waves = [np.sin((0.5 + 0.2 * one) * np.arange(rng.integers(30, 60)) + rng.uniform(0, 6)) for one in high]
listener = SequenceClassifier(epochs=10, test_share=0).fit(waves[:100], high[:100])
print(f"high or low: {listener.score(waves[100:], high[100:]):.0%} of 100 new waves right")
