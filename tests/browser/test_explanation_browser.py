"""The page of an explanation in a real browser: a hand chooses, steps and reads; nothing is asked of a network."""

import time
from dataclasses import replace

import pytest

from tests.browser.devtools import BASH, BROWSER, chromium
from tests.unit.explanation_record import music_record, series_record, text_record
from tests.unit.test_explanation_page import EVIL, evil_page
from tidegate.report import write_explanation
from tidegate.report.trace import levels_of

pytestmark = pytest.mark.skipif(
    BROWSER is None or BASH is None, reason="no Chromium on this machine, so the page cannot be shown"
)

STATE = """({
  where: document.getElementById("where").textContent,
  unit: document.getElementById("unit").value,
  sequence: document.getElementById("sequence").value,
  title: document.querySelector(".card:not([hidden]) [data-title]").textContent,
  readings: [...document.querySelectorAll(".track .label")].map((label) => label.textContent),
  maps: document.querySelectorAll(".tracks canvas").length,
  left: document.getElementById("cursor").getBoundingClientRect().left,
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explanation")


@pytest.fixture(scope="module")
def tab(folder):
    with chromium(folder / "profile") as tab:
        yield tab


@pytest.fixture(scope="module")
def page(folder):
    write_explanation(series_record(), folder / "series.html")
    return folder / "series.html"


@pytest.fixture(scope="module")
def text(folder):
    write_explanation(text_record(), folder / "text.html")
    return folder / "text.html"


def quiet(tab):
    """Nothing was said on the console, and nothing asked of a network."""
    assert tab.complaints == []
    assert tab.requests == []


def test_a_hand_chooses_a_sequence_a_step_and_a_unit(tab, page):
    tab.open(page)
    begin = tab.run(STATE)
    assert begin["where"].startswith("96 of 96")
    assert begin["maps"] == 4  # r, z, n and h of a GRU
    tab.run("document.getElementById('stage').focus()")
    tab.key("ArrowLeft", 3)
    moved = tab.run(STATE)
    assert moved["where"].startswith("93 of 96")
    assert moved["left"] < begin["left"]
    tab.key("ArrowDown", 2)
    order = series_record().traces[0].signals[0].units
    assert tab.run(STATE)["unit"] == str(order[2])
    tab.key("ArrowUp")
    assert tab.run(STATE)["unit"] == str(order[1])
    tab.key("Home")
    assert tab.run(STATE)["where"].startswith("1 of 96")
    tab.key("PageDown")
    assert tab.run(STATE)["where"].startswith("11 of 96")
    tab.key("End")
    tab.key("]")
    later = tab.run(STATE)
    assert later["sequence"] == "1"
    assert series_record().traces[1].labels[-1] in later["where"]
    tab.key("[")
    assert tab.run(STATE)["sequence"] == "0"
    tab.click(".strip:has(canvas)", across=0.255, down=0.99)
    clicked = tab.run(STATE)
    assert clicked["where"].startswith("25 of 96")
    assert clicked["unit"] == str(order[-1])
    quiet(tab)


def test_slider_and_buttons_and_lists_work_too(tab, page):
    tab.open(page)
    tab.run("document.getElementById('step').focus()")
    tab.key("ArrowLeft")
    assert tab.run(STATE)["where"].startswith("95 of 96")
    tab.click("#back")
    assert tab.run(STATE)["where"].startswith("94 of 96")
    tab.click("#next")
    assert tab.run(STATE)["where"].startswith("95 of 96")
    tab.run("(s => { s.value = 5; s.dispatchEvent(new Event('change')) })(document.getElementById('sequence'))")
    assert series_record().traces[5].labels[-1] in tab.run(STATE)["where"]
    quiet(tab)


def test_a_command_is_copied(tab, page):
    tab.open(page)
    tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    tab.call("Page.bringToFront")
    tab.click(".remedy .copied:nth-of-type(2) .copy")
    assert tab.run("new Promise((done) => setTimeout(done, 50))") is None
    assert tab.run("document.querySelector('.remedy .copied:nth-of-type(2) .copy').textContent") == "Copied"
    assert tab.run("navigator.clipboard.readText()") == series_record().verdicts[0].command
    quiet(tab)


def test_numbers_of_the_chosen_step_stand_in_the_equations(tab, page):
    """Inside the window they are exact, outside they are the maps' and say so."""
    tab.open(page)
    lines = "[...document.querySelectorAll('.card [data-lines] li')].map((l) => l.textContent)"
    exact = tab.run(lines)
    assert all(" = " in line for line in exact)
    tab.run("document.getElementById('stage').focus()")
    tab.key("ArrowLeft")
    assert tab.run(lines) != exact
    tab.key("Home")
    near = tab.run(lines)
    assert all(" ≈ " in line for line in near)
    assert "exact ones are kept for other steps" in tab.run(STATE)["title"]


def test_the_unit_shown_has_the_values_of_the_layer(tab, page):
    from tests.unit.explanation_record import elnino

    model = elnino()[0]
    unit = series_record().traces[0].signals[0].units[0]
    true = float(model.layer.trace(model.x)["h_l0"][-1, 0, unit])
    tab.open(page)
    reading = tab.run(
        "[...document.querySelectorAll('.track .label span')].find((s) => s.textContent.startsWith('h ')).textContent"
    )
    assert float(reading[2:].replace("\N{MINUS SIGN}", "-")) == pytest.approx(true, rel=1e-3)


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("kind", ["series", "text"])
def test_the_page_never_scrolls_sideways(tab, page, text, kind, width):
    tab.open(page if kind == "series" else text, width, 800)
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    clipped = """[...document.querySelectorAll("svg.figure")].flatMap((figure) => {
      const frame = figure.getBoundingClientRect();
      return [...figure.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.width && Math.max(frame.left - box.left, box.right - frame.right) > 1;
      }).map((text) => text.textContent);
    })"""
    assert tab.run(clipped) == []
    quiet(tab)


def test_everything_that_acts_has_a_name_and_a_place_for_the_focus(tab, page):
    tab.open(page)
    nameless = """[...document.querySelectorAll("button, input, select, [tabindex='0']")].filter((one) =>
      one.checkVisibility() && !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim())
    ).map((one) => one.outerHTML)"""
    assert tab.run(nameless) == []
    tab.run("document.getElementById('sequence').focus()")
    seen = []
    for _ in range(6):
        seen.append(tab.run("document.activeElement.id"))
        tab.key("Tab")
    assert seen == ["sequence", "unit", "back", "step", "next", "stage"]


def test_reduced_motion_has_no_transition(tab, page):
    slow = "getComputedStyle(document.querySelector('.stepper button')).transitionDuration"
    tab.open(page, still=True)
    assert tab.run(slow) == "0s"
    tab.open(page)
    assert tab.run(slow) != "0s"


def test_dark_maps_are_painted_dark(tab, page):
    corner = """(() => {
      const canvas = document.querySelector(".tracks canvas");
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return data.reduce((sum, part) => sum + part, 0) / data.length;
    })()"""
    tab.open(page)
    light = tab.run(corner)
    tab.open(page, dark=True)
    assert tab.run(corner) < light
    quiet(tab)


def test_what_users_write_is_shown_as_it_is(tab, folder):
    path = folder / "evil.html"
    path.write_text(evil_page(), encoding="utf-8")
    tab.open(path)
    assert tab.run("document.scripts.length") == 2
    assert tab.run("document.querySelector('h1').textContent") == EVIL
    tab.run("document.getElementById('stage').focus()")
    tab.key("Home")
    assert "</script><script>alert(1)</script>" in tab.run(STATE)["where"]
    assert any("<b>" in label for label in tab.run(STATE)["readings"])
    assert "<b>" in tab.run("document.querySelector('#attribution').textContent")
    quiet(tab)


def test_tokens_that_look_like_markup_are_text(tab, folder):
    record = text_record()
    first = record.traces[0]
    labels = ("</script>", "<b>", *first.labels[2:])
    write_explanation(replace(record, traces=(replace(first, labels=labels),)), folder / "token.html")
    tab.open(folder / "token.html")
    tokens = tab.run("[...document.querySelectorAll('.tokens span')].slice(0, 2).map((one) => one.textContent)")
    assert tokens == ["</script>", "<b>"]
    quiet(tab)


def test_notes_stand_above_the_gates(tab, folder):
    record = music_record()
    write_explanation(record, folder / "notes.html")
    tab.open(folder / "notes.html")
    assert tab.run(STATE)["maps"] == 7  # notes, and i, f, g, o, c and h of an LSTM
    sounding = """(() => {
      const canvas = document.querySelector(".roll canvas"), one = canvas.getContext("2d");
      const column = one.getImageData(0, 0, 1, canvas.height).data;
      const dark = Math.min(...column.filter((_, place) => place % 4 === 0));
      return [...Array(canvas.height).keys()].filter((row) => column[4 * row] === dark);
    })()"""
    roll = levels_of(record.traces[0].roll)
    lowest = int(roll.any(0).argmax()) - 1  # one row below what sounds
    assert [lowest + row for row in tab.run(sounding)] == [key for key in range(88) if roll[0, key]]
    quiet(tab)


def test_words_stand_upright_in_columns(tab, folder):
    record = text_record()
    first = record.traces[0]
    words = replace(first, labels=tuple(f"word{step}" for step in range(len(first.labels))))
    write_explanation(replace(record, traces=(words,)), folder / "words.html")
    tab.open(folder / "words.html", 360)
    high, wide = tab.run("(one => [one.clientHeight, one.clientWidth])(document.querySelectorAll('.tokens span')[150])")
    assert high > 2 * wide
    quiet(tab)


def test_a_full_page_is_small_and_quick(tab, text):
    """Eight sequences of 200 steps and 64 units."""
    size = text.stat().st_size
    began = time.perf_counter()
    tab.open(text)
    seconds = time.perf_counter() - began
    inside = tab.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"{size:,} bytes, opened in {seconds:.2f} s, load event after {inside:.0f} ms")  # noqa: T201  with pytest -s
    assert size < 1_000_000
    assert seconds < 10
    quiet(tab)


def test_it_is_readable_without_a_script(tab, page):
    tab.open(page, script=False)
    try:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
        shown = tab.run("document.body.innerText")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    record = series_record()
    for needed in (record.title, record.verdicts[0].sentence, "Gradient by lag", "Half-life", "needs JavaScript"):
        assert needed in shown


def test_it_prints(tab, page):
    tab.open(page)
    assert len(tab.call("Page.printToPDF", printBackground=True)["data"]) > 10_000
    quiet(tab)
