"""Linear votes for the class of a text: logistic regression on its n-grams, fitted after the recurrent layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix, hstack

from tidegate.phase import counted, phase
from tidegate.tasks.classification.hold import Holding, Pair, Rows
from tidegate.tasks.classification.linear import Classes, regression
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.tfidf import LETTERS, Ngrams, Occurrences, Terms, of_letters, of_units

NAMES = ("n-grams", "n-grams and letters")
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # C of logistic regression
BEGIN = 4  # the place of the strength that is tried first
UNITS = 20_000  # units that are counted at once, or one text


class NgramVotes(torch.nn.Module):
    """The votes of the n-grams of a text, each kind of them weighed as ``tfidf.Terms`` has it.

    Equations:
        votes = A units(x) + B letters(x) + c

    It is fitted by a convex loss, not by the gradient steps of the recurrent layers, and kept in buffers. n-grams that
    no text to learn from has do not count.

    Args:
        plan: which n-grams there are.
        classes: the number of classes.

    Shapes:
        inputs [T, B] characters, or [T, B, 1 + L] words each followed by its letters, and lengths [B], to [B, classes].
    """

    by_units: torch.Tensor
    by_letters: torch.Tensor
    bias: torch.Tensor

    def __init__(self, plan: Ngrams, classes: int) -> None:
        super().__init__()
        self.longest = plan.longest
        self.units = Terms(plan.units)
        self.letters = Terms(plan.letters) if plan.letters else None
        self.register_buffer("by_units", torch.zeros(plan.units, classes))
        self.register_buffer("by_letters", torch.zeros(plan.letters, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        there = torch.arange(len(inputs))[:, None] < lengths
        flat = inputs.transpose(0, 1)[there.T]
        votes = self.bias.repeat(len(lengths), 1)
        for terms, weight, found in zip(
            (self.units, self.letters),
            (self.by_units, self.by_letters),
            occurring(flat, lengths, self.longest, letters=self.letters is not None),
            strict=False,
        ):
            assert terms is not None
            texts, places, values = terms(found)
            votes = votes.index_add(0, texts, values[:, None] * weight[places])
        return votes


@dataclass(frozen=True)
class Regression:
    """Logistic regression on some kinds of n-grams, whose penalty is chosen on rows held out.

    Attributes:
        terms: the n-grams of each kind.
        weight: [classes, P] float64, of all kinds side by side.
        bias: [classes] float64.
        strength: C, chosen by ``loss``.
        loss: log loss of the rows held out, from regressions that have not learnt from them.
    """

    terms: tuple[Terms, ...]
    weight: torch.Tensor
    bias: torch.Tensor
    strength: float
    loss: float

    @classmethod
    def of(cls, seen: Sequence[Occurrences], truth: Classes, kinds: int, holding: Holding) -> Self:
        """Fit a regression.

        Args:
            seen: n-grams of each kind in all texts.
            truth: [N] classes.
            kinds: the number of classes.
            holding: the rows to choose by and to learn from.
        """

        def held(strength: float) -> float:
            phase(f"logistic regression on n-grams, C = {strength:g}")
            logits = torch.cat([_unseen(seen, truth, kinds, strength, pair) for pair in holding.pairs])
            return log_loss(logits.softmax(1).numpy(), truth[holding.held])

        strength, loss = _least(held)
        terms = _terms(seen, holding.last, kinds)
        weight, bias = regression(_features(terms, seen, holding.last), truth[holding.last], kinds, strength)
        return cls(terms, weight, bias, strength, loss)

    @property
    def how(self) -> str:
        """The penalty, in words."""
        return f"C = {self.strength:g}"

    def unseen(self, seen: Sequence[Occurrences], truth: Classes, pair: Pair) -> torch.Tensor:
        """[N, classes] logits of the rows held out, from a regression of the same strength on the others."""
        return _unseen(seen[: len(self.terms)], truth, len(self.bias), self.strength, pair)

    def __call__(self, seen: Sequence[Occurrences]) -> torch.Tensor:
        """[N, classes] float64 logits of texts with these n-grams."""
        return _logits(_features(self.terms, seen, np.arange(seen[0].size)), self.weight, self.bias)


def _least(held: Callable[[float], float]) -> tuple[float, float]:
    """The strength whose loss is smaller than those of its neighbours, and the loss."""
    losses: dict[int, float] = {}
    at, best = -1, BEGIN
    while at != best:
        at = best
        for place in range(max(0, at - 1), min(at + 2, len(STRENGTHS))):
            if place not in losses:
                losses[place] = held(STRENGTHS[place])
        best = min(losses, key=losses.__getitem__)
    return STRENGTHS[best], losses[best]


def _unseen(seen: Sequence[Occurrences], truth: Classes, kinds: int, strength: float, pair: Pair) -> torch.Tensor:
    """[N, classes] logits of the rows held out, from a regression on the others."""
    terms = _terms(seen, pair.fit, kinds)
    fit = regression(_features(terms, seen, pair.fit), truth[pair.fit], kinds, strength)
    return _logits(_features(terms, seen, pair.held), *fit)


def _terms(seen: Sequence[Occurrences], rows: Rows, kinds: int) -> tuple[Terms, ...]:
    return tuple(Terms.of(found.taken(torch.from_numpy(rows)), kinds) for found in seen)


def _features(terms: Sequence[Terms], seen: Sequence[Occurrences], rows: Rows) -> Any:
    """[N, P] sparse: the values of the n-grams of each kind, side by side."""
    parts = []
    for one, found in zip(terms, seen, strict=True):
        texts, places, values = one(found.taken(torch.from_numpy(rows)))
        parts.append(csr_matrix((values.numpy(), (texts.numpy(), places.numpy())), (len(rows), len(one.codes))))
    return hstack(parts, format="csr")


def _logits(features: Any, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(features @ weight.numpy().T) + bias


@dataclass(frozen=True)
class NgramBallot:
    """Fitted votes of texts, and what they say of rows that they have not learnt from.

    Attributes:
        unit: what an n-gram is made of.
        longest: length of the longest n-gram of units.
        seen: n-grams of units, and of letters within words, in all texts.
        truth: [N] classes.
        regressions: on the first kind of n-grams, and on both.
        holding: the rows that they were chosen by and have learnt from.
    """

    unit: str
    longest: int
    seen: tuple[Occurrences, ...]
    truth: Classes
    regressions: tuple[Regression, ...]
    holding: Holding

    @classmethod
    def of(
        cls,
        texts: Iterable[torch.Tensor],
        truth: Classes,
        kinds: int,
        holding: Holding,
        unit: str,
        longest: int,
        *,
        letters: bool,
    ) -> Self:
        """Fit votes.

        Args:
            texts: [T] characters each, or [T, 1 + L] words each followed by its letters.
            truth: [N] classes.
            kinds: the number of classes.
            holding: the rows to choose by and to learn from.
            unit: what they are made of.
            longest: length of the longest n-gram of units.
            letters: whether to count n-grams within words, too.
        """
        seen = counted_of(texts, longest, letters=letters)
        regressions = tuple(Regression.of(seen[:count], truth, kinds, holding) for count in range(1, len(seen) + 1))
        return cls(unit, longest, seen, truth, regressions, holding)

    @property
    def best(self) -> Regression:
        """The one that votes: that with the least log loss of rows held out."""
        return min(self.regressions, key=lambda one: one.loss)

    @property
    def voters(self) -> str:
        """What the regression that votes reads."""
        return NAMES[len(self.best.terms) - 1]

    @property
    def plan(self) -> Ngrams:
        """The sizes of the votes."""
        units, *letters = (len(terms.codes) for terms in self.best.terms)
        return Ngrams(self.longest, units, sum(letters))

    def votes(self) -> NgramVotes:
        """The votes as a module."""
        best, plan = self.best, self.plan
        made = NgramVotes(plan, len(best.bias))
        made.units = copy.deepcopy(best.terms[0])
        made.letters = copy.deepcopy(best.terms[1]) if plan.letters else None
        made.by_units, made.by_letters = (
            part.T.contiguous() for part in best.weight.split([plan.units, plan.letters], 1)
        )
        made.bias = best.bias.clone()
        return made

    def apart(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """[N, classes] logits of the rows held out in any pair, from regressions that have not learnt from them."""
        best, kinds = self.best, len(self.best.bias)
        logits = torch.zeros(len(self.truth), kinds, dtype=torch.float64)
        for pair in counted("logistic regression on n-grams", pairs):
            logits[pair.held] = best.unseen(self.seen, self.truth, pair)
        return logits

    def answers(self, texts: Iterable[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, str]]:
        """The name of each regression, its [N, classes] logits of texts, and how it was fitted."""
        seen = counted_of(texts, self.longest, letters=len(self.regressions) > 1)
        how = f"logistic regression on TF-IDF of 1 to {self.longest} {self.unit}s in a row"
        more = f"{how}, and of {LETTERS[0]} to {LETTERS[1]} letters in a row within words"
        for count, (name, said, one) in enumerate(zip(NAMES, (how, more), self.regressions, strict=False), 1):
            yield name, one(seen[:count]), f"{said}; {one.how}"


def occurring(units: torch.Tensor, lengths: torch.Tensor, longest: int, *, letters: bool) -> tuple[Occurrences, ...]:
    """The n-grams of units, and those within words if they are to be counted.

    Args:
        units: [S] or [S, 1 + L], of all texts one after the other.
        lengths: [N] units of each text.
        longest: length of the longest n-gram of units.
        letters: whether to count those within words.
    """
    own = of_units(units, lengths, longest)
    return (own, of_letters(units, lengths)) if letters else (own,)


def counted_of(texts: Iterable[torch.Tensor], longest: int, *, letters: bool) -> tuple[Occurrences, ...]:
    """``occurring`` of any number of texts, some at a time."""
    parts = []
    for group in _groups(texts):
        width = max((text.shape[1] for text in group if text.dim() > 1), default=0)
        alike = [torch.nn.functional.pad(text, (0, width - text.shape[1])) if width else text for text in group]
        parts.append(occurring(torch.cat(alike), torch.tensor(list(map(len, group))), longest, letters=letters))
    return tuple(Occurrences.joined(kind) for kind in zip(*parts, strict=True))


def _groups(texts: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    group: list[torch.Tensor] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= UNITS:
            yield group
            group, size = [], 0
    if group:
        yield group
