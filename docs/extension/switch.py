"""Switch between languages: each page leads to the same page in the other language, above its text and in its head.

English stands at the top of the site, another language in the folder of its code. What is not translated says so there,
in a note above the English text.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from .translation import should_be_translated

LANGUAGES = {"en": ("", "en", "English"), "zh_CN": ("zh/", "zh-CN", "中文")}  # folder, code in HTML, own name
NOTES = {"zh_CN": "本页没有中文译文，以下为英文原文。"}  # noqa: RUF001  Chinese


def links(app: Sphinx, page: str, _: str, context: dict[str, Any], __: nodes.document | None) -> None:
    """Give the template of a page its links, and mark text that is not in the language of the build."""
    language = app.config.language
    up = context["content_root"] + "../" * LANGUAGES[language][0].count("/")
    context["languages"] = [
        {"code": code, "name": name, "link": f"{up}{folder}{page}.html"}
        for other, (folder, code, name) in LANGUAGES.items()
        if other != language
    ]
    alternates = [*context["languages"], {"code": LANGUAGES[language][1], "link": f"{page.rpartition('/')[2]}.html"}]
    context["metatags"] = context.get("metatags", "") + "".join(
        f'<link rel="alternate" hreflang="{at["code"]}" href="{at["link"]}">' for at in alternates
    )
    if language in NOTES and context.get("body") and is_english(app, page):
        context["body"] = f'<p class="untranslated">{NOTES[language]}</p><div lang="en">{context["body"]}</div>'


def is_english(app: Sphinx, page: str) -> bool:
    """Whether this page is the same in every language."""
    translated = page.startswith("docs/cells/") or should_be_translated(app.config, page)
    return page in app.env.all_docs and not translated


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", links)
