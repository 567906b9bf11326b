"""What each framework keeps the arrays of a layer in: state dicts, lists, trees; nodes of ONNX have ``node.py``.

A container takes and gives, for every layer and in it for every direction, arrays by the names of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from tidegate.convert.layout import Arrays, Layout
from tidegate.convert.own import as_array
from tidegate.errors import InputError

Passes = list[list[Arrays]]  # of each layer, of each direction


class Container(Protocol):
    """Writes and reads the arrays of one framework."""

    def wrap(self, passes: Passes, layout: Layout) -> Any:
        """What the other side takes."""

    def unwrap(self, foreign: Any, layout: Layout, layers: int, directions: int) -> Passes:
        """The arrays in what the other side gave.

        Raises:
            InputError: it is something else.
        """


class StateDict:
    """torch: a ``state_dict``; also read from a module."""

    def wrap(self, passes: Passes, layout: Layout) -> dict[str, torch.Tensor]:
        return {
            f"{stored.name}{_suffix(layer, direction)}": torch.from_numpy(arrays[stored.name])
            for layer, of_layer in enumerate(passes)
            for direction, arrays in enumerate(of_layer)
            for stored in layout.arrays
            if stored.name in arrays
        }

    def unwrap(self, foreign: Any, layout: Layout, layers: int, directions: int) -> Passes:
        if isinstance(foreign, torch.nn.Module):
            check_settings(layout, {"mode": getattr(foreign, "mode", layout.settings["mode"])}, type(foreign).__name__)
            foreign = foreign.state_dict()
        if not isinstance(foreign, Mapping):
            raise _wrong_input(foreign, "a torch module or its state_dict")
        left = {name: as_array(value) for name, value in foreign.items()}
        passes: Passes = []
        for layer in range(layers):
            passes.append([_taken(left, _suffix(layer, direction), layout) for direction in range(directions)])
        if left:
            raise InputError(
                "CONVERT_NAMES",
                f"the state_dict also has {', '.join(left)}, which are no part of a layer of these sizes",
                fix="pass the state_dict of the recurrent layer alone, as many layers and directions as ours has",
            )
        return passes


class WeightLists:
    """Keras: for each layer what its ``get_weights`` gives; also read from the layers themselves."""

    def wrap(self, passes: Passes, layout: Layout) -> list[list[Any]]:
        names = [stored.name for stored in layout.arrays]
        return [[arrays[name] for arrays in of_layer for name in names if name in arrays] for of_layer in passes]

    def unwrap(self, foreign: Any, layout: Layout, layers: int, directions: int) -> Passes:
        return [self._of_layer(one, layout, directions) for one in one_per_layer(foreign, layers)]

    def _of_layer(self, foreign: Any, layout: Layout, directions: int) -> list[Arrays]:
        if hasattr(foreign, "get_config"):
            check_settings(layout, _keras_settings(foreign), foreign.name)
            halves = [getattr(foreign, name) for name in _KERAS_DIRECTIONS if hasattr(foreign, name)]
            foreign = [variable.value for half in halves or [foreign] for variable in half.cell.weights]
        if not isinstance(foreign, Sequence):
            raise _wrong_input(foreign, "a Keras layer or the list that its get_weights gives")
        count = len(foreign) // directions
        if count * directions != len(foreign) or not len(layout.arrays) - 1 <= count <= len(layout.arrays):
            raise InputError(
                "CONVERT_NAMES",
                f"expected {len(layout.arrays)} arrays in each of {directions} direction(s), got {len(foreign)} in all",
                fix=f"pass what get_weights() of keras.layers.{layout.kind} gives, of a Bidirectional if ours is",
            )
        arrays = [as_array(value) for value in foreign]
        names = [stored.name for stored in layout.arrays[:count]]  # the bias is last
        return [dict(zip(names, arrays[k * count :], strict=False)) for k in range(directions)]


class Tree:
    """Flax: for each layer the variables of an ``RNN``, or of a ``Bidirectional`` of two; also read from a cell's."""

    def __init__(self, *outer: str) -> None:
        self.outer = outer  # names around the variables of a module

    def wrap(self, passes: Passes, layout: Layout) -> list[dict[str, Any]]:  # noqa: ARG002  as every container
        trees = []
        for of_layer in passes:
            cells = [{"cell": _nested(arrays)} for arrays in of_layer]
            tree: dict[str, Any] = cells[0] if len(cells) == 1 else dict(zip(_FLAX_DIRECTIONS, cells, strict=True))
            for name in self.outer:
                tree = {name: tree}
            trees.append(tree)
        return trees

    def unwrap(self, foreign: Any, layout: Layout, layers: int, directions: int) -> Passes:  # noqa: ARG002
        return [self._of_layer(one, directions) for one in one_per_layer(foreign, layers)]

    def _of_layer(self, foreign: Any, directions: int) -> list[Arrays]:
        if not isinstance(foreign, Mapping):
            raise _wrong_input(
                foreign, "a tree of variables: what init of linen gives, or nnx.state(module, nnx.Param)"
            )
        tree = _inside(foreign, *self.outer)
        if (directions == 2) != (tree.keys() == set(_FLAX_DIRECTIONS)):
            raise InputError(
                "CONVERT_NAMES",
                f"our layer has {directions} direction(s), the tree has {', '.join(map(str, tree))}",
                fix=f"pass the variables of {'a Bidirectional' if directions == 2 else 'one RNN or cell'}",
            )
        cells = [tree[name] for name in _FLAX_DIRECTIONS] if directions == 2 else [tree]
        return [_flat(_inside(cell, "cell")) for cell in cells]


_KERAS_DIRECTIONS = ("forward_layer", "backward_layer")
_FLAX_DIRECTIONS = ("forward_rnn", "backward_rnn")


def one_per_layer(foreign: Any, layers: int) -> Sequence[Any]:
    """One entry for each layer of ours.

    Raises:
        InputError: there are not as many.
    """
    if not isinstance(foreign, Sequence) or len(foreign) != layers:
        got = f"{len(foreign)} of them" if isinstance(foreign, Sequence) else type(foreign).__name__
        raise InputError(
            "CONVERT_LAYERS", f"expected a list with one entry for each of {layers} layer(s), got {got}",
            fix="pass a list, also for a single layer",
        )  # fmt: skip
    return foreign


def check_settings(layout: Layout, stated: Mapping[str, Any], where: str) -> None:
    """Refuse another cell than the one that was converted to.

    Raises:
        InputError: a setting that the other side names differs from the table's.
    """
    for name, wanted in layout.settings.items():
        if name in stated and stated[name] != wanted:
            raise InputError(
                "CONVERT_SETTING",
                f"{where} has {name}={stated[name]!r}, but for this layer it must be {wanted!r}",
                fix="make our layer with the options of the other side",
            )


def _keras_settings(layer: Any) -> dict[str, Any]:
    """Settings as a layer says them; those of a Bidirectional with how it merges."""
    forward = getattr(layer, "forward_layer", layer)
    if not hasattr(forward, "cell"):
        raise _wrong_input(layer, "a recurrent layer of Keras, or a Bidirectional of one")
    config = forward.get_config()
    config = config["cell"]["config"] if "cell" in config else config
    merged = getattr(layer, "merge_mode", "concat")
    if forward.go_backwards or merged != "concat":
        raise InputError(
            "CONVERT_SETTING",
            f"{layer.name} has go_backwards={forward.go_backwards} and merge_mode={merged!r}, which ours cannot do",
            fix="pass its get_weights(), and reverse or merge yourself",
        )
    return dict(config)


def _taken(left: Arrays, suffix: str, layout: Layout) -> Arrays:
    """The arrays of one pass, taken out of what is left."""
    names = [stored.name for stored in layout.arrays]
    return {name: left.pop(name + suffix) for name in names if name + suffix in left}


def _suffix(layer: int, direction: int) -> str:
    return f"_l{layer}{'_reverse' if direction else ''}"


def _inside(tree: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        tree = tree.get(name, tree)
    return tree


def _nested(arrays: Arrays) -> dict[str, dict[str, Any]]:
    """``{"ii/kernel": array}`` to ``{"ii": {"kernel": array}}``."""
    tree: dict[str, dict[str, Any]] = {}
    for path, array in arrays.items():
        module, name = path.split("/")
        tree.setdefault(module, {})[name] = array
    return tree


def _flat(tree: Mapping[str, Any]) -> Arrays:
    arrays = {}
    for module, inside in tree.items():
        for name, value in inside.items() if isinstance(inside, Mapping) else [("", inside)]:
            arrays[f"{module}/{name}"] = as_array(value)
    return arrays


def _wrong_input(foreign: Any, wanted: str) -> InputError:
    return InputError("CONVERT_INPUT", f"expected {wanted}, got {type(foreign).__name__}", fix="see tidegate.convert")
