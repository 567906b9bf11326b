"""What each framework keeps the arrays of a layer in: state dicts, lists, trees; nodes of ONNX have ``node.py``.

A container takes and gives, for every layer and in it for every direction, arrays by the names of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from tidegate.convert.layout import Arrays, Layout, Passes, check
from tidegate.convert.own import Own, as_array
from tidegate.errors import InputError, did_you_mean


class Container(Protocol):
    """Writes and reads the arrays of one framework."""

    def is_bare(self, foreign: Any) -> bool:
        """Whether this is arrays that do not say which activations they belong to."""

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> Any:
        """What the other side takes."""

    def unwrap(self, foreign: Any, layout: Layout, own: Own) -> Passes:
        """The arrays in what the other side gave.

        Raises:
            InputError: it is something else.
        """


class StateDict:
    """torch: a ``state_dict``, of a layer or of a cell; also read from a module, and from a part of a model."""

    def is_bare(self, foreign: Any) -> bool:  # noqa: ARG002  as every container
        return False

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> dict[str, torch.Tensor]:
        return {
            f"{stored.name}{'' if own.is_step else _suffix(layer, direction)}": torch.from_numpy(arrays[stored.name])
            for layer, of_layer in enumerate(passes)
            for direction, arrays in enumerate(of_layer)
            for stored in layout.arrays
            if stored.name in arrays
        }

    def unwrap(self, foreign: Any, layout: Layout, own: Own, at: str | None = None) -> Passes:
        module = _submodule(foreign, at) if isinstance(foreign, torch.nn.Module) else None
        if module is not None:
            check_settings(layout, _torch_settings(module), type(module).__name__)
            foreign = _parameters(module)
        if not isinstance(foreign, Mapping):
            raise _wrong_input(foreign, "a torch module or its state_dict")
        held = {str(name): value for name, value in foreign.items()}
        if module is None and at:
            held = _below(held, at)
        names = [stored.name for stored in layout.arrays]
        single = own.layers == len(own.directions) == 1 and names[0] in held
        passes: Passes = []
        for layer in range(own.layers):
            suffixes = ["" if single else _suffix(layer, direction) for direction in range(len(own.directions))]
            found = [{name: as_array(held.pop(name + s)) for name in names if name + s in held} for s in suffixes]
            passes.append(found)
        if held or not passes[0][0]:
            raise self._misplaced(held, {str(name): value for name, value in foreign.items()}, own, layout)
        return passes

    def _misplaced(self, left: Mapping[str, Any], held: Mapping[str, Any], own: Own, layout: Layout) -> InputError:
        """The error for names that are no part of the layer: where one of these sizes is, if there is one."""
        places = [place for place in _places_of(held, layout) if place and self._fits(held, place, own, layout)]
        if places:
            return InputError(
                "CONVERT_NAMES",
                f"the state_dict is one of a whole model; it has a layer of these sizes under {', '.join(places)}",
                fix=f"pass at={places[0]!r}",
            )
        listed = [*left][:8] + ["..."] * (len(left) > 8)
        return InputError(
            "CONVERT_NAMES",
            f"the state_dict also has {', '.join(listed)}, which are no part of a layer of these sizes"
            if left
            else f"the state_dict has no {layout.arrays[0].name}",
            fix="pass the state_dict of the recurrent layer alone, as many layers and directions as ours has",
        )

    def _fits(self, held: Mapping[str, Any], place: str, own: Own, layout: Layout) -> bool:
        try:
            passes = self.unwrap(_below(held, place), layout, own)
            for k, reverse, widths in own.passes():
                check(layout, passes[k][int(reverse)], widths, "")
        except InputError:
            return False
        return True


class WeightLists:
    """Keras: for each layer what its ``get_weights`` gives; also read from the layers themselves."""

    def is_bare(self, foreign: Any) -> bool:
        return isinstance(foreign, Sequence) and not any(hasattr(one, "get_config") for one in foreign)

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> list[list[Any]]:  # noqa: ARG002  as every container
        names = [stored.name for stored in layout.arrays]
        return [[arrays[name] for arrays in of_layer for name in names if name in arrays] for of_layer in passes]

    def unwrap(self, foreign: Any, layout: Layout, own: Own) -> Passes:
        return [self._of_layer(one, layout, len(own.directions)) for one in one_per_layer(foreign, own.layers)]

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
        if arrays[0].ndim > 1 and any(array.shape == (2 * arrays[0].shape[-1],) for array in arrays):
            raise InputError(
                "CONVERT_SETTING",
                f"a bias twice as long as the kernel is wide is that of a CuDNN{layout.kind}, stored in another order",
                fix="read its file with tidegate.convert.read",
            )
        names = [stored.name for stored in layout.arrays[:count]]  # the bias is last
        return [dict(zip(names, arrays[k * count :], strict=False)) for k in range(directions)]


class Tree:
    """Flax: for each layer the variables of an ``RNN``, or of a ``Bidirectional`` of two; also read from a cell's."""

    def __init__(self, *outer: str) -> None:
        self.outer = outer  # names around the variables of a module

    def is_bare(self, foreign: Any) -> bool:  # noqa: ARG002  as every container
        return False

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> list[dict[str, Any]]:  # noqa: ARG002
        trees = []
        for of_layer in passes:
            cells = [{"cell": _nested(arrays)} for arrays in of_layer]
            tree: dict[str, Any] = cells[0] if len(cells) == 1 else dict(zip(_FLAX_DIRECTIONS, cells, strict=True))
            for name in self.outer:
                tree = {name: tree}
            trees.append(tree)
        return trees

    def unwrap(self, foreign: Any, layout: Layout, own: Own) -> Passes:  # noqa: ARG002
        return [self._of_layer(one, len(own.directions)) for one in one_per_layer(foreign, own.layers)]

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
_KERAS_FUNCTIONS = ("activation", "recurrent_activation")
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
    cell = forward.cell
    merged = getattr(layer, "merge_mode", "concat")
    if forward.go_backwards or merged != "concat":
        raise InputError(
            "CONVERT_SETTING",
            f"{layer.name} has go_backwards={forward.go_backwards} and merge_mode={merged!r}, which ours cannot do",
            fix="pass its get_weights(), and reverse or merge yourself",
        )
    settings = {name: _function_name(getattr(cell, name)) for name in _KERAS_FUNCTIONS if hasattr(cell, name)}
    return {**settings, **({"reset_after": cell.reset_after} if hasattr(cell, "reset_after") else {})}


def _function_name(function: Any) -> str:
    """What Keras calls an activation; of somebody's own function something that no table has."""
    name = getattr(function, "__name__", type(function).__name__)
    is_known = str(getattr(function, "__module__", "")).startswith(("keras.", "tidegate.keras."))
    return name if is_known else f"your own {name}"


def _submodule(module: torch.nn.Module, at: str | None) -> torch.nn.Module:
    parts: dict[str, torch.nn.Module] = dict(module.named_modules())  # a scripted module has no get_submodule
    if (at or "") not in parts:
        raise _nothing_at(at, [*filter(None, parts)])
    return parts[at or ""]


def _torch_settings(module: torch.nn.Module) -> dict[str, Any]:
    """The mode of a layer; of a cell the mode that a layer of it would have."""
    name = getattr(module, "original_name", type(module).__name__)
    modes = {"LSTMCell": "LSTM", "GRUCell": "GRU", "RNNCell": f"RNN_{getattr(module, 'nonlinearity', '')}".upper()}
    mode = modes.get(name, getattr(module, "mode", None))
    return {} if mode is None else {"mode": mode}


def _parameters(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state_dict; of a layer that torch has quantized the numbers that its integers stand for."""
    if not hasattr(module, "get_weight") or not hasattr(module, "get_bias"):
        return dict(module.state_dict())
    return {**module.get_weight(), **module.get_bias()}  # type: ignore[operator]


def _below(held: Mapping[str, Any], at: str) -> dict[str, Any]:
    prefix = at.rstrip(".") + "."
    found = {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}
    if not found:
        raise _nothing_at(at, list(dict.fromkeys(name.rpartition(".")[0] for name in held if "." in name)))
    return found


def _nothing_at(at: str | None, places: Sequence[str]) -> InputError:
    return InputError(
        "CONVERT_AT",
        f"there is nothing at {at!r}{did_you_mean(str(at), places)}",
        fix=f"it has {', '.join([*places[:8], *['...'] * (len(places) > 8)]) or 'no parts'}",
    )


def _places_of(held: Mapping[str, Any], layout: Layout) -> list[str]:
    """Prefixes under which there is an array called like the first of a layout."""
    first = layout.arrays[0].name
    return [name.rpartition(".")[0] for name in held if name.rpartition(".")[2] in {first, f"{first}_l0"}]


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
