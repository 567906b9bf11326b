"""Units of inputs: features of very unlike ranges, brought near each other for products of few bits.

A scale for each row of a weight serves columns that are alike. Where a model had its inputs scaled inside its weights,
as by folding in a normaliser, a feature measured in thousands has weights of thousandths, and these would be rounded to
zero beside others. So such a column is multiplied by a power of two, and its feature divided by it, which rounds
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tidegate.cell.graph import Op
from tidegate.runtime.sized import SizedCell

ALIKE = 8  # columns whose largest number is at least the largest of all divided by this are left as they are
MOST = 64  # powers of two


def input_units(cell: SizedCell, parameters: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """What each feature is divided by, [I]; None where that is 1 for all, or where a cell reads its input otherwise.

    Args:
        cell: whose input it is.
        parameters: of all directions.
    """
    weights = _read_by_input(cell, parameters)
    if not weights:
        return None
    columns = torch.stack([weight.abs().amax(0) for weight in weights]).amax(0)
    unlike = (columns > 0) & (columns < columns.max() / ALIKE)
    power = torch.where(unlike, (columns.max() / columns).log2().floor().clamp(max=MOST), 0.0)
    return power.exp2() if unlike.any() and power.isfinite().all() else None


def in_units(cell: SizedCell, parameters: Sequence[torch.Tensor], units: torch.Tensor | None) -> Sequence[torch.Tensor]:
    """The parameters for an input in these units.

    Args:
        cell: and the next one, as in ``input_units``.
        parameters: of all directions.
        units: None for the input as it is.
    """
    if units is None:
        return parameters
    read = {weight.data_ptr() for weight in _read_by_input(cell, parameters)}
    return [tensor * units if tensor.data_ptr() in read else tensor for tensor in parameters]


def _read_by_input(cell: SizedCell, parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The weights that multiply the input; none where something else reads it, or they multiply something else, too."""
    nodes = cell.graph.nodes
    inputs = {index for index, node in enumerate(nodes) if node.op is Op.INPUT}
    of_input = {matrix for matrix, operand, _ in cell.graph.products if operand in inputs}
    others = {matrix for matrix, operand, _ in cell.graph.products if operand not in inputs}
    elsewhere = any(inputs & set(node.args) for node in nodes if node.op is not Op.PRODUCT)
    heads = any(cell.graph.matrix(name).heads > 1 for name in of_input)
    if elsewhere or heads or of_input & others:
        return []
    count = len(cell.parameters)
    places = [cell.parameters.index(f"weight_{name}") for name in sorted(of_input)]
    return [parameters[first + place] for first in range(0, len(parameters), count) for place in places]
