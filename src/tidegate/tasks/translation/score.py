"""Scores of translations: BLEU and chrF of sentences, error rates of pronunciations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import jiwer
import numpy as np
from sacrebleu import BLEU, CHRF
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from tidegate.data.script import script_of
from tidegate.train.sample import Sample

# Morphemes of Japanese and Korean need packages of their own; characters are sacrebleu's choice without them.
TOKENIZERS = {"Han": "zh", "Japanese": "char", "Hangul": "char", "South-East Asian": "char", "other": "13a"}

References = Sequence[Sequence[str]]  # all right answers for each source


def text_scores(answers: Sequence[str], references: References) -> dict[str, tuple[float, str]]:
    """BLEU and chrF of a corpus, each with the signature of its configuration.

    BLEU counts words, or characters where the references are written in a script whose words blanks do not separate.

    References:
        Papineni et al. 2002, doi 10.3115/1073083.1073135; Popović 2015, doi 10.18653/v1/W15-3049; Post 2018,
        arXiv 1804.08771.
    """
    streams = [list(stream) for stream in zip_longest(*references)]  # None where a source has fewer
    scores = {}
    script = script_of(text for right in references for text in right)
    for metric in (BLEU(tokenize=TOKENIZERS[script]), CHRF()):
        score = metric.corpus_score(list(answers), streams)
        scores[score.name.removesuffix("2")] = (float(score.score), str(metric.get_signature().format(short=True)))
    return scores


def text_sample(answers: Sequence[str], references: References) -> Sample:
    """ChrF of each sentence, whose mean is near that of the corpus."""
    metric = CHRF()
    return Sample.of(
        [metric.sentence_score(answer, list(right)).score for answer, right in zip(answers, references, strict=True)]
    )


def symbol_scores(answers: Sequence[str], references: References) -> dict[str, tuple[float, str]]:
    """Error rates against the nearest of several right answers, in per cent.

    Equations:
        PER = Σ edits / Σ symbols of the reference;  WER = wrong sequences / sequences
    """
    sample = symbol_sample(answers, references)
    wrong = sum(answer not in right for answer, right in zip(answers, references, strict=True))
    return {"PER": (sample.mean, "% of symbols"), "WER": (100 * wrong / len(answers), "% of sequences")}


def symbol_sample(answers: Sequence[str], references: References) -> Sample:
    """Edits of each sequence, times 100, and the symbols of its reference."""
    counted = [
        (0, len(answer.split())) if answer in right else min(_edits(reference, answer) for reference in right)
        for answer, right in zip(answers, references, strict=True)
    ]
    return Sample.of([100 * edits for edits, _ in counted], [symbols for _, symbols in counted])


def _edits(reference: str, answer: str) -> tuple[int, int]:
    """Edits (insertions, deletions and substitutions), and symbols of the reference."""
    alignment = jiwer.process_words(reference, answer)
    return alignment.insertions + alignment.deletions + alignment.substitutions, len(reference.split())


def nearest(sources: Sequence[str], targets: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The target of the training source most similar to each text, by character n-grams."""
    tfidf = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    known = tfidf.fit_transform(sources)
    neighbours = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(known)
    return [targets[int(index)] for (index,) in neighbours.kneighbors(tfidf.transform(texts), return_distance=False)]
