"""Records to a page that a person reads and to files that a program reads; nothing here trains."""

from tidegate.report.html import write_html
from tidegate.report.piano_roll import draw_piano_roll
from tidegate.report.plain import TIMING_COLUMNS, write_json, write_runs_csv

__all__ = ["TIMING_COLUMNS", "draw_piano_roll", "write_html", "write_json", "write_runs_csv"]
