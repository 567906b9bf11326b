"""Which nationality is a surname? And is a sine wave high or low?

    python examples/classification.py

Trains for a few seconds on four nationalities of the bundled names, then on sine waves of different lengths.
"""

import numpy as np

from tidegate.data import locate
from tidegate.data.labelled import Layout, read_labelled
from tidegate.tasks import SequenceClassifier

names = read_labelled(locate("bundled:names"), Layout())["train"]
chosen = {"Italian", "Japanese", "Greek", "Irish"}
rows = [(name, label) for name, label in zip(names.items, names.labels, strict=True) if label in chosen]
model = SequenceClassifier(cell="gru", epochs=12, learning_rate=4e-3).fit(*zip(*rows, strict=True))
for score in model.scores_[:2]:
    print(f"{score.name} {score.value:.3f} (n-grams {score.baselines['n-grams']:.3f})")
for name in ("Miyazaki", "Bianchi", "O'Sullivan", "Papadakis"):
    probabilities = zip(model.classes_, model.predict_proba([name])[0], strict=True)
    print(f"{name:12}", ", ".join(f"{label} {probability:.2f}" for label, probability in probabilities))

rng = np.random.default_rng(0)
high = rng.integers(0, 2, 200)
waves = [np.sin((0.5 + 0.2 * one) * np.arange(rng.integers(30, 60)) + rng.uniform(0, 6)) for one in high]
listener = SequenceClassifier(epochs=10, test_share=0).fit(waves[:100], high[:100])
print(f"high or low: {listener.score(waves[100:], high[100:]):.0%} of 100 new waves are right")
