"""Remedies: what may mend a layer, in words, as a line of Python, as a command, and as a change of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.utils.parametrize import type_before_parametrizations

from tidegate.cell.convention import carries
from tidegate.cell.parameter import attribute, factor_of, factored
from tidegate.errors import InputError
from tidegate.explain.memory import part_name, parts
from tidegate.language import say
from tidegate.nn import Recurrent
from tidegate.nn.accelerate import ROOT
from tidegate.option import OPTIONS, Options
from tidegate.option.parameter import biased_blocks, gate_biases, keeping_gate, recurrent_matrices, set_sum
from tidegate.zoo import CELLS

TRAIN = "tidegate train TASK DATA"


class Change(Protocol):
    """What a remedy does to a layer."""

    def apply(self, model: torch.nn.Module, path: str) -> torch.nn.Module:
        """Change the layer at this path in place, and return the model; the new layer if that is the model."""


@dataclass(frozen=True)
class Remedy:
    """What may mend a verdict.

    Attributes:
        sentence: the remedy in words.
        code: the same as a line of Python; empty if there is none.
        command: the same as a command; empty if there is none.
        path: of the layer that it changes.
        change: what it does to a copy of the model; None if only the caller can do it.
        instead: another one that keeps what the model has learnt, where this one begins anew; None if there is none.
    """

    sentence: str
    code: str = ""
    command: str = ""
    path: str = ""
    change: Change | None = None
    instead: Remedy | None = None


@dataclass(frozen=True)
class SetOption:
    """Give the layer a further option."""

    name: str
    value: Any

    def apply(self, model: torch.nn.Module, path: str) -> torch.nn.Module:
        """As ``Change`` describes."""
        return replace(model, path, _at(model, path).with_options(**{self.name: self.value}))


@dataclass(frozen=True)
class SetBias:
    """Make the biases of a gate add up to a value."""

    gate: str
    value: float

    def apply(self, model: torch.nn.Module, path: str) -> torch.nn.Module:
        """As ``Change`` describes."""
        layer = _at(model, path)
        with torch.no_grad():
            for number, own in _parameters(layer):
                set_sum(gate_biases(layer.graph, layer.cells[number].widths, own, self.gate), self.value)
        return model


@dataclass(frozen=True)
class Rescale:
    """Multiply matrices by a factor; ``names`` are those of the parameters."""

    names: tuple[str, ...]
    factor: float

    def apply(self, model: torch.nn.Module, path: str) -> torch.nn.Module:
        """As ``Change`` describes."""
        layer = _at(model, path)
        with torch.no_grad():
            for name in self.names:
                layer.get_parameter(name).mul_(self.factor)
        return model


@dataclass(frozen=True)
class KeepUnits:
    """Leave only these units of a layer, and only their columns of the linear map that reads it."""

    units: tuple[int, ...]

    def apply(self, model: torch.nn.Module, path: str) -> torch.nn.Module:
        """As ``Change`` describes.

        Raises:
            InputError: not exactly one linear map is as wide as the layer.
        """
        layer = _at(model, path)
        readers = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module.in_features == layer.output_size
        }
        if len(readers) != 1:
            raise InputError(
                "REMEDY_READER",
                f"{len(readers)} linear maps read {layer.output_size} features, expected one that reads {path}",
                fix="train a smaller layer instead",
            )
        ((name, reader),) = readers.items()
        keep = torch.tensor(self.units)
        narrow = torch.nn.Linear(len(keep), reader.out_features, reader.bias is not None).to(reader.weight)
        with torch.no_grad():
            narrow.weight.copy_(reader.weight[:, keep])
            if reader.bias is not None:
                narrow.bias.copy_(reader.bias)
        return replace(replace(model, path, _with_units(layer, keep)), name, narrow)


def set_option(layer: Recurrent, path: str, command: str, sentence: str, name: str, value: Any) -> Remedy:
    """An option of the layer, which is a setting of ``tidegate train`` as well."""
    flag = f"--{name.replace('_', '-')}" + ("" if value is True else f" {value:g}")
    return Remedy(sentence, constructor(layer, **{name: value}), f"{command} {flag}", path, SetOption(name, value))


def remember(layer: Recurrent, path: str, command: str, lag: int, *, longer: bool = False) -> Remedy:
    """What makes a layer remember over a lag: its gates if it has the right ones, else its recurrent matrices.

    Args:
        layer: a stack.
        path: of the stack.
        command: that trained it.
        lag: in steps.
        longer: than its chrono initialisation has made it, if it has one.
    """
    graph, longest = layer.graph, 2 * lag
    if longer and layer.options.chrono is not None:
        longest = max(longest, math.ceil(2 * layer.options.chrono))
    if can_keep(layer):
        sentence = say(
            "Let the biases of the gates begin so that units remember for 1 to {longest} steps.", longest=longest
        )
        return set_option(layer, path, command, sentence, "chrono", longest)
    for state, carry in carries(graph).items():
        if carry.gate and has_bias(layer, carry.gate) and abs(carry.open - carry.shut) == 1:
            value = math.copysign(math.log(lag), carry.open - carry.shut)
            sentence = say(
                "Set the bias of gate {gate} to {value:.3g}, so that half of {state} is left "
                "after about {steps} steps.",
                gate=carry.gate,
                value=value,
                state=state,
                steps=math.ceil(lag * math.log(2)),
            )
            return Remedy(sentence, bias_code(layer, path, carry.gate, value), "", path, SetBias(carry.gate, value))
    other = f"{command} --cell lstm --chrono {longest}"
    if recurrent_matrices(graph) and not layer.options.orthogonal and not carries(graph):
        sentence = say(
            "Let the recurrent matrix begin orthogonal, which neither shrinks nor stretches "
            "a gradient; or take a cell that keeps its state: {other}.",
            other=other,
        )
        return set_option(layer, path, command, sentence, "orthogonal", value=True)
    sentence = say(
        "Take a cell with a gate that keeps its state, such as an LSTM whose biases begin for {longest} steps.",
        longest=longest,
    )
    return Remedy(sentence, f"tg.nn.LSTM({layer.input_size}, {layer.hidden_size}, chrono={longest})", other)


def replace(model: torch.nn.Module, path: str, module: torch.nn.Module) -> torch.nn.Module:
    """Put a module in the place of another one; return the model, or the module where it was the model itself."""
    if path in ("", ROOT):
        return module
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
    return model


def constructor(layer: Recurrent, *, units: int | None = None, **options: Any) -> str:
    """The expression that makes such a layer with further options, or with another number of units."""
    excluded = {other for name in options for other in OPTIONS[name].excludes}
    kept = {name: dict(value) if isinstance(value, tuple) else value for name, value in layer.options.chosen}
    together = Options(**{name: value for name, value in kept.items() if name not in excluded} | options)
    kind, name = type_before_parametrizations(layer), layer.graph.name
    text = f"{kind.__name__}({layer.extra_repr()}".replace(str(layer.options), "", 1)
    text = re.sub(r"=([a-z]\w*)", r"='\1'", text)  # choices such as reset=before
    if getattr(layer, "nonlinearity", "tanh") != "tanh":
        text += ", nonlinearity='relu'"  # which torch's layers do not print
    if units is not None:
        text = text.replace(f"{layer.input_size}, {layer.hidden_size}", f"{layer.input_size}, {units}", 1)
    if kind is Recurrent and name.lower() in CELLS:
        text = text.replace(f"({name}", f'("{name.lower()}"', 1)
    shown = ((name, dict(value) if isinstance(value, tuple) else value) for name, value in together.chosen)
    return f"tg.nn.{text}{''.join(f', {name}={value!r}' for name, value in shown)})"


def bias_code(layer: Recurrent, path: str, gate: str, value: float) -> str:
    """Statements that make the biases of a gate add up to a value."""
    statements = []
    for number, reverse in parts(layer):
        left = value  # the first bias gets all of it
        for name, blocks in biased_blocks(layer.graph).items():
            at = 0
            for block in blocks:
                end = at + layer.cells[number].widths[block.axis]
                if block.name == gate:
                    where = f"{place(path)}.{layer.attribute_of(name, number, reverse=reverse)}.data[{at}:{end}]"
                    statements.append(f"{where} = {left:.3g}")
                    left = 0.0
                at = end
    return "; ".join(statements)


def rescale(layer: Recurrent, path: str, command: str, sentence: str, factor: float) -> Remedy:
    """Multiply all recurrent matrices by a factor."""
    halves = {factor_of(name) for name in factored(layer.graph)}  # of U = A B, A is scaled
    names = [
        held(layer, layer.attribute_of(f"weight_{name}", number, reverse=reverse))
        for number, reverse in parts(layer)
        for name in recurrent_matrices(layer.graph)
        if name not in halves
    ]
    return _rescale(tuple(dict.fromkeys(names)), path, command, sentence, factor)


def held(layer: Recurrent, name: str) -> str:
    """Where the Parameter behind a name is found; it is another one where a norm is bound."""
    return name if name in dict(layer.named_parameters()) else f"parametrizations.{name}.original"


def _rescale(names: tuple[str, ...], path: str, command: str, sentence: str, factor: float) -> Remedy:
    code = "; ".join(f"{place(path)}.{name}.data *= {factor:.3g}" for name in names)
    return Remedy(sentence, code, command, path, Rescale(names, factor))


def desaturate(layer: Recurrent, path: str, command: str, name: str, size: float) -> Remedy:
    """What keeps values from their bounds: smaller weights where these or the inputs are large, else a layer norm.

    Args:
        layer: a stack.
        path: of the stack.
        command: that trained it.
        name: of the layer in the stack, and of its direction.
        size: the root mean square of the inputs of the stack.
    """
    number, reverse = next(own for own in parts(layer) if part_name(path, own[0], reverse=own[1]) == name)
    weight = layer.attribute_of("weight_W", number, reverse=reverse)
    begins = 1 / math.sqrt(3 * layer.hidden_size)  # a uniform draw from -1/sqrt(H) to 1/sqrt(H)
    now = float(getattr(layer, weight).detach().square().mean().sqrt())
    factor = min(1.0, begins / now) / (max(1.0, size) if number == 0 else 1.0)
    norm = f"{command} --layer-norm"
    if factor < 0.5:
        sentence = say(
            "Scale inputs to a standard deviation of 1 and W to the size that it begins "
            "with: by {factor:.3g} in all. A layer norm does so at every step.",
            factor=factor,
        )
        return _rescale((weight,), path, norm, sentence, factor)
    if layer.options.layer_norm:
        return Remedy(
            say("Train anew with a lower learning rate, and with weight decay."), "", f"{command} --weight-decay 0.01"
        )
    sentence = say("Normalise the products of the layer, whatever the size of inputs and weights.")
    return set_option(layer, path, command, sentence, "layer_norm", value=True)


def place(path: str) -> str:
    """The expression of a module of ``model``."""
    if path in ("", ROOT):
        return "model"
    return "model" + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in path.split("."))


def can_keep(layer: Recurrent) -> bool:
    """Whether ``forget_bias`` and ``chrono`` have a gate to set."""
    try:
        keeping_gate(layer.graph, "chrono")
    except InputError:
        return False
    return True


def has_bias(layer: Recurrent, gate: str) -> bool:
    """Whether a gate has a bias of its own."""
    return any(block.name == gate for blocks in biased_blocks(layer.graph).values() for block in blocks)


def can_shrink(layer: Recurrent) -> bool:
    """Whether single units can be taken out: of one layer in one direction, whose widths are all that of its units."""
    single = layer.num_layers == 1 and not (layer.bidirectional or layer.proj_size)
    single = single and all(matrix.heads == 1 for matrix in layer.graph.matrices)  # heads have equally many units
    return single and layer.graph.input_axis == "I" and not layer.graph.own_axes


def _at(model: torch.nn.Module, path: str) -> Recurrent:
    layer = model if path in ("", ROOT) else model.get_submodule(path)
    assert isinstance(layer, Recurrent)
    return layer


def _parameters(layer: Recurrent) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
    """For each layer of a stack and direction its number, and its parameters by their names in the graph."""
    for number, reverse in parts(layer):
        names = layer.cells[number].parameters
        yield number, {name: getattr(layer, layer.attribute_of(name, number, reverse=reverse)) for name in names}


def _with_units(layer: Recurrent, keep: torch.Tensor) -> Recurrent:
    """A layer of these units alone."""
    size, graph = layer.hidden_size, layer.graph
    chosen = {name: value for name, value in layer.options.chosen if not OPTIONS[name].is_in_graph}
    plain: dict[str, Any] = {name: dict(value) if isinstance(value, tuple) else value for name, value in chosen.items()}
    new = Recurrent(
        graph,
        layer.input_size,
        len(keep),
        bias=layer.bias,
        batch_first=layer.batch_first,
        dropout=layer.dropout,
        **plain,
    ).to(next(layer.parameters()))
    square = {f"weight_{matrix.name}" for matrix in graph.matrices if matrix.columns == "H"}
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            value = layer.get_parameter(name)
            rows = torch.cat([keep + at for at in range(0, len(value), size)])
            is_square = name in {held(layer, attribute(own, 0, reverse=False)) for own in square}
            parameter.copy_(value[rows][:, keep] if is_square else value[rows])
    return new
