"""The page of an audit: one HTML file without external resources and without scripts that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.records import AuditRecord, CanaryRecord, MembershipRecord
from tidegate.report.environment import environment
from tidegate.report.figure.audit import exposure_figure, membership_figure
from tidegate.report.number import count, percent, probability, rounded
from tidegate.storage import replace_file

SECTIONS = (("canaries", "Canaries"), ("membership", "Membership"), ("sampler", "Sampler"))


def write_audit(record: AuditRecord, path: Path) -> None:
    """Write the page of an audit to ``path``, atomically.

    Args:
        record: of the audit.
        path: the file.
    """
    replace_file(Path(path), render(record))


def render(record: AuditRecord) -> str:
    """The page as text; the same record gives the same bytes."""
    sections = [("verdicts", "Verdicts"), *(one for one in SECTIONS if getattr(record, one[0])), ("about", "About")]
    canaries = record.canaries
    return (
        environment()
        .get_template("audit/page.html")
        .render(
            record=record,
            sections=sections,
            canary_facts=_facts(canaries) if canaries else [],
            guesses=_guesses(canaries) if canaries else [],
            exposure_svg=exposure_figure(canaries) if canaries else "",
            attacks=[_attack(one) for one in record.membership],
            membership_svg=membership_figure(record.membership),
            tests=[{"test": test, "chance": probability(test.chance)} for test in record.sampler],
        )
    )


def _facts(canaries: CanaryRecord) -> list[tuple[str, str]]:
    facts = [
        ("A canary is", canaries.what),
        ("Canaries", f"{count(canaries.count)}, of {count(canaries.steps)} steps each"),
        ("Planted", count(canaries.planted)),
        ("Mean loss of planted ones", f"{rounded(canaries.loss_planted)} nats"),
        ("Mean loss of the others", f"{rounded(canaries.loss_others)} nats"),
    ]
    if canaries.exposure:
        facts += [
            ("Median exposure", f"{rounded(canaries.exposure[50])} bits (1 without memory)"),
            ("Mean exposure", f"{rounded(canaries.exposure_mean)} bits (1.44 without memory)"),
            ("Beyond the draws", f"{percent(canaries.extrapolated, 0)} of planted canaries, extrapolated"),
        ]
    return facts


def _guesses(canaries: CanaryRecord) -> list[dict[str, Any]]:
    return [
        {
            "made": count(one.made),
            "right": count(one.right),
            "share": percent(one.right / one.made, 1),
            "chance": probability(one.chance),
            "epsilon": rounded(one.epsilon),
        }
        for one in canaries.guesses
    ]


def _attack(one: MembershipRecord) -> dict[str, Any]:
    return {
        "attack": one,
        "found": percent(one.found, 2),
        "interval": f"{percent(one.found_low, 2)} to {percent(one.found_high, 2)}",
        "area": rounded(one.area),
        "area_interval": f"{rounded(one.area_low)} to {rounded(one.area_high)}",
        "sizes": f"{count(one.members)} and {count(one.others)}",
    }
