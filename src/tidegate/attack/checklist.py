"""The checklist of Carlini et al. as code: whether an attack was honest, or a hidden gradient made it look weak.

References:
    Carlini et al. 2019, On Evaluating Adversarial Robustness, arXiv 1902.06705.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from tidegate.adversary import Found
from tidegate.attack.curve import Curve
from tidegate.attack.effort import Effort
from tidegate.attack.kind.base import Continuous
from tidegate.attack.surrogate import surrogate_of
from tidegate.phase import counted
from tidegate.records import HonestyRecord

MOST = 48  # rows that are checked
QUERIED = 20  # most steps without a gradient, each of which asks the model 17 times
# Thresholds, frozen on seeds other than those of benchmarks/robust/masking.py:
SILENT = 0.2  # share of gradients that are 0
WEAKER = 0.05  # of the measure, by which an attack that knows less may be stronger
APART = 0.15  # of the measure, by which losses, and twice the steps, may differ
EQUAL = 1e-3  # of the spread of the answers: rows in another order
GROWTH = 4  # from one radius of the unbounded attack to the next


@dataclass(frozen=True)
class Case:
    """What is checked: rows that are right unchanged, at a budget where the attack breaks about half of them.

    Attributes:
        kind: what is attacked.
        curve: what the attack found.
        effort: how hard it tried.
        limited: whether only chosen steps or features may change.
    """

    kind: Continuous
    curve: Curve
    effort: Effort
    limited: bool = False

    @cached_property
    def rows(self) -> torch.Tensor:
        """[K] rows that are right unchanged, evenly chosen."""
        right = (self.curve.found[0].score <= 0).nonzero()[:, 0]
        places = torch.linspace(0, len(right) - 1, min(MOST, len(right))).round().long()
        return right[places]

    @cached_property
    def budget(self) -> float:
        """The smallest budget at which half of these rows are broken, else the largest."""
        broken = (self.curve.scores[:, self.rows] > 0).double().mean(1)
        enough = [place for place, share in enumerate(broken.tolist()) if share >= 0.5]
        return self.curve.budgets[enough[0] if enough else -1]

    @cached_property
    def budgets(self) -> torch.Tensor:
        """[K]."""
        return torch.full((len(self.rows),), self.budget)

    @cached_property
    def base(self) -> Found:
        """The attack by itself, without what it knew of smaller budgets."""
        return self.kind.search(self.rows, self.budgets, self.effort)

    @cached_property
    def reported(self) -> Found:
        """The worse of that and of what the curve has within this budget."""
        found = self.curve.found[self.curve.budgets.index(self.budget)]
        parts = (found.change[:, self.rows], found.score[self.rows], found.silent[self.rows])
        return self.base.worse(Found(*parts))

    @cached_property
    def harder(self) -> Found:
        """The same with twice the steps and restarts."""
        return self.kind.search(self.rows, self.budgets, self.effort.times(2))

    @cached_property
    def clean(self) -> float:
        """The measure of unchanged rows."""
        return float(self.kind.valued(self.rows, torch.zeros_like(self.base.change)).mean())

    def harm(self, found: Found) -> float:
        """By how much the measure is worse; of errors, relative to the attack's own harm."""
        value = float(self.kind.valued(self.rows, found.change).mean())
        return self.clean - value if self.kind.better == "higher" else (value - self.clean) / self.unit

    @cached_property
    def unit(self) -> float:
        """What harm is measured in: 1 of a share; the larger of the attack's own harm and the error itself."""
        if self.kind.better == "higher":
            return 1.0
        value = float(self.kind.valued(self.rows, self.base.change).mean())
        return max(value - self.clean, self.clean, 1e-9)

    def slack(self, share: float) -> float:
        """By how much harm may differ: a share, and a row at least."""
        return max(share, 1.5 / len(self.rows)) if self.kind.better == "higher" else share

    def said(self, found: Found) -> str:
        """The measure under an attack, in words."""
        return f"{self.kind.measure} {float(self.kind.valued(self.rows, found.change).mean()):.3g}"

    @cached_property
    def chancy(self) -> bool:
        """Whether answers depend on chance, and on nothing else that changes between two calls."""
        first, again, other = (self.answers(self.rows, seed) for seed in (1, 1, 2))
        return torch.equal(first, again) and not torch.equal(first, other)

    def answers(self, rows: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """The answers to unchanged rows, with chance set to a seed."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            return self.kind.outputs(self.kind.x[:, rows], rows).clone()


Check = Callable[[Case], HonestyRecord]


def checklist(case: Case) -> Iterator[HonestyRecord]:
    """Run every check, the cheap ones first.

    Args:
        case: what is checked.
    """
    for name, check in counted("checking the attack", CHECKS.items(), len(CHECKS)):
        if not len(case.rows):
            yield HonestyRecord(name, None, "no row is right unchanged, so there is nothing to attack")
        else:
            yield replace(check(case), name=name)


def _evaluation(case: Case) -> HonestyRecord:
    training = [name or "the model" for name, module in case.kind.model.named_modules() if module.training]
    if not case.chancy and not training:
        return _passed("no module is in training mode, and answers do not depend on chance")
    what = "answers depend on chance" if case.chancy else f"{training[0]} is in training mode"
    fix = "call model.eval(): an attack on answers that chance changes sees noise in place of a gradient"
    return _failed(f"{what}; {len(training)} modules are in training mode", fix)


def _state(case: Case) -> HonestyRecord:
    rows, back = case.rows, case.rows.flip(0)
    first, turned, again = (case.answers(part) for part in (rows, back, rows))
    spread = float(first.std()) or 1.0
    between = float((first - again).abs().max()) / spread
    order = 0.0 if case.chancy else float((first - turned.flip(0)).abs().max()) / spread
    text = f"the same rows answer {between:.2g} apart when asked again, {order:.2g} in another order (of their spread)"
    if between == 0 and order <= EQUAL:
        return _passed(text)
    return _failed(text, "set the state back before each example: what one is answered must not depend on others")


def _padding(case: Case) -> HonestyRecord:
    kind, rows = case.kind, case.rows
    change = case.base.change
    ball = kind.ball.rows(rows)
    moved = ball.moved(kind.x[:, rows], change)
    mask = torch.ones_like(moved) > 0 if ball.mask is None else ball.mask.expand(moved.shape)
    touched = int((moved != kind.x[:, rows])[~mask].sum())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stuffed = kind.stuffed(rows)
    before = case.answers(rows)
    text = (
        f"{touched} of {int((~mask).sum())} numbers in padding, gaps or other places that may not change were changed"
    )
    if stuffed is None:
        return (
            _passed(f"{text}; no row is padded") if not touched else _failed(text, "report this as a fault of attack")
        )
    far = float((stuffed - before).abs().max()) / (float(before.std()) or 1.0)
    text = f"{text}; with other numbers in padding answers are {far:.2g} apart (of their spread)"
    if not touched and far <= EQUAL:
        return _passed(text)
    return _failed(text, "pass lengths, so that the model does not read padding")


def _gradient(case: Case) -> HonestyRecord:
    silent = float(case.base.silent.mean())
    text = f"{100 * silent:.3g} % of the gradients were 0 or not finite (at most {100 * SILENT:g} %)"
    if silent <= SILENT:
        return _passed(text)
    return _failed(text, "something between input and answer has no gradient, such as rounding: attack without it")


def _unbounded(case: Case) -> HonestyRecord:
    kind, rows = case.kind, case.rows
    if case.limited:
        return HonestyRecord("", None, "only chosen steps or features may change, which need not be enough")
    chance, name = kind.chance
    found, radius = case.base, case.budget
    while True:
        value = float(kind.valued(rows, found.change).mean())
        reached = value <= chance if kind.better == "higher" else value >= chance
        if reached or radius > kind.unbounded:
            break
        radius = max(radius, 1e-6) * GROWTH
        found = found.worse(kind.search(rows, torch.full((len(rows),), radius), case.effort, found.change))
    text = f"within {radius:.3g} {kind.measure} is {value:.3g}; chance is {chance:.3g} ({name})"
    if reached:
        return _passed(text)
    return _failed(
        text, "an attack that may do anything must reach chance: this one is hindered, trust no number of it"
    )


def _steps(case: Case) -> HonestyRecord:
    less, more = case.kind.search(case.rows, case.budgets, case.effort.times(0.5)), case.harder
    harms = [case.harm(found) for found in (less, case.base, more)]
    text = f"with half, all and twice the steps and restarts: {', '.join(map(case.said, (less, case.base, more)))}"
    slack = case.slack(WEAKER)
    if harms[2] < harms[1] - slack or harms[1] < harms[0] - slack:
        return _failed(text, "more steps made the attack weaker: its steps are too large, or its gradient misleads")
    if harms[2] > harms[1] + case.slack(APART):
        return _failed(text, "the attack has not converged: raise --steps and --restarts")
    return _passed(text)


def _noise(case: Case) -> HonestyRecord:
    tries = case.effort.steps * 2
    found = case.kind.noise(case.rows, case.budgets, case.effort, tries)
    return _not_stronger(case, found, f"the worst of {tries} random changes")


def _losses(case: Case) -> HonestyRecord:
    names = list(case.kind.losses)
    founds = [case.kind.search(case.rows, case.budgets, case.effort, loss=name) for name in names]
    harms = [*map(case.harm, founds)]
    text = ", ".join(f"by {name} {case.said(found)}" for name, found in zip(names, founds, strict=True))
    if abs(harms[0] - harms[1]) <= case.slack(APART):
        return _passed(text)
    return _failed(text, f"one loss hides the gradient: {names[harms[0] < harms[1]]} is the one to trust")


def _queries(case: Case) -> HonestyRecord:
    effort = replace(case.effort, steps=min(case.effort.steps, QUERIED), restarts=1)
    return _not_stronger(case, case.kind.queried(case.rows, case.budgets, effort), "without a gradient")


def _transfer(case: Case) -> HonestyRecord:
    if not case.kind.imitated:
        return HonestyRecord("", None, "a small network does not learn to answer as this model does")
    surrogate = surrogate_of(case.kind, case.budget, case.effort)
    effort = replace(case.effort, restarts=1)
    found = case.kind.transferred(case.rows, case.budgets, effort, surrogate)
    return _not_stronger(case, found, "by the gradient of a surrogate")


def _not_stronger(case: Case, found: Found, how: str) -> HonestyRecord:
    text = f"{how} {case.said(found)}, by the attack {case.said(case.reported)}"
    if case.harm(found) <= case.harm(case.reported) + case.slack(WEAKER):
        return _passed(text)
    text = f"{text}, with twice the steps and restarts {case.said(case.harder)}"
    if case.harm(found) <= case.harm(case.harder.worse(case.reported)) + case.slack(WEAKER):
        return _passed(text)
    return _failed(text, "what knows less is stronger: the gradient is hidden, so the curve flatters the model")


def _passed(sentence: str) -> HonestyRecord:
    return HonestyRecord("", True, sentence)  # noqa: FBT003  passed


def _failed(sentence: str, remedy: str) -> HonestyRecord:
    return HonestyRecord("", False, sentence, remedy)  # noqa: FBT003  passed


CHECKS: dict[str, Check] = {
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
