"""The site's page of each cell: what it says is what the library does."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.reference.compare import public
from tests.reference.equations import REFERENCES
from tests.reference.irregular import TIMED
from tests.reference.unroll import Parameters
from tidegate import Cell, sigmoid, tanh
from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import Op
from tidegate.cell.measure import flops
from tidegate.cell.parameter import attribute
from tidegate.cell.width import axis_widths
from tidegate.convert.table import FORMATS, ROWS
from tidegate.emit import latex
from tidegate.errors import EmitError
from tidegate.zoo import CELLS

pytest.importorskip("sphinx", reason="the extra docs is not installed")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from docutils import nodes
from extension.cells import directive, source
from extension.cells.language import Language, catalogue_of
from extension.cells.markdown import file_of
from extension.cells.usage import code_of
from extension.mathematics import mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

every_cell = pytest.mark.parametrize("name", CELLS)


@pytest.fixture(scope="module")
def english():
    say = Language()
    return source.pages(say), say


@pytest.fixture
def page(english, name):
    return english[0][file_of(name)]


def section(page: str, title: str) -> str:
    return page.partition(f"## {title}\n\n")[2].partition("\n\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without heads."""
    found = [[part.strip() for part in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    rules = [k for k, row in enumerate(found) if all(set(part) <= set(":-") for part in row)]
    return [row for k, row in enumerate(found) if k not in rules and k + 1 not in rules]


# --- every cell has a page, and a new one gets it by itself ---


def test_every_name_of_the_zoo_has_a_page_and_the_index_leads_to_it(english):
    pages, _ = english
    assert set(pages) == {"index", *(name.replace("/", "-") for name in CELLS)}
    for name, cell in CELLS.items():
        assert f"[{cell.name}]({name.replace('/', '-')}.md)" in pages["index"]
        assert pages[name.replace("/", "-")].startswith(f"# {cell.name}\n")


class Planted(Cell):
    """Keeps what it likes."""

    source = "Nobody & Nobody 2031, A Cell, arXiv 3101.00001"
    differs = "nothing is kept for long"
    gates = "f n"
    biases = "W"

    def step(self, x, h, U):
        f = sigmoid(x.f)
        n = tanh(x.n + U(h).n)
        return f * h + (1 - f) * n

    matrices = {"U": "n"}


@pytest.fixture
def few():
    """A zoo of a few cells, those that conversion looks for; the whole one comes back, in its order."""
    whole = dict(CELLS)
    for name in whole.keys() - ROWS.keys():
        del CELLS[name]
    yield {name.replace("/", "-") for name in CELLS} | {"index"}
    CELLS.clear()
    CELLS.update(whole)


def test_a_cell_that_comes_into_the_zoo_gets_its_page_and_one_that_goes_loses_it(tmp_path, few):
    CELLS["planted"] = Planted
    source.write(tmp_path, source.pages(Language()))
    assert {file.stem for file in tmp_path.iterdir()} == few | {"planted"}
    index, page = ((tmp_path / name).read_text(encoding="utf-8") for name in ("index.md", "planted.md"))
    assert "[Planted](planted.md)" in index
    assert "Keeps what it likes." in page
    assert "[arXiv 3101.00001](https://arxiv.org/abs/3101.00001)" in page
    assert latex.align(Planted.graph) in page
    assert "| $h$ | $H$ | $f$ | through a matrix |" in page
    before = (tmp_path / "lstm.md").stat().st_mtime_ns
    del CELLS["planted"]
    source.write(tmp_path, source.pages(Language()))
    assert {file.stem for file in tmp_path.iterdir()} == few
    assert (tmp_path / "lstm.md").stat().st_mtime_ns == before  # what has not changed is not written


# --- equations ---


@every_cell
def test_equations_are_those_of_the_graph(page, name):
    graph = CELLS[name].graph
    shown = section(page, "Equations")
    assert shown == f"$$\n{latex.align(graph)}\n$$"
    latex_text = shown.strip("$\n")
    drawn = mathml(nodes.math_block(latex_text, latex_text), "block")
    lines = re.findall("<mtr>(.*?)</mtr>", drawn)
    assert len(lines) == len(graph.reported)
    for line, reported in zip(lines, graph.reported, strict=True):
        left = re.sub("<[^>]*>", "", line.partition("</mtd>")[0])
        assert left == f"{reported}t", "as the left side is spoken: f t"


def test_primes_stand_beside_their_letter_and_a_sign_has_no_gap():
    shown = mathml(nodes.math("", r"-b'_{i} - c' + d"), "inline")
    letter = '<mrow><mi>{}</mi><mo lspace="0" rspace="0">&#x02032;</mo></mrow>'
    assert f"<msub>{letter.format('b')}<mrow><mi>i</mi></mrow></msub>" in shown
    assert letter.format("c") in shown
    assert shown.count('<mo form="prefix">&#x02212;</mo>') == 1


def test_directives_show_cells_on_any_page(tmp_path):
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser"]\nlanguage = "zh_CN"\n', encoding="utf-8")
    asked = {"equations": "mgu", "diagram": "gru/before", "counts": "gru lstm", "pulse": "lstm"}
    shown = "".join(f"```{{{name}}} {cells}\n```\n\n" for name, cells in asked.items())
    (tmp_path / "index.md").write_text(f"# Page\n\n{shown}", encoding="utf-8")
    with docutils_namespace():
        app = Sphinx(tmp_path, tmp_path, tmp_path / "out", tmp_path / "trees", "pseudoxml", status=None, warning=None)
        directive.setup(app)
        app.build()
    found = (tmp_path / "out" / "index.pseudoxml").read_text(encoding="utf-8")
    assert latex.lines(CELLS["mgu"].graph)[0].partition(" = ")[2] in found
    assert found.count("<svg") == 2
    assert "24,960" in found
    assert "33,280" in found
    assert "参数量" in found


# --- parameters and operations ---


def evaluated(formula: str, **widths: int) -> int:
    """A polynomial of LaTeX at some widths."""
    terms = [[*map(factor, term.split())] for term in formula.strip("$").split(" + ")]
    return sum(
        int(np.prod([widths.get(letter, 0) ** power * number for letter, power, number in term])) for term in terms
    )


def factor(text: str) -> tuple[str, int, int]:
    """A letter with its power, or a number."""
    letter, _, power = text.partition("^")
    return ("H", 0, int(text)) if text.isdigit() else (letter, int(power or 1), 1)


@every_cell
def test_counts_are_those_of_a_real_layer(page, name):
    graph = CELLS[name].graph
    (_, formula, parameters), (_, of_operations, operations) = rows(section(page, "Parameters"))[-2:]
    inputs, units = (6, 6) if graph.input_axis == "H" else (5, 6)
    own = dict.fromkeys(graph.own_axes, 3)
    for features, hidden, further in ((64, 64, {}), (inputs, units, own)):
        layer = tg.nn.Recurrent(CELLS[name], features, hidden, widths=further or None)
        counted = sum(parameter.numel() for parameter in layer.parameters())
        widths = axis_widths(graph, features, hidden, further)
        assert evaluated(formula, **widths) == counted
        assert evaluated(of_operations, **widths) == flops(graph, widths)
        if features == 64:
            assert (parameters, operations) == (f"{counted:,}", f"{flops(graph, widths):,}")


@every_cell
def test_parameters_have_the_shapes_and_the_order_of_a_real_layer(page, name):
    graph = CELLS[name].graph
    layer = tg.nn.Recurrent(CELLS[name], 7, 7) if graph.input_axis == "H" else tg.nn.Recurrent(CELLS[name], 5, 7)
    listed = rows(section(page, "Parameters"))[:-2]
    found = {public(key): value.shape for key, value in layer.named_parameters()}
    mirrored = any(matrix.mirror for matrix in graph.matrices)  # whose own matrices torch registers last
    assert [row[1].strip("`") for row in listed] == [*found] or (mirrored and len(listed) == len(found))
    widths = axis_widths(graph, layer.input_size, 7)
    for _, key, shape, blocks, *_ in listed:
        sizes = [
            sum(size(term, widths) for term in side.strip(" ()").split(" + "))
            for side in shape.strip("$").split(r"\times")
        ]
        assert torch.Size(sizes) == found[key.strip("`")]
        matrix = next(
            (m for m in graph.matrices if attribute(f"weight_{m.name}", 0, reverse=False) == key.strip("`")), None
        )
        if matrix is not None:
            assert blocks.replace("`", "").split() == [block.name for block in matrix.blocks]


def size(term: str, widths: dict[str, int]) -> int:
    number, axis = re.fullmatch(r"\s*(\d*)([A-Z])\s*", term).groups()
    return int(number or 1) * widths[axis]


def test_what_a_parameter_begins_as_is_how_a_layer_begins(english):
    decay = next(row for row in rows(section(english[0]["rglru"], "Parameters")) if row[0] == r"$\mathrm{decay}$")
    assert decay[-1] == r"$\log(v / (1 - v))$, $v^{8}$ uniform in [0.9, 0.999]"
    v = torch.sigmoid(tg.nn.Recurrent("rglru", 2000, 2000).decay_l0.detach()) ** 8
    assert 0.9 <= v.min() < 0.902
    assert 0.997 < v.max() <= 0.999
    ring = {row[0]: row[-1] for row in rows(section(english[0]["lru"], "Parameters"))[:-2]}
    assert ring[r"$\gamma$"] == r"$\log \sqrt{1 - r^2}$, $r$ that of $\nu$"
    layer = tg.nn.Recurrent("lru", 4, 50)
    r = torch.exp(-torch.exp(layer.nu_l0.detach()))
    torch.testing.assert_close(layer.gamma_l0.detach(), (1 - r * r).sqrt().log(), atol=1e-3, rtol=1e-3)


# --- four steps ---

X = np.array([[1.0, 0], [0, 1], [1, -1], [0, 0]])
DT, M = np.array([1.0, 0.5, 2, 1])[:, None], np.array([[1.0, 1], [1, 0], [0, 1], [1, 1]])
NUMPY = {
    **{op: getattr(np, op.name.lower()) for op in (Op.TANH, Op.EXP, Op.LOG, Op.SQRT, Op.MAXIMUM, Op.MINIMUM)},
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.NEG: np.negative,
    Op.SIGMOID: lambda v: 1 / (1 + np.exp(-v)),
    Op.LOG_SIGMOID: lambda v: -np.logaddexp(0, -v),
    Op.RELU: lambda v: np.maximum(v, 0),
    Op.CLAMP: lambda v, bound: np.clip(v, -bound, bound),
}


def weights(cell) -> dict[str, np.ndarray]:
    """What the page of all cells promises: -0.9 to 0.9, one number after the other through all parameters."""
    layer, numbers, start = tg.nn.Recurrent(cell, 2, 2), {}, 0
    for key, parameter in layer.named_parameters():
        places = range(start, start + parameter.numel())
        numbers[public(key)] = np.array([((7 * k + 3) % 19 - 9) / 10 for k in places]).reshape(parameter.shape)
        start += parameter.numel()
    return numbers


def shown(text: str) -> np.ndarray:
    return np.array([float(part.replace("\N{MINUS SIGN}", "-")) for part in text.split("<br>")])


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """The same numbers, rounded to what is shown."""
    return bool(
        np.all(np.abs(found - wanted) <= np.maximum(5.01e-5, 5.01e-4 * np.abs(wanted) * (np.abs(wanted) >= 1000)))
    )


def by_definition(cell) -> list[dict[str, np.ndarray]]:
    """Every gate and state of the four steps, node by node with NumPy in float64."""
    held, states, seen = weights(cell), {state.name: np.zeros(2) for state in cell.graph.states}, []
    for now in [{"x": x, "dt": dt, "m": m} for x, dt, m in zip(X, DT, M, strict=True)]:
        given = {value.name: now[value.name] for value in cell.graph.given}
        values = step(cell.graph, held, {**states, **given, "x": now["x"]})
        seen.append({key: np.broadcast_to(values[k], (2,)) for key, k in cell.graph.reported.items()})
        states = {s.name: values[k] for s, k in zip(cell.graph.states, cell.graph.updates, strict=True)}
    return seen


def step(graph, held, known) -> list:
    """The values of all nodes in one step."""

    def leaf(node):
        if node.op is Op.CONST:
            return node.value
        if node.op is Op.VECTOR:
            return held[f"{node.matrix or node.name}_l0"]
        return known["x" if node.op is Op.INPUT else node.name]

    def product(node, operand):
        matrix = graph.matrix(node.matrix)
        weight = rows_of(held, f"weight_{matrix.name}", [block.name for block in matrix.blocks], node.name)
        bias = rows_of(held, f"bias_{matrix.name}", [block.name for block in matrix.blocks if block.bias], node.name)
        return (weight + matrix.mirror * weight.T if matrix.mirror else weight) @ operand + bias

    return evaluate(graph, NUMPY, leaf, product)


def rows_of(held, key, blocks, wanted):
    """The two rows of a block; nothing where it has none."""
    if wanted not in blocks:
        return 0.0
    place = 2 * blocks.index(wanted)
    return held[attribute(key, 0, reverse=False)][place : place + 2]


@every_cell
def test_four_steps_are_those_of_the_definition_in_float64(page, name):
    wanted = by_definition(CELLS[name])
    graph = CELLS[name].graph
    table = rows(section(page, "Four steps"))[1 + len(graph.given) :]
    assert len(table) == len(graph.reported)
    for (_, *steps), reported in zip(table, graph.reported, strict=True):
        for t, text in enumerate(steps):
            assert close(shown(text), wanted[t][reported]), (reported, t, text, wanted[t][reported])


@every_cell
def test_states_of_the_four_steps_are_those_of_the_paper(page, name):
    table = rows(section(page, "Four steps"))
    graph = CELLS[name].graph
    held = {key: torch.from_numpy(value) for key, value in weights(CELLS[name]).items()}
    states = tuple(torch.zeros(1, 2, dtype=torch.float64) for _ in graph.states)
    names = ["x", *(value.name for value in graph.given), *graph.reported]
    for t in range(4):
        x, given = (
            torch.from_numpy(X[t : t + 1]),
            {"dt": torch.from_numpy(DT[t : t + 1]), "m": torch.from_numpy(M[t : t + 1])},
        )
        if name in TIMED:
            own = {key.removesuffix("_l0"): value for key, value in held.items()}
            states = TIMED[name].step(own, x, states, *(given[key] for key in TIMED[name].given))
        else:
            states = REFERENCES[name].step(Parameters(held, 2), x, *states)
        for state, value in zip(graph.states, states, strict=True):
            assert close(shown(table[names.index(state.name)][1 + t]), value[0].numpy())


# --- other libraries, and use ---

TITLES = {"torch": "torch.nn", "keras": "Keras", "linen": "Flax linen", "nnx": "Flax nnx", "onnx": "ONNX"}


@every_cell
@pytest.mark.parametrize("target", TITLES)
def test_a_library_has_a_row_where_weights_can_go_there(page, name, target):
    layer = tg.nn.Recurrent(CELLS[name], 2, 2)
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            if key.startswith(("p_", "bias")):
                parameter.zero_()
    listed = [row for row in rows(section(page, "Other libraries")) if row[0] == TITLES[target]]
    fits = [row for row in listed if "nothing fits" not in " ".join(row)]
    try:
        with warnings.catch_warnings(action="ignore"):
            tg.convert.dump(layer, target)
    except EmitError:
        assert not fits
    else:
        assert fits
        assert any(layout.kind in row[1].replace("`", "") for row in fits for layout in FORMATS[target].values())


@every_cell
def test_the_code_of_a_page_is_the_code_that_ran(page, name):
    use = section(page, "Use")
    assert f"```py\n{code_of(name, CELLS[name])}\n```" in use
    assert "torch.Size([20, 8, 32])" in use
    assert re.search(rf"--cell {name}$", use, re.MULTILINE)


def test_chapters_that_show_a_cell_stand_on_its_page(tmp_path, monkeypatch):
    from extension.cells import reference

    (tmp_path / "03-some.md").write_text("```{equations} lstm gru/before\n```\n", encoding="utf-8")
    (tmp_path / "07-other.md").write_text("the [GRU](../cells/gru-before.md) and [none](../cells/gru-before-write.md)")
    monkeypatch.setattr(reference, "LEARN", tmp_path)
    found = {name: [file.stem for file in reference.chapters(name)] for name in ("lstm", "gru/before", "gru", "mgu")}
    assert found == {"lstm": ["03-some"], "gru/before": ["03-some", "07-other"], "gru": [], "mgu": []}


# --- Chinese ---


def test_every_sentence_is_translated_with_its_code_its_links_and_its_mathematics(english):
    from babel.messages.pofile import read_po

    with catalogue_of("zh_CN").open(encoding="utf-8") as text:
        messages = [message for message in read_po(text) if message.id]
    assert not [message.id for message in messages if message.fuzzy]
    translated = {message.id: message.string for message in messages if message.string}
    assert not english[1].asked.keys() - translated.keys()
    kept = re.compile(r"`[^`]*`|\$[^$]*\$|\{\w*\}|\]\([^)]*\)")
    for text, said in translated.items():
        assert sorted(kept.findall(text)) == sorted(kept.findall(said)), text


def test_a_page_in_chinese_has_the_same_numbers_and_other_words():
    cell = CELLS["peepholelstm"]
    from extension.cells.page import cell_page

    one, other = (cell_page("peepholelstm", cell, say) for say in (Language(), Language.of("zh_CN")))
    assert latex.align(cell.graph) in other
    numbers = re.compile(r"[\N{MINUS SIGN}\d]+\.\d{4}")
    assert numbers.findall(one) == numbers.findall(other)
    assert "## 方程" in other
