"""LaTeX, in the subset that TeX, MathJax, KaTeX and matplotlib's mathtext share."""

from __future__ import annotations

import re

from tidegate.cell.graph import Graph, Op
from tidegate.emit.equation import ATOM, SUM, TERM, Notation, Rule, equations, infix

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi "  # noqa: SIM905  a list of words
    "pi rho sigma tau phi chi psi omega".split()
)


def _word(name: str) -> str:
    """One part of a name: a letter as it is, a Greek name as the letter, anything longer upright."""
    if name in _GREEK:
        return rf"\{name}"
    return name if len(name) == 1 else rf"\mathrm{{{name}}}"


def _name(name: str, *below: str) -> str:
    """``p_i`` as p with the subscript i, followed by further subscripts."""
    head, *rest = name.split("_")
    subscripts = [_word(part) for part in rest if part] + list(below)
    return _word(head) + (rf"_{{{' '.join(subscripts)}}}" if subscripts else "")


def _bias(matrix: str, block: str) -> str:
    if matrix == "W":
        return _name("b", _word(block))
    prime = "'" if matrix == "U" else rf"^{{{_word(matrix.replace('_', ''))}}}"
    return rf"b{prime}_{{{_word(block)}}}"


def _number(value: float) -> str:
    """``1e-05`` as a power of ten."""
    digits, _, exponent = f"{value:.12g}".partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return {"1": power, "-1": f"-{power}"}.get(digits, rf"{digits} \cdot {power}")


def _function(name: str) -> Rule:
    return Rule(name + r"\left({0}\right)", ATOM, (0,))


NOTATION = Notation(
    rules={
        Op.ADD: infix(" + ", SUM),
        Op.SUB: infix(" - ", SUM, right=TERM),
        Op.MUL: infix(r" \odot ", TERM),
        Op.DIV: Rule(r"\frac{{{0}}}{{{1}}}", ATOM, (0, 0)),
        Op.NEG: Rule("-{0}", SUM, (TERM,)),
        Op.SIGMOID: _function(r"\sigma"),
        Op.TANH: _function(r"\tanh"),
        Op.RELU: _function(r"\mathrm{{relu}}"),
        Op.EXP: _function(r"\exp"),
        Op.LOG: _function(r"\log"),
        Op.LOG_SIGMOID: _function(r"\log \, \sigma"),
        Op.SQRT: Rule(r"\sqrt{{{0}}}", ATOM, (0,)),
        Op.MAXIMUM: Rule(r"\max\left({0}, {1}\right)", ATOM, (0, 0)),
        Op.MINIMUM: Rule(r"\min\left({0}, {1}\right)", ATOM, (0, 0)),
        Op.CLAMP: Rule(r"\mathrm{{clamp}}\left({0}, {1}\right)", ATOM, (0, 0)),
    },
    norm=(r"\mathrm{{LN}}\left({0}\right)", r"\mathrm{{LN}}\left({0}\right)_{{{1}}}"),
    reductions={
        Op.MEAN: r"\mathrm{{mean}}\left({}\right)",
        Op.VARIANCE: r"\mathrm{{var}}\left({}\right)",
    },
    parentheses=r"\left({}\right)",
    now=lambda name: _name(name, "t"),
    before=lambda name: _name(name, "t-1"),
    input="x_{t}",
    leaf=_name,
    matrix=lambda matrix, block: _name(matrix, _word(block)),
    heads=r"\mathrm{{diag}}_{{{1}}}\left({0}\right)",
    bias=_bias,
    number=_number,
    scale=infix(r" \, ", TERM),
)


_TWO_NUMBERS = re.compile(r"(?<=\d) \\, (?=\d)")  # a number that scales a number, which a blank would join to it


def _equations(graph: Graph) -> list[tuple[str, str]]:
    return [(left, _TWO_NUMBERS.sub(r" \\cdot ", right)) for left, right in equations(graph, NOTATION)]


def lines(graph: Graph) -> list[str]:
    """One equation a line, without any surrounding environment."""
    return [f"{left} = {right}" for left, right in _equations(graph)]


def align(graph: Graph) -> str:
    """All equations of a cell as an ``align*`` environment, to be pasted into a document."""
    rows = [f"  {left} &= {right}" for left, right in _equations(graph)]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"
