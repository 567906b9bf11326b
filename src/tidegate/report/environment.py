"""How templates become pages: everything that is put into them is escaped."""

from __future__ import annotations

from functools import cache

import jinja2

from tidegate.report import number


@cache
def environment() -> jinja2.Environment:
    """The templates of all pages, and their filters."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tidegate.report", "templates"),
        autoescape=True,  # names, files, commands and warnings come from users
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "duration": number.duration,
        "rounded": number.rounded,
        "percent": number.percent,
        "chosen": number.plain,
    }
    return made
