"""Diagrams of all cells in a real browser: text has the room that was left for it, whatever the browser's typeface."""

import re

import pytest

from tests.browser.devtools import BASH, BROWSER, chromium
from tidegate.emit import diagram
from tidegate.zoo import CELLS

pytestmark = pytest.mark.skipif(
    BROWSER is None or BASH is None, reason="no Chromium on this machine, so the page cannot be shown"
)
FAULTS = """[...document.querySelectorAll("svg")].flatMap((svg) => {
  const name = svg.querySelector("title").textContent, { width, height } = svg.viewBox.baseVal;
  const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBBox()]);
  const right = (box) => box.x + box.width, foot = (box) => box.y + box.height;
  const outside = texts.filter(([, box]) => box.x < 0 || box.y < 0 || right(box) > width || foot(box) > height);
  const boxes = [...svg.querySelectorAll("rect")].map((rect) => rect.getBBox());
  const wide = texts.filter(([, text]) => boxes.some((box) => {
    const x = text.x + text.width / 2, y = text.y + text.height / 2;
    const inside = x > box.x && x < right(box) && y > box.y && y < foot(box);
    return inside && (text.x < box.x + 3 || right(text) > right(box) - 3);
  }));
  const ink = (box) => ({ ...box, x: box.x, y: box.y + 3, width: box.width, height: box.height - 7 });
  const lie = texts.flatMap(([one, a], k) => texts.slice(k + 1).filter(([, b]) => {
    const [p, q] = [ink(a), ink(b)];
    return p.x < right(q) && q.x < right(p) && p.y < foot(q) && q.y < foot(p);
  }).map(([other]) => `${one} on ${other}`));
  return [...outside.map(([text]) => `${name}: ${text} leaves the picture`),
          ...wide.map(([text]) => `${name}: ${text} is wider than its box`), ...lie.map((pair) => `${name}: ${pair}`)];
})"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("diagrams") / "profile") as tab:
        yield tab


def test_text_fits(tab, tmp_path):
    drawings = "".join(diagram.svg(CELLS[name].graph, page=True) for name in CELLS)
    path = tmp_path / "all.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><style></style>{drawings}", encoding="utf-8")
    tab.open(path)
    assert tab.run("document.querySelectorAll('svg').length") == len(CELLS)
    for face in ("serif", "DejaVu Serif", "sans-serif"):
        tab.run(f"document.querySelector('style').textContent = 'svg g {{ font-family: {face} }}'")
        assert tab.run(FAULTS) == [], face
    tab.run("document.querySelector('style').textContent = 'svg g { font-size: 26px }'")
    assert len(tab.run(FAULTS)) > len(CELLS)  # so it would have been seen
    assert tab.complaints == []
    assert tab.requests == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_file_of_its_own_is_light_or_dark(tab, tmp_path, dark):
    path = tmp_path / "lstm.svg"
    path.write_text(diagram.svg(CELLS["lstm"].graph), encoding="utf-8")
    tab.open(path, dark=dark)
    colours = tab.run(
        "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.rootElement))"
    )
    ink, ground = (int(re.search(r"\d+", text)[0]) for text in colours)
    assert (ink > ground) == dark
    assert abs(ink - ground) > 150
    assert tab.complaints == []
