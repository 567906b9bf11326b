"""Which part of speech is each word of a question? And where does a flight begin, and where does it end?

    python examples/tagging.py

Trains for some seconds on the bundled ATIS data, then on made-up trips whose tags mark spans of words.
"""

import numpy as np

from tidegate.tasks import SequenceTagger

model = SequenceTagger(cell="gru", epochs=2, hidden_size=64).fit("atis")
for score in model.scores_:
    others = ", ".join(f"{name} {value:.4f}" for name, value in score.baselines.items())
    print(f"{score.name} {score.value:.4f} ({others})")
question = ["is", "there", "a", "flight", "from", "zurich", "to", "las", "vegas"]
print(" ".join(f"{word}/{tag}" for word, tag in zip(question, model.predict([question])[0], strict=True)))

towns, draw = ["rome", "new york", "oslo", "san jose", "lima", "fort worth"], np.random.default_rng(0)
words, tags = [], []
for _ in range(200):
    one, its = ["a", "flight"], ["O", "O"]
    for way in draw.permutation(["from", "to"]).tolist():
        town = towns[draw.integers(len(towns))].split()
        one += [way, *town]
        its += ["O", f"B-{way}", *[f"I-{way}"] * (len(town) - 1)]
    words.append(one)
    tags.append(its)
planner = SequenceTagger(cell="gru", epochs=4, hidden_size=32, learning_rate=1e-2, test_share=0).fit(words, tags)
request = ["a", "flight", "to", "new", "york", "from", "paris"]
print(" ".join(f"{word}/{tag}" for word, tag in zip(request, planner.predict([request])[0], strict=True)))
