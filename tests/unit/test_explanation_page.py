"""The page of an explanation: complete, self-contained, escaped, under a megabyte, and whole in every awkward case."""

import base64
import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import tidegate as tg
from tests.sample import VARIED
from tests.unit.explanation_record import series_record, text_record
from tests.unit.test_report import EVIL, Page, _contrast
from tidegate.cell.graph import Graph
from tidegate.emit.term import numbered, terms
from tidegate.errors import InputError
from tidegate.explain.trace import _terms, packed, traced, with_traces
from tidegate.plain import typed
from tidegate.records import (
    AttributionRecord,
    CheckRecord,
    ContextRecord,
    CurveRecord,
    ExplanationRecord,
    FlowRecord,
    LayerRecord,
    MemoryRecord,
    ShareRecord,
    SignalRecord,
    TraceRecord,
    VerdictLine,
    to_json,
)
from tidegate.report import write_explanation, write_json
from tidegate.report.explanation import LARGEST, render
from tidegate.report.trace import fitted, levels_of
from tidegate.zoo import CELLS

torch = pytest.importorskip("torch")
SECTIONS = ["verdicts", "steps", "flow", "memory", "dynamics", "ablation", "attribution", "history", "checks", "about"]
BARE = ExplanationRecord("Nothing", "series", "a model", "some data", 5, "given", "last", 0)


@pytest.fixture(scope="module")
def record():
    return series_record()


@pytest.fixture(scope="module")
def page(record):
    return render(record)


def payload(page):
    text = re.search(r'<script type="application/json" id="trace-data">(.*?)</script>', page, re.DOTALL)[1]
    return json.loads(text)


# --- the record ---


def test_a_record_survives_json(record):
    assert typed(json.loads(json.dumps(to_json(record), allow_nan=False)), ExplanationRecord, "it") == record


def test_a_record_is_written_as_json(record, tmp_path):
    write_json(record, tmp_path / "explain.json")
    assert json.loads((tmp_path / "explain.json").read_text(encoding="utf-8"))["lag"] == record.lag


# --- equations with room for numbers ---


OPTIONS = [{"layer_norm": True}, {"state_clip": 0.1}, {"zoneout": 0.2}, {"bias": False}]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in VARIED), *(("lstm", o) for o in OPTIONS)])
def test_equations_with_their_numbers_give_the_values(name, options):
    """What stands on the page is computed again from the numbers in it, for every cell of the zoo."""
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(name, 4, 4, **options).double().eval()
    with torch.no_grad():
        (numbers,) = _terms(layer, 0, torch.randn(6, 2, 4, dtype=torch.float64), None, None, None)
    functions = {f: getattr(np, f) for f in ("tanh", "exp", "log", "sqrt", "maximum", "minimum")}
    functions |= {
        "\N{GREEK SMALL LETTER SIGMA}": lambda v: 1 / (1 + np.exp(-v)),
        "relu": lambda v: np.maximum(v, 0),
        "log_sigmoid": lambda v: -np.log1p(np.exp(-v)),
        "clamp": lambda v, bound: np.clip(v, -bound, bound),
    }
    for left, pieces in numbered(layer.cells[0].graph):
        values = {f"v{k}": numbers[text] for k, text in enumerate(pieces) if k % 2}
        source = "".join(f"v{k}" if k % 2 else text for k, text in enumerate(pieces))
        source = source.replace("·", "*").replace("\N{MINUS SIGN}", "-")
        value = np.broadcast_to(eval(source, {**functions, **values}), numbers[left].shape)
        np.testing.assert_allclose(value, numbers[left], rtol=1e-9, atol=1e-12, err_msg=f"{left} = {source}")


def test_terms_are_read_from_the_graph_alone():
    graph = CELLS["gru"].graph
    assert [*terms(Graph.from_json(graph.to_json()))] == [*terms(graph)]
    assert "W_z x[t] + b_z" in terms(graph)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_exact_numbers_are_those_of_the_trace(options):
    torch.manual_seed(1)
    layer = tg.nn.LSTM(3, 5, batch_first=True, **options).eval()
    lengths = [7, 4, 6]
    call = traced("lstm", layer, torch.randn(3, 7, 3), lengths=lengths)
    assert [one.name for one in call.layers] == [f"lstm.{end}" for end in _ends(options)]
    for signals, numbers in zip(call.signals, call.exact, strict=True):
        for name, values in signals.items():
            np.testing.assert_allclose(numbers[f"{name}[t]"], values, atol=1e-6)
            assert np.isnan(values[5:, 1]).all()


def _ends(options):
    return [f"l{k}{end}" for k in range(2) for end in ("", "_reverse")] if options.get("num_layers") else ["l0"]


def test_first_states_and_projections_are_traced():
    torch.manual_seed(1)
    layer = tg.nn.LSTM(3, 5, proj_size=2).eval()
    first = torch.randn(1, 2, 2), torch.randn(1, 2, 5)
    call = traced("lstm", layer, torch.randn(4, 2, 3), first)
    np.testing.assert_allclose(call.exact[0]["c[t-1]"][0], first[1][0], atol=1e-6)
    record = TraceRecord("one", ("a", "b", "c", "d"), ())
    (full,) = with_traces([record], [1], [call])
    assert {signal.name: len(signal.units) for signal in full.signals}["h"] == 2
    assert len(next(signal for signal in full.signals if signal.name == "c").units) == 5


def test_labels_must_fit_the_steps():
    call = traced("gru", tg.nn.GRU(2, 3).eval(), torch.randn(5, 1, 2))
    with pytest.raises(InputError, match="has 4 labels, but gru"):
        with_traces([TraceRecord("short", tuple("abcd"), ())], [0], [call])


# --- 8 bits ---


def test_eight_bits_are_within_half_a_level(record):
    values = np.random.default_rng(0).normal(size=(50, 7))
    values[3, 2] = np.nan
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    levels = levels_of(SignalRecord("l", "h", tuple(range(7)), low, high, packed(values, low, high)))
    assert levels[3, 2] == 255
    back = low + levels / 254 * (high - low)
    known = np.isfinite(values)
    assert np.abs(back - values)[known].max() <= (high - low) / 508 * (1 + 1e-9)


def test_the_page_holds_the_trace_of_the_layer(record, page):
    first = payload(page)["sequences"][0]
    signal = next(one for one in first["signals"] if one["name"] == "h")
    levels = np.frombuffer(base64.b64decode(signal["values"]), np.uint8).reshape(96, 32)
    from tests.unit.explanation_record import elnino

    model = elnino()[0]
    true = model.layer.trace(model.x)["h_l0"][:, 0, signal["units"]].detach().numpy()
    back = signal["low"] + levels / 254 * (signal["high"] - signal["low"])
    assert np.abs(back - true).max() <= (signal["high"] - signal["low"]) / 508 * (1 + 1e-6)


# --- the page ---


def test_parts_that_were_held_and_silence_are_told(page):
    text = page[page.index('<section id="ablation"') : page.index('<section id="attribution"')]
    assert "20 of 24 units were held" in text
    assert "The 8 smaller changes are not listed." in text
    assert '<th scope="row">&lt;b&gt;</th><td>−0.250</td><td>–</td>' in text  # noqa: RUF001  a minus sign, a dash
    assert "gru by itself, behind noise as loud as its data: After the burst the output settles." in page


def test_sections_stand_in_order(page):
    assert [s["id"] for s in Page(page).named("section")] == SECTIONS


def test_verdicts_are_told_in_full(record, page):
    text = " ".join(Page(page).text)
    for verdict in record.verdicts:
        for needed in (verdict.sentence, verdict.against, verdict.remedy, verdict.code, verdict.command):
            assert needed in text
        assert all(one.name in text for one in verdict.evidence)
    assert page.index('id="verdicts"') < page.index('id="steps"')
    assert [v["class"] for v in Page(page).named("li") if v.get("class") in ("fault", "warning", "note")] == [
        verdict.severity for verdict in record.verdicts
    ]


def test_numbers_of_a_step_stand_in_the_equations_without_a_script(page):
    assert re.search(r"<ruby>[^<]*<rt>W_z x\[t\] \+ b_z</rt></ruby>", page)
    assert "Step 96 (2010-12), unit" in page or re.search(r"Step 96 \(\d{4}-\d\d\), unit \d+", page)


def test_page_needs_nothing_else(page):
    assert all(link.startswith(("#", "data:")) for link in Page(page).links)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\(", page)


def test_ids_are_unique_and_references_resolve(page):
    ids = Page(page).ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#|aria-labelledby="|aria-describedby="|for=")([\w-]+)', page)) <= set(ids)


def test_accessible(page):
    parsed = Page(page)
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.named(landmark)) == 1
    for svg in parsed.named("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden")
    assert all(image.get("alt") for image in parsed.named("img"))
    assert all(heading.get("scope") for heading in parsed.named("th"))
    assert len(parsed.named("h1")) == 1


def test_no_placeholder_colour_is_left(page):
    page = re.sub(r'src="data:[^"]*"|id="trace-data">.*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"#0[0-9a]0[0-9a]0[0-9a]\b", page)
    used = set(re.findall(r"var\(--([\w-]+)\)", page)) - {"width"}
    assert used <= set(re.findall(r"--([\w-]+):", page)) | {"step", "view"}


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(page, scheme):
    general = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{([^}]*--series-7[^}]*)\}", page)[scheme]))
    own = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{([^}]*--cold[^}]*)\}", page)[scheme]))
    for tone in (own["fault"], general["alert"], general["accent"], general["muted"]):
        assert _contrast(tone, general["surface"]) >= 4.5
    for end, middle in (("cold", "mid"), ("warm", "mid"), ("full", "empty")):
        assert _contrast(own[end], own[middle]) >= 3


def test_the_page_says_what_was_left_out(record, page):
    assert all(text in " ".join(Page(page).text) for text in record.left_out)


# --- escapes ---


def evil(record):
    """The same record with everything that users name named badly."""
    layer = replace(record.layers[0], options=EVIL)
    trace = replace(
        record.traces[0],
        title=EVIL,
        answer=EVIL,
        labels=("</script><script>alert(1)</script>", *record.traces[0].labels[1:-1], "<b>"),
        curves=(CurveRecord("<b>", record.traces[0].curves[0].values),),
    )
    attribution = replace(record.attributions[0], target=EVIL, features=("<b>", EVIL, "$x_1$ {{ 7 * 7 }}"), unit=EVIL)
    verdict = VerdictLine(EVIL, "fault", EVIL, EVIL, against=EVIL, remedy=EVIL, code=EVIL, command=EVIL)
    return replace(
        record,
        title=EVIL,
        task=EVIL,
        model=EVIL,
        data=EVIL,
        lag_from=EVIL,
        target=EVIL,
        layers=(layer,),
        shares=(ShareRecord(EVIL, 1.0, EVIL),),
        verdicts=(verdict,),
        attributions=(attribution,),
        checks=(CheckRecord(EVIL, 1.0, passed=False, sentence=EVIL, unit=EVIL),),
        context=replace(record.context, metric=EVIL, unit=EVIL),
        traces=(trace,),
        left_out=(EVIL,),
        versions={EVIL: EVIL},
        command=EVIL,
    )


@cache
def evil_page():
    return render(evil(series_record()))


def test_everything_from_users_is_escaped():
    page = evil_page()
    parsed = Page(page)
    assert len(parsed.named("script")) == 2
    assert "<script>alert" not in page
    assert "<b></b>" not in page
    assert "{{ 7 * 7 }}" in "".join(parsed.text)
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    first = payload(page)["sequences"][0]
    assert first["labels"][0] == "</script><script>alert(1)</script>"
    assert first["curves"][0]["name"] == "<b>"


# --- size ---


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_eight_sequences_of_two_hundred_steps_and_64_units_fit(cell):
    record = text_record(cell)
    page = render(record)
    assert len(page.encode()) < LARGEST
    data = payload(page)
    assert len(data["sequences"]) == 8
    units = len(data["sequences"][0]["signals"][0]["units"])
    assert units == 64 or f"the {units} most important of the 64 units" in page


@pytest.mark.parametrize(("room", "sequences"), [(400_000, 8), (100_000, None), (30_000, 1), (100, 0)])
def test_what_does_not_fit_is_left_out_by_importance_and_said(room, sequences):
    record = text_record()
    data, said = fitted(record, room)
    assert len(json.dumps(data)) <= max(room, 5_000)
    if sequences is not None:
        assert len(data["sequences"]) == sequences
    assert any("Units" in text for text in said) or not data["sequences"]
    assert any("Sequences" in text for text in said) == (len(data["sequences"]) < 8)
    if data["sequences"]:
        whole, cut = record.traces[0].signals[0], data["sequences"][0]["signals"][0]
        kept = len(cut["units"])
        assert cut["units"] == [*whole.units[:kept]]
        levels = np.frombuffer(base64.b64decode(cut["values"]), np.uint8).reshape(-1, kept)
        np.testing.assert_array_equal(levels, levels_of(whole)[-len(levels) :, :kept])


def test_long_sequences_keep_the_steps_before_the_loss():
    steps, units = 5_000, 4
    values = np.arange(steps * units).reshape(steps, units) % 200
    signal = SignalRecord("gru.l0", "h", tuple(range(units)), 0, 254, packed(values, 0, 254))
    trace = TraceRecord("long", tuple(map(str, range(steps))), (signal,), target=3_000)
    layers = (LayerRecord("gru.l0", "GRU", CELLS["gru"].graph.to_json(), 3, units),)
    data, said = fitted(replace(BARE, layers=layers, traces=(trace,)), 500_000)
    kept = data["sequences"][0]
    assert kept["labels"][-1] == "3000"
    assert len(kept["labels"]) == 1_000
    assert kept["target"] == 999
    assert any("1000 steps" in text for text in said)


# --- awkward records ---

NONE = (None,) * 3


@pytest.mark.parametrize(
    "record",
    [
        BARE,
        replace(BARE, verdicts=(VerdictLine("vanishing", "fault", "", "It vanishes."),)),
        replace(BARE, flow=(FlowRecord("a", (1, 2, 3), NONE, NONE, NONE, 0),)),
        replace(BARE, flow=(FlowRecord("a", (1,), (0.0,), (0.0,), (0.0,), 1, bound=(300.0,), bound_name="b"),)),
        replace(BARE, memory=(MemoryRecord("a", "", None, None, None, None),)),
        replace(BARE, memory=(MemoryRecord("a", "f", 1.0, None, None, None, (1.0, None, 1e9, 0.5)),)),
        replace(BARE, attributions=(AttributionRecord("all", abstained="The error is 3 %."),)),
        replace(BARE, attributions=(AttributionRecord("all", features=("x",), lags=(0,), values=((None,),)),)),
        replace(BARE, context=ContextRecord((1, 2), (None, None), "error")),
        replace(BARE, shares=(ShareRecord("layers", 1.2), ShareRecord("anchor", -0.2)), seasonality=12),
        replace(BARE, checks=(CheckRecord("padding", 0.0, passed=True, sentence="Done."),)),
        replace(BARE, traces=(TraceRecord("empty", (), ()),)),
    ],
)
def test_awkward_records(record):
    page = render(record)
    shown = [s["id"] for s in Page(page).named("section")]
    assert shown == [name for name in SECTIONS if name in shown]
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(Page(page).text), re.IGNORECASE)


def test_more_parts_than_a_page_can_draw_are_said():
    one = AttributionRecord("horizon", features=("x",), lags=(0,), values=((1.0,),))
    page = render(replace(BARE, attributions=tuple(replace(one, target=f"horizon {k}") for k in range(30))))
    assert "<h3>Horizon 5</h3>" in page
    assert "<h3>Horizon 6</h3>" not in page
    assert "Attributions: the page shows the first 6 of 30." in page


def test_values_of_an_unknown_layer_are_refused():
    signal = SignalRecord("other.l0", "h", (0,), 0.0, 1.0, packed([[0.5]], 0, 1))
    with pytest.raises(InputError, match="values of other"):
        render(replace(BARE, traces=(TraceRecord("one", ("a",), (signal,)),)))


def test_what_was_not_measured_is_said():
    text = " ".join(Page(render(BARE)).text)
    assert "Nothing that was measured accuses this model." in text
    for part in ("gradient by lag", "half-lives", "attribution", "checks"):
        assert part in text.lower()


def test_the_same_record_gives_the_same_bytes(record, tmp_path, page):
    write_explanation(record, tmp_path / "explain.html")
    assert (tmp_path / "explain.html").read_text(encoding="utf-8") == page
