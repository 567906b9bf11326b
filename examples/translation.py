"""How is a word pronounced? Train on a dictionary, then pronounce words that are not in it.

python examples/translation.py
"""

from tidegate.data import locate, read_pairs
from tidegate.tasks import Translator

NEW = ["tidegate", "recurrents", "unbundled", "wordle"]


def main() -> None:
    """Learn 4,500 pronunciations, pronounce new words, and show the letter that each phoneme attends to most."""
    words = read_pairs(locate("bundled:cmudict"))
    pairs = list(zip(words.sources, words.targets, strict=True))[::5]
    speaker = Translator(source_unit="character", target_unit="symbol", hidden_size=64, embedding_size=32, dropout=0.1)
    speaker.set_params(learning_rate=1e-2, schedule="plateau", epochs=7)
    speaker.fit(pairs)
    for score in speaker.scores_[1:]:
        print(f"{score.name}: {score.value:.1f} {score.unit}; nearest word: {score.baselines['nearest source']:.1f}")
    for word in speaker.align(NEW):
        letters = [word.source[weights.argmax()] for weights in word.attention]
        phonemes = [f"{phoneme}({letter})" for phoneme, letter in zip(word.target, letters, strict=True)]
        print(f"{''.join(word.source):11}", " ".join(phonemes))


if __name__ == "__main__":
    main()
