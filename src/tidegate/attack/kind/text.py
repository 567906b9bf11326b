"""Classes of texts: edits of characters or words, read again by the model's own encoding."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, ClassVar

import numpy as np
import torch

from tidegate.adversary import Found, margin
from tidegate.adversary.edit import best
from tidegate.attack.edits import Editor, Level
from tidegate.attack.effort import Effort
from tidegate.attack.kind.base import Kind, Rows
from tidegate.attack.kind.limit import Limits
from tidegate.errors import InputError
from tidegate.records import AttackedRecord, HonestyRecord
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.edited import slope, table_of
from tidegate.train.bucket import by_length

TOGETHER = 1024  # texts of a batch
TIE = 1e-9  # the score of a wrong answer that is as probable as the right one
VOTED = 2  # times as many edits are tried where votes answer, too, whose gradient nobody has
SAME = -1  # the change of a text that stays as it is


@dataclass
class Search:
    """How far a search has come.

    Attributes:
        beams: by row, the texts to go on from.
        found: by row, the worst text after each number of edits, from none on, and its score.
    """

    beams: dict[int, list[str]] = field(default_factory=dict)
    found: dict[int, list[tuple[float, str]]] = field(default_factory=dict)


class TextKind(Kind):
    """A classifier of texts.

    A beam of texts is kept for each row. In each round the gradient of the margin in the embeddings of the units names
    edits of each kind (``effort.steps`` of each), the whole model reads the edited texts again and scores them,
    votes included, and the ``effort.restarts`` worst are edited further.

    Args:
        estimator: a ``SequenceClassifier``.
        task: whose test part is attacked.
        rows: the places of the texts in it.
        level: what is edited.

    References:
        Ebrahimi et al. 2018, arXiv 1712.06751 (HotFlip).
    """

    measure, better = "accuracy", "higher"
    whole: ClassVar[bool] = True
    asks: ClassVar[str] = "edits"

    def __init__(self, estimator: Any, task: Any, rows: Sequence[int], level: Level) -> None:
        self.estimator, self.places, self.model = (
            estimator,
            list(rows),
            copy.deepcopy(estimator.model_).requires_grad_(requires_grad=False),
        )
        part = task.parts["test"]
        self.texts = [part.items[row] for row in rows]
        self.count = len(self.texts)
        self.targets = torch.from_numpy(np.asarray(part.classes)[list(rows)].astype(np.int64))
        self.editor = Editor(estimator.encoding_.reading, level, table_of(self.model).weight.detach())
        self.unit = self.norm = f"edits of {'characters' if level == 'chars' else 'words'}"
        self._made: list[str] = []
        self._searches: dict[tuple[int, int], Search] = {}

    @classmethod
    def total(cls, task: Any) -> int:
        return len(task.parts["test"].classes)

    @classmethod
    def of(cls, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> TextKind:
        if limits.limited or limits.norm != "linf" or limits.direction != "error" or limits.tolerance is not None:
            raise InputError(
                "ATTACK_TEXT",
                "texts change by edits: norm, only_steps, features, target_direction, tolerance are for numbers",
                fix="leave them out, and pass edits=",
            )
        unit = estimator.encoding_.reading.unit
        level = limits.text or ("chars" if unit == "character" else "words")
        if level == "words" and unit == "character":
            raise InputError(
                "ATTACK_WORDS",
                "this model reads characters, so it has no words that are near to each other",
                fix="attack it with text='chars'",
            )
        return cls(estimator, task, rows, level)

    @property
    def budgets(self) -> tuple[float, ...]:
        return (1.0, 2.0, 3.0)

    @property
    def broken(self) -> str:
        return "another class than the right one"

    @property
    def chance(self) -> tuple[float, str]:
        count = len(self.estimator.encoding_.classes)
        return 1 / count, f"1 of {count} classes"

    def search(self, rows: Rows, budget: torch.Tensor, effort: Effort, start: torch.Tensor | None = None) -> Found:
        del start  # the search itself remembers where it was
        search = self._searches.setdefault((effort.steps, effort.restarts), Search())
        self._begin(search, rows.tolist())
        for edits in range(1, int(budget.max()) + 1):
            live = [
                row
                for row, most in zip(rows.tolist(), budget.tolist(), strict=True)
                if most >= edits and len(search.found[row]) == edits and search.found[row][-1][0] <= 0
            ]
            if live:
                self._round(search, live, effort)
        pairs = zip(rows.tolist(), budget.tolist(), strict=True)
        worst = [search.found[row][: int(most) + 1][-1] for row, most in pairs]
        scores = torch.tensor([score for score, _ in worst])
        changes = [self._kept(row, text) for row, (_, text) in zip(rows.tolist(), worst, strict=True)]
        return Found(torch.tensor([changes]), scores, torch.zeros(len(rows)))

    def _begin(self, search: Search, rows: Sequence[int]) -> None:
        fresh = [row for row in rows if row not in search.found]
        scores = self.scores([self.texts[row] for row in fresh], torch.tensor(fresh, dtype=torch.int64))
        for row, score in zip(fresh, scores.tolist(), strict=True):
            search.found[row], search.beams[row] = [(score, self.texts[row])], [self.texts[row]]

    def _round(self, search: Search, rows: Sequence[int], effort: Effort) -> None:
        """Edit the texts of each row once more."""
        owner = [row for row in rows for _ in search.beams[row]]
        texts = [text for row in rows for text in search.beams[row]]
        most = effort.steps * (1 if self.model.votes is None else VOTED)
        tried = list(dict.fromkeys(self._proposed(texts, owner, most)))
        where = torch.tensor([row for row, _ in tried], dtype=torch.int64)
        scores = self.scores([text for _, text in tried], where)
        kept: dict[int, list[tuple[float, str]]] = {row: [] for row in rows}
        for place in best(scores, where, effort.restarts).tolist():
            kept[tried[place][0]].append((float(scores[place]), tried[place][1]))
        for row, found in kept.items():
            search.beams[row] = [text for _, text in found] or search.beams[row]
            before = search.found[row][-1]
            search.found[row].append(max([before, *found[:1]], key=lambda one: one[0]))

    def _proposed(self, texts: Sequence[str], owner: Sequence[int], most: int) -> Iterator[tuple[int, str]]:
        """Rows and edited texts."""
        for places in by_length(list(map(len, texts)), TOGETHER // 4):
            own = [texts[place] for place in places]
            rows = torch.tensor([owner[place] for place in places])
            batch = padded([self.editor.reading.encode(text) for text in own], self.targets[rows])
            for at, text in self.editor.proposals(own, slope(self.model, batch, margin), most):
                yield owner[places[at]], text

    def scores(self, texts: Sequence[str], rows: Rows) -> torch.Tensor:
        """[N] by how much the best wrong class leads the right one, as the whole model reads each text."""
        scores = torch.zeros(len(texts), dtype=torch.float64)
        sequences = [self.editor.reading.encode(text) for text in texts]
        with torch.inference_mode():
            for places in by_length(list(map(len, sequences)), TOGETHER):
                targets = self.targets[rows[places]]
                logits = self.model(padded([sequences[place] for place in places], targets))[0].double()
                lead = margin(logits, targets)
                wrong = logits.argmax(1) != targets
                scores[places] = torch.where(wrong, lead.clamp(min=TIE), lead.clamp(max=0.0))
        return scores

    def _kept(self, row: int, text: str) -> int:
        """The number by which an edited text is remembered."""
        if text == self.texts[row]:
            return SAME
        self._made.append(text)
        return len(self._made) - 1

    def text(self, row: int, change: int) -> str:
        """A text after a change."""
        return self.texts[row] if change == SAME else self._made[change]

    def valued(self, rows: Rows, change: torch.Tensor) -> torch.Tensor:
        texts = [self.text(row, at) for row, at in zip(rows.tolist(), change[0].tolist(), strict=True)]
        return (self.scores(texts, rows) <= 0).double()

    def verified(self, rows: Rows, change: torch.Tensor) -> int:
        texts = [self.text(row, at) for row, at in zip(rows.tolist(), change[0].tolist(), strict=True)]
        labels = np.array(self.estimator.encoding_.classes)[self.targets[rows].numpy()]
        return int((self.estimator.predict(texts) != labels).sum())

    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        names, texts = self.estimator.encoding_.classes, (self.texts[row], self.text(row, int(change[0, 0])))
        chances = self.estimator.predict_proba(list(texts))
        before, after = (f"{names[int(shares.argmax())]} ({shares.max():.3f})" for shares in chances)
        name, truth = f"text {self.places[row] + 1}", str(names[int(self.targets[row])])
        return AttackedRecord(name, truth, before, after, budget, f"{self.unit}: {budget:g}", texts=marked(*texts))

    def checked(self, effort: Effort, budget: float) -> Sequence[HonestyRecord]:
        from tidegate.attack.texts import checklist  # which imports kinds

        return tuple(checklist(self, effort, int(budget)))

    @property
    def notes(self) -> tuple[str, ...]:
        said = [self.editor.says, "edited texts are read again as the model reads texts"]
        if self.model.votes is not None:
            said.append(
                f"votes of n-grams have no gradient: layers propose edits, {VOTED} times as many, and both score them"
            )
        return tuple(said)


def marked(original: str, changed: str) -> tuple[str, str, str]:
    """Both texts, and the changed one with what was changed in brackets.

    Examples:
        >>> marked("Kovalev", "Kowalevs")[2]
        'Ko[v>w]alev[+s]'
    """
    parts = []
    for how, a, b, c, d in SequenceMatcher(None, original, changed, autojunk=False).get_opcodes():
        old, new = original[a:b], changed[c:d]
        parts.append({"equal": old, "replace": f"[{old}>{new}]", "delete": f"[-{old}]", "insert": f"[+{new}]"}[how])
    return original, changed, "".join(parts)
