"""``tidegate ship MODEL``: a trained model as files for another place, and the proof that they are right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from tidegate.cli.check import check_folder, check_model
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.shipped import print_checked, print_shipped
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.ship import Checked, Inspection, Shipped

WRONG = 1  # the exit code where a self-test or a check fails
TEST = "test"  # as DATA of --check: what training kept for the test


@dataclass(frozen=True)
class Ship:
    """Write a trained model as files that other programs run: ONNX, C, and formats of audio plugins.

    onnx and c hold the whole model, from raw values to the answer in your units; the others hold its network alone.
    Prints what each file is, how each layer was written, what stays outside, sizes, and what runs it.
    """

    of_train: ClassVar[tuple[str, ...]] = (  # options of the training that messages name
        "bidirectional", "context", "level", "normalise", "quantiles", "strategy", "streaming", "votes",
    )  # fmt: skip

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote; or a file of torch, Keras, ONNX, RTNeural, Neural Amp Modeler or safetensors,
    whose recurrent layers are shipped."""
    to: Literal["onnx", "c", "rtneural", "nam", "dnnw", "safetensors"]
    """onnx: models of sequences and of a step. c: C99 without libraries, for any processor. rtneural: JSON for audio
    plugins. nam: a file of Neural Amp Modeler. dnnw: weights for RNNoise. safetensors: arrays by name."""
    weights: Annotated[Literal["float32", "int8"] | None, shown_as("float32|int8")] = None
    """int8 is a fourth of the size, in c and dnnw; float32 unless given."""
    target: Annotated[Literal["host", "cortex-m4", "cortex-m0"] | None, shown_as("host|cortex-m4|cortex-m0")] = None
    """Processor that the C is arranged for; host unless given. All give the same bits."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder for the files; NAME-FORMAT unless given, such as sea-c."""
    name: Annotated[str | None, shown_as("NAME")] = None
    """Name of the files and of everything in the C; that of MODEL unless given."""
    part: Literal["whole", "layers", "point"] = "whole"
    """What no step can say may be left out. layers: without the votes beside the layers of a classifier, or the spectra
    of a recogniser. point: without the sample paths of a recursive forecaster, so without its quantiles."""
    check: Annotated[str | None, shown_as("DATA")] = None
    """Run the files inside their task on DATA, and print their error and the metric before and after. test stands for
    the test part of bundled training data. Ends with exit code 1 if the error is too large."""
    calibrate: Annotated[str | None, shown_as("DATA")] = None
    """What int8 of C is calibrated on; the validation part of bundled training data unless given."""
    sample_rate: Annotated[float | None, shown_as("HERTZ")] = None
    """Sample rate of the sound that the model was trained on; for nam."""
    node: Annotated[str | None, shown_as("NAME")] = None
    """Which recurrent layer of a file to ship, if it has several."""
    overwrite: tyro.conf.FlagCreatePairsOff[Annotated[bool, shown_as("")]] = False
    """Replace files of the same names."""
    threads: Threads = None

    def run(self) -> int:
        """Ship, check, and print.

        Returns:
            The exit code: 1 if a self-test or the check failed, else 0.
        """
        with status() as now:
            now.phase("loading torch")
            from tidegate.ship import inspected, ship  # slow to load: not for --help
            from tidegate.ship.target import chosen

            chosen(self.to, self.weights, self.target, self.sample_rate)
            home = self._home()
            check_folder(home, "the files")
            shipped = ship(
                self._subject(),
                self.to,
                weights=self.weights,
                target=self.target,
                name=self._name(),
                part=self.part,
                sample_rate=self.sample_rate,
                calibrate=self.calibrate,
            ).write(home, overwrite=self.overwrite)
            now.phase("running the self-tests")
            found = inspected(shipped)
            checked = self._checked(shipped)
        return self._print(shipped, found, checked)

    def _print(self, shipped: Shipped, found: list[Inspection], checked: Checked | None) -> int:
        screen = console()
        print_shipped(screen, shipped, found)
        if checked is not None:
            print_checked(screen, checked)
        print_line(screen, f"wrote {shipped.folder}: {', '.join(shipped.files)}")
        failed = any(one.tested is not None and one.tested.passed is False for one in found)
        return WRONG if failed or (checked is not None and not checked.passed) else 0

    def _subject(self) -> Any:
        """A folder as it is, or the layer of a file."""
        if not self.model.is_file():
            check_model(self.model)
            if self.node is not None:
                raise InputError("NODE", f"--node {self.node}: {self.model} is no file", fix="leave it out")
            return self.model
        from tidegate.convert import read

        reading = read(self.model, node=self.node)
        if len(reading) > 1:
            names = ", ".join(found.name for found in reading)
            raise InputError(
                "NODE", f"{self.model} has {len(reading)} recurrent layers", fix=f"choose with --node: {names}"
            )
        return reading[0]

    def _name(self) -> str:
        from tidegate.ship.ship import checked_name, name_of

        return checked_name(self.name) if self.name is not None else name_of(self.model)

    def _home(self) -> Path:
        return self.out if self.out is not None else Path(f"{self._name()}-{self.to}")

    def _checked(self, shipped: Shipped) -> Checked | None:
        if self.check is None:
            return None
        from tidegate.ship import check

        return check(shipped, None if self.check == TEST and not Path(TEST).exists() else self.check)
