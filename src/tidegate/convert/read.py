"""``read``: the recurrent layers in a file of another framework. The table of formats; each has a file in ``file/``."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path

from tidegate.convert.found import FoundLayer, Reading
from tidegate.errors import InputError, visible

HEAD_BYTES = 16
LONGEST = 100 << 20  # what safetensors allows its own head; eight letters are a larger number
BOM = b"\xef\xbb\xbf"
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Head:
    """How a file begins.

    Attributes:
        suffix: of its name, in lower case.
        data: its first bytes.
        members: names of the members of a zip archive; none of another file.
    """

    suffix: str
    data: bytes
    members: Sequence[str]

    def has(self, *names: str) -> bool:
        """Whether each of these names ends the name of a member."""
        return all(any(member.endswith(name) for member in self.members) for name in names)

    @property
    def is_json(self) -> bool:
        """Whether it may be an object in JSON: a text that begins with a brace."""
        return self.data.removeprefix(BOM).lstrip().startswith(b"{") and b"\0" not in self.data


# For each format, by the name of its module: does a file look like one? The first that says so reads it.
FORMATS: Mapping[str, Callable[[Head], bool]] = {
    "safetensors": lambda head: head.data[8:9] == b"{" and int.from_bytes(head.data[:8], "little") < LONGEST,
    "torchscript": lambda head: head.has("data.pkl", "constants.pkl"),
    "torch": lambda head: head.has("data.pkl") or (head.data[:1] == b"\x80" and head.suffix != ".onnx"),
    "npz": lambda head: head.has(".npy"),
    "keras": lambda head: head.data.startswith(HDF5) or head.has("config.json", "model.weights.h5"),
    "dnnw": lambda head: head.data.startswith(b"DNNw"),
    "nam": lambda head: head.suffix == ".nam" and head.is_json,
    "rtneural": lambda head: head.is_json,
    "onnx": lambda head: head.data[:1] == b"\x08" or head.suffix == ".onnx",  # its first field is the version
}
SUFFIXES = ".pt .pth .ts .npz .safetensors .onnx .h5 .keras .nam .json .bin"


def read(path: str | PathLike[str], at: str | None = None, node: str | None = None) -> Reading:
    """The recurrent layers in a file, of whichever framework wrote it. Nothing in the file is run.

    The framework need not be installed. What the file is, its content says, not its name.

    Args:
        path: of a file that torch saved (a ``state_dict``, or TorchScript), of a .safetensors, an .npz, an .onnx, an
            .h5 or .keras of Keras 2 or 3, a .nam of Neural Amp Modeler, a JSON of RTNeural, or RNNoise's weights.
        at: only layers under this name, e.g. ``"encoder"`` for ``encoder.lstm``.
        node: only the layer of exactly this name.

    Returns:
        The layers, in the order of the file: a table to print, a sequence, and a way to each by its name. Nothing but
        layers is looked for, so embeddings, heads and convolutions of the file are left aside. A layer of which
        something is wrong is listed with its fault. Arrays by the names of torch are taken for torch's layers: what
        ours are besides (a GRU with ``update="write"``, another cell, options), a ``state_dict`` does not say.

    Raises:
        InputError: there is no such file or layer, or the file is of no format that is read here, damaged, or larger
            when unpacked than it should be.
        MissingError: the package that reads the format is not installed.

    Example:
        >>> import tidegate as tg, torch, tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "model.pt")
        ...     torch.save({f"encoder.{k}": v for k, v in torch.nn.LSTM(3, 4).state_dict().items()}, path)
        ...     layer = tg.convert.read(path)["encoder"].layer()
        >>> layer
        LSTM(3, 4)
    """
    file = Path(path)
    found: Sequence[FoundLayer] = import_module(f"tidegate.convert.file.{_format_of(file)}").read(file)
    if not found:
        raise InputError(
            "READ_NOTHING", f"{visible(str(file))} holds no recurrent layer",
            fix="one that is spelt out in products and sums is not found",
        )  # fmt: skip
    if node is not None:
        return Reading(str(file), [Reading(str(file), found)[node]])
    if at is not None:
        below = [layer for layer in found if f"{layer.name}.".startswith(f"{at.rstrip('.')}.")]
        return Reading(str(file), below or [Reading(str(file), found)[at]])
    return Reading(str(file), found)


def _format_of(file: Path) -> str:
    """The name of the module that reads a file.

    Raises:
        InputError: no format looks like it.
    """
    shown = visible(str(file))
    if file.exists() and not file.is_file():
        raise InputError("READ_FILE", f"{shown} cannot be read: it is no file", fix="check the path")
    try:
        with file.open("rb") as stream:
            data = stream.read(HEAD_BYTES)
        members = []
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                members = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, LookupError, struct.error) as error:
        raise InputError("READ_FILE", f"{shown} cannot be read: {error}", fix="check the path and the file") from error
    head = Head(file.suffix.lower(), data, members)
    for name, looks_so in FORMATS.items():
        if looks_so(head):
            return name
    raise InputError("READ_FORMAT", f"{shown} is of no format that is read here", fix=f"pass a file such as {SUFFIXES}")
