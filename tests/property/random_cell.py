"""Random cells: source text of a ``step`` is drawn, compiled, and run both as a layer and by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from tidegate import cell
from tidegate.cell import Block, Cell

Tensors = dict[str, Tensor]
NAMES = "sigmoid tanh relu exp log log_sigmoid sqrt maximum minimum mean variance layer_norm"
FUNCTIONS = {name: getattr(cell, name) for name in NAMES.split()}

# Arguments of log, sqrt, exp and / are held to where these are tame: overflow is not what is compared here.
UNARY = (
    "sigmoid({})",
    "log_sigmoid({})",
    "tanh({})",
    "relu({})",
    "-{}",
    "exp(tanh({}))",
    "log(2 + tanh({}))",
    "1 / (1.5 + sigmoid({}))",
    "sqrt(1.5 + tanh({}))",
)
BINARY = ("({} + {})", "({} - {})", "({} * {})", "({} / (0.5 + sigmoid({})))", "maximum({}, {})", "minimum({}, {})")
# Means and variances are one number a row, but each of these is a vector, as matrices need them.
ROWS = (
    "({0} - mean({1}))",
    "({0} / sqrt(0.5 + variance({0}, {1})))",
    "({1} * mean({0}, {1}) - variance({0}))",
    "maximum({0}, mean({0}) * sigmoid(mean({1})))",
    "layer_norm({0} + 3 * {1} * {1})",
)
NUMBERS = ("1", "2.5", "(-0.5)", "0")


def expressions(names: list[str]) -> st.SearchStrategy[str]:
    """Text of random expressions of these names, at least one of them in each."""
    named = st.sampled_from(names)

    def grown(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        number = st.sampled_from(NUMBERS)
        two = st.sampled_from(BINARY)
        return st.one_of(
            st.builds(str.format, st.sampled_from(UNARY), smaller),
            st.builds(str.format, two, smaller, smaller),
            st.builds(str.format, st.sampled_from(ROWS), smaller, smaller),
            st.builds(str.format, two, smaller, number),
            st.builds(str.format, two, number, smaller),
        )

    return st.recursive(named, grown, max_leaves=5)


@dataclass(frozen=True)
class RandomCell:
    """A drawn cell and the same step as a free function that also returns its gates."""

    cell: type[Cell]
    observed: Callable[..., tuple[tuple[Tensor, ...], Tensors]]
    source: str

    def run(
        self, params: Tensors, x: Tensor, states: tuple[Tensor, ...], given: Mapping[str, Tensor] = MappingProxyType({})
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensors]:
        """Outputs, last states and gates, by calling ``step`` on tensors once for each x_t."""
        outputs, seen = [], []
        for t, x_t in enumerate(x):
            beside = {name: value[t] for name, value in given.items()}
            states, gates = self.observed(**self._arguments(params, x_t, states), **beside)
            outputs.append(states[0])
            seen.append(gates)
        return torch.stack(outputs), states, {name: torch.stack([g[name] for g in seen]) for name in seen[0]}

    def _arguments(self, params: Tensors, x_t: Tensor, states: tuple[Tensor, ...]) -> dict[str, Any]:
        declared = self.cell.graph

        widths = {s.axis: value.shape[-1] for s, value in zip(declared.states, states, strict=True)}

        def product(matrix: Any, suffix: str) -> Callable[[Tensor], SimpleNamespace]:
            biased = [block for block in matrix.blocks if block.bias]
            weights = cut(params[f"weight_{suffix}_l0"], matrix.blocks, widths)
            biases = cut(params[f"bias_{suffix}_l0"], biased, widths) if biased else {}

            def multiply(v: Tensor) -> SimpleNamespace:  # of a square matrix some blocks may be meant for another width
                fits = {n: w for n, w in weights.items() if w.shape[1] == v.shape[-1]}
                return SimpleNamespace(**{n: v @ w.T + biases.get(n, 0) for n, w in fits.items()})

            return multiply

        suffixes = {"W": "ih", "U": "hh"}
        products = {m.name: product(m, suffixes.get(m.name, m.name)) for m in declared.matrices}
        vectors = {vector.name: params[f"{vector.name}_l0"] for vector in declared.vectors}
        own = {"p": SimpleNamespace(**{name.removeprefix("p_"): v for name, v in vectors.items()})} if vectors else {}
        named = {s.name: value for s, value in zip(declared.states, states, strict=True)}
        x = products.pop("W")(x_t)
        x.raw = x_t
        return {"x": x, **named, **products, **own}


def cut(rows: Tensor, blocks: Sequence[Block], widths: Mapping[str, int]) -> Tensors:
    """The rows of each block by its name."""
    parts = rows.split([widths[block.axis] for block in blocks])
    return dict(zip([block.name for block in blocks], parts, strict=True))


@st.composite
def random_cells(draw: st.DrawFn, *, timed: bool = False) -> RandomCell:
    """A cell of one to three states, one to three gates, perhaps a second matrix and vectors, perhaps biased.

    It may have a further state of another width, which then has a gate of that width too, and may read its input raw.
    Where it may be ``timed``, half of them read time and what is missing.
    """
    states = ["h", "c", "s"][: draw(st.integers(1, 3))]
    gates = ["i", "f", "n"][: draw(st.integers(1, 3))]
    extra = draw(st.lists(st.sampled_from(gates), unique=True).map(sorted))
    vectors = draw(st.lists(st.sampled_from(["a", "b"]), unique=True).map(sorted))
    raw, context = draw(st.booleans()), draw(st.booleans())
    timed = timed and draw(st.booleans())
    leaves = [*states, *["x.raw"] * raw, *["m"] * (raw and timed)]
    lines = []
    if context:
        lines.append(f"k = sigmoid(x.k + Q({draw(expressions(leaves))}).k + {draw(expressions(['q']))})")
        lines.append(f"q = tanh({draw(expressions(['q', 'k']))} + k)")
    for k, gate in enumerate(gates):
        known = [*leaves, *gates[:k], *(f"p.{v}" for v in vectors)]
        terms = [f"x.{gate}", f"U({draw(expressions(known))}).{gate}"]
        terms += [f"R({draw(expressions(states))}).{gate}"] * (gate in extra)
        terms += [f"p.{v}" for v in vectors] * (k == 0)
        if context and k == 0:
            terms.append(f"P({draw(expressions(['q', 'k']))}).{gate}")
        lines.append(f"{gate} = {draw(st.sampled_from(['sigmoid', 'tanh', '']))}({' + '.join(terms)})")
        lines.append(f"{gate} = {draw(expressions([gate, *known]))} + {gate}")
        if timed:
            number = draw(st.sampled_from(["dt", *(one.format("dt") for one in UNARY)]))
            lines.append(f"{gate} = {number} * {gate} + V(m).{gate}")
    everything = " + ".join(gates)
    new = [f"tanh({draw(expressions([*states, *gates]))} + {everything})"]
    new += [
        draw(st.one_of(st.sampled_from([*states, *gates]), expressions(gates).map("tanh({})".format)))
        for _ in states[1:]
    ]
    result = ", ".join([*new, *["q"] * context]) + ","
    matrices = {"U": " ".join(gates)} | ({"R": " ".join(extra)} if extra else {})
    matrices |= {"P": gates[0], "Q": "k:S"} if context else {}
    matrices |= {"V": " ".join(gates)} if timed else {}
    parameters = ", ".join(["x", *states, *["q"] * context, *matrices, *["p"] * bool(vectors), *["dt", "m"] * timed])
    body = "".join(f"    {line}\n" for line in lines)
    shown = ", ".join(f"{gate}={gate}" for gate in gates)
    source = (
        f"def step(self, {parameters}):\n{body}    return ({result})\n\n"
        f"def observed({parameters}):\n{body}    return ({result}), dict({shown})\n"
    )
    return compiled(
        source,
        gates=" ".join(gates),
        input="H" if raw else "I",
        inputs=" ".join([*gates, *["k:S"] * context]),
        state=" ".join([*states, *["q:S"] * context]),
        vectors=" ".join(f"p_{v}" for v in vectors),
        matrices=matrices,
        given=f"dt:1 m:{'H' if raw else 'I'}" if timed else "",
        biases=draw(st.sampled_from(["W U", "W", "U", "", *["W R"] * bool(extra), *["W U P Q"] * context])),
    )


def compiled(source: str, **declared: Any) -> RandomCell:
    """Make the cell, which traces it."""
    made: dict[str, Any] = {}
    exec(compile(source, "<random cell>", "exec"), dict(FUNCTIONS), made)
    return RandomCell(type("Random", (Cell,), {**declared, "step": made["step"]}), made["observed"], source)
