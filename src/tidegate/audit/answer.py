"""``run``: a trained model and the data of its training to an audit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray

from tidegate._version import __version__
from tidegate.audit.membership import LEAST, membership
from tidegate.audit.planted import of_canaries
from tidegate.audit.sampled import of_sampler
from tidegate.audit.shadow import by_shadows
from tidegate.audit.verdict import verdicts
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.records import AuditRecord, CanaryRecord, ClaimRecord, MembershipRecord, VerdictLine, privacy_sentence
from tidegate.tasks import from_pretrained
from tidegate.train.canary import CANARIES, Canaries, read_canaries

DELTA = 1e-5  # where the model states none
SHADOWS = "shadows"  # the folder of shadow models, beside the model
VERSIONS = {
    "tidegate": __version__,
    "torch": str(torch.__version__),
    "numpy": np.__version__,
    "scipy": scipy.__version__,
}
Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class Audit:
    """What was found of a model.

    Attributes:
        record: everything as plain data.
    """

    record: AuditRecord

    @property
    def verdicts(self) -> tuple[VerdictLine, ...]:
        """What was found, the worst first."""
        return self.record.verdicts

    @property
    def epsilon(self) -> float:
        """The lower bound on epsilon; 0 without canaries."""
        return self.record.canaries.epsilon if self.record.canaries else 0.0

    def to_html(self, path: Path_) -> None:
        """Write the page: one file under a megabyte, without network.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        from tidegate.report import write_audit  # matplotlib is slow to load

        write_audit(self.record, Path(path))

    def to_json(self, path: Path_) -> None:
        """Write the record as JSON.

        Args:
            path: the file; it is replaced whole or not at all.
        """
        from tidegate.report import write_json  # as above

        write_json(self.record, Path(path))


def run(
    model: Any,
    data: Any = None,
    *,
    valid: Path_ | None = None,
    test: Path_ | None = None,
    draws: int = 4096,
    shadows: int = 0,
    confidence: float = 0.95,
    workers: int | None = None,
    folder: Path_ | None = None,
) -> Audit:
    """Measure what a trained model gives away about the rows that it learnt from.

    A model that was trained with ``canaries=`` gets a lower bound on epsilon and the exposure of its canaries; every
    model is tested for whether losses tell rows of the training part from rows of the test part.

    Args:
        model: the folder of a trained model, or a fitted estimator.
        data: what it was trained on; bundled sets need not be named.
        valid: the file for validation, if there was one.
        test: the file for the test, if there was one.
        draws: rows that are drawn like canaries, among which these stand.
        shadows: models to train like this one for likelihood ratios; 0 for none, else at least 4.
        confidence: of the lower bound on epsilon.
        workers: how many shadows are trained at a time; one for each processor unless given.
        folder: where shadows are kept; ``shadows`` in the model's folder unless given.

    Returns:
        What was found.

    Raises:
        InputError: the model has no rows to audit, the data are not those of its training, a number is out of range,
            or canaries.json is damaged or belongs to another model.

    References:
        Carlini et al. 2019, arXiv 1802.08232 (exposure); Steinke et al. 2023, arXiv 2305.08846 (lower bound); Yeom et
        al. 2018, arXiv 1709.01604 (losses); Carlini et al. 2022, arXiv 2112.03570 (likelihood ratios).
    """
    start = time.monotonic()
    _check(draws, confidence)
    home = Path(model) if isinstance(model, (str, os.PathLike)) else None
    estimator = model if home is None else from_pretrained(home)
    canaries, left_out = _canaries(estimator, home)
    phase("reading")
    task = estimator.trained_on(data, valid=valid, test=test)
    examples, network = task.examples, estimator.model_
    privacy = getattr(estimator, "privacy_", None)
    claim = _claim(privacy)
    found = None if canaries is None else _planted(network, examples, canaries, claim, 1 - confidence, draws)
    attacks, missing = _attacks(task, estimator, shadows, _place(folder, home, shadows), workers)
    sampler = of_sampler(privacy, len(examples.rows("train"))) if privacy else ()
    return Audit(
        AuditRecord(
            title=f"{estimator.graph_.name} on {estimator.data_.name}",
            task=task.name,
            data=estimator.data_.name,
            claim=claim,
            verdicts=verdicts(claim, found, attacks, sampler),
            canaries=found,
            membership=attacks,
            sampler=sampler,
            left_out=(*left_out, *missing),
            seconds=time.monotonic() - start,
            versions=VERSIONS,
        )
    )


def _planted(
    model: torch.nn.Module, examples: Any, canaries: Canaries, claim: ClaimRecord, level: float, draws: int
) -> CanaryRecord:
    if not canaries.fit(examples):
        raise InputError(
            "CANARIES_OTHER",
            f"{CANARIES} does not give the canaries that were planted: the data or NumPy's version are others",
            fix="pass the data of the training, and use the version of NumPy that it had",
        )
    return of_canaries(model, examples, canaries, claim.delta, level, draws)


def _check(draws: int, confidence: float) -> None:
    if not 100 <= draws <= 1 << 22:
        raise InputError("AUDIT_DRAWS", f"draws={draws} is out of range", fix="use at least 100 and at most 4194304")
    if not 0.5 <= confidence < 1:
        raise InputError("AUDIT_CONFIDENCE", f"confidence={confidence:g} is out of range", fix="use 0.95")


def _canaries(estimator: Any, home: Path | None) -> tuple[Canaries | None, tuple[str, ...]]:
    """The canaries of a model, and what cannot be said without them."""
    lost = "no lower bound on epsilon, and no exposure"
    if not estimator.planted_:
        return None, (f"{lost}: the model was trained without canaries; train it again with --canaries 1000",)
    kept = estimator.canaries_ if home is None else read_canaries(home)
    if kept is None:
        return None, (
            f"{lost}: canaries were planted, but {CANARIES} is not in the folder of the model; copy it there",
        )
    if kept.hash != estimator.planted_:
        raise InputError(
            "CANARIES_OTHER", f"{CANARIES} belongs to another model", fix="copy that of this model's training"
        )
    return kept, ()


def _claim(privacy: Any) -> ClaimRecord:
    if privacy is None:
        return ClaimRecord(None, DELTA, "")
    return ClaimRecord(privacy.epsilon, privacy.delta, privacy_sentence(privacy))


def _place(folder: Path_ | None, home: Path | None, shadows: int) -> Path | None:
    if folder is None and home is None and shadows:
        raise InputError("AUDIT_FOLDER", "shadows of an estimator need a folder", fix="pass folder=")
    return Path(folder) if folder is not None else home and home / SHADOWS


def _attacks(
    task: Any, estimator: Any, shadows: int, folder: Path | None, workers: int | None
) -> tuple[tuple[MembershipRecord, ...], tuple[str, ...]]:
    """Attacks that tell rows of training from others, and what they cannot say."""
    examples = task.examples
    members, others = examples.rows("train"), examples.rows("test")
    if not len(others):
        return (), ("whether losses tell the training part: there is no test part; train with test_share=0.1",)
    missing = []
    if len(others) < LEAST:
        missing.append(
            f"a share of 1 % of the others: the test part has {len(others)} {examples.what}, of {LEAST} needed"
        )
    losses = [examples.losses(estimator.model_, rows) for rows in (members, others)]
    found = [_record("the loss", "rows of low loss count as learnt from", examples.what, *(-own for own in losses))]
    if shadows and folder is not None:
        scores, how = by_shadows(task, estimator.model_, estimator.graph_, shadows, folder, workers)
        parts = (own[np.isfinite(own)] for own in np.split(scores, [len(members)]))
        found.append(_record("the likelihood ratio", how, examples.what, *parts))
    else:
        missing.append("likelihood ratios, which find more than losses: add --shadows 16, each of them a training")
    return tuple(found), tuple(missing)


def _record(
    name: str, how: str, what: str, members: NDArray[np.float64], others: NDArray[np.float64]
) -> MembershipRecord:
    return MembershipRecord(name=name, how=how, what=what, **vars(membership(members, others)))
