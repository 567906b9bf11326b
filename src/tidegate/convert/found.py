"""What a file of another framework has: its recurrent layers, each ready to be made one of ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tidegate import zoo
from tidegate.convert.activation import KERAS, SIGMOID, TANH, Activation
from tidegate.convert.layout import Array, Pieces, Widths, check_pieces, from_pieces
from tidegate.convert.own import Own
from tidegate.convert.reverse import Reverse
from tidegate.convert.structure import graph_of
from tidegate.convert.table import GROUPS, ROWS
from tidegate.errors import InputError, TidegateWarning, did_you_mean, visible
from tidegate.nn import GRU, LSTM, RNN, PeepholeLSTM, Recurrent

CLASSES: Mapping[str, tuple[Any, Mapping[str, str]]] = {  # of the rows with their usual activations
    "rnn": (RNN, {}),
    "lstm": (LSTM, {}),
    "peepholelstm": (PeepholeLSTM, {}),
    "gru": (GRU, {}),
    "gru/before": (GRU, {"reset": "before"}),
}
PRIVACY = "privacy"  # among the facts: the promise under which a layer was trained
LONGEST = 10_000  # characters of it
HEAD = ("name", "kind", "input", "hidden", "layers", "direction", "activations", "where")


def usual(row: str) -> tuple[Activation, ...]:
    """The activations that a row of the table has by default: one for each of ``table.GROUPS``."""
    groups = len(GROUPS[row])
    return (TANH,) if groups == 1 else (SIGMOID, *[TANH] * (groups - 1))


@dataclass(frozen=True, eq=False, repr=False)
class FoundLayer:
    """A recurrent layer in a file of another framework. ``print`` shows it as a line of a table.

    Attributes:
        name: by which it is found in its ``Reading``.
        row: of the table of conversions, e.g. ``"lstm"`` or ``"gru/before"``.
        passes: for each layer of a stack and each of its directions the pieces by gate, such as ``"W.i"``; see
            ``tidegate.convert.dump`` for "gates".
        activations: of the gates, of the candidate, and of the output of an LSTM: ONNX's f, g, h.
        where: where in the file it stands.
        is_reverse: it has one direction, from the end of the sequence to its beginning.
        is_aligned: the output of a reverse layer has the order of its input, as in ONNX, but not in Keras.
        fault: why it cannot be made a layer of ours; "" if it can.
        assumed: what the file does not say of it, and what is taken for granted then; "" if it says everything.
        head: weight [O, H] and bias [O] of the linear layer that reads its output, where a format has both together.
        facts: what else the file says in single values, such as a sample rate.
    """

    name: str
    row: str
    passes: Sequence[Sequence[Pieces]]
    activations: tuple[Activation, ...]
    where: str = ""
    is_reverse: bool = False
    fault: str = ""
    assumed: str = ""
    head: Mapping[str, Array] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_aligned: bool = True

    @property
    def kind(self) -> str:
        """The cell of our zoo, which may have other activations here."""
        its = self.row.removesuffix("/projected")
        return next(zoo.find(name).name for name, (row, _) in ROWS.items() if row == its)

    @property
    def input_size(self) -> int:
        """0 where a fault hides it."""
        return self._size("W.", 1)

    @property
    def hidden_size(self) -> int:
        """0 where a fault hides it."""
        return self._size("W.", 0)

    @property
    def proj_size(self) -> int:
        """The width of a projected output; 0 where the output is not projected."""
        return self._size("hr.", 0)

    @property
    def layers(self) -> int:
        return len(self.passes)

    @property
    def directions(self) -> str:
        """``"forward"``, ``"reverse"`` or ``"bidirectional"``."""
        one = "reverse" if self.is_reverse else "forward"
        return "bidirectional" if self.passes and len(self.passes[0]) > 1 else one

    def layer(
        self,
        *,
        flipped: bool = False,
        activations: Sequence[str | Activation] | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> Recurrent | Reverse:
        """A layer of ours with these weights, in evaluation mode.

        It is an ``RNN``, ``LSTM``, ``PeepholeLSTM`` or ``GRU`` of ``tidegate.nn``, or a ``Recurrent`` where the
        activations are others. Initial states that the file holds are learned initial states of the layer. A layer that
        reads its input from the end stands in a ``Reverse``.

        Args:
            flipped: the layer of a ``Reverse`` alone: you reverse its input and its output yourself.
            activations: their names where you know better than the file, as many as the table has and in its order.
            dtype: of the parameters; float64 where the file has it, else float32.
            options: further arguments of the layer, such as ``batch_first``; ``nonlinearity`` of an RNN whose file does
                not say it.

        Raises:
            InputError: the layer has a fault, or its pieces do not fit each other; ``flipped`` for one that is not
                reverse; unknown activations.

        Warns:
            TidegateWarning: the file does not say which activations it has, and the call does neither.
        """
        if self.fault:
            raise InputError("CONVERT_READ", f"{self.name} cannot be read: {self.fault}", fix="see its file")
        if flipped and not self.is_reverse:
            raise InputError("CONVERT_DIRECTION", f"{self.name} reads its input forwards", fix="leave flipped out")
        if activations is not None:
            return self.with_activations(activations).layer(flipped=flipped, dtype=dtype, **options)
        if self.assumed and "nonlinearity" not in options:
            warnings.warn(f"{self.name or self.kind}: {self.assumed}", TidegateWarning, stacklevel=2)
        made = self._made(dtype, options)
        own = Own(made)
        loaded = {}
        for k, reverse, widths in own.passes():
            pieces = self.passes[k][int(reverse)]
            self._check(own, pieces, widths, k)
            loaded[k, reverse] = from_pieces(own.layout, pieces, widths)
        own.write(loaded)
        made = self.promised(made).eval()
        return Reverse(made, aligned=self.is_aligned).eval() if self.is_reverse and not flipped else made

    def promised(self, layer: Recurrent) -> Recurrent:
        """A layer made of this one, with the promise of privacy that the file states."""
        if promise := self.facts.get(PRIVACY):
            layer.privacy = str(promise)[:LONGEST]
        return layer

    def with_activations(self, names: Sequence[str | Activation]) -> FoundLayer:
        """The same layer with other activations.

        Args:
            names: one for each that the table shows, e.g. ``["hard_sigmoid", "tanh", "tanh"]``, as ``tidegate.keras``
                calls them; or an ``Activation``.

        Raises:
            InputError: an unknown name, or another number of them.
        """
        if len(names) != len(self.activations):
            raise InputError(
                "CONVERT_ACTIVATION", f"{self.name} has {len(self.activations)} activations, got {len(names)} names",
                fix=f"name those of the gates, the candidate and the output, as {' '.join(map(str, self.activations))}",
            )  # fmt: skip
        chosen = [KERAS.get(name) if isinstance(name, str) else name for name in names]
        known = tuple(one for one in chosen if isinstance(one, Activation))
        if len(known) < len(names):
            unknown = next(name for name, one in zip(names, chosen, strict=True) if not isinstance(one, Activation))
            raise InputError(
                "CONVERT_ACTIVATION", f"there is no activation {unknown!r:.60}", fix=f"take {', '.join(KERAS)}"
            )
        return replace(self, activations=known, assumed="")

    def _made(self, dtype: torch.dtype | None, options: dict[str, Any]) -> Recurrent:
        every = [pieces for of_layer in self.passes for pieces in of_layer]
        is_double = any(value.dtype == "float64" for value in every[0].values())
        begins = any(name.startswith("initial.") and value.any() for pieces in every for name, value in pieces.items())
        options = {
            "num_layers": self.layers,
            "bidirectional": len(self.passes[0]) > 1,
            "bias": any(name[:2] in {"b.", "d."} for pieces in every for name in pieces),
            "dtype": dtype or (torch.float64 if is_double else torch.float32),
            **({"learn_initial_state": True} if begins else {}),
            **({"proj_size": self.proj_size} if self.proj_size else {}),
            **options,
        }
        sizes = self.input_size, self.hidden_size
        row = self.row.removesuffix("/projected")
        if row in CLASSES and self.activations == usual(row):
            kind, choices = CLASSES[row]
            made: Recurrent = kind(*sizes, **choices, **options)
            return made
        return Recurrent(graph_of(row, self.activations), *sizes, **options)

    def _check(self, own: Own, pieces: Pieces, widths: Widths, layer: int) -> None:
        where = f"layer {layer} of {self.name}"
        check_pieces(own.layout, pieces, widths, where)
        if unplaced := own.layout.unplaced(pieces):
            raise InputError("CONVERT_VALUE", f"{where} also has {', '.join(unplaced)}", fix="see its file")

    def _size(self, prefix: str, axis: int) -> int:
        pieces = self.passes[0][0] if self.passes and self.passes[0] else {}
        return next((int(value.shape[axis]) for name, value in pieces.items() if name.startswith(prefix)), 0)

    @property
    def line(self) -> tuple[str, ...]:
        """What ``HEAD`` names."""
        width = str(self.hidden_size or "") + f" -> {self.proj_size}" * bool(self.proj_size)
        sizes = (str(self.input_size or ""), width)
        functions = " ".join(map(str, self.activations))
        remark = self.fault or self.assumed
        where = f"{self.where} ({remark})" if remark else self.where
        return tuple(map(visible, (self.name, self.kind, *sizes, str(self.layers), self.directions, functions, where)))

    def __repr__(self) -> str:
        return f"<FoundLayer {' | '.join(part for part in self.line if part)}>"


class Reading(Sequence[FoundLayer]):
    """The recurrent layers of a file, in its order; ``print`` shows them as a table.

    Args:
        path: of the file, for messages.
        found: its layers.

    Example:
        >>> import tidegate as tg, torch, tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "model.pt")
        ...     torch.save(torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.GRU(3, 4)).state_dict(), path)
        ...     reading = tg.convert.read(path)
        >>> print(reading)
        name  kind  input  hidden  layers  direction  activations   where
        1     GRU   3      4       1       forward    sigmoid tanh  1.weight_ih_l0
        >>> reading["1"].layer()
        GRU(3, 4)
    """

    def __init__(self, path: str, found: Sequence[FoundLayer]) -> None:
        self.path, self._found = path, tuple(found)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[FoundLayer]:
        return iter(self._found)

    def __getitem__(self, key: Any) -> Any:
        """A layer by its place or its name."""
        if not isinstance(key, str):
            return self._found[key]
        named = [layer for layer in self._found if layer.name == key]
        if len(named) != 1:
            names = [layer.name for layer in self._found]
            fault = f"has {len(named) or 'no'} layer{'s' * bool(named)} of this name{did_you_mean(key, names)}"
            raise InputError("CONVERT_AT", f"{visible(self.path)} {fault}: {key!r:.80}", fix=f"it has {_listed(names)}")
        return named[0]

    def stacked(self, *names: str) -> FoundLayer:
        """Several layers as one stack, each of which reads the output of the one before. Nobody checks that they do.

        Args:
            names: of the layers, lowest first; all by default.

        Raises:
            InputError: one has a fault, another cell or other activations, or reads another width.
        """
        found = [self[name] for name in names] if names else list(self)
        first = found[0] if found else self[""]
        for below, layer in zip([first, *found], found, strict=False):
            alike = all(getattr(layer, what) == getattr(first, what) for what in ("row", "activations", "directions"))
            width = (below.proj_size or below.hidden_size) * len(below.passes[0]) if below.passes else 0
            sizes = (layer.hidden_size, layer.proj_size) == (first.hidden_size, first.proj_size)
            if (
                layer.fault
                or first.is_reverse
                or not (alike and sizes)
                or (layer is not first and layer.input_size != width)
            ):
                raise InputError(
                    "CONVERT_STACK", f"{layer.name} does not stand on {below.name}: {layer!r}, {below!r}",
                    fix="make a layer of each with layer()",
                )  # fmt: skip
        passes = [of_layer for layer in found for of_layer in layer.passes]
        return replace(first, name=" ".join(layer.name for layer in found), passes=passes, head=found[-1].head)

    def __str__(self) -> str:
        if not self._found:
            return f"no recurrent layer in {visible(self.path)}"
        lines = [HEAD, *(layer.line for layer in self._found)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(f"{part:{width}}" for part, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    __repr__ = __str__


def _listed(names: Sequence[str]) -> str:
    return visible(", ".join([*names[:8], *["..."] * (len(names) > 8)])) or "none"
