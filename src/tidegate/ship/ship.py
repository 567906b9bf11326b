"""``ship``: a trained model as files for another place, whatever the format."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate._version import __version__
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.phase import phase
from tidegate.ship.flow import Flow
from tidegate.ship.kind import estimator_of, flows
from tidegate.ship.said import BARE, NETWORK, Said, said
from tidegate.ship.statement import privacy_of
from tidegate.ship.target import Format, chosen
from tidegate.ship.write import WRITERS, Order
from tidegate.storage import replace_files

if TYPE_CHECKING:
    from tidegate.ship.kind.base import Part

FACTS = ".facts.json"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


@dataclass(frozen=True)
class Shipped:
    """A model as files.

    Attributes:
        name: of the files.
        to: their format, a row of ``tidegate.ship.FORMATS``.
        weights: ``"float32"`` or ``"int8"``.
        target: the processor; empty where there is no choice.
        files: the content of each file by its name, that with the facts last.
        says: what each of them is.
        layers: how each recurrent layer was written.
        said: what is inside, and what stays with the caller.
        missing: files that there are none of, with the reason.
        flows: what the files compute, by the name of their files; empty for a network alone.
        model: the estimator; None for bare layers.
        privacy: the promise under which the model was trained, in words; empty if there is none.
        folder: where the files lie; None if they were not written.
    """

    name: str
    to: str
    weights: str
    target: str
    files: Mapping[str, bytes]
    says: Mapping[str, str]
    layers: tuple[Mapping[str, str], ...]
    said: Said
    missing: tuple[str, ...] = ()
    flows: Mapping[str, Flow] = field(default_factory=dict)
    model: Any = field(default=None, repr=False)
    privacy: str = ""
    folder: Path | None = None

    @property
    def format(self) -> Format:
        """The row of the format."""
        return chosen(self.to, sample_rate=1.0 if self.to == "nam" else None)[0]

    def write(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Shipped:
        """Write all files, or none.

        Args:
            folder: made if it is not there.
            overwrite: whether files of these names may be replaced.

        Returns:
            The same, with its folder.

        Raises:
            InputError: files of these names are there, or the folder cannot be written.
        """
        home = Path(folder)
        check_free(home, self.files, overwrite=overwrite)
        replace_files(home, self.files)
        return replace(self, folder=home)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} ({len(content):,} bytes)" for name, content in self.files.items())
        return f"Shipped({self.to}, {self.weights}: {sizes})"


def ship(
    model: Any,
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    weights: str | None = None,
    target: str | None = None,
    name: str | None = None,
    part: Part = "whole",
    sample_rate: float | None = None,
    calibrate: Any = None,
    overwrite: bool = False,
) -> Shipped:
    """A trained model as files that other programs run.

    ``onnx`` and ``c`` hold all of a model, from raw values to the answer in the user's units. The other formats hold
    the recurrent layers and the linear head; ``said.outside`` has the rest in words.

    Args:
        model: the folder of a trained model, an estimator, recurrent layers, or a layer that ``tidegate.convert.read``
            found in a file of another framework.
        to: ``"onnx"``, ``"c"``, ``"rtneural"``, ``"nam"``, ``"dnnw"`` or ``"safetensors"``.
        out: the folder for the files; without it nothing is written, and ``files`` has their content.
        weights: ``"float32"`` unless given; ``"int8"`` where the format has it.
        target: of C: ``"host"``, ``"cortex-m4"`` or ``"cortex-m0"``.
        name: of the files, and the beginning of every name in C; that of the folder of the model unless given.
        part: ``"layers"`` for a model without what stands beside or before its layers and no step can say, such as the
            votes of a classifier or the spectra of a recogniser.
        sample_rate: of ``nam``, in hertz.
        calibrate: what int8 of C is calibrated on, as ``evaluate`` takes it; the validation part of the training data
            unless given, if these are bundled.
        overwrite: whether files of these names may be replaced.

    Returns:
        The files and what is known of them.

    Raises:
        InputError: no such model or format, options that the format does not have, something that a step cannot say, or
            files that are there already. The message says what can be shipped instead.
        EmitError: the format cannot express that cell.
        MissingError: a package that the format needs is not installed.

    Example:
        >>> import tidegate as tg
        >>> shipped = tg.ship.ship(tg.nn.GRU(4, 8), "c", name="gru")
        >>> list(shipped.files)
        ['gru.h', 'gru.c', 'gru.facts.json']
    """
    row, kind, processor = chosen(to, weights, target, sample_rate)
    _check_used(row, to, kind, part, calibrate)
    named = checked_name(name or name_of(model))
    phase("loading the model")
    order = Order(*resolved(model), name=named, weights=kind, target=processor, rate=sample_rate, data=calibrate)
    programs = _programs(order, part) if row.whole else {}
    phase(f"writing {to}")
    made = WRITERS[to](replace(order, flows=programs))
    task = "" if order.model is None else type(order.model)._task_class.name  # noqa: SLF001  of our own estimators
    about = said(task, part) if row.whole else Said(NETWORK.inside, _rest(task) or BARE.outside)
    about = about._replace(inside=NETWORK.inside) if order.head is not None else about
    left = tuple(made.missing)
    files, lines = made.files, tuple(made.layers)
    promise = privacy_of([order.layer if order.model is None else order.model.model_])
    shipped = Shipped(
        named, to, kind, processor, files, made.says, lines, about, left, programs, order.model, privacy=promise
    )
    shipped = _with_facts(shipped)
    return shipped if out is None else shipped.write(out, overwrite=overwrite)


def _check_used(row: Format, to: str, weights: str, part: str, calibrate: Any) -> None:
    """Refuse options that would do nothing.

    Raises:
        InputError: one of them would.
    """
    if part != "whole" and not row.whole:
        raise InputError(
            "SHIP_PART", f"{to} holds the network alone, whatever the part", fix=f"leave out part={part!r}"
        )
    if calibrate is not None and (to, weights) != ("c", "int8"):
        raise InputError(
            "SHIP_CALIBRATE",
            f"calibrate={calibrate!r} has no effect on {to} with weights {weights}",
            fix="ship to c with weights='int8', or leave it out",
        )


def _rest(task: str) -> str:
    """What a network alone leaves out."""
    if not task:
        return ""
    whole = said(task, "whole")
    return f"all of this but the layers: {whole.inside}; and {whole.outside}"


def name_of(model: Any) -> str:
    """A name for the files: that of the folder or file of a model, else of its task, as far as identifiers allow."""
    if isinstance(model, (str, os.PathLike)):
        raw = Path(model).absolute().name.split(".")[0]
    else:
        task = getattr(type(model), "_task_class", None)
        raw = getattr(task, "name", "model")
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", raw)[:31].strip("_").lower()
    return plain if NAME.fullmatch(plain) else f"model_{plain}"[:31].rstrip("_")


def checked_name(name: str) -> str:
    """A name that files and identifiers of C can begin with.

    Raises:
        InputError: it is none.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            "SHIP_NAME",
            f"{name!r:.60} cannot name files and begin names of C",
            fix="use a letter, then letters, digits or underscores, at most 31; pass name=",
        )
    return name


def check_free(folder: Path, names: Mapping[str, Any] | list[str], *, overwrite: bool) -> None:
    """Refuse to replace files silently.

    Raises:
        InputError: one of the files is there.
    """
    taken = [name for name in names if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(
            "SHIP_TAKEN",
            f"{folder} already has {', '.join(taken)}",
            fix="choose another folder or name=, or replace them with overwrite=True",
        )


def resolved(model: Any) -> tuple[Any, Recurrent | None, Any]:
    """An estimator, or layers and their head.

    Raises:
        InputError: it is neither.
    """
    from tidegate.convert import FoundLayer

    if isinstance(model, Recurrent):
        return None, model, None
    if isinstance(model, FoundLayer):
        layer = model.layer()
        if not isinstance(layer, Recurrent):
            raise InputError(
                "SHIP_REVERSE", f"{model.name} reads from the end, so it has no steps", fix="ship another layer"
            )
        return None, layer, _linear(model.head)
    fix = "pass the folder of one, an estimator, recurrent layers, or a layer of tidegate.convert.read"
    return estimator_of(model, fix), None, None


def _linear(head: Mapping[str, Any]) -> Any:
    """A head that a file has, as a module; None for none."""
    if not head:
        return None
    import torch

    weight, bias = (torch.from_numpy(head[part].copy()).float() for part in ("weight", "bias"))
    made = torch.nn.Linear(weight.shape[1], weight.shape[0])
    made.load_state_dict({"weight": weight, "bias": bias})
    return made


def _programs(order: Order, part: Part) -> dict[str, Flow]:
    """The flows by the names of their files: of several each has its own."""
    if order.layer is not None:
        flow = Flow.of(order.layer, order.head, name=order.name.lower())
        return {order.name: flow}
    own = flows(order.model, part=part)
    task = type(order.model)._task_class.name  # noqa: SLF001
    if len(own) == 1:
        return {order.name: own[0]}
    return {f"{order.name}{flow.name.removeprefix(task)}": flow for flow in own}


def _with_facts(shipped: Shipped) -> Shipped:
    """The same with the file of facts."""
    facts = {
        "tidegate": __version__,
        "to": shipped.to,
        "weights": shipped.weights,
        **({"target": shipped.target} if shipped.target else {}),
        "files": {
            name: {"says": shipped.says[name], "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in shipped.files.items()
        },
        "layers": list(shipped.layers),
        **({"privacy": shipped.privacy} if shipped.privacy else {}),
        "inside": shipped.said.inside,
        "outside": shipped.said.outside,
        "missing": list(shipped.missing),
        "runs": shipped.format.runs,
        "beware": shipped.format.beware,
        "models": {name: facts_of(flow) for name, flow in shipped.flows.items()},
    }
    name = f"{shipped.name}{FACTS}"
    content = (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()
    says = {**shipped.says, name: "inputs, outputs, states, labels, and how each layer was written"}
    return replace(shipped, files={**shipped.files, name: content}, says=says)


def facts_of(flow: Flow) -> dict[str, Any]:
    """What a program needs to know of a flow that it runs."""
    return {
        "inputs": [
            {
                "name": one.name,
                "width": one.kind.width,
                "dtype": one.kind.dtype,
                "says": one.says,
                "unit": one.unit,
                **({"limit": one.limit} if one.limit else {}),
            }
            for one in flow.inputs
        ],
        "outputs": [
            {
                "name": one.name,
                "width": flow.kinds[one.node].width,
                "says": one.says,
                "unit": one.unit,
                "last": one.last,
                "labels": list(one.labels),
            }
            for one in flow.outputs
        ],
        "states": [{"name": state.name, "shape": list(state.first.shape)} for state in flow.states],
        "streams": flow.streams,
        "again": dict(flow.again),
        "facts": dict(flow.facts),
    }
