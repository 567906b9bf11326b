"""Text of a diagram: names and small formulas as in the equations, with subscripts, Greek letters and a width."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from tidegate.cell.graph import Graph, Op
from tidegate.emit.equation import ATOM, SUM, TERM, Notation, Rule, Writer, infix

SIZE, SMALL = 15.0, 0.72  # pixels of a letter, and the share of it that a subscript has
HOLE = "\ue000"  # where a formula takes what comes in
_LETTERS = (
    "alpha=α beta=β gamma=γ delta=δ epsilon=ε zeta=ζ eta=η theta=θ iota=ι kappa=κ lambda=λ mu=μ nu=ν xi=ξ "
    "pi=π rho=ρ sigma=σ tau=τ phi=φ chi=χ psi=ψ omega=ω"
)
GREEK: dict[str, str] = dict(re.findall(r"(\w+)=(\w)", _LETTERS))
_WIDE = {**dict.fromkeys("ijltf.,()·| ", 0.40), **dict.fromkeys("mwMW", 0.98), **dict.fromkeys("+−×=⊙", 0.82)}
_OTHER = 0.66  # of any other letter; widths are of a broad typeface, so that text fits in every one
_LOWERED = {-1: 4, 0: 0, 1: -5}  # pixels by which letters of a height stand below the line
_RUN = re.compile(r"([_^])\{([^}]*)\}|([^_^]+|.)")
_WORD = re.compile(r"[^\W\d_]+")


def _word(name: str) -> str:
    return GREEK.get(name, name)


def name(text: str, *below: str) -> str:
    """``p_i`` as p with the subscript i, followed by further subscripts."""
    head, *rest = text.split("_")
    subscripts = [_word(part) for part in rest if part] + list(below)
    return _word(head) + (f"_{{{' '.join(subscripts)}}}" if subscripts else "")


def now(text: str) -> str:
    """The name of a value of this step."""
    return text if text[0] in {HOLE, "φ"} else name(text, "t")


def before(text: str) -> str:
    """The name of a state before this step."""
    return name(text, "t−1")


def _number(value: float) -> str:
    if math.isclose(value, math.e, rel_tol=1e-9):
        return "e"
    digits, _, exponent = f"{value:.4g}".replace("-", "−").partition("e")
    if not exponent:
        return digits
    power = f"10^{{{exponent.replace('+', '').lstrip('0')}}}".replace("−0", "−")
    return power if digits == "1" else f"{digits} {power}"


def _function(text: str) -> Rule:
    return Rule(text + "({0})", ATOM, (0,))


def _bias(matrix: str, block: str) -> str:
    return name("b", _word(block)) if matrix == "W" else name("b", matrix, _word(block))


NOTATION = Notation(
    rules={
        Op.ADD: infix(" + ", SUM),
        Op.SUB: infix(" − ", SUM, right=TERM),
        Op.MUL: infix(" × ", TERM),
        Op.DIV: infix(" / ", TERM, right=ATOM),
        Op.NEG: Rule("−{0}", SUM, (TERM,)),
        Op.SIGMOID: _function("σ"),
        Op.LOG_SIGMOID: _function("log σ"),
        **{op: _function(op.value) for op in (Op.TANH, Op.RELU, Op.EXP, Op.LOG)},
        Op.SQRT: _function("√"),
        Op.MAXIMUM: Rule("max({0}, {1})", ATOM, (0, 0)),
        Op.MINIMUM: Rule("min({0}, {1})", ATOM, (0, 0)),
        Op.CLAMP: Rule("clamp({0}, {1})", ATOM, (0, 0)),
    },
    norm=("LN({0})", "LN({0})_{{{1}}}"),
    reductions={Op.MEAN: "mean({})", Op.VARIANCE: "var({})"},
    parentheses="({})",
    now=now,
    before=before,
    input="x_{t}",
    leaf=name,
    matrix=lambda matrix, block: name(matrix, _word(block)),
    heads="{0}",
    bias=_bias,
    number=_number,
    scale=infix(" ", TERM),
)
KNOWN: Mapping[str, str] = {  # formulas that have a name
    f"min(relu(0.2 {HOLE} + 0.5), 1)": "hard σ",
    f"−log σ(−{HOLE})": "softplus",
}


def formula(graph: Graph, top: int, hole: int | None, known: Mapping[int, str] | None = None) -> str:
    """What is computed from the node ``hole`` to the node ``top``, with a hole for the former; ``known`` are names."""
    names = dict(known or {}) | ({} if hole is None else {hole: HOLE})
    return re.sub(r"(^|[ (])1 (?=\w)", r"\1", Writer(graph, NOTATION, names).write(top)[0])  # a factor of 1


def shortened(text: str) -> str:
    """A formula of one argument as a diagram has it: ``tanh``, ``1 −``, ``× 2``, ``σ(· + u)``."""
    if text in KNOWN:
        return KNOWN[text]
    if text.count(HOLE) != 1:
        return text.replace(HOLE, "·")
    text = text.replace(f"({HOLE})", "")
    if text.startswith(f"{HOLE} "):
        return text[2:]
    if factors := _factors(text):
        return f"× {factors}"
    if re.fullmatch(rf".*[+−/] ?{HOLE}", text):
        return text.removesuffix(HOLE).rstrip()
    return text.replace(HOLE, "·")


def _factors(text: str) -> str:
    """What a formula multiplies its argument by, if it does nothing else."""
    outside, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter in " ×":
            outside.append("")
        else:
            outside[-1] += letter
    rest = [word for word in outside if word not in {"", HOLE}]
    if HOLE not in outside or {"+", "−", "/"} & set(rest):
        return ""
    return " ".join(rest)


def scales(text: str) -> bool:
    """Whether a formula is nothing, or multiplies by a parameter."""
    return text == HOLE or shortened(text).startswith("× ")


def turned(sign: str, text: str) -> str:
    """The text of a pill that negates ("−") or inverts ("1 /") as well, or empty if that takes a second pill."""
    if sign == "−" and re.fullmatch(r"× [^− ]+", text):
        return f"× −{text[2:]}"
    return f"1 / {text}" if sign == "1 /" and re.fullmatch(r"[a-z √]+(\(.*\))?", text) else ""


def with_terms(text: str, terms: list[str]) -> str:
    """A formula to whose argument parameters are added, each with its sign."""
    total = " ".join([HOLE, *terms])
    return text.replace(HOLE, total if not terms or f"({HOLE})" in text or text == HOLE else f"({total})")


def signed(term: str, *, negative: bool) -> str:
    """A term behind its sign."""
    if not negative:
        return f"+ {term}"
    return f"− ({term})" if re.search(" [+−] ", term) else f"− {term}"


def of_layer(text: str, symbol: str) -> str:
    """What stands in the box of a layer; ``symbol`` is its matrix if it has but one."""
    return text.replace(HOLE, symbol or "linear") if scales(text) or text.startswith(HOLE) else shortened(text)


@dataclass(frozen=True)
class Run:
    """Letters of one height: 1 above the line, 0 on it, -1 below it."""

    text: str
    height: int


def runs(text: str) -> list[Run]:
    """A label without its markup for subscripts and powers."""
    parts = (_RUN.fullmatch(match[0]) for match in _RUN.finditer(text))
    return [Run(m[2], -1 if m[1] == "_" else 1) if m[1] else Run(m[3], 0) for m in parts if m]


def width(text: str) -> float:
    """Pixels that a label takes at most."""
    return SIZE * sum(
        (SMALL if run.height else 1) * sum(_WIDE.get(letter, _OTHER) for letter in run.text) for run in runs(text)
    )


def spoken(text: str) -> str:
    """A label without markup, for a title."""
    return "".join(f"[{run.text}]" if run.height < 0 else run.text for run in runs(text))


def svg(text: str) -> str:
    """The inside of a text element: names of one letter slanted, as in mathematics, and lowered subscripts."""
    parts, low = [], 0
    for run in runs(text):
        size = f' font-size="{SMALL * 100:.0f}%"' if run.height else ""
        moved = f' dy="{_LOWERED[run.height] - low}"' if _LOWERED[run.height] != low else ""
        low = _LOWERED[run.height]
        inside = _slanted(run.text)
        parts.append(f"<tspan{moved}{size}>{inside}</tspan>" if moved else inside)
    return "".join(parts)


def _slanted(text: str) -> str:
    def word(found: re.Match[str]) -> str:
        letter = found[0]
        return f'<tspan font-style="italic">{letter}</tspan>' if len(letter) == 1 and letter != "σ" else letter

    return _WORD.sub(word, escape(text, quote=False))
