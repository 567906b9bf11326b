"""Sliders of a page in a real browser: a hand moves them, and the numbers are those of the library's layers."""

import importlib.util
from pathlib import Path

import pytest
import torch

import tidegate as tg
from tests.browser.devtools import BASH, BROWSER, chromium

pytest.importorskip("sphinx")
pytestmark = pytest.mark.skipif(
    BROWSER is None or BASH is None, reason="no Chromium on this machine, so the page cannot be shown"
)
DOCS = Path(__file__).parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("sliders", DOCS / "extension" / "sliders.py")
sliders = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sliders)

LSTM = {
    "x": [1.0, 0.5, -1.0, 0.0],
    "W": {"i": 0.5, "f": 0.4, "g": 0.8, "o": 0.6},
    "U": {"i": 0.3, "f": 0.2, "g": 0.5, "o": 0.4},
    "b": {"i": 0.0, "f": 1.0, "g": 0.0, "o": -0.25},
}
GRU = {"x": [2.0, -0.5], "W": {"r": 1.0, "z": -1.0, "n": 0.5}, "U": {"r": 0.5, "n": -2.0}, "bU": {"n": 0.75}}
STATE = """({
  sliders: Object.fromEntries([...document.querySelectorAll("input")].map((s) => [s.name, s.valueAsNumber])),
  rows: Object.fromEntries([...document.querySelectorAll("tbody tr")].map((row) =>
    [row.firstChild.firstChild.textContent, [...row.querySelectorAll("td")].map((c) => Number(c.dataset.value))])),
  text: [...document.querySelectorAll("tbody td")].map((cell) => cell.textContent),
  shown: document.querySelector("form").checkVisibility(),
  wide: document.documentElement.scrollWidth,
})"""


def written(folder, name, cell, example, language="en"):
    path = folder / f"{name}.html"
    css, script = (DOCS / "_static" / file for file in ("site.css", "sliders.js"))
    body = sliders.page(tg.zoo.find(cell).graph, example, sliders.WORDS[language])
    rule = "default-src 'none'; style-src file:; script-src file:"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{rule}">'
    head += f'<link rel="stylesheet" href="{css.as_uri()}"><script defer src="{script.as_uri()}"></script>'
    path.write_text(f"<!doctype html><title>Sliders</title>{head}{body}", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sliders")


@pytest.fixture(scope="module")
def tab(folder):
    with chromium(folder / "profile") as tab:
        yield tab


def library(layer, example, numbers):
    """Every value of the layer with these numbers, step by step."""
    layer = layer.double()
    with torch.no_grad():
        for suffix, matrix, bias in (("ih", "W", "b"), ("hh", "U", "bU")):
            names = [block.name for block in layer.graph.matrix(matrix).blocks]
            for kind, letter in (("weight", matrix), ("bias", bias)):
                values = torch.tensor([numbers.get(f"{letter}.{name}", 0.0) for name in names], dtype=torch.float64)
                parameter = getattr(layer, f"{kind}_{suffix}_l0")
                parameter.copy_(values.reshape(parameter.shape))
        x = torch.tensor([numbers.get(f"x.{t}", value) for t, value in enumerate(example["x"])], dtype=torch.float64)
        traced = layer.trace(x[:, None])
    return {name.removesuffix("_l0"): value[:, 0].tolist() for name, value in traced.items()} | {"x": x.tolist()}


def numbers_of(example):
    return {f"{kind}.{gate}": v for kind, block in example.items() if kind != "x" for gate, v in block.items()}


def held(state, layer, example):
    wanted = library(layer, example, numbers_of(example) | state["sliders"])
    assert state["rows"].keys() == wanted.keys()
    for name, row in state["rows"].items():
        assert row == pytest.approx(wanted[name], abs=1e-6)


@pytest.mark.parametrize(("cell", "layer", "example"), [("lstm", tg.nn.LSTM, LSTM), ("gru", tg.nn.GRU, GRU)])
def test_all_numbers_are_those_of_the_library(tab, folder, cell, layer, example):
    path = written(folder, cell, cell, example)
    tab.open(path)
    first = tab.run(STATE)
    held(first, layer(1, 1), example)
    for name, key, times in (
        ("x.0", "ArrowLeft", 7),
        ("x.1", "End", 1),
        ("W.n" if cell == "gru" else "b.f", "Home", 1),
    ):
        tab.run(f"document.querySelector('details').open = true; document.querySelector('[name=\"{name}\"]').focus()")
        tab.key(key, times)
    moved = tab.run(STATE)
    assert moved["sliders"]["x.0"] == pytest.approx(example["x"][0] - 0.35)
    assert moved["sliders"]["x.1"] == 3
    assert moved["rows"]["h"] != first["rows"]["h"]
    held(moved, layer(1, 1), example)
    tab.click("button")
    tab.run("new Promise((done) => setTimeout(done, 50))")
    again = tab.run(STATE)
    assert (again["sliders"], again["text"]) == (first["sliders"], first["text"])
    assert tab.complaints == []
    assert [request.rpartition("/")[2] for request in tab.requests] == ["site.css", "sliders.js"]


def test_without_script_the_table_stands_there(tab, folder):
    path = written(folder, "still", "lstm", LSTM)
    tab.open(path, width=360)
    with_script = tab.run(STATE)
    assert with_script["shown"]
    assert with_script["wide"] == 360
    labels = "[...document.querySelectorAll('input')].map((input) => input.labels[0].textContent[0])"
    assert set(tab.run(labels)) == set("xWUb")
    tab.open(path, script=False)
    still = tab.run(STATE)
    assert not still["shown"]
    assert still["text"] == with_script["text"]


def test_words_are_those_of_the_language(folder):
    text = written(folder, "zh", "lstm", LSTM, "zh_CN").read_text(encoding="utf-8")
    assert all(word in text for word in sliders.WORDS["zh_CN"].values())
    assert sliders.WORDS["zh_CN"].keys() == sliders.WORDS["en"].keys()


def test_sliders_stop_at_the_numbers_of_the_page():
    assert sliders.fits(0.35)
    assert not sliders.fits(0.36)
    assert not sliders.fits(3.05)
