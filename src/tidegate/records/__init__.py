"""Records of training, comparison and explanation: plain data that survives JSON.

``train``, ``compare`` and ``explain`` write them. ``report`` reads them, and imports none of the three.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tidegate.records.attack import (
    AttackedRecord,
    AttackRecord,
    BudgetRecord,
    CertificateRecord,
    FlipRecord,
    HonestyRecord,
    TraceLine,
)
from tidegate.records.audit import (
    AuditRecord,
    CanaryRecord,
    ClaimRecord,
    GuessRecord,
    MembershipRecord,
    SamplerRecord,
)
from tidegate.records.comparison import (
    AnswerRecord,
    CellRecord,
    ComparisonRecord,
    PairRecord,
    RecallRecord,
    RunRecord,
    in_brackets,
    run_from_json,
)
from tidegate.records.explanation import (
    CheckRecord,
    DynamicsRecord,
    EvidenceRecord,
    ExplanationRecord,
    ExponentRecord,
    FixedPointRecord,
    FlowRecord,
    GateRecord,
    LayerRecord,
    MemoryRecord,
    PathRecord,
    RemedyRecord,
    SilenceRecord,
    VerdictLine,
)
from tidegate.records.privacy import PrivacyRecord, privacy_sentence
from tidegate.records.rest import (
    AblationRecord,
    AttributionRecord,
    ChangeRecord,
    ContextRecord,
    ForcingRecord,
    ShareRecord,
)
from tidegate.records.trace import CurveRecord, ExactRecord, SignalRecord, TraceRecord
from tidegate.records.training import (
    BaselineRecord,
    ContestRecord,
    DataRecord,
    EpochRecord,
    Outcome,
    ScoreRecord,
    StepRecord,
    VerdictRecord,
)

__all__ = [
    "AblationRecord",
    "AnswerRecord",
    "AttackRecord",
    "AttackedRecord",
    "AttributionRecord",
    "AuditRecord",
    "BaselineRecord",
    "BudgetRecord",
    "CanaryRecord",
    "CellRecord",
    "CertificateRecord",
    "ChangeRecord",
    "CheckRecord",
    "ClaimRecord",
    "ComparisonRecord",
    "ContestRecord",
    "ContextRecord",
    "CurveRecord",
    "DataRecord",
    "DynamicsRecord",
    "EpochRecord",
    "EvidenceRecord",
    "ExactRecord",
    "ExplanationRecord",
    "ExponentRecord",
    "FixedPointRecord",
    "FlipRecord",
    "FlowRecord",
    "ForcingRecord",
    "GateRecord",
    "GuessRecord",
    "HonestyRecord",
    "LayerRecord",
    "MembershipRecord",
    "MemoryRecord",
    "Outcome",
    "PairRecord",
    "PathRecord",
    "PrivacyRecord",
    "RecallRecord",
    "RemedyRecord",
    "RunRecord",
    "SamplerRecord",
    "ScoreRecord",
    "ShareRecord",
    "SignalRecord",
    "SilenceRecord",
    "StepRecord",
    "TraceLine",
    "TraceRecord",
    "VerdictLine",
    "VerdictRecord",
    "in_brackets",
    "privacy_sentence",
    "run_from_json",
    "to_json",
]


def to_json(record: Any) -> dict[str, Any]:
    """A record as plain data, with all nested records."""
    return dataclasses.asdict(record)
