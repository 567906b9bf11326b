"""``tidegate train TASK DATA``: from a file to a model that does its job."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from tidegate import setting as settings
from tidegate.cli.cell import load as load_cell
from tidegate.cli.compare import folder_name
from tidegate.cli.console import console, shown_as
from tidegate.cli.score import score_table
from tidegate.errors import InputError
from tidegate.setting import SETTINGS, Training, from_toml

S = TypeVar("S", bound=Training)


@dataclass(frozen=True)
class Order(Generic[S]):
    """What to train, on what, and where the model goes."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A file or folder, or the name of a bundled set."""
    setting: S
    valid: Annotated[Path | None, shown_as("FILE")] = None
    """A file of its own for validation; else a part of DATA."""
    test: Annotated[Path | None, shown_as("FILE")] = None
    """A file of its own for the test; else a part of DATA."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """The folder of the model; tidegate-models/NAME-TASK unless given."""
    config: Annotated[Path | None, shown_as("FILE")] = None
    """Settings as TOML; options that are given here stand above it."""
    tensorboard: bool = False
    """Write TensorBoard's files into the folder too."""
    print_config: bool = False
    """Print the settings as TOML, and train nothing."""


TrainOrder: Any = None
for _name, _kind in SETTINGS.items():
    _one = Annotated[Order[_kind], tyro.conf.subcommand(_name, description=_kind.__doc__)]  # type: ignore[valid-type]
    TrainOrder = _one if TrainOrder is None else TrainOrder | _one


@dataclass(frozen=True)
class Train:
    """Train a model: tidegate train TASK DATA. tidegate train TASK --help lists what a task can be told.

    Writes config.toml, model.json, model.safetensors and log.csv into a folder, from which evaluate and the verbs
    of the task work. Interrupted, the same command goes on exactly where it stopped. Under torchrun,
    processes share every batch: torchrun --nproc-per-node 2 -m tidegate train TASK DATA.
    """

    order: TrainOrder = field()

    def run(self) -> None:
        """Train, save, print the scores last."""
        order, setting = self.order, self.order.setting
        setting.check()
        if order.print_config:
            console().print(settings.to_toml(setting), markup=False, end="", soft_wrap=True)
            return
        cell = load_cell(setting.cell)  # before anything slow: most mistakes are made here
        from tidegate.cli.training import TrainingProgress, fresh_or_same  # slow to load: not for --help
        from tidegate.estimator import ESTIMATORS
        from tidegate.train import launched

        out = order.out or Path("tidegate-models") / folder_name(_address(order.data), setting.task, None)
        values = {one.name: getattr(setting, one.name) for one in dataclasses.fields(setting)}
        estimator = ESTIMATORS[setting.task](**{**values, "cell": cell if ":" in setting.cell else setting.cell})
        with launched() as world:
            screen = console(quiet=not world.first)
            fresh_or_same(out, setting, screen)
            with TrainingProgress(screen, setting, out) as progress:
                estimator.fit(
                    order.data,
                    valid=order.valid,
                    test=order.test,
                    folder=out,
                    watch=progress.watch,
                    tensorboard=order.tensorboard,
                )
            screen.print(score_table(estimator.scores_, estimator.data_.name))
            screen.print(f"\nmodel: {out}", markup=False, soft_wrap=True)


def _address(data: str) -> str:
    from tidegate.data import BUNDLED

    return f"bundled:{data}" if data in BUNDLED else data


def expanded(arguments: list[str]) -> list[str]:
    """The arguments of ``train`` with those that ``--config`` stands for, unless they are given beside it.

    Raises:
        InputError: there is no such file, or its settings cannot be used.
    """
    if arguments[:1] != ["train"] or len(arguments) < 2 or arguments[1] not in SETTINGS:
        return arguments
    path = next((b for a, b in pairwise(arguments) if a == "--config"), None)
    path = path or next((a.split("=", 1)[1] for a in arguments if a.startswith("--config=")), None)
    if path is None:
        return arguments
    setting = from_toml(_read(Path(path)), SETTINGS[arguments[1]], path)
    given = {argument.split("=", 1)[0].removeprefix("--no-") for argument in arguments if argument.startswith("--")}
    given |= {name.removeprefix("--") for name in given}
    added: list[str] = []
    for one in dataclasses.fields(setting):
        name, value = one.name.replace("_", "-"), getattr(setting, one.name)
        if name in given or value is None or value == ():
            continue
        if isinstance(value, bool):
            added += [f"--{name}"] if value else []
        else:
            added += [f"--{name}", *(map(str, value) if isinstance(value, (tuple, list)) else [str(value)])]
    return [*arguments[:2], *added, *arguments[2:]]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("CONFIG", f"--config {path} cannot be read: {error}", fix="check the path") from error
