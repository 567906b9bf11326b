"""``{sliders} CELL``: a cell of one unit, step by step, whose inputs and parameters a reader may change.

The body is JSON: ``{"x": [1.0, ...], "W": {"i": 0.5, ...}, "U": ..., "b": ...}``, with b for the bias of W; what is
left out is 0. The page holds the table of all values, computed here from the definition. Where scripts run,
``_static/sliders.js`` computes it anew from the same graph.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tidegate.cell import Graph
from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import Node, Op
from tidegate.errors import InputError
from tidegate.zoo import find

LOWEST, HIGHEST, STEP = -3.0, 3.0, 0.05
WORDS = {
    "en": {
        "inputs": "Inputs",
        "biases": "Biases",
        "weights": "Weights",
        "again": "Start again",
        "caption": "Every value at each step",
    },
    "zh_CN": {
        "inputs": "输入",
        "biases": "偏置",
        "weights": "权重",
        "again": "恢复初值",
        "caption": "每个时间步的全部数值",
    },
}
Numbers = dict[str, float]  # W.i, b.i, ...


def program(graph: Graph) -> dict[str, Any]:
    """A graph of one unit as the script reads it: operations, the names of what they read, and what is shown."""
    found = []
    for node in graph.nodes:
        entry: dict[str, Any] = {"op": node.op.value, "args": list(node.args), "name": node.name}
        if node.op is Op.PRODUCT:
            entry |= {"name": f"{node.matrix}.{node.name}", "bias": bias(graph, node)}
        elif node.op is Op.CONST:
            entry["value"] = node.value
        found.append(entry)
    states = dict(zip((state.name for state in graph.states), graph.updates, strict=True))
    return {"nodes": found, "states": states, "shown": graph.reported}


def bias(graph: Graph, node: Node) -> str:
    """The name of a product's bias, or nothing."""
    block = next(block for block in graph.matrix(node.matrix).blocks if block.name == node.name)
    return "" if not block.bias else f"{'b' if node.matrix == 'W' else f'b{node.matrix}'}.{node.name}"


def steps(graph: Graph, x: Sequence[float], numbers: Numbers) -> list[dict[str, float]]:
    """Every reported value at each step, from states of 0."""
    states, found = {state.name: 0.0 for state in graph.states}, []
    for now in x:
        before = dict(states)

        def leaf(node: Node, now: float = now, before: Mapping[str, float] = before) -> float:
            outside = {Op.INPUT: now, Op.CONST: node.value, Op.STATE: before.get(node.name, 0.0)}
            return outside[node.op] if node.op in outside else numbers.get(node.name, 0.0)

        def product(node: Node, operand: float) -> float:
            return numbers.get(f"{node.matrix}.{node.name}", 0.0) * operand + numbers.get(bias(graph, node), 0.0)

        values = evaluate(graph, NUMBERS, leaf, product)
        states = {state.name: values[k] for state, k in zip(graph.states, graph.updates, strict=True)}
        found.append({name: values[k] for name, k in graph.reported.items()})
    return found


def page(graph: Graph, example: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The sliders, hidden until a script shows them, and the table."""
    x = [float(value) for value in example["x"]]
    numbers = {f"{k}.{gate}": float(v) for k, block in example.items() if k != "x" for gate, v in block.items()}
    inputs = "".join(slider(f"x.{t}", f"x<sub>{t + 1}</sub>", value) for t, value in enumerate(x))
    biases, weights = ("".join(labelled(numbers, kind)) for kind in ("b", "W U"))
    data = escape(json.dumps({**program(graph), "numbers": numbers, "x": x}))
    return (
        f'<div class="sliders" data-example="{data}"><form hidden autocomplete="off">'
        f"<fieldset><legend>{words['inputs']}</legend>{inputs}</fieldset>"
        f"<fieldset><legend>{words['biases']}</legend>{biases}</fieldset>"
        f"<details><summary>{words['weights']}</summary><fieldset>{weights}</fieldset></details>"
        f'<button type="reset">{words["again"]}</button></form>{table(graph, x, numbers, words["caption"])}</div>'
    )


def labelled(numbers: Numbers, kinds: str) -> list[str]:
    """The sliders of parameters of these kinds."""
    named = ((name, *name.split("."), value) for name, value in numbers.items())
    return [slider(n, f"{kind}<sub>{gate}</sub>", v) for n, kind, gate, v in named if kind in kinds.split()]


def slider(name: str, label: str, value: float) -> str:
    bounds = f'min="{LOWEST:g}" max="{HIGHEST:g}" step="{STEP:g}" value="{value:g}"'
    return (
        f'<label><span class="name">{label}</span><input type="range" name="{name}" {bounds}>'
        f"<output>{value:.2f}</output></label>"
    )


def table(graph: Graph, x: Sequence[float], numbers: Numbers, caption: str) -> str:
    """Names down, steps across, as x[t] and all reported values."""
    head = "".join(f'<th scope="col">t = {t}</th>' for t in range(1, len(x) + 1))
    values = steps(graph, x, numbers)
    rows = {"x": x} | {name: [step[name] for step in values] for name in graph.reported}
    body = "".join(
        f'<tr><th scope="row">{name}<sub>t</sub></th>{"".join(f"<td>{v:.4f}</td>" for v in row)}</tr>'
        for name, row in rows.items()
    )
    return (
        f'<div class="table-wrapper"><table class="docutils"><caption>{caption}</caption><thead><tr><td></td>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


class Sliders(SphinxDirective):
    """The directive."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        try:
            graph = find(self.arguments[0]).graph
            example = json.loads("\n".join(self.content))
        except (InputError, ValueError) as error:
            raise self.error(str(error)) from error
        known = {f"{p.name}.{block.name}" for p in graph.matrices for block in p.blocks}
        known |= {bias(graph, node) for node in graph.nodes if node.op is Op.PRODUCT}
        named = {f"{kind}.{gate}": v for kind, block in example.items() if kind != "x" for gate, v in block.items()}
        unknown = sorted(named.keys() - known)
        uneven = [v for v in (*named.values(), *example["x"]) if not fits(v)]
        if unknown or uneven:
            raise self.error(f"{graph.name} has no {unknown}" if unknown else f"no slider stops at {uneven}")
        self.env.metadata[self.env.docname]["sliders"] = True
        return [nodes.raw("", page(graph, example, WORDS.get(self.config.language, WORDS["en"])), format="html")]


def fits(value: float) -> bool:
    """Whether a slider has this value."""
    return LOWEST <= value <= HIGHEST and abs(value / STEP - round(value / STEP)) < 1e-9


def with_script(app: Sphinx, document: str, *_: Any) -> None:
    """Only pages with sliders load their script."""
    if "sliders" in app.env.metadata.get(document, {}):
        app.add_js_file("sliders.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("sliders", Sliders)
    app.connect("html-page-context", with_script)
