"""Records to a page that a person reads and to files that a program reads; nothing here trains."""

from tidegate.errors import explain_missing

with explain_missing():
    from tidegate.report.html import write_html
    from tidegate.report.plain import TIMING_COLUMNS, write_json, write_runs_csv

__all__ = ["TIMING_COLUMNS", "write_html", "write_json", "write_runs_csv"]
