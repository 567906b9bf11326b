"""Equal budgets: the hidden size that gives every model about as many parameters, or steps as fast."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from tidegate.cell import Graph
from tidegate.compare.cost import step_ratio
from tidegate.compare.naming import as_at_first
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.nn import Recurrent
from tidegate.nn.sparse import Sparse
from tidegate.nn.sparsify import sparsify
from tidegate.plain import read_json, typed
from tidegate.storage import replace_file
from tidegate.train.layer import make_layer
from tidegate.train.setting import Layers, Training
from tidegate.train.task import AnyTask
from tidegate.zoo import LSTM

LARGEST = 1 << 16
EQUALLY_FAST = 1.05  # a step may take this much longer: less is hard to measure
Equal = Literal["parameters", "latency"]


class Sizes:
    """The hidden size of every cell.

    Args:
        task: makes the models.
        budget: parameters of each model, or of the LSTM whose step takes as long as that of each.
        equal: ``"parameters"`` or ``"latency"``.
        folder: keeps measured sizes, since a second measurement would give others.
    """

    def __init__(self, task: AnyTask, budget: int, equal: Equal, folder: Path) -> None:
        self.budget = budget
        self._task, self._equal, self._path = task, equal, folder / "latency.json"
        if equal not in get_args(Equal):
            raise InputError("EQUAL", f"equal={equal!r} is unknown", fix="use parameters or latency")
        self._known: dict[str, int] = _read_sizes(self._path) if equal == "latency" else {}

    @property
    def rule(self) -> str:
        """How sizes are found, in words."""
        if self._equal == "parameters":
            return say(
                "{budget:,} trainable parameters per model; the hidden size is solved for each cell", budget=self.budget
            )
        return say(
            "equal latency: each cell has the largest hidden size with which a step of one "
            "sequence takes no longer than that of an LSTM with {budget:,} trainable "
            "parameters, measured on this machine",
            budget=self.budget,
        )

    def of(self, graph: Graph, recipe: Training) -> int:
        """The hidden size of a cell.

        Args:
            graph: the cell.
            recipe: the other settings of its layers.

        Raises:
            InputError: no hidden size fits the budget.
        """
        key = self._key(graph, recipe)
        if key not in self._known:
            if self._equal == "parameters":
                self._known[key] = solve_hidden_size(self._task, graph, self.budget, recipe)[0]
            else:
                self._known[key] = measure_hidden_size(self._task, graph, self.budget, recipe)
                replace_file(self._path, json.dumps(self._known))
        return self._known[key]

    def _key(self, graph: Graph, recipe: Training) -> str:
        """Names everything that a size depends on."""
        facts = [self._task.to_json()["hash"], self.budget, graph.to_json(), _shape(recipe)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def _shape(recipe: Training) -> dict[str, Any]:
    """The settings on which the size of a model and the time of its steps depend."""
    free = {"hidden_size", "dropout", "recurrent_dropout"}
    free |= {item.name for item in fields(Training)} - {item.name for item in fields(Layers)} - {"density", "block"}
    settings = {name: value for name, value in asdict(recipe).items() if name not in free}
    return as_at_first(settings, type(recipe))


def _read_sizes(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    try:
        sizes: dict[str, int] = typed(read_json(path.read_bytes()), dict[str, int], "the file")
    except (OSError, InputError) as error:
        raise InputError("SIZES", f"{path} is damaged: {error}", fix="delete it to measure again") from error
    return sizes


def default_budget(task: AnyTask) -> int:
    """The number of parameters of the task's model with an LSTM of the recipe's hidden size."""
    return count_parameters(task, LSTM.graph, task.setting.hidden_size)


def count_parameters(task: AnyTask, graph: Graph, hidden_size: int, recipe: Training | None = None) -> int:
    """Count the trainable parameters of the whole model, encoder and head included, without allocating them.

    Of weights with a density, those count that are kept; what is shared counts once.

    Args:
        task: makes the model.
        graph: the cell.
        hidden_size: units of each layer.
        recipe: the other settings of the layers, those of the task unless given.
    """
    setting = replace(recipe or task.setting, hidden_size=hidden_size)
    with torch.device("meta"):
        model = task.model(make_layer(graph, setting))
    sparse = [module for module in model.modules() if isinstance(module, Sparse)] if setting.density < 1 else []
    weights = {id(weight): weight for layer in sparse for weight in map(layer.get_parameter, layer.weights())}
    pruned = sum(weight.numel() - int(setting.density * weight.numel()) for weight in weights.values())
    total: int = sum(parameter.numel() for parameter in model.parameters())
    return total - pruned


def made(task: AnyTask, graph: Graph, setting: Training) -> Any:
    """An untrained model that costs what a trained one does: pruned at once, where training prunes step by step.

    Args:
        task: makes the model.
        graph: the cell.
        setting: of the model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # which blocks are pruned, and so how many numbers, depends on the weights
        model = task.model(make_layer(graph, setting))
    if setting.density < 1:
        sparsify(model, setting.density, setting.block)
    return model


def solve_hidden_size(task: AnyTask, graph: Graph, budget: int, recipe: Training | None = None) -> tuple[int, int]:
    """Find the hidden size whose model comes closest to the budget, by bisection; heads divide it.

    Args:
        task: makes the model.
        graph: the cell.
        budget: parameters of the whole model.
        recipe: the other settings of the layers, those of the task unless given.

    Returns:
        The hidden size, and the parameters of its model.

    Raises:
        InputError: no hidden size from 1 to 65,536 comes within half of the budget.
    """
    unit, low = _fitting(recipe or task.setting)
    count = cache(lambda size: count_parameters(task, graph, size, recipe))
    high = low + unit
    while count(high) < budget and high < LARGEST:
        low, high = high, 2 * high
    while high - low > unit:
        middle = _middle(low, high, unit)
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    sizes = {size: count(size) for size in (low, high)}
    best = min(sizes, key=lambda size: abs(sizes[size] - budget))
    if not 0.5 * budget <= sizes[best] <= 1.5 * budget:
        layers = (recipe or task.setting).layers
        what = f"{graph.name} with {layers} layers" if layers > 1 else graph.name
        raise InputError(
            "BUDGET",
            f"{what} cannot have about {budget:,} parameters: the closest are {sizes[best]:,}, with "
            f"{_counted(best, 'unit')}",
            fix=f"set a budget of at {'least' if sizes[best] > budget else 'most'} {sizes[best]:,}",
        )
    return best, sizes[best]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _fitting(recipe: Training) -> tuple[int, int]:
    """What divides every hidden size, and the smallest size: heads divide it, and no matrix has a higher rank."""
    heads, rank = (vars(recipe)[name] or 1 for name in ("heads", "rank"))
    return heads, -(-rank // heads) * heads


def _middle(low: int, high: int, unit: int) -> int:
    """The size halfway between two others; all are multiples of a unit."""
    return unit * ((low + high) // 2 // unit)


def measure_hidden_size(task: AnyTask, graph: Graph, budget: int, recipe: Training) -> int:
    """Find the largest hidden size whose layers need no more time for a step than those of an LSTM, by bisection.

    Both take turns on one thread, so that a busy machine slows them alike.

    Args:
        task: makes the models.
        graph: the cell.
        budget: parameters of the model with an LSTM and the task's recipe.
        recipe: the other settings of this cell's layers.

    Returns:
        The hidden size.

    Raises:
        InputError: even with one unit, a step takes longer.
    """
    own = solve_hidden_size(task, LSTM.graph, budget)[0]
    if graph == LSTM.graph and _shape(recipe) == _shape(task.setting):
        return own
    reference = _layer(task, LSTM.graph, task.setting, own)

    def slower(size: int) -> bool:
        return step_ratio(_layer(task, graph, recipe, size), reference) > EQUALLY_FAST

    unit, low = _fitting(recipe)
    least, high = low, max(low, own // unit * unit)
    while not slower(high) and high < LARGEST:
        low, high = high, 2 * high
    while high - low > max(unit, 1 + high // 100):
        middle = _middle(low, high, unit)
        low, high = (low, middle) if slower(middle) else (middle, high)
    if low == least and slower(low):
        units, layers = _counted(low, "unit"), _counted(recipe.layers, "layer")
        raise InputError(
            "LATENCY",
            f"even with {units}, a step of {graph.name} with {layers} takes longer than one of LSTM with {own:,}",
            fix="set more parameters, leave this cell out, or compare at equal parameters",
        )
    return low


def _layer(task: AnyTask, graph: Graph, recipe: Training, hidden_size: int) -> Recurrent:
    layer: Recurrent = made(task, graph, replace(recipe, hidden_size=hidden_size)).layer
    return layer.eval()
