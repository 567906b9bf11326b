"""The site's own part of Sphinx: code that runs, mathematics, translations that are counted, words of a search."""

import multiprocessing
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the extra docs")
DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from extension import chinese, execute, mathematics, results, run  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.errors import ExtensionError  # noqa: E402
from sphinx.util.docutils import docutils_namespace  # noqa: E402

CONF = """
extensions = ["myst_parser", "extension.execute", "extension.mathematics", "extension.translation"]
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
html_theme = "basic"
locale_dirs = [{locale!r}]
translated = ["index"]
"""
PO = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds a page, running its code here: the text of the page, what was said, the status."""
    monkeypatch.setattr(execute, "KEPT", tmp_path / "kept")
    monkeypatch.setattr("extension.translation.LOCALE", tmp_path / "locale")
    monkeypatch.setattr(run, "apart", run.outputs)
    (tmp_path / "conf.py").write_text(CONF.format(locale=str(tmp_path / "locale")), encoding="utf-8")

    def built(page: str, language: str = "en") -> tuple[str, str, int]:
        (tmp_path / "index.md").write_text(page, encoding="utf-8")
        with (tmp_path / "said").open("w", encoding="utf-8") as said, docutils_namespace():
            app = Sphinx(
                tmp_path, tmp_path, tmp_path / "html", tmp_path / "trees", "html", {"language": language},
                status=None, warning=said,
            )  # fmt: skip
            app.build()
        html = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
        return html, (tmp_path / "said").read_text(encoding="utf-8"), app.statuscode

    return built


PAGE = """# Title

```python
a = 2
print(f"a is {a}", __import__("torch").rand(1).item())
```

```python
import matplotlib.pyplot as plt
plt.plot([a, 1])
plt.xlabel("step")
```

Of $b'_i$ and $x$.
"""


def test_outputs_stand_beneath_the_code_and_are_the_same_each_time(build, tmp_path) -> None:
    html, said, status = build(PAGE)
    assert not said
    assert status == 0
    assert "a is 2 0.496" in html.replace("</span>", "")  # torch's first number after manual_seed(0)
    assert html.index("a is 2") > html.index("__import__")
    assert 'aria-label=" by step"' in html
    assert "#010203" not in html
    assert '<mi>b</mi><mo lspace="0" rspace="0">&#x02032;</mo>' in html  # a prime of full size
    assert not (tmp_path / "html" / "index.html").read_text(encoding="utf-8").count("MathJax")


def test_an_error_fails_the_build_and_names_its_line(build) -> None:
    _, said, status = build("# Title\n\n```python\na = 2\n```\n\n```python\n\nprint(a / 0)\n```\n")
    assert status == 1
    assert "index.md:7: ERROR" in said
    assert 'index.md", line 9, in <module>' in said
    assert "ZeroDivisionError" in said
    assert "run.py" not in said


def test_a_command_that_fails_fails_the_build(build) -> None:
    html, said, status = build("# Title\n\n```shell\necho $((2 + 3))\n```\n\n```shell\nfalse\n```\n")
    assert status == 1
    assert "false\nended with 1" in said
    html, said, status = build("# Title\n\n```shell\necho $((2 + 3))\n```\n")
    assert (said, status) == ("", 0)
    assert "5" in html


def test_outputs_are_kept_until_the_code_or_the_library_changes(build, monkeypatch) -> None:
    ran = []
    monkeypatch.setattr(run, "apart", lambda *page: ran.append(page) or run.outputs(*page))
    page = "# Title\n\n```python\na = 2\nprint('a is', a)\n```\n"
    build(page)
    build(page + "\nMore.\n")
    assert len(ran) == 1
    build(page.replace("a = 2", "a = 3"))
    assert len(ran) == 2
    monkeypatch.setattr(execute, "library", lambda: "another")
    html, _, _ = build(page.replace("a = 2", "a = 3"))  # Sphinx sees no change of the page
    assert len(ran) == 3
    assert "a is 3" in html


def test_a_page_runs_in_a_process_that_may_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run, "server", lambda: multiprocessing.get_context("spawn"))  # quicker than a server
    with pytest.raises(run.CodeError, match="ended with 3"):
        run.apart(str(tmp_path / "page.md"), [("python", "import os; os._exit(3)", 5)], "name")


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        ({"Title": "标题", "Text with $x$.": "文字 $x$。"}, None),
        ({"Title": "标题"}, "Learn 1 of 2"),
        ({"Title": "标题", "Text with $x$.": "fuzzy"}, "Learn 1 of 2, and 1 are fuzzy"),
        ({}, "Learn 0 of 2"),
    ],
)
def test_a_page_that_is_not_wholly_translated_is_refused(build, tmp_path, entries, refused) -> None:
    catalogue = tmp_path / "locale" / "zh_CN" / "LC_MESSAGES" / "index.po"
    catalogue.parent.mkdir(parents=True)
    text = (f'{"#, fuzzy" if said == "fuzzy" else ""}\nmsgid "{m}"\nmsgstr "{said}"\n' for m, said in entries.items())
    catalogue.write_text(PO + "\n".join(text), encoding="utf-8")
    page = "# Title\n\nText with $x$.\n\n$$\ny = x\n$$\n"
    if refused is None:
        assert "文字" in build(page, "zh_CN")[0]
    else:
        with pytest.raises(ExtensionError, match=refused):
            build(page, "zh_CN")


def test_mathematics_that_cannot_be_converted_is_named(build) -> None:
    assert "<mfrac>" in build("# T\n\n$$\n\\frac{a}{b}\n$$\n")[0]
    with pytest.raises(ExtensionError, match=r"left.*cannot be converted"):
        build("# T\n\n$$\n\\left( a\n$$\n")
    assert "<mi>&#x02032;</mi>" not in mathematics.polished("<msup><mi>b</mi><mi>&#x02032;</mi></msup>")


def test_chinese_is_indexed_by_pairs() -> None:
    assert chinese.Pairs({}).split("LSTM的遗忘门, GRU") == ["LSTM", "的遗", "遗忘", "忘门", "GRU"]


def test_every_result_has_a_name_and_a_command_that_exists() -> None:
    root = DOCS.parent
    listed = {root / f"{document}.md" for document in results.names()}
    assert listed == set((root / "benchmarks" / "results").rglob("*.md"))
