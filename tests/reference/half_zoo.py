"""The cells of the zoo as steps of ``stepping``, and layers of the library as what it examines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.reference.compare import EVERY, as_state, from_state, public
from tests.reference.irregular import TIMED
from tests.reference.stepping import Call, Layer, Results, States, Step, Tensors
from tests.reference.unroll import Parameters
from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import Block, Node, Op, all_widths
from tidegate.cell.parameter import attribute
from tidegate.nn import Recurrent
from tidegate.runtime import TENSORS, SizedCell
from tidegate.zoo import CELLS

sigma, tanh = torch.sigmoid, torch.tanh
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def mirrored(matrix: Tensor, share: float) -> Tensor:
    """The matrix that a layer multiplies by."""
    return matrix + share * matrix.T


def antisymmetric(p: Parameters, x: Tensor, h: Tensor) -> States:
    product = h @ mirrored(p.tensors["weight_hh_l0"], -1.0).T
    return (h + 0.1 * tanh(p.W(0, x) + p.b(0) + product - 0.01 * h),)


def gated_antisymmetric(p: Parameters, x: Tensor, h: Tensor) -> States:
    product = h @ mirrored(p.tensors["weight_hh_l0"], -1.0).T - 0.01 * h
    return (h + 0.1 * sigma(p.W(0, x) + p.b(0) + product) * tanh(p.W(1, x) + p.b(1) + product),)


def lipschitz(p: Parameters, x: Tensor, h: Tensor) -> States:
    linear = h @ mirrored(p.tensors["weight_A_l0"], -0.5).T - 0.001 * h
    inner = h @ mirrored(p.tensors["weight_hh_l0"], -0.5).T - 0.001 * h
    return (h + 0.03 * (linear + tanh(inner + p.W(0, x) + p.b(0))),)


OTHERWISE = {  # a product's matrix is made of two, or of one on the diagonal, where the equations have it as one
    "antisymmetricrnn": antisymmetric,
    "gatedantisymmetricrnn": gated_antisymmetric,
    "lipschitzrnn": lipschitz,
}


@dataclass(frozen=True)
class Shape:
    """Of a case: steps, sequences, units, features."""

    T: int
    B: int
    H: int
    I: int


@dataclass(frozen=True)
class Case:
    """A cell with parameters, and a call of it, in float32."""

    cell: str
    shape: Shape
    parameters: Tensors
    call: Call
    step: Step


def with_resets(step: Step, reset: Tensor | None) -> Step:
    """The same, from zeros where a sequence begins anew."""
    if reset is None:
        return step

    def anew(own: Tensors, t: int, rows: Tensor, x: Tensor, old: States) -> States:
        begins = reset[t, rows][:, None]
        return step(own, t, rows, x, tuple(state.masked_fill(begins, 0.0) for state in old))

    return anew


def of_graph(cell: SizedCell, given: Mapping[str, Tensor]) -> Step:
    """A step of any cell, node by node: for cells and options that no paper has as equations of their own."""
    graph = cell.graph
    widths = all_widths(cell.widths)

    def parts(value: Tensor, blocks: Sequence[Block]) -> dict[str, Tensor]:
        cut = value.split([widths[block.axis] for block in blocks])
        return {block.name: part for block, part in zip(blocks, cut, strict=True)}

    def step(own: Tensors, t: int, rows: Tensor, x: Tensor, old: States) -> States:
        held = {name: own[attribute(name, 0, reverse=False)] for name in cell.parameters}
        held |= {name: held[name] * (held[name] != 0) for name in cell.zeros_stay}  # whose gradient is zero
        vectors = {v.name: parts(held[v.name], v.blocks) for v in graph.vectors}
        matrices = {m.name: parts(held[f"weight_{m.name}"], m.blocks) for m in graph.matrices}
        biased = {m.name: [block for block in m.blocks if block.bias] for m in graph.matrices}
        biases = {name: parts(held[f"bias_{name}"], some) for name, some in biased.items() if some}
        states = {state.name: value for state, value in zip(graph.states, old, strict=True)}

        def leaf(node: Node) -> Tensor | float:
            if node.op is Op.CONST:
                return node.value
            if node.op is Op.VECTOR:
                return vectors[node.matrix][node.name]
            if node.op is Op.GIVEN:
                return given[node.name][t, rows].to(x)
            return x if node.op is Op.INPUT else states[node.name]

        def product(node: Node, operand: Tensor) -> Tensor:
            weight = matrices[node.matrix][node.name]
            whole = torch.block_diag(*weight.chunk(graph.matrix(node.matrix).heads))
            bias = biases.get(node.matrix, {}).get(node.name)
            return operand @ whole.T if bias is None else operand @ whole.T + bias

        values = evaluate(graph, TENSORS, leaf, product)
        return tuple(values[i].expand(len(x), -1) for i in graph.updates)

    return step


def equations(cell: str, H: int, given: Mapping[str, Tensor]) -> Step:
    """A step of the cell by the equations of its paper."""
    if cell in TIMED:
        timed = TIMED[cell]

        def with_given(own: Tensors, t: int, rows: Tensor, x: Tensor, old: States) -> States:
            short = {name.removesuffix("_l0"): value for name, value in own.items()}
            return timed.step(short, x, old, *(given[name][t, rows].to(x.dtype) for name in timed.given))

        return with_given
    step = OTHERWISE.get(cell) or EVERY[cell].step

    def plain(own: Tensors, t: int, rows: Tensor, x: Tensor, old: States) -> States:
        del t, rows
        return step(Parameters(own, H), x, *old)

    return plain


def draw(
    cell: str, shape: Shape, *, seed: int = 0, lengths: tuple[int, ...] | None = None, resets: bool = False
) -> Case:
    """A random case of the zoo; parameters spread as in torch.nn, inputs, states and upstream gradients normal."""
    T, B, H, I = shape.T, shape.B, shape.H, shape.I
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=g)

    given: Tensors = {}
    if cell in TIMED:
        shapes = {f"{name}_l0": size for name, size in TIMED[cell].shapes(I, H).items()}
        widths = TIMED[cell].states(I, H)
        first = tuple(normal(B, width) for width in widths)
        first = (*first[:2], first[2].abs()) if cell == "grud" else first
        every = {"dt": 3 * torch.rand(T, B, 1, generator=g), "m": (torch.rand(T, B, I, generator=g) > 0.4).float()}
        given = {name: every[name] for name in TIMED[cell].given}
    else:
        reference = EVERY[cell]
        I = reference.features(H, I)
        shapes, widths = reference.shapes(I, H), reference.state_widths(H)
        first = reference.reachable(*(normal(B, width) for width in widths))
    parameters = {n: (2 * torch.rand(s, generator=g) - 1) / H**0.5 for n, s in shapes.items()}
    dlast = tuple(normal(B, width) for width in widths)
    reset = torch.rand(T, B, generator=g) < 0.3 if resets else None
    call = Call(normal(T, B, I), lengths or (T,) * B, first, normal(T, B, widths[0]), dlast, reset, given)
    return Case(cell, shape, parameters, call, with_resets(equations(cell, H, given), reset))


def draw_layer(
    layer: Recurrent, shape: Shape, *, seed: int = 0, lengths: tuple[int, ...] | None = None, resets: bool = False
) -> Case:
    """A random case of a layer, with the layer's own parameters and the graph of its cell."""
    cell, T, B = layer.cells[0], shape.T, shape.B
    g = torch.Generator().manual_seed(seed)
    own = {public(name): value.detach() for name, value in layer.named_parameters()}
    widths = all_widths(cell.widths)
    given = {item.name: torch.rand(T, B, widths[item.axis], generator=g) for item in cell.graph.given}
    sizes = [(B, width) for width in cell.state_widths]
    first, dlast = (tuple(torch.randn(size, generator=g) for size in sizes) for _ in "fl")
    x, dy = (torch.randn(T, B, width, generator=g) for width in (cell.features, cell.output_width))
    reset = torch.rand(T, B, generator=g) < 0.3 if resets else None
    call = Call(x, lengths or (T,) * B, first, dy, dlast, reset, given)
    return Case(cell.graph.name, shape, own, call, with_resets(of_graph(cell, given), reset))


def layer_of(case: Case, **options: Any) -> Recurrent:
    """The library's layer with the parameters of the case."""
    cell, H = case.cell, case.shape.H
    name, _, over = cell.partition("|")
    widths = TIMED[cell].widths(H) if cell in TIMED else EVERY[cell].further(H)
    layer = Recurrent(CELLS[name], case.call.x.shape[-1], H, widths=widths, layer_norm=over or False, **options)
    held = {public(name): name for name in layer.state_dict()}
    layer.autocast_keeps_dtype = True
    layer.load_state_dict({held[name]: value for name, value in case.parameters.items()})
    return layer


def multiplying(products: str | None) -> AbstractContextManager[Any]:
    """In here a layer that keeps its type of results multiplies in fewer bits, and all that it returns is float32."""
    return torch.autocast("cpu", TYPES[products]) if products else nullcontext()


def examined(layer: Recurrent, products: str | None, *, check: Callable[[Recurrent], None] | None = None) -> Layer:
    """A layer of one direction as ``stepping`` calls it."""

    def run(call: Call) -> Results:
        x = call.x.clone().requires_grad_()
        first = tuple(state.clone().requires_grad_() for state in call.first)
        how: dict[str, Any] = {"lengths": list(call.lengths)} if min(call.lengths, default=0) < len(x) else {}
        how |= {"given": dict(call.given)} if call.given else {}
        how |= {} if call.reset is None else {"reset": call.reset}
        with multiplying(products):
            y, state = layer(x, as_state(first), **how)
        own = {public(name): value for name, value in layer.named_parameters()}
        last, wanted = from_state(state), [x, *first, *own.values()]
        found = torch.autograd.grad([y, *last], wanted, [call.dy, *call.dlast], allow_unused=True)
        if check is not None:
            check(layer)
        grads = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
        split = 1 + len(first)
        parameters = dict(zip(own, grads[split:], strict=True))
        return Results(y.detach(), tuple(s.detach() for s in last), grads[0], tuple(grads[1:split]), parameters)

    return run
