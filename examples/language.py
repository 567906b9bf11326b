"""A language model of Shakespeare, trained for half a minute: its score, its text, and what surprises it.

    python examples/language.py

``tidegate train language shakespeare`` trains a better one in a few minutes.
"""

from tidegate.tasks import LanguageModel

model = LanguageModel(hidden_size=128, epochs=4, epoch_size=200_000, learning_rate=1e-2, dropout=0.0)
model.fit("shakespeare")

bits = model.scores_[0]
print(f"bits per character: {bits.value:.2f}; " + ", ".join(f"{name} {b:.2f}" for name, b in bits.baselines.items()))

print("\nwhat it writes at temperature 0.7:\n\nROMEO:")
for text in model.generate("ROMEO:\n", length=300, temperature=0.7, seed=1):
    print(text, end="", flush=True)

print("\n\nthe most likely words that begin with bro, by beam search:\n")
for word in model.search("O my bro", length=12, width=16, best=4, until=" "):
    print(f"{2**-word.bits:6.1%}  {'bro' + word.text!r}")

print("\nbits per character of new sentences:\n")
for sentence in (
    "The king is dead, my gentle lord.",
    "The train is late, my gentle friend.",
    "gentle The dead, lord is king my.",
):
    print(f"{model.bits_per_character(sentence):6.2f}  {sentence}")
