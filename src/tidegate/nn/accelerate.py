"""``accelerate`` and ``restore``: swap the recurrent layers and cells of a model, from torch's to ours and back.

A layer changes its class and stays the same object, so nothing can be lost: parameters, buffers, hooks and training
mode stay where they are, and everything that refers to the layer (an optimizer, a second parent, a list, a compiled
wrapper) refers to the swapped layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch.nn.utils.parametrize import is_parametrized

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.nn.cell import RecurrentCell
from tidegate.nn.layer import GRU, LSTM, RNN
from tidegate.nn.precision import PRODUCTS, working_type
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.step import GRUCell, LSTMCell, RNNCell
from tidegate.nn.stranger import strangers
from tidegate.nn.twin import ADDED
from tidegate.runtime import KINDS, isa, unavailable
from tidegate.runtime.library import load, processor

Layer = torch.nn.RNNBase | torch.nn.RNNCellBase  # a cell is a layer of one step
OURS: dict[type[torch.nn.Module] | None, type[Recurrent | RecurrentCell]] = {
    kind.torch_class(): kind for kind in (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell)
}
ROOT = "(model)"  # the path of the model itself, as text shows it


@dataclass(frozen=True)
class Acceleration:
    """What ``accelerate`` did to a model. ``print`` shows it as a table.

    Attributes:
        model: the object that was passed.
        swapped: from paths in the model to the layers that are Tidegate's now. The path of the model itself is ``""``;
            a layer with several paths is listed under the first.
        left: from paths in the model to the reasons why other recurrent layers of torch were left as they are.
    """

    model: torch.nn.Module
    swapped: Mapping[str, Layer]
    left: Mapping[str, str]

    def __str__(self) -> str:
        lines = [(path, f"swapped: {layer}") for path, layer in self.swapped.items()]
        lines += [(path, f"left: {reason}") for path, reason in self.left.items()]
        width = max((len(path or ROOT) for path, _ in lines), default=0)
        return "\n".join(f"{path or ROOT:{width}}  {what}" for path, what in lines) or "no recurrent layer of torch.nn"


def accelerate(model: torch.nn.Module) -> Acceleration:
    """Turn every plain torch.nn.RNN, LSTM and GRU of a model, and their cells, into Tidegate's of the same name.

    The model is changed in place: each layer becomes a ``tidegate.nn.RNN``, ``LSTM`` or ``GRU``, each cell an
    ``RNNCell``, ``LSTMCell`` or ``GRUCell``. It stays the same object with the same Parameters; nothing is copied.
    Optimizers, tied weights, hooks, buffers, training mode, ``state_dict`` and every other reference to the layer stay
    valid. To keep the original, pass ``copy.deepcopy(model)``.

    These are left as they are, and the result gives the reason for each: subclasses of torch's layers and cells; layers
    with a method replaced; layers whose parameters are not torch's own (parametrized, weight-normed, pruned or extra
    ones); and those that torch runs more quickly: layers and cells that the engine cannot run because of their device
    or dtype, or because it is not available, cells where it has no instruction set wider than the baseline, and LSTMs
    of bfloat16 where torch multiplies by AMX and the engine does not. Layers in half precision multiply as before in
    that type, and compute everything else in float32; see ``Recurrent``.

    Layers that are Tidegate's already are not mentioned. Layers that torch has scripted, traced, exported or quantized
    are no modules of torch.nn any more; they are left too, and listed with what can be done.

    A model that calls a cell step by step in a loop becomes quicker too, at any batch size, in inference and in
    training (``benchmarks/cell_steps.py``); ``Session`` and ``frozen`` spare further work where weights stay.

    Args:
        model: any module; it may be a recurrent layer itself.

    Returns:
        The model, the layers that were swapped, and the layers that were left, with reasons.

    Raises:
        InputError: ``model`` is not a module.

    Example:
        >>> import torch, tidegate as tg
        >>> model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(4, 8), "decoder": torch.nn.GRU(8, 8).bfloat16()})
        >>> acceleration = tg.accelerate(model)
        >>> print(acceleration)
        encoder  swapped: LSTM(4, 8)
        decoder  swapped: GRU(8, 8)
        >>> output, (h, c) = model["encoder"](torch.zeros(5, 3, 4))
        >>> model["encoder"].last_path
        'fused'
    """
    swapped: dict[str, Layer] = {}
    left: dict[str, str] = {}
    for path, layer in _recurrent_layers(model):
        if isinstance(layer, (Recurrent, RecurrentCell)):
            continue
        reason = _first_reason(layer, _why_not_plain, _why_not_whole, _why_not_quicker)
        if reason is None:
            swapped[path] = layer
        else:
            left[path] = reason
    left |= strangers(model)
    for layer in swapped.values():
        _become_ours(layer)
    return Acceleration(model, swapped, left)


def restore(model: torch.nn.Module) -> torch.nn.Module:
    """Turn every layer and cell of Tidegate's in a model back into torch's own, the reverse of ``accelerate``.

    They stay the same objects with the same Parameters. Use it before code that supports only torch's layers, such as
    torch.ao.quantization.quantize_dynamic. A layer that torch does not have would fail there later and less clearly, so
    it is an error here; then nothing is changed.

    Args:
        model: any module; it may be a recurrent layer itself.

    Returns:
        The object that was passed.

    Raises:
        InputError: ``model`` is not a module, or it contains a layer or a cell that torch does not have: a
            ``PeepholeLSTM`` or another ``Recurrent``, a GRU with ``reset="before"`` or ``update="write"``, a layer with
            zoneout or another option that changes how it runs, a subclass, or a parametrized layer.

    Example:
        >>> import torch, tidegate as tg
        >>> model = torch.nn.Sequential(tg.nn.LSTM(4, 8))
        >>> type(tg.restore(model)[0]) is torch.nn.LSTM
        True
    """
    layers = [
        (path, layer) for path, layer in _recurrent_layers(model) if isinstance(layer, (Recurrent, RecurrentCell))
    ]
    for path, layer in layers:
        reason = _first_reason(layer, _why_not_in_torch, _why_not_whole)
        if reason is not None:
            raise InputError(
                "RESTORE",
                f"expected layers that torch.nn has, got {layer} at {path or ROOT}: {reason}",
                fix="replace it with an RNN, LSTM or GRU of torch.nn, or restore only parts of the model without it",
            )
    for _, layer in layers:
        _become_torchs(layer)
    return model


def _recurrent_layers(model: torch.nn.Module) -> Iterator[tuple[str, Layer]]:
    """All recurrent layers and cells, each once, with its first path."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "MODEL",
            f"expected a torch.nn.Module, got {type(model).__name__}",
            fix="pass the model that contains the layers",
        )
    for path, module in model.named_modules():
        if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)):
            yield path, module


def _become_ours(layer: Layer) -> None:
    kind, graph = OURS[type(layer)], _graph_of(layer)
    layer.__class__ = kind
    assert isinstance(layer, (Recurrent, RecurrentCell))
    layer.set_cell(graph)
    if isinstance(layer, (GRU, GRUCell)):
        layer.reset, layer.update = "after", "keep"


def _become_torchs(layer: Recurrent | RecurrentCell) -> None:
    kind = layer.torch_class()
    for name in ADDED:
        vars(layer).pop(name, None)
    layer.__class__ = kind  # type: ignore[assignment]
    if isinstance(layer, torch.nn.RNNBase):
        layer._init_flat_weights()  # noqa: SLF001  on a GPU torch needs the weights in one block of memory


def _graph_of(layer: Layer) -> Graph:
    """The definition of a layer of torch's. An RNNCell looks up its nonlinearity when it is called."""
    if isinstance(layer, (torch.nn.LSTM, torch.nn.LSTMCell)):
        return zoo.LSTM.graph
    if isinstance(layer, (torch.nn.GRU, torch.nn.GRUCell)):
        return zoo.GRU.variant(reset="after", update="keep").graph
    if isinstance(layer, torch.nn.RNNBase):
        return zoo.RNN.variant(nonlinearity=layer.mode.removeprefix("RNN_").lower()).graph
    return zoo.RNN.graph


def _first_reason(layer: Layer, *questions: Callable[[Layer], str | None]) -> str | None:
    return next((reason for question in questions if (reason := question(layer)) is not None), None)


def _why_not_plain(layer: Layer) -> str | None:
    if is_parametrized(layer):
        return "its parameters are parametrized"
    if type(layer) not in OURS:
        return f"it is a subclass, {type(layer).__name__}"
    return next((f"it has an attribute {name!r}, which Tidegate uses" for name in ADDED if name in vars(layer)), None)


def _why_not_in_torch(layer: Layer) -> str | None:
    if is_parametrized(layer):
        return "its parameters are parametrized"
    assert isinstance(layer, (Recurrent, RecurrentCell))
    if layer.matches_torch():
        return None
    if isinstance(layer, Recurrent) and type(layer) in OURS.values() and (options := str(layer.options)):
        return f"torch has no{options.removeprefix(',')}"
    if isinstance(layer, (GRU, GRUCell)) and type(layer) in OURS.values():
        return 'torch has reset="after" and update="keep" only'
    return "torch has no such layer"


def _why_not_whole(layer: Layer) -> str | None:
    """What the layer has besides torch's methods and parameters, which the other class would not support."""
    replaced = [name for name in vars(layer) if callable(getattr(type(layer), name, None))]
    if replaced:
        return f"its method {replaced[0]!r} has been replaced"
    expected = _expected_shapes(layer)
    shapes = {name: None if p is None else tuple(p.shape) for name, p in layer._parameters.items()}  # noqa: SLF001
    wrong = sorted(name for name in {*expected, *shapes} if expected.get(name) != shapes.get(name))
    if wrong:
        return f"its parameters are not torch's own ({', '.join(wrong)}), e.g. after weight norm or pruning"
    submodules = [name for name, _ in layer.named_children()]
    return f"it has a submodule, {submodules[0]}" if submodules else None


def _why_not_quicker(layer: Layer) -> str | None:
    """Why torch's own layer or cell is quicker: the engine does not run it, or has only narrow registers for it."""
    for parameter in layer.parameters():
        dtype = str(parameter.dtype).removeprefix("torch.")
        if not parameter.is_cpu:
            return f"its parameters are on {parameter.device.type}, and the engine runs on the CPU"
        if (working_type(parameter.dtype), PRODUCTS.get(parameter.dtype)) not in KINDS:
            return f"its parameters are {dtype}, in which the engine does not compute"
        if parameter.dtype is torch.bfloat16 and isinstance(layer, torch.nn.LSTM) and _only_torch_has_amx():
            return "torch multiplies bfloat16 by AMX here, and the engine does not (TIDEGATE_TILES=amx tries it)"
        if type(parameter) is not torch.nn.Parameter:
            return f"its parameters are of a subclass, {type(parameter).__name__}"
    missing = unavailable(_graph_of(layer))
    if missing is not None:
        return f"the engine is not available: {missing.reason}"
    if isinstance(layer, torch.nn.RNNCellBase) and isa() == "baseline":
        return "the engine has no instruction set wider than the baseline here, and torch's own cells may be quicker"
    return None


def _only_torch_has_amx() -> bool:
    return "amx_bf16" in processor().flags and load().tiles["bfloat16"] != "amx"


def _expected_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters that torch.nn gives to a layer of these sizes."""
    like: torch.nn.Module
    with torch.device("meta"):
        if isinstance(layer, torch.nn.RNNBase):
            like = torch.nn.RNNBase(
                layer.mode, layer.input_size, layer.hidden_size, layer.num_layers, layer.bias,
                bidirectional=layer.bidirectional, proj_size=layer.proj_size,
            )  # fmt: skip
        else:
            gates = {torch.nn.LSTMCell: 4, torch.nn.GRUCell: 3, torch.nn.RNNCell: 1}
            chunks = next(count for kind, count in gates.items() if isinstance(layer, kind))
            like = torch.nn.RNNCellBase(layer.input_size, layer.hidden_size, layer.bias, chunks)
    return {name: tuple(parameter.shape) for name, parameter in like.named_parameters()}
