"""A .safetensors file: arrays by name, as a ``state_dict`` has them; of ours also the equations, in its head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from tidegate.cell import Graph
from tidegate.convert.file.archive import refusing
from tidegate.convert.file.named import layers_of
from tidegate.convert.found import PRIVACY, FoundLayer
from tidegate.convert.layout import to_pieces
from tidegate.convert.own import Own, as_array
from tidegate.errors import InputError, TidegateError, visible
from tidegate.nn import Recurrent
from tidegate.option import OPTIONS
from tidegate.plain import read_json

OURS = "tidegate."  # before the name of a layer that ``ship.safetensors`` wrote
SIZES = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size", "widths")
DAMAGES = (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, RecursionError)


def read(path: Path) -> list[FoundLayer]:
    """Its recurrent layers: those of ours with their equations, others by the names of their arrays.

    Raises:
        InputError: it is damaged.
    """
    with refusing(path, *DAMAGES), safe_open(path, "pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        head = file.metadata() or {}
        told = {name.removeprefix(OURS): text for name, text in head.items() if name.startswith(OURS)}
        ours = [_ours(path, name, text, held) for name, text in told.items()]
    others = {name: as_array(value) for name, value in held.items() if name.partition(".")[0] not in told}
    promise = {PRIVACY: head[PRIVACY]} if PRIVACY in head else {}
    return [replace(layer, facts=promise) for layer in (*ours, *layers_of(others))]


@dataclass(frozen=True, eq=False, repr=False)
class OurLayer(FoundLayer):
    """A layer of ours, with whatever cell and options.

    Attributes:
        arguments: it is made with.
        state: its parameters.
    """

    arguments: Mapping[str, Any] | None = None
    state: Mapping[str, torch.Tensor] | None = None

    @property
    def kind(self) -> str:
        return str(self._of("cell").name)

    @property
    def input_size(self) -> int:
        return int(self._of("input_size"))

    @property
    def hidden_size(self) -> int:
        return int(self._of("hidden_size"))

    @property
    def proj_size(self) -> int:
        return int(self._of("proj_size"))

    def layer(
        self, *, flipped: bool = False, activations: Any = None, dtype: torch.dtype | None = None, **options: Any
    ) -> Recurrent:
        if flipped or activations:
            raise InputError(
                "CONVERT_READ", f"the equations of {self.name} are in its file", fix="leave out flipped and activations"
            )
        assert self.arguments is not None
        assert self.state is not None
        known = next(iter(self.state.values())).dtype
        made = Recurrent(**{**self.arguments, "dtype": dtype or known, **options})
        made.load_state_dict(self.state)
        return self.promised(made).eval()

    def _of(self, name: str) -> Any:
        assert self.arguments is not None
        return self.arguments[name]


def _ours(path: Path, name: str, text: str, held: Mapping[str, torch.Tensor]) -> FoundLayer:
    """A layer from what the head says of it, held to the arrays before memory is asked for."""
    said = read_json(text)
    state = {key.removeprefix(f"{name}."): value for key, value in held.items() if key.startswith(f"{name}.")}
    in_equations = {key for key, option in OPTIONS.items() if option.is_in_graph}
    options = {key: value for key, value in said["options"].items() if key not in in_equations}
    if not 0 < said["num_layers"] <= len(state):
        raise _damaged(path, name, f"{said['num_layers']} layers of {len(state)} arrays")
    try:
        arguments = {**{key: said[key] for key in SIZES}, **options, "cell": Graph.from_json(said["cell"])}
        wanted = {key: value.shape for key, value in Recurrent(**arguments, device="meta").state_dict().items()}
    except TidegateError as error:
        raise _damaged(path, name, error.message) from error
    if wanted != {key: value.shape for key, value in state.items()}:
        raise _damaged(path, name, "its arrays are not those of its cell")
    found = OurLayer(name, "lstm", (), (), where=f"{OURS}{name}", arguments=arguments, state=state)
    own = Own(found.layer())
    passes: list[list[Any]] = [[] for _ in range(own.layers)]
    for k, reverse, widths in own.passes():
        passes[k].append(to_pieces(own.pieces, own.read(k, reverse=reverse), widths))
    return OurLayer(**{**vars(found), "passes": passes})


def _damaged(path: Path, name: str, what: str) -> InputError:
    return InputError(
        "READ_FILE", f"{visible(str(path))} is damaged: {visible(f'{name}: {what}')}",
        fix="get the file again from its source",
    )  # fmt: skip
