"""Weights gate by gate, as code by hand and old libraries hold them: the pieces of the table themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.convert.layout import Arrays, Layout, Passes, Stored
from tidegate.convert.own import Own, as_array
from tidegate.errors import InputError, did_you_mean

FORM = (
    "a mapping from pieces such as 'W.i' to arrays; (forward, backward) for two directions; a list for several layers"
)

SPARE = ("b", "d", "p", "initial")  # what a layer may be without, if it is zero


class Gates:
    """For each layer a mapping from pieces to arrays, or a pair of them; a single layer needs no list."""

    @staticmethod
    def layout(own: Own) -> Layout:
        """An array for each piece of a layer, by the names of its own gates."""
        matrices = {f"weight_{matrix.name}" for matrix in own.graph.matrices}
        arrays = [
            Stored(block.pieces[0], (block,), optional=stored.name not in matrices)
            for stored in own.pieces.arrays
            for block in stored.blocks
        ]
        return Layout(own.graph.name, tuple(arrays))

    def is_bare(self, foreign: Any) -> bool:  # noqa: ARG002  as every container
        return False

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> Any:  # noqa: ARG002
        layers = [of_layer[0] if len(of_layer) == 1 else tuple(of_layer) for of_layer in passes]
        return layers[0] if len(layers) == 1 else layers

    def unwrap(self, foreign: Any, layout: Layout, own: Own) -> Passes:
        layers = foreign if own.layers > 1 or isinstance(foreign, list) else [foreign]
        if not isinstance(layers, Sequence) or len(layers) != own.layers:
            raise _wrong(own, foreign)
        return [self._of_layer(one, layout, own) for one in layers]

    def _of_layer(self, foreign: Any, layout: Layout, own: Own) -> list[Arrays]:
        passes = [foreign] if len(own.directions) == 1 and isinstance(foreign, Mapping) else foreign
        if not isinstance(passes, Sequence) or len(passes) != len(own.directions):
            raise _wrong(own, foreign)
        return [self._of_pass(one, layout, own) for one in passes]

    def _of_pass(self, foreign: Any, layout: Layout, own: Own) -> Arrays:
        if not isinstance(foreign, Mapping):
            raise _wrong(own, foreign)
        names = [stored.name for stored in layout.arrays]
        arrays = {str(name): as_array(value) for name, value in foreign.items()}
        arrays = {name: v for name, v in arrays.items() if name in names or _source(name) not in SPARE or v.any()}
        for name in arrays.keys() - {*names}:
            adding = ", or make the layer with learn_initial_state=True" if _source(name) == "initial" else ""
            raise InputError(
                "CONVERT_NAMES",
                f"{own.name} has no piece {name!r}{did_you_mean(name, names)}",
                fix=f"it has {', '.join(names)}{adding}",
            )
        for source in dict.fromkeys(map(_source, arrays)):
            if lacking := [name for name in names if _source(name) == source and name not in arrays]:
                raise InputError(
                    "CONVERT_NAMES",
                    f"there is {source} of some gates, but not {', '.join(lacking)}",
                    fix="pass all of them; zeros where there is none",
                )
        return arrays


def _source(piece: str) -> str:
    return piece.partition(".")[0]


def _wrong(own: Own, foreign: Any) -> InputError:
    got = f"{len(foreign)} of them" if isinstance(foreign, Sequence) else type(foreign).__name__
    return InputError(
        "CONVERT_INPUT",
        f"expected gates of {own.layers} layer(s) in {len(own.directions)} direction(s), got {got}",
        fix=f"pass {FORM}",
    )
