"""The command line: it only parses and prints; the work is done elsewhere."""

from __future__ import annotations

import dataclasses
import os
import sys
from enum import IntEnum
from typing import Annotated, Any

import tyro

from tidegate._version import __version__
from tidegate.cli.attack import Attack
from tidegate.cli.audit import Audit
from tidegate.cli.backtest import Backtest
from tidegate.cli.cells import Cells
from tidegate.cli.check import check_lists
from tidegate.cli.compare import Compare
from tidegate.cli.compose import Compose
from tidegate.cli.console import say, warnings_as_notes
from tidegate.cli.engine import Engine
from tidegate.cli.evaluate import Evaluate
from tidegate.cli.explain import Explain
from tidegate.cli.forecast import Forecast
from tidegate.cli.generate import Generate
from tidegate.cli.inspect import Inspect
from tidegate.cli.interrupt import interruptible
from tidegate.cli.number import NUMBERS
from tidegate.cli.predict import Predict
from tidegate.cli.ship import Ship
from tidegate.cli.threads import use_threads
from tidegate.cli.trace import Trace
from tidegate.cli.train import Train, parsed
from tidegate.cli.transcribe import Transcribe
from tidegate.cli.translate import Translate
from tidegate.cli.words import in_shell
from tidegate.errors import EmitError, InputError, SpecError, TidegateError, explain_missing
from tidegate.storage import FULL

Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Explain, tyro.conf.subcommand("explain")]
    | Annotated[Attack, tyro.conf.subcommand("attack")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Ship, tyro.conf.subcommand("ship")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Translate, tyro.conf.subcommand("translate")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Transcribe, tyro.conf.subcommand("transcribe")]
    | Annotated[Forecast, tyro.conf.subcommand("forecast")]
    | Annotated[Backtest, tyro.conf.subcommand("backtest")]
    | Annotated[Compose, tyro.conf.subcommand("compose")]
    | Annotated[Cells, tyro.conf.subcommand("cells")]
    | Annotated[Trace, tyro.conf.subcommand("trace")]
    | Annotated[Engine, tyro.conf.subcommand("engine")]
)
DESCRIPTION = (
    "Train, compare and use gated recurrent networks. Each cell is written once, as its equations. "
    "tidegate --version prints the version."
)
FILES = ("valid", "test", "out", "config")  # options that the library's messages mention
STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)


class Exit(IntEnum):
    """Exit codes that scripts may rely on."""

    DONE = 0
    FAILURE = (
        1  # also where nobody reads the output any more, or explain found a fault, or a check of attack or ship failed
    )
    WRONG_INPUT = 2
    INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``tidegate``; those of the process unless given.

    Returns:
        The exit code, one of ``Exit``.
    """
    try:
        with interruptible(last=arguments is None):
            return _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # before the command was known
        say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has enough of it, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes when it ends
        return Exit.FAILURE


def _main(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        print(f"tidegate {__version__}")  # noqa: T201  this is the command line
        return Exit.DONE
    speaks = os.environ.get("RANK", "0") == "0"  # torchrun starts several processes; only the first prints
    try:
        _check_text(arguments)
        check_lists(arguments)
        command = parsed(arguments, STYLE, speaks=speaks) or tyro.cli(
            Command,
            prog="tidegate",
            description=DESCRIPTION,
            args=arguments or ["--help"],
            console_outputs=speaks,
            config=(*STYLE, tyro.conf.FlagCreatePairsOff),
            registry=NUMBERS,
        )
    except InputError as error:
        return _fail(error, Exit.WRONG_INPUT) if speaks else Exit.WRONG_INPUT
    return _run(command, speaks=speaks)


def _run(command: Any, *, speaks: bool) -> int:
    try:
        own = None if isinstance(command, Compare) else getattr(getattr(command, "order", command), "threads", None)
        with explain_missing(), warnings_as_notes(_options(command), speaks=speaks), use_threads(own):
            code: int | None = command.run()
            sys.stdout.flush()  # while an error still has a name
    except (InputError, SpecError, EmitError) as error:
        return _fail(error, Exit.WRONG_INPUT, command)
    except TidegateError as error:
        return _fail(error, Exit.FAILURE, command)
    except BrokenPipeError:
        raise
    except OSError as error:  # of a file that no reader or writer of ours has opened
        return _fail(_named(error), Exit.WRONG_INPUT if error.errno in FULL else Exit.FAILURE, command)
    except KeyboardInterrupt:
        resumes = "; the same command resumes from here" if isinstance(command, (Compare, Train)) else ""
        print(file=sys.stderr)  # noqa: T201
        say(f"interrupted{resumes}")
        return Exit.INTERRUPTED
    return code or Exit.DONE


def _named(error: OSError) -> InputError:
    """What the system says, with the name of the file; without one, it is standard output that cannot be written."""
    return InputError("SYSTEM", f"{error.filename or 'standard output'}: {error.strerror or error}")


def _check_text(arguments: list[str]) -> None:
    """Reject file names in another encoding: they could be neither printed nor written into a report."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise InputError("ENCODING", f"{argument!r} is not valid UTF-8", fix="rename the file")


def _fail(error: Exception, code: int, command: Any = None) -> int:
    say(f"tidegate: {in_shell(str(error), _options(command))}")
    return code


def _options(command: Any) -> list[str]:
    """The options that messages of the library may name as arguments."""
    order = getattr(command, "order", None)
    parts = [part for part in (command, *(getattr(order, name, None) for name in ("setting", "privacy"))) if part]
    own = (field.name for part in parts for field in dataclasses.fields(part))
    return [*own, *getattr(command, "of_train", ()), *FILES]
