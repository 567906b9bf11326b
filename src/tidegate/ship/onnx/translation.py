"""Our layers inside a model that ``torch.onnx.export`` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tidegate.errors import EmitError, explain_missing
from tidegate.nn import operator  # noqa: F401  registers the operation
from tidegate.runtime import SizedCell, described

Translation = Callable[..., list[Any]]


def onnx_translations(model: torch.nn.Module, *, native: bool = True) -> dict[Any, Translation]:
    """What ``torch.onnx.export`` needs to know of our layers in a model.

    A layer is written as ``tidegate.ship.onnx`` writes it: as one node of ONNX, or as a Scan. T and B may be dynamic.

    Args:
        model: that is exported, in evaluation mode: its parameters become the weights of the nodes.
        native: use the nodes of ONNX where they fit, else Scans alone.

    Returns:
        A ``custom_translation_table`` for ``torch.onnx.export(model, ..., dynamo=True)``, which needs onnxscript.

    Raises:
        MissingError: the package onnx is not installed.

        While a model is exported: EmitError for weights that the model computes, such as those of a parametrization,
        and for resets to learned initial states.

    Example:
        >>> import tidegate as tg
        >>> [operation] = tg.ship.onnx_translations(tg.nn.GRU(2, 3))
        >>> operation is torch.ops.tidegate.layer.default
        True
    """
    with explain_missing():
        import onnx  # noqa: F401  optional; better missed now than in the middle of an export
    held = _by_exported_names(model)
    count = iter(range(1, 1 << 30))

    def layer(
        x: Any, first: Sequence[Any], parameters: Sequence[Any], masks: Sequence[Any], lengths: Any, resets: Any,
        cell: str, saving: bool,
    ) -> list[Any]:  # fmt: skip
        del saving
        sized = described(cell)
        count_given = len(sized.graph.given)
        if masks[count_given:]:
            raise EmitError(
                "SHIP_EXPORT",
                f"{sized.graph.name} reads masks: it is training, or resets lead to learned initial states",
                fix="call model.eval(), or ship the layer by tidegate.ship.onnx(layer, reset=True)",
            )
        arrays = [_value(held, parameter, sized) for parameter in parameters]
        given = {"x": x, "lengths": lengths, "reset": resets, **{f"first{k}": state for k, state in enumerate(first)}}
        given |= {f"given{k}": value for k, value in enumerate(masks)}
        return _transplanted(
            sized, arrays, {name: value for name, value in given.items() if value is not None},
            name=f"tidegate{next(count)}/", native=native,
        )  # fmt: skip

    return {torch.ops.tidegate.layer.default: layer}


def _by_exported_names(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters by the names that torch.export gives them; without those whose names it must change further."""
    held: dict[str, torch.Tensor] = {}
    twice = set()
    for name, value in model.named_parameters(remove_duplicate=False):
        exported = f"p_{name.replace('.', '_')}".lower()
        if exported in held and held[exported] is not value:
            twice.add(exported)
        held[exported] = value
    return {name: value for name, value in held.items() if name not in twice}


def _value(held: Mapping[str, torch.Tensor], parameter: Any, cell: SizedCell) -> Any:
    found = held.get(str(parameter.name))
    if found is None or list(found.shape) != [int(size) for size in parameter.shape]:
        raise EmitError(
            "SHIP_EXPORT",
            f"a weight of {cell.graph.name} is no parameter of the model: {parameter.name}",
            fix="pass the model that is exported, with parameters whose names differ not only in dots and case; "
            "torch.nn.utils.parametrize.remove_parametrizations makes parameters",
        )
    return found.detach().cpu().double().numpy()


def _transplanted(
    cell: SizedCell, parameters: Sequence[Any], given: Mapping[str, Any], *, name: str, native: bool
) -> list[Any]:
    """Write a layer as a graph of its own, and move its nodes into the one that is being exported."""
    from torch.onnx._internal.exporter import _core  # the graph that is being exported stands nowhere else

    from tidegate.ship.onnx.inlined import inlined

    exporter: Any = _core
    tracer, ir = exporter.current_tracer, exporter.ir
    graph = ir.serde.deserialize_graph(
        inlined(cell, parameters, list(given), name, tracer.opset.version, native=native)
    )
    for inside, outside in zip(graph.inputs, given.values(), strict=True):
        ir.convenience.replace_all_uses_with(inside, outside)
    outputs, nodes = list(graph.outputs), list(graph)
    graph.outputs.clear()
    graph.remove(nodes)
    tracer.nodes += nodes
    return outputs
