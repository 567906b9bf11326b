"""How good translations are: BLEU and chrF of sentences, error rates of pronunciations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import jiwer
import numpy as np
from sacrebleu import BLEU, CHRF
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

References = Sequence[Sequence[str]]  # of each source, all that count as right


def text_scores(found: Sequence[str], references: References) -> dict[str, tuple[float, str]]:
    """BLEU and chrF of a corpus, and the signatures by which others compute the same.

    References:
        Papineni et al. 2002, doi 10.3115/1073083.1073135; Popović 2015, doi 10.18653/v1/W15-3049; Post 2018,
        arXiv 1804.08771.
    """
    streams = [list(stream) for stream in zip_longest(*references)]  # None where a source has fewer
    scores = {}
    for metric in (BLEU(), CHRF()):
        score = metric.corpus_score(list(found), streams)
        scores[score.name.removesuffix("2")] = (float(score.score), str(metric.get_signature().format(short=True)))
    return scores


def symbol_scores(found: Sequence[str], references: References) -> dict[str, tuple[float, str]]:
    """Error rates against the nearest of several right answers, in per cent.

    Equations:
        PER = Σ edits / Σ symbols of the reference;  WER = sequences that are not right / sequences
    """
    edits = symbols = wrong = 0
    for one, right in zip(found, references, strict=True):
        if one in right:
            symbols += len(one.split())
            continue
        away, length = min(_edits(reference, one) for reference in right)
        edits, symbols, wrong = edits + away, symbols + length, wrong + 1
    return {"PER": (100 * edits / symbols, "% of symbols"), "WER": (100 * wrong / len(found), "% of sequences")}


def _edits(reference: str, found: str) -> tuple[int, int]:
    """Insertions, deletions and substitutions of symbols, and how many symbols the reference has."""
    made = jiwer.process_words(reference, found)
    return made.insertions + made.deletions + made.substitutions, len(reference.split())


def nearest(sources: Sequence[str], targets: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The target of that training source which resembles each text most, by its character n-grams."""
    weigh = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    known = weigh.fit_transform(sources)
    near = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(known)
    return [targets[int(index)] for (index,) in near.kneighbors(weigh.transform(asked), return_distance=False)]
