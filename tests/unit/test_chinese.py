"""Texts in other languages: every template has a translation with the same placeholders, and nothing else is there."""

import ast
import copy
import json
import pickle
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tidegate
from tidegate.errors import InputError
from tidegate.language import LANGUAGES, Said, check_language, joined, listed, local, say, speaking, translated, word
from tidegate.report import wording

SOURCE = Path(tidegate.__file__).parent
TEMPLATES = SOURCE / "report/templates"
OTHERS = sorted(LANGUAGES.keys() - {"en"})
UNTRANSLATED = ("audit", "attack")  # pages of other commands
NO_TEXTS = {  # strings of templates that are names: of classes, of filters, of parts
    *("text", "strong", "lost", "text verdict-cell", "colgroup", "drawn", "", ", ", " · ", " µs", "p"),
    *("s", " does", "s do", "is", "are"),
}
IN_SCRIPT = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
STYLE = re.compile(r"px$|--|var\(|rgb\(|scheme|data-series|^strip axis$|^use strict$|^M|^0 0 ")  # no text of a script


@cache
def spoken() -> frozenset[str]:
    """Every English template of a program, that is the first argument of ``say`` and ``local``."""
    sources = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    return frozenset(
        template
        for path, source in sources.items()
        if "from tidegate.language" in source
        for template in templates_of(path, source)
    )


def templates_of(path: Path, source: str) -> Iterator[str]:
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    imports = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tidegate.language")
        for alias in node.names
    }
    for call in calls:
        if call.func.id in {"say", "local"} & imports:
            assert isinstance(call.args[0], ast.Constant), f"{path}:{call.lineno}: a template is a literal"
            yield call.args[0].value


def written() -> Iterator[tuple[str, str]]:
    """Every text of the templates of pages, with the name of its file."""
    for path in TEMPLATES.rglob("*"):
        name = str(path.relative_to(TEMPLATES))
        if path.is_file() and not name.startswith(UNTRANSLATED):
            source = path.read_text(encoding="utf-8")
            yield from ((name, place.text) for place in wording.texts(name, source))


def is_style(text: str) -> bool:
    """Whether a string of a script is a style, a drawing, or nothing but what is put into it."""
    own = IN_SCRIPT.sub("", text)
    return bool(STYLE.search(own)) or not re.search("[a-z]{2}", own)


def placeholders(template: str) -> set[tuple[str, str, str]]:
    return {(name, spec or "", way or "") for _, name, spec, way in string.Formatter().parse(template) if name}


def expressions(text: str) -> set[str]:
    """What a text of a page puts in, but for English plurals."""
    found = re.findall(rf"{{{{.*?}}}}|{IN_SCRIPT.pattern}|</?\w+", text)
    return {re.sub('"[^"]*"', "", one) for one in found if not re.match(r"\{\{ \" ?\w*\" if ", one)}


@pytest.mark.parametrize("language", OTHERS)
def test_every_template_has_a_translation_with_the_same_placeholders(language) -> None:
    texts = LANGUAGES[language].texts
    assert spoken() - texts.keys() == set()
    for template in spoken():
        assert placeholders(texts[template]) == placeholders(template), template


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_of_a_page_has_a_translation_with_the_same_expressions(language) -> None:
    texts = LANGUAGES[language].texts
    for name, text in set(written()):
        if text in NO_TEXTS or (name.endswith(".js") and is_style(text)):
            continue
        assert text in texts, f"{name}: {text}"
        assert expressions(texts[text]) == expressions(text), text


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_without_use(language) -> None:
    used = {*spoken(), *(text for _, text in written())}
    assert LANGUAGES[language].texts.keys() - used == set()


@pytest.mark.parametrize("language", OTHERS)
def test_templates_of_pages_in_another_language_are_sound(language) -> None:
    for _, text in set(written()):
        other = LANGUAGES[language].texts.get(text, "")
        assert '"' not in other.replace("{{", "}}").split("}}")[0], text  # it may stand in a string of an expression


def test_a_text_is_its_english_to_everyone() -> None:
    text = say("{count} steps", count=3)
    assert (text, json.dumps(text), f"{text}!") == ("3 steps", '"3 steps"', "3 steps!")
    assert hash(text) == hash("3 steps")
    assert type(translated(text)) is str
    assert translated(text) == "3 steps"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_copies_can_be_translated(again) -> None:
    for text in (say("lag {lag}", lag=say("{count} steps", count=3)), joined([say("loss"), "x"], ", ")):
        assert again(text) == text
        assert translated(again(text), "zh") == translated(text, "zh") != text


def test_texts_in_texts_are_translated() -> None:
    inner = say("{count} steps", count=3)
    with speaking("zh"):
        assert translated(say("lag {lag}", lag=inner)) == "滞后 3 步"
        assert translated(joined([inner, say("loss")], ", ")) == "3 步、损失"
        assert translated(listed(["a", "b", "c"])) == "a、b 和 c"
        assert local("loss") == "损失"
        assert (word("fault"), word("vanishing")) == ("问题", "vanishing")
        assert translated("loss") == "loss"  # a name of a user's
    assert local("loss") == "loss"
    assert isinstance(listed(["a"]), str)
    assert isinstance(inner, Said)


def test_languages_do_not_leak_out_of_a_block() -> None:
    with pytest.raises(ZeroDivisionError), speaking("zh"):
        raise ZeroDivisionError
    assert local("loss") == "loss"


@pytest.mark.parametrize("name", ["de", "zh-CN", "", None, 3])
def test_an_unknown_language_is_refused_with_what_there_is(name) -> None:
    with pytest.raises(InputError, match="choose of en, zh"):
        check_language(name)
