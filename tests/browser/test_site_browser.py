"""A small site in a browser: no foreign request, no complaint, nothing cut off at 360 pixels, enough contrast."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the extra docs")
from tests.browser.devtools import BROWSER, chromium

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from extension import execute, run  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util.docutils import docutils_namespace  # noqa: E402

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium")
PARTS = ("chinese", "execute", "mathematics", "switch", "translation")  # without those that generate pages
EXTENSIONS = ["myst_parser", "sphinx_design", "sphinx_copybutton", *(f"extension.{part}" for part in PARTS)]
PAGE = r"""# A page with everything and a long backpropagation title

Of $b'_i$, `a_rather_long_name_of_code_that_does_not_break(at, any, place)` and 遗忘门.

$$
\begin{align*}
i_t &= \sigma\left(W_i x_t + b_i + U_i h_{t-1} + b'_i + p_i \odot c_{t-1} + W_i x_t + b_i + U_i h_{t-1}\right) \\
c_t &= f_t \odot c_{t-1}
\end{align*}
$$

```python
import matplotlib.pyplot as plt
print("a line that is much longer than what a narrow screen can show at once, so that it has to scroll in itself")
plt.plot([2, 1])  # a comment
plt.xlabel("step")
```

| cell | parameters | operations | source of the equations | differs from it |
|---|--:|--:|---|---|
| LSTM | 33,024 | 66,000 | Hochreiter and Schmidhuber | a forget gate |

```{dropdown} Solution
Hidden, with $x^2$.
```
"""
CONTRAST = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest("script, style, svg, .skip-to-content, .headerlink, .back-to-top")) continue;
    const [one, other] = [numbers(getComputedStyle(element).color), behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([texts.currentNode.data.trim().slice(0, 30), element.className, ratio]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site's own settings on three pages, in both languages."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "docs").mkdir()
    first = (DOCS / "index.md").read_text(encoding="utf-8")
    names = ("learn/index", "cells/index", "howto/index", "reference/index", "design/index", "results/index")
    for name in (*names, "howto/which-cell", "howto/my-own-cell"):
        (folder / "docs" / name).parent.mkdir(exist_ok=True)
        (folder / "docs" / f"{name}.md").write_text("# Part\n", encoding="utf-8")
    project = first.rindex("```{toctree}")  # pages outside docs
    (folder / "docs" / "index.md").write_text(first[:project].replace("```python", "```py"), encoding="utf-8")
    (folder / "docs" / "page.md").write_text(f"---\norphan: true\n---\n{PAGE}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execute, "KEPT", folder / "kept")
        patched.setattr(run, "apart", run.outputs)
        for language, place in (("en", "html"), ("zh_CN", "html/zh")):
            settings = {"language": language, "translated_share": 0, "translated": ["docs/index", "docs/page"]}
            settings["extensions"] = EXTENSIONS
            with docutils_namespace():
                app = Sphinx(folder, DOCS, folder / place, folder / language, "html", settings, status=None)
                app.build()
            assert app.statuscode == 0
    return folder / "html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", ["docs/index.html", "docs/page.html", "zh/docs/page.html"])
def test_a_page_is_quiet_legible_and_not_cut_off(site, tab, page, dark) -> None:
    for width in (1400, 360):
        tab.open(site / page, width, dark=dark)
        assert not [url for url in tab.requests if not url.startswith(site.as_uri())]
        assert not tab.complaints
        assert tab.run("document.documentElement.scrollWidth") == width
        texts = "[...document.querySelectorAll('article p, article h1')]"
        assert tab.run(f"{texts}.filter((text) => text.scrollWidth > text.clientWidth + 1).length") == 0
        assert tab.run(CONTRAST) == []


def test_equations_code_and_tables_scroll_in_themselves(site, tab) -> None:
    tab.open(site / "docs/page.html", 360)
    for place in ("div.math", "div.highlight pre", ".table-wrapper"):
        assert tab.run(
            f"""(() => {{
              const place = document.querySelector("{place}");
              return place.scrollWidth > place.clientWidth && getComputedStyle(place).overflowX === "auto";
            }})()"""
        ), place


def test_each_page_leads_to_the_same_page_in_the_other_language(site, tab) -> None:
    tab.open(site / "docs/page.html", 360)
    assert tab.run("document.documentElement.lang") == "en"
    assert tab.run("document.querySelector('a.switch').checkVisibility()")
    assert tab.run("[...document.querySelectorAll('link[hreflang]')].map((at) => at.hreflang)") == ["zh-CN", "en"]
    links = [tab.run("document.querySelector('a.switch').href")]
    tab.open(site / "zh/docs/page.html")
    assert links == [tab.run("location.href")]
    assert tab.run("document.documentElement.lang") == "zh-CN"
    assert tab.run("document.querySelector('a.switch').href") == (site / "docs/page.html").as_uri()
    tab.run("document.querySelector('a.switch').focus()")
    assert tab.run("document.activeElement.hreflang") == "en"


@pytest.mark.parametrize(("place", "asked"), [("docs", "backpropagation"), ("zh", "遗忘门")])
def test_search_works_from_a_disk(site, tab, place, asked) -> None:
    folder = site / place if place == "zh" else site
    tab.open(folder / "search.html")
    tab.run(f"Search.performSearch({asked!r})")
    found = "document.querySelector('#search-results li a')?.getAttribute('href') ?? ''"
    for _ in range(50):
        if tab.run(found):
            break
        tab.run("new Promise((go) => setTimeout(go, 50))")
    assert tab.run(found).split("?")[0] == "docs/page.html"
    assert not tab.complaints
