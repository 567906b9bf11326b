"""The report: complete, self-contained, escaped, the same every time, and whole in every awkward case."""

import csv
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest

from tests.sample import VARIED
from tests.unit.report_record import TWELVE, comparison, renamed
from tidegate import report
from tidegate.emit import latex
from tidegate.errors import InputError
from tidegate.records import BaselineRecord
from tidegate.report import number
from tidegate.report.figure import cost
from tidegate.report.figure.equation import Typesetter
from tidegate.report.figure.pair import bootstrap
from tidegate.report.figure.svg import drawing
from tidegate.report.html import render
from tidegate.report.palette import short_names
from tidegate.zoo import CELLS

SECTIONS = ["answer", "scores", "pairs", "costs", "curves", "memory", "runs", "baselines", "cells", "protocol"]
EVIL = "<script>alert('x')</script>\"' onload=\"y"
VOID = {"meta", "link", "br", "input", "img"}


class Page(HTMLParser):
    """Tags, ids and links of a page; complains about tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page():
    return render(comparison())


def test_sections_stand_in_order(page):
    assert [s["id"] for s in Page(page).named("section")] == SECTIONS


def test_answer_is_the_heading(page):
    record = comparison()
    text = " ".join(Page(page).text)
    assert len(Page(page).named("h1")) == 1
    for needed in (record.answer.headline, *record.answer.reasons, record.command, record.data.hash, "8.404"):
        assert needed in text


def test_every_run_is_listed(page):
    runs = page[page.index('id="runs"') : page.index('id="baselines"')]
    assert runs.count("<tr") == 1 + 20
    assert runs.count("<strong>diverged</strong>") == 1


def test_page_needs_nothing_else(page):
    assert all(link.startswith(("#", "data:", "explain/")) for link in Page(page).links)  # pages beside it
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_ids_are_unique_and_references_resolve(page):
    ids = Page(page).ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#|aria-labelledby=")([\w-]+)', page)) <= set(ids)


def test_accessible(page):
    parsed = Page(page)
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.named(landmark)) == 1
    assert parsed.named("html")[0]["lang"] == "en"
    assert len(parsed.named("caption")) == len(parsed.named("table")) == 5
    for svg in parsed.named("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden")
    assert all(heading.get("scope") for heading in parsed.named("th"))


def test_no_placeholder_colour_is_left(page):
    assert not re.search(r"#0[0-9a]0[0-9a]0[0-9a]\b", page)
    assert "DejaVu" not in page
    used = set(re.findall(r"var\(--([\w-]+)\)", page)) - {"width"}
    assert used <= set(re.findall(r"--([\w-]+):", page))


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(page, scheme):
    """Text at least 4.5 to 1 and marks at least 3 to 1, in the light and in the dark page."""
    blocks = re.findall(r":root \{([^}]*--series-7[^}]*)\}", page)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    for name, least in [("ink", 7), ("muted", 4.5), ("accent", 4.5), *((f"series-{i}", 3) for i in range(8))]:
        assert _contrast(colours[name], colours["page"]) >= least, name
    assert _contrast(colours["alert"], colours["alert-page"]) >= 4.5


def _contrast(first, second):
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(
        w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4)
        for w, p in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
    )


def test_size_of_a_large_report():
    lost = (("rnn", 3), ("nig", 1))
    assert len(render(comparison(TWELVE, 20, 100, lost)).encode()) < 1_000_000


def test_everything_from_users_is_escaped():
    record = renamed(comparison(epochs=4), {"GRU": EVIL, "LSTM": "$x_1$ & {{ 7 * 7 }}"})
    record = replace(
        record,
        command=EVIL,
        task=EVIL,
        metric=EVIL,
        unit=EVIL,
        data=replace(record.data, name=EVIL, hash=EVIL, description=EVIL, licence=EVIL, split=EVIL, warnings=(EVIL,)),
        protocol={EVIL: EVIL},
        machine={EVIL: EVIL},
        answer=replace(record.answer, headline=EVIL, reasons=(EVIL,)),
        cells=tuple(replace(cell, source=EVIL) for cell in record.cells),
        baselines=tuple(replace(baseline, name=EVIL, how=EVIL) for baseline in record.baselines),
        runs=tuple(replace(run, run=EVIL, status=EVIL) for run in record.runs),
    )
    parsed = Page(page := render(record))
    assert len(parsed.named("script")) == 2
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in "".join(parsed.text)
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


def test_a_baseline_in_reach_comes_first():
    record = comparison(epochs=4)
    alert = "Baseline note frequencies scores 8.39; GRU, the best cell, 8.404."
    record = replace(
        record,
        baselines=(replace(record.baselines[1], score=8.39, rival=True), record.baselines[0]),
        answer=replace(record.answer, alerts=(alert,)),
    )
    page = render(record)
    assert page.count(alert) == 1
    assert page.index(alert) < page.index("<h1")
    assert "<strong>better</strong> than the mean of GRU" in page


def test_reliable_pairs_are_marked_in_words():
    record = comparison(seeds=7, epochs=2)
    page = render(record)
    expected = sum(pair.reliable for pair in record.pairs)
    assert 0 < expected < len(record.pairs)
    assert page.count("<strong>reliable</strong>") == expected
    assert page.count("no reliable difference") == len(record.pairs) - expected


def test_the_record_alone_decides_what_is_reliable():
    record = comparison(("gru", "rnn"), seeds=3, epochs=4, diverged=())
    pair = replace(record.pairs[0], p=1e-9)
    assert not pair.reliable  # three seeds never are
    page = render(replace(record, pairs=(pair,)))
    assert "no reliable difference" in page
    assert "<strong>reliable</strong>" not in page
    assert 'class="hollow"' in page


def test_baselines_are_compared_with_the_best_cell_without_a_diverged_run():
    record = comparison(("gru", "rnn"), epochs=4, diverged=(("gru", 1),))
    gru, rnn = record.cells
    assert gru.mean < rnn.mean
    page = render(replace(record, baselines=(BaselineRecord("near", rnn.mean, "made up", rival=True),)))
    assert "<strong>inside</strong> the interval of RNN" in page
    assert "among those without a diverged run" in page


def test_long_units_are_broken_into_lines():
    metric = "negative log-likelihood per frame of all voices"
    record = replace(comparison(epochs=3), metric=metric, unit="standard deviations of the training target yy")
    labels = [label for label in re.findall(r"<text[^>]*>([^<]*)</text>", render(record)) if len(label) > 40]
    assert labels
    assert max(map(len, labels)) <= 77


def test_a_renamed_cell_shows_its_definition_and_what_differs():
    page = render(renamed(comparison(epochs=3), {"GRU": "again"}))
    assert "definition: GRU" in page
    assert "definition: LSTM" not in page
    assert "Differs: reset after the product unless asked for" in page


def test_a_cell_with_settings_of_its_own_shows_them():
    record = comparison(epochs=3)
    own = {"heads": 4, "layer_norm": True}
    cells = [replace(cell, name="small", options=own) if cell.name == "GRU" else cell for cell in record.cells]
    answer = replace(record.answer, recommended="small")
    page = render(replace(record, cells=tuple(cells), answer=answer))
    assert page.count('class="settings">GRU[heads=4,layer_norm]<') == 2  # in the recommendation and in the table
    assert 'class="settings"' not in render(record)


def test_a_resumed_comparison_says_so():
    record = comparison(epochs=3)
    assert "from earlier sessions" not in render(record)
    page = render(replace(record, reused=7))
    assert "7 runs from earlier sessions" in page
    assert "2\N{NO-BREAK SPACE}min 11\N{NO-BREAK SPACE}s</p>" not in page
    assert f"7 of {len(record.runs)} runs" in page


@pytest.mark.parametrize(
    "record",
    [
        comparison(seeds=1, diverged=()),
        comparison(("gru",), seeds=1, epochs=1, diverged=()),
        comparison(("gru",)),
        comparison(("gru", "rnn"), 2, 5, (("gru", 0), ("gru", 1), ("rnn", 0), ("rnn", 1))),
        comparison(("gru", "rnn"), 3, 5, (("rnn", 0), ("rnn", 1), ("rnn", 2))),
        comparison(shift=-20, epochs=6),
        renamed(comparison(epochs=3), {"GRU": "a" * 59 + "x", "LSTM": "a" * 59 + "y", "RNN": "日本語 RNN"}),
        replace(comparison(epochs=2), baselines=(), pairs=(), protocol={}, machine={}),
        replace(comparison(epochs=2), runs=()),
        replace(comparison(epochs=2), cells=(), runs=(), pairs=()),
    ],
    ids=["one-seed", "one-run", "one-cell", "all-lost", "one-lost", "negative", "long", "bare", "no-runs", "nothing"],
)
def test_awkward_records(record):
    page = render(record)
    sections = [name for name in SECTIONS if name != "memory" or record.cells]
    assert [s["id"] for s in Page(page).named("section")] == sections
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(Page(page).text), re.IGNORECASE)


def test_numbers_that_are_not_finite():
    record = comparison(epochs=6)
    broken = tuple(replace(epoch, valid=math.nan, seconds=math.inf) for epoch in record.runs[0].curve)
    record = replace(
        record,
        runs=(replace(record.runs[0], curve=broken, test=math.nan, train_seconds=math.nan), *record.runs[1:]),
        cells=tuple(replace(cell, step_p50_us=math.nan, exported_bytes=0) for cell in record.cells),
        pairs=tuple(replace(pair, p=math.nan, low=math.nan, high=math.nan) for pair in record.pairs),
    )
    Page(render(record))


@pytest.mark.parametrize("name", VARIED)
def test_equations_of_the_zoo(name):
    equations = Typesetter().cell(CELLS[name].graph.to_json())
    assert equations.problem == ""
    assert equations.svg.startswith('<svg class="equations"')
    assert equations.svg.count("\n") == 0
    assert equations.latex == latex.align(CELLS[name].graph)


def test_a_cell_that_is_no_graph_is_said_to_be_so():
    record = comparison(("gru",), epochs=1)
    record = replace(record, cells=(replace(record.cells[0], graph={"format": 99}),))
    assert "The equations cannot be shown: graph has format 99" in render(record)


def test_the_same_record_gives_the_same_bytes_in_any_style_of_the_user(page):
    import matplotlib as mpl

    with mpl.rc_context({"axes.facecolor": "red", "svg.fonttype": "path", "font.size": 30}):
        assert render(comparison()) == page


def test_json_is_valid_and_complete(tmp_path):
    record = comparison()
    report.write_json(record, tmp_path / "report.json")

    def refuse(name):
        raise AssertionError(name)

    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    lost = next(run for run in data["runs"] if run["status"] == "diverged")
    assert lost["curve"][-1]["valid"] is None
    assert data["cells"][1]["mean"] == record.cells[1].mean
    assert data["command"] == record.command


def test_runs_csv(tmp_path):
    record = comparison()
    report.write_runs_csv(tuple(sorted(record.runs, key=lambda run: (run.cell != "RNN", run.run))), tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0])[-1:] == list(report.TIMING_COLUMNS)
    assert [row["seed"] for row in rows[:5]] == list("01234")
    assert rows[0]["cell"] == "RNN"
    assert float(rows[0]["test"]) == record.runs[0].test
    assert rows[3]["status"] == "diverged"
    assert rows[3]["test"] == ""
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_order_of_runs_within_a_cell_does_not_matter(tmp_path):
    runs = comparison(epochs=2).runs
    report.write_runs_csv(runs, tmp_path / "a.csv")
    report.write_runs_csv(tuple(sorted(runs, key=lambda run: -run.seed)), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="cannot be written: disk full"):
        report.write_json(comparison(epochs=1), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (number.fixed(-1.25, 1), "\N{MINUS SIGN}1.2"),
        (number.fixed(None, 2), "\N{EN DASH}"),
        (number.rounded(0.000123456), "0.000123"),
        (number.rounded(100924, 4), "100\N{NARROW NO-BREAK SPACE}924"),
        (number.probability(0.0), "<\N{NO-BREAK SPACE}0.001"),
        (number.probability(0.9999), ">\N{NO-BREAK SPACE}0.999"),
        (number.duration(131.4), "2\N{NO-BREAK SPACE}min 11\N{NO-BREAK SPACE}s"),
        (number.duration(7300), "2\N{NO-BREAK SPACE}h 1\N{NO-BREAK SPACE}min"),
        (number.size(204_800), "205\N{NO-BREAK SPACE}kB"),
    ],
)
def test_numbers(got, expected):
    assert got == expected


def test_digits_follow_the_interval():
    assert number.decimals_for([0.042, 0.2], [8.4]) == 3
    assert number.decimals_for([42.0], [8000.0]) == 0
    assert number.decimals_for([None, math.nan, 0.0], [8.4]) == 3


def test_labels_of_near_points_do_not_cover_each_other():
    draw = np.random.default_rng(0)
    texts = ["PeepholeLSTM", "LSTM", "GRU", "RNN"]
    for _ in range(8):
        points = [(float(x), float(y)) for x, y in draw.normal(size=(4, 2)) * draw.uniform(0.1, 1, 2)]
        with drawing(470, 320) as (figure, axes):
            axes.plot(*zip(*points, strict=True), "o")
            figure.draw_without_rendering()
            cost._make_room(axes, texts, points)
            figure.draw_without_rendering()
            places = axes.transData.transform(points).tolist()
            offers = cost._offers(axes, texts, points)
            boxes = [o.box(p, cost.LETTER * len(t)) for o, p, t in zip(offers, places, texts, strict=True)]
            assert max(cost._overlap(a, b) for a, b in combinations(boxes, 2)) == 0
            frame = axes.get_window_extent().extents
            assert max(cost._outside(box, frame) for box in boxes) < 1


def test_a_telephone_gets_figures_and_tables_of_its_own(page):
    """Tables stack their rows there, so that each value needs its label; screen readers still see a table."""
    assert page.count('class="on-wide"') == page.count('class="on-narrow"') == 2
    for tag, attributes in Page(page).tags:
        if tag == "td" and attributes.get("role"):
            assert attributes["data-label"]
    stacking = re.findall(r'<table class="[^"]*stacking".*?</table>', page, re.DOTALL)
    assert len(stacking) == 4
    for table in stacking:
        assert table.count("<tr ") == table.count('role="row"')
        assert table.count("<th ") == table.count('role="columnheader"') + table.count('role="rowheader"')


def test_what_is_equal_is_said(page):
    assert "a step takes 23 to 48 µs on this machine" in page
    assert "<code>--equal latency</code>" in page
    assert "Sizes were chosen by latency on this machine" in render(
        replace(comparison(("gru",), epochs=1), equal="latency")
    )


def test_short_names_stay_different():
    names = ["a" * 60 + "b", "a" * 61 + "b", "GRU"]
    short = short_names(names)
    assert len(set(short)) == 3
    assert max(map(len, short)) <= 24


def test_bootstrap_is_seeded_and_needs_two():
    assert bootstrap([1.0]) is None
    assert bootstrap([1.0, 2.0, 4.0]) == bootstrap([1.0, 2.0, 4.0])
