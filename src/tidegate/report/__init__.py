"""Reports of comparisons, explanations and attacks: pages for people, JSON and CSV for programs. Nothing trains."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.report.attack import write_attack
    from tidegate.report.audit import write_audit
    from tidegate.report.explanation import write_explanation
    from tidegate.report.html import write_html
    from tidegate.report.plain import TIMING_COLUMNS, write_json, write_runs_csv

__all__ = [
    "TIMING_COLUMNS",
    "write_attack",
    "write_audit",
    "write_explanation",
    "write_html",
    "write_json",
    "write_runs_csv",
]
