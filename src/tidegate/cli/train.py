"""``tidegate train TASK DATA``: from a file to a trained model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Generic, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

import tyro

from tidegate.cli.cell import load_alone
from tidegate.cli.check import check_folder, folder_name, read_config
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.number import NUMBERS
from tidegate.cli.score import of_test, print_privacy, print_scores, print_verdict
from tidegate.cli.threads import Threads
from tidegate.cli.training import TrainingProgress
from tidegate.cli.words import in_shell
from tidegate.errors import InputError
from tidegate.tasks import ESTIMATORS, read_ahead, row_of
from tidegate.train.promise import check_private
from tidegate.train.setting import PRIVACY, Column, Training, check, descriptions, marks, names, privately, task_of
from tidegate.train.toml import from_toml, to_toml

S = TypeVar("S", bound=Training)
P = TypeVar("P")
HELP = ("-h", "--help")
WORDS = {int: "NUMBER", float: "NUMBER", str: "TEXT"}


@dataclass(frozen=True)
class Order(Generic[S, P]):
    """The settings to train with, the data, and where the model goes."""

    setting: Annotated[S, tyro.conf.arg(name="model and training")]
    privacy: Annotated[P, tyro.conf.arg(name="private training")]
    data: Annotated[str | None, tyro.conf.Positional, shown_as("DATA")] = None
    """A file or folder, or the name of a bundled set."""
    valid: Annotated[Path | None, shown_as("FILE")] = None
    """File for validation; part of DATA unless given."""
    test: Annotated[Path | None, shown_as("FILE")] = None
    """File for the test; part of DATA unless given."""
    out: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder for the model; tidegate-models/NAME-TASK unless given."""
    cache: Annotated[Path | None, shown_as("FOLDER")] = None
    """Folder for what training reads in place of DATA. Unless given, it is DATA.cache for files larger than 64 MiB, if
    the task can read them piece by piece, and other data are held in memory. The model is the same either way."""
    config: Annotated[Path | None, shown_as("FILE")] = None
    """Settings as TOML; options on the command line override them."""
    tensorboard: tyro.conf.FlagCreatePairsOff[Annotated[bool, shown_as("")]] = False
    """Also write TensorBoard logs into the folder."""
    threads: Threads = None
    print_config: tyro.conf.FlagCreatePairsOff[Annotated[bool, shown_as("")]] = False
    """Print the settings as TOML instead of training."""

    @classmethod
    def of(cls, setting: Training) -> Self:
        """An order with these settings."""
        task, values = task_of(setting), {name: getattr(setting, name) for name in names(type(setting))}
        privacy = PRIVATE_OPTIONS[task](**{name: values.pop(name) for name in PRIVACY})
        return cls(OPTIONS[task](**values), privacy)  # type: ignore[arg-type]

    @property
    def chosen(self) -> Training:
        """All settings."""
        kind = SETTINGS[task_of(self.setting)]
        values = {name: getattr(self.setting, name) for name in names(kind)}
        return kind(**{**values, **vars(self.privacy)})


def _shown(kind: type[Training], wanted: Sequence[str]) -> dict[str, Any]:
    """The types of some settings, each with its explanation and a word for its value."""
    hints, texts = get_type_hints(kind), descriptions(kind)
    words = {
        "cell": "CELL",
        "protect": "row|COLUMN",
        "public_data": "FILE",
        **dict.fromkeys(marks(kind, Column), "COLUMN"),
    }
    return {
        name: Annotated[
            hints[name], tyro.conf.arg(help=in_shell(texts[name], names(kind)), **_value(hints[name], words.get(name)))
        ]
        for name in wanted
    }


def _options(kind: type[Training]) -> type[Training]:
    """The settings as options, the task's own first; those of privacy stand by themselves."""
    wanted = [name for name in names(kind) if name not in PRIVACY]
    members = {
        "__dataclass_fields__": {name: kind.__dataclass_fields__[name] for name in wanted},
        "__annotations__": _shown(kind, wanted),
        "__doc__": "Each is also a line of the TOML file for --config.",
    }
    return type(kind.__name__, (kind,), members)


def _private_options(kind: type[Training]) -> type[Any]:
    """The settings of private training as options."""
    usual, recipe = kind(), privately(kind, 1.0)
    others = [name for name in names(kind) if getattr(usual, name) != getattr(recipe, name) and name != "epsilon"]
    changed = ", ".join(f"{name}={getattr(recipe, name)!r}" for name in others)
    shown, known = _shown(kind, PRIVACY), kind.__dataclass_fields__
    made = make_dataclass("Privacy", [(name, shown[name], field(default=known[name].default)) for name in PRIVACY])
    made.__doc__ = in_shell(f"Differential privacy. With epsilon= other defaults hold: {changed}.", names(kind))
    return made


def _value(hint: Any, word: str | None) -> dict[str, Any]:
    """How --help shows the value of an option; nothing where tyro's own way is best."""
    if get_origin(hint) is tuple:  # of any length
        return {"metavar": f"[{word or WORDS[get_args(hint)[0]]} ...]", "help_behavior_hint": ""}
    options = [option for option in get_args(hint) if option is not NoneType] or [hint]
    if options == [bool] and options != [hint]:
        return {"metavar": "", "help_behavior_hint": ""}
    if get_origin(options[0]) is Literal and options != [hint]:
        return {"metavar": f"{{{','.join(get_args(options[0]))}}}", "help_behavior_hint": ""}
    if len(options) > 1 or options[0] not in WORDS:
        return {}
    optional = {} if options == [hint] else {"help_behavior_hint": ""}
    return {"metavar": word or WORDS[options[0]], **optional}


SETTINGS = {name: row.setting for name, row in ESTIMATORS.items()}
OPTIONS = {name: _options(kind) for name, kind in SETTINGS.items()}
PRIVATE_OPTIONS = {name: _private_options(kind) for name, kind in SETTINGS.items()}
ORDERS: dict[str, Any] = {name: Order[kind, PRIVATE_OPTIONS[name]] for name, kind in OPTIONS.items()}  # type: ignore[valid-type]
TrainOrder: Any = None
for _name, _kind in ORDERS.items():
    _one = Annotated[_kind, tyro.conf.subcommand(_name, description=SETTINGS[_name].__doc__)]  # type: ignore[valid-type]
    TrainOrder = _one if TrainOrder is None else TrainOrder | _one


@dataclass(frozen=True)
class Train:
    """Train a model: tidegate train TASK DATA. tidegate train TASK --help lists the settings of a task.

    Writes config.toml, model.json, model.safetensors and log.csv into a folder, which evaluate and the other commands
    read. After an interruption, the same command resumes exactly where it stopped. To share every batch among several
    processes, run torchrun --nproc-per-node 2 -m tidegate train TASK DATA.
    """

    order: TrainOrder = field()

    def run(self) -> None:
        """Train, save, and print the scores last."""
        if "RANK" not in os.environ:
            return self._run()
        from tidegate.train.world import launched  # slow to load: not for --help

        with launched():
            return self._run()

    def _run(self) -> None:
        order, setting = self.order, self.order.chosen
        check(setting)
        check_private(setting)
        if order.print_config:
            console().print(to_toml(setting), markup=False, end="", soft_wrap=True)
            return
        if order.data is None:
            raise InputError(
                "TRAIN_DATA",
                f"train {task_of(setting)} needs DATA",
                fix=f"name a file or a bundled data set; see tidegate train {task_of(setting)} --help",
            )
        cell = load_alone(setting.cell)  # before anything slow: most mistakes are made here
        screen = console(quiet=os.environ.get("RANK", "0") != "0")  # torchrun numbers its processes
        with TrainingProgress(screen, setting) as progress:
            progress.phase(f"reading {order.data}")
            out = _out(order.out, order.data, task_of(setting))
            read = read_ahead(order.data, task_of(setting), setting, valid=order.valid, test=order.test)
            progress.phase("loading torch")
            from tidegate.train.card import holds_model

            trained = holds_model(out)
            values = {name: getattr(setting, name) for name in names(type(setting))}
            estimator = ESTIMATORS[task_of(setting)].estimator(
                **{**values, "cell": cell if ":" in setting.cell else setting.cell}
            )
            estimator.fit(**read, folder=out, watch=progress.watch, tensorboard=order.tensorboard, cache=order.cache)
        print_scores(screen, estimator.scores_, of_test(estimator.data_))
        print_verdict(screen, estimator.verdict_, names(type(setting)))
        print_privacy(screen, estimator.privacy_)
        for text in estimator.notes_:
            print_line(screen, text)
        what = "this model was already trained" if trained else "model"
        screen.print()
        print_line(screen, f"{what}: {out}")


def parsed(arguments: list[str], config: tuple[Any, ...], *, speaks: bool) -> Train | None:
    """Parse ``train TASK ...``; options on the command line override the file that ``--config`` names.

    Args:
        arguments: the words after ``tidegate``.
        config: options of tyro.
        speaks: whether this process prints help and errors.

    Returns:
        The command; None for any other verb, and for ``train --help``.

    Raises:
        InputError: the task is missing or unknown, or the configuration is invalid.
    """
    if arguments[:1] != ["train"] or (arguments[1:2] and arguments[1] in HELP):
        return None
    task = _task(arguments[1:])

    def read(default: Any) -> Any:
        return tyro.cli(
            ORDERS[task],
            prog=f"tidegate train {task}",
            description=SETTINGS[task].__doc__,
            args=_with_values(arguments[2:], SETTINGS[task]),
            default=default,
            console_outputs=speaks,
            config=config,
            registry=NUMBERS,
        )

    order, kind = read(tyro.MISSING_NONPROP), SETTINGS[task]
    epsilon = order.privacy.epsilon
    base = None if epsilon is None else privately(kind, epsilon)
    if order.config is not None:
        base = from_toml(read_config(order.config), kind, str(order.config), base)
    return Train(order if base is None else read(Order.of(base)))


def _with_values(arguments: list[str], kind: type[Training]) -> list[str]:
    """Arguments with the value of each option that is true, false or left open: --day-first, --no-day-first."""
    values: dict[str, list[str]] = {}
    for name in (name for name, hint in get_type_hints(kind).items() if hint == bool | None):
        for flag in (name, name.replace("_", "-")):
            values |= {f"--{flag}": [f"--{flag}", "True"], f"--no-{flag}": [f"--{flag}", "False"]}
    return [
        word
        for argument, after in pairwise([*arguments, ""])
        for word in (values.get(argument, [argument]) if after not in ("True", "False") else [argument])
    ]


def _task(arguments: list[str]) -> str:
    if not arguments or arguments[0].startswith("-"):
        raise InputError(
            "TRAIN_TASK", "train needs a task and data", fix=f"tidegate train TASK DATA; tasks: {', '.join(SETTINGS)}"
        )
    row_of(arguments[0], trained=True)
    return arguments[0]


def _out(folder: Path | None, data: str, task: str) -> Path:
    """The folder for the model, after checking that it can be written."""
    from tidegate.data import address_of  # slow to load: not for --help

    out = folder or Path("tidegate-models") / folder_name(address_of(data), task, None)
    check_folder(out, "the model")
    return out
