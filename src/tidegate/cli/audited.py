"""How an audit is printed: verdicts first, then what it cannot say."""

from __future__ import annotations

from rich.console import Console

from tidegate.cli.console import print_line, shown
from tidegate.cli.explained import COLOURS, INDENT
from tidegate.records import AuditRecord, CanaryRecord, VerdictLine


def print_audit(screen: Console, record: AuditRecord) -> None:
    """Print what was found.

    Args:
        screen: where to print.
        record: of the audit.
    """
    screen.print()
    print_line(screen, record.title, style="bold")
    claim = record.claim.sentence
    print_line(screen, f"the model states {claim}" if claim else "the model promises no privacy")
    if record.canaries is not None:
        print_line(screen, _planted(record.canaries))
    if record.sampler:
        passed = sum(test.passed for test in record.sampler)
        print_line(screen, f"sampler: {passed} of {len(record.sampler)} tests passed")
    screen.print()
    for line in record.verdicts:
        _print_verdict(screen, line)
    screen.print()
    for text in record.left_out:
        print_line(screen, f"cannot say: {text}", style="dim")


def _planted(canaries: CanaryRecord) -> str:
    losses = f"mean loss {canaries.loss_planted:.3g} where planted, {canaries.loss_others:.3g} where not"
    return f"canaries: {canaries.count:,}, {canaries.planted:,} of them planted; {losses}"


def _print_verdict(screen: Console, line: VerdictLine) -> None:
    screen.print(f"[{COLOURS[line.severity]}]{line.severity}[/] [bold]{shown(line.name)}[/]", soft_wrap=True)
    print_line(screen, INDENT + line.sentence)
    measured = "; ".join(
        f"{one.name} {_number(one.value)}{f' {one.unit}' if one.unit else ''}" for one in line.evidence
    )
    print_line(screen, f"{INDENT}measured: {measured}")
    if line.against:
        print_line(screen, f"{INDENT}against it: {line.against}")
    if line.remedy:
        print_line(screen, f"{INDENT}remedy: {line.remedy}")
    if line.command:
        print_line(screen, INDENT * 2 + line.command, style="bold")


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
