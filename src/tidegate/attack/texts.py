"""The checklist of Carlini et al. for edits, which are no numbers: whether a search of edits was hindered.

References:
    Carlini et al. 2019, On Evaluating Adversarial Robustness, arXiv 1902.06705.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch

from tidegate.adversary import cross_entropy, margin
from tidegate.attack.checklist import APART, EQUAL, SILENT, WEAKER
from tidegate.attack.edits import every
from tidegate.attack.effort import Effort
from tidegate.attack.kind.text import TextKind
from tidegate.phase import counted
from tidegate.records import HonestyRecord
from tidegate.tasks.classification.batch import padded
from tidegate.tasks.classification.edited import slope

MOST = 24  # texts that are checked
TRIED = 4_000  # most edits of a text of which the loss is computed for a check
MANY = 12  # edits that must be enough for any answer


@dataclass(frozen=True)
class Case:
    """What is checked: texts that are right unedited.

    Attributes:
        kind: what is attacked.
        effort: how hard it tried.
        edits: the largest number of them.
    """

    kind: TextKind
    effort: Effort
    edits: int

    @cached_property
    def rows(self) -> torch.Tensor:
        """[K] rows that are right unedited, evenly chosen."""
        right = (self.kind.scores(self.kind.texts, torch.arange(self.kind.count)) <= 0).nonzero()[:, 0]
        return right[torch.linspace(0, len(right) - 1, min(MOST, len(right))).round().long()]

    @property
    def texts(self) -> list[str]:
        """The texts of the rows."""
        return [self.kind.texts[row] for row in self.rows.tolist()]

    def left(self, edits: int, effort: Effort | None = None) -> float:
        """The accuracy after so many edits."""
        found = self.kind.search(self.rows, torch.full((len(self.rows),), float(edits)), effort or self.effort)
        return float((found.score <= 0).double().mean())

    def worst(self, edited: Sequence[tuple[int, str]]) -> torch.Tensor:
        """[K] the highest score among edited texts of each place in ``rows``."""
        where = torch.tensor([place for place, _ in edited])
        scores = self.kind.scores([text for _, text in edited], self.rows[where])
        return torch.full((len(self.rows),), -torch.inf, dtype=torch.float64).scatter_reduce(0, where, scores, "amax")


def checklist(kind: TextKind, effort: Effort, edits: int) -> Iterator[HonestyRecord]:
    """Run every check.

    Args:
        kind: what is attacked.
        effort: how hard it tried.
        edits: the largest number of them.
    """
    case = Case(kind, effort, edits)
    for name, check in counted("checking the attack", CHECKS.items(), len(CHECKS)):
        if not len(case.rows):
            yield HonestyRecord(name, None, "no text is right unedited, so there is nothing to attack")
        else:
            passed, sentence, remedy = check(case)
            yield HonestyRecord(name, passed, sentence, "" if passed else remedy)


Verdict = tuple[bool | None, str, str]


def _evaluation(case: Case) -> Verdict:
    training = [name or "the model" for name, module in case.kind.model.named_modules() if module.training]
    first, second = (case.kind.scores(case.texts, case.rows) for _ in range(2))
    same = torch.equal(first, second)
    text = f"{len(training)} modules are in training mode; answers {'do not ' if same else ''}depend on chance"
    return same and not training, text, "call model.eval()"


def _state(case: Case) -> Verdict:
    back = case.rows.flip(0)
    first, turned = case.kind.scores(case.texts, case.rows), case.kind.scores(case.texts[::-1], back).flip(0)
    far = float((first - turned).abs().max()) / (float(first.abs().max()) or 1.0)
    text = f"in another order the same texts answer {far:.2g} apart (of the largest)"
    return far <= EQUAL, text, "set the state back before each text: what one is answered must not depend on others"


def _padding(case: Case) -> Verdict:
    alone = torch.cat([case.kind.scores([text], row[None]) for text, row in zip(case.texts, case.rows, strict=True)])
    far = float((alone - case.kind.scores(case.texts, case.rows)).abs().max()) / (float(alone.abs().max()) or 1.0)
    return far <= EQUAL, f"alone and beside longer texts, answers are {far:.2g} apart", "pass lengths to the layers"


def _gradient(case: Case) -> Verdict:
    silent = _silent(case, margin)
    text = f"{100 * silent:.3g} % of the gradients were 0 or not finite (at most {100 * SILENT:g} %)"
    return silent <= SILENT, text, "what answers has no gradient, such as votes alone: edits are proposed blindly"


def _unbounded(case: Case) -> Verdict:
    value, (chance, name) = case.left(max(MANY, case.edits)), case.kind.chance
    text = f"after {max(MANY, case.edits)} edits accuracy is {value:.3g}; chance is {chance:.3g} ({name})"
    return value <= chance, text, "an attack that may do anything must reach chance: trust no number of it"


def _steps(case: Case) -> Verdict:
    values = [case.left(case.edits, case.effort.times(factor)) for factor in (0.5, 1, 2)]
    text = f"with half, all and twice the edits that are tried: accuracy {', '.join(f'{v:.3g}' for v in values)}"
    rising = values[1] <= values[0] + WEAKER and values[2] <= values[1] + WEAKER
    return rising and values[2] >= values[1] - APART, text, "raise --steps and --restarts"


def _noise(case: Case) -> Verdict:
    generator, own = torch.Generator().manual_seed(case.effort.seed), case.left(1)
    drawn = [
        (place, edits[at])
        for place, text in enumerate(case.texts)
        if (edits := list(dict.fromkeys(every(case.kind.editor, text))))
        for at in torch.randint(len(edits), (case.effort.steps * 2,), generator=generator).tolist()
    ]
    value = float((case.worst(drawn) <= 0).double().mean())
    text = f"the worst of {case.effort.steps * 2} random edits leaves accuracy {value:.3g}, the attack's {own:.3g}"
    return value >= own - WEAKER, text, "the gradient is hidden: the curve flatters the model"


def _losses(case: Case) -> Verdict:
    values = [_first_order(case, loss) for loss in (margin, cross_entropy)]
    silent = _silent(case, cross_entropy)
    text = f"an edit by the gradient of the margin leaves {values[0]:.3g}, of the cross-entropy {values[1]:.3g}"
    if silent:
        text = f"{text}, whose gradient is 0 for {100 * silent:.3g} % of the texts"
    alike = abs(values[0] - values[1]) <= APART and silent <= SILENT
    return alike, text, "one loss hides the gradient; the attack uses the margin"


def _queries(case: Case) -> Verdict:
    editor = case.kind.editor
    edited = [(place, one) for place, text in enumerate(case.texts) for one in islice(every(editor, text), TRIED)]
    value, own = float((case.worst(edited) <= 0).double().mean()), case.left(1)
    text = f"every one of {len(edited):,} single edits leaves accuracy {value:.3g}, the attack's one edit {own:.3g}"
    return value >= own - WEAKER, text, "the gradient does not name the worst edits: raise --steps"


def _transfer(case: Case) -> Verdict:
    del case
    return None, "edits are not proposed by the gradient of another model", ""


def _slopes(case: Case, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    sequences = [case.kind.editor.reading.encode(text) for text in case.texts]
    return slope(case.kind.model, padded(sequences, case.kind.targets[case.rows]), loss)


def _silent(case: Case, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> float:
    """The share of texts whose gradient is 0 or not finite."""
    pull = _slopes(case, loss)
    return float(((pull == 0) | ~pull.isfinite()).all(2).all(0).double().mean())


def _first_order(case: Case, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> float:
    """The accuracy after the worst of the edits that a gradient names."""
    found = list(case.kind.editor.proposals(case.texts, _slopes(case, loss), case.effort.steps))
    return float((case.worst([(one.row, one.text) for one in found]) <= 0).double().mean())


CHECKS: dict[str, Callable[[Case], Verdict]] = {
    "evaluation": _evaluation,
    "state": _state,
    "padding": _padding,
    "gradient": _gradient,
    "unbounded": _unbounded,
    "steps": _steps,
    "noise": _noise,
    "losses": _losses,
    "queries": _queries,
    "transfer": _transfer,
}
