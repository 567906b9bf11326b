"""How templates become pages: everything that is put into them is escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
import jinja2.runtime

from tidegate.language import LANGUAGES, tag, translated, word
from tidegate.report import number
from tidegate.report.wording import worded


@cache
def environment(language: str = "en") -> jinja2.Environment:
    """The templates of all pages in a language, and their filters.

    Args:
        language: its name.
    """
    files = jinja2.PackageLoader("tidegate.report", "templates")
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _source(made, files, name, language)),
        autoescape=True,  # names, files, commands and warnings come from users
        finalize=_spoken,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "duration": number.duration,
        "rounded": number.rounded,
        "percent": number.percent,
        "chosen": number.plain,
        "said": translated,
        "capital": lambda text: (shown := translated(text))[:1].upper() + shown[1:],
        "word": word,
    }
    made.globals["language"] = tag
    return made


def _source(made: jinja2.Environment, files: jinja2.BaseLoader, name: str, language: str) -> str:
    source, *_ = files.get_source(made, name)
    return worded(name, source, LANGUAGES[language].texts)


@jinja2.pass_context
def _spoken(context: jinja2.runtime.Context, value: Any) -> Any:
    """Every value as it is shown. With a context, so that no constant is shown when the template is compiled."""
    del context
    return translated(value)
