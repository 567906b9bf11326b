"""How parameters begin, where a layer is asked for more than torch's uniform draw."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tidegate.cell import Block, Graph, Op
from tidegate.cell.convention import forget_gate
from tidegate.cell.parameter import PROJECTION, bias_of
from tidegate.errors import InputError
from tidegate.nn.option import Options

Parameters = Mapping[str, torch.Tensor]  # by their names in the graph


@torch.no_grad()
def initialise(graph: Graph, widths: Mapping[str, int], parameters: Parameters, options: Options) -> None:
    """Change what ``options`` say of the parameters of one layer and direction, which are drawn already.

    Args:
        graph: the cell.
        widths: of its axes.
        parameters: changed in place.
        options: of the layer.

    Raises:
        InputError: the cell has no gate that keeps its state, or none with a bias.
    """
    if options.orthogonal:
        _make_orthogonal(graph, widths, parameters)
    if options.forget_bias is None and options.chrono is None:
        return
    gate, sign = _forget_gate(graph, "forget_bias" if options.chrono is None else "chrono")
    biases = _biases(graph, widths, parameters, gate)
    if options.forget_bias is not None:
        _set(biases, torch.full_like(biases[0], sign * options.forget_bias))
    if options.chrono is not None:
        keeps = torch.empty_like(biases[0]).uniform_(1, options.chrono - 1).log_().mul_(sign)
        _set(biases, keeps)
        if gate == "f":
            _set(_biases(graph, widths, parameters, "i"), -keeps)


def _forget_gate(graph: Graph, option: str) -> tuple[str, int]:
    """The gate whose bias an option sets, and the sign of a bias that keeps the state."""
    found = forget_gate(graph)
    has = " ".join(name for name, _ in graph.gates) or "none"
    if found is None:
        raise InputError(
            "OPTION_GATE", f"{option} needs a gate that keeps the state; {graph.name} has the gates {has}",
            fix=f"leave {option} out",
        )  # fmt: skip
    if not any(block.name == found[0] for blocks in _biased(graph).values() for block in blocks):
        raise InputError(
            "OPTION_BIAS", f"{option} sets a bias of gate {found[0]}, but it has none here", fix="pass bias=True"
        )
    return found


def _biases(graph: Graph, widths: Mapping[str, int], parameters: Parameters, gate: str) -> list[torch.Tensor]:
    """The biases of a gate, that of the input side first; views, so that they can be written to."""
    found = []
    for name, biased in _biased(graph).items():
        parts = parameters[name].split([widths[block.axis] for block in biased])
        found += [part for block, part in zip(biased, parts, strict=True) if block.name == gate]
    return found


def _biased(graph: Graph) -> dict[str, list[Block]]:
    """The blocks of each bias of a matrix, by its name, also where a layer norm stands between them."""
    own = {bias_of(m.name): [block for block in m.blocks if block.bias] for m in graph.matrices if m.has_bias}
    behind = {vector.name: [*vector.blocks] for vector in graph.vectors}
    names = [bias_of(matrix.name) for matrix in graph.matrices]
    return own | {name: behind[name] for name in names if name in behind}


def _set(biases: list[torch.Tensor], value: torch.Tensor) -> None:
    """Make this the sum of all biases of a gate."""
    for k, bias in enumerate(biases):
        bias.copy_(value if k == 0 else torch.zeros_like(bias))


def _make_orthogonal(graph: Graph, widths: Mapping[str, int], parameters: Parameters) -> None:
    """Every block of rows of the recurrent matrices, each on its own."""
    recurrent = {name for name, operand, _ in graph.products if graph.nodes[operand].op is not Op.INPUT}
    for matrix in graph.matrices:
        if matrix.name in recurrent - {PROJECTION}:
            rows = [widths[block.axis] for block in matrix.blocks]
            for block in parameters[f"weight_{matrix.name}"].split(rows):
                torch.nn.init.orthogonal_(block)
