"""The command line: it only parses and prints; the work is done elsewhere."""

from __future__ import annotations

import dataclasses
import os
import sys
from enum import IntEnum
from typing import Annotated, Any

import tyro

from tidegate._version import __version__
from tidegate.cli.cells import Cells
from tidegate.cli.check import check_lists
from tidegate.cli.compare import Compare
from tidegate.cli.compose import Compose
from tidegate.cli.console import warnings_as_notes
from tidegate.cli.evaluate import Evaluate
from tidegate.cli.forecast import Forecast
from tidegate.cli.generate import Generate
from tidegate.cli.predict import Predict
from tidegate.cli.trace import Trace
from tidegate.cli.train import Train, parsed
from tidegate.cli.transcribe import Transcribe
from tidegate.cli.translate import Translate
from tidegate.cli.words import in_shell
from tidegate.errors import InputError, SpecError, TidegateError, explain_missing

Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Translate, tyro.conf.subcommand("translate")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Transcribe, tyro.conf.subcommand("transcribe")]
    | Annotated[Forecast, tyro.conf.subcommand("forecast")]
    | Annotated[Compose, tyro.conf.subcommand("compose")]
    | Annotated[Cells, tyro.conf.subcommand("cells")]
    | Annotated[Trace, tyro.conf.subcommand("trace")]
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
    FAILURE = 1
    WRONG_INPUT = 2
    INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``tidegate``; those of the process unless given.

    Returns:
        The exit code, one of ``Exit``.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
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
        )
    except InputError as error:
        return _fail(error, Exit.WRONG_INPUT) if speaks else Exit.WRONG_INPUT
    try:
        with explain_missing(), warnings_as_notes(speaks=speaks):
            command.run()
    except (InputError, SpecError) as error:
        return _fail(error, Exit.WRONG_INPUT, command)
    except (TidegateError, OSError) as error:  # a full disk, a folder that may not be written
        return _fail(error, Exit.FAILURE, command)
    except KeyboardInterrupt:
        resumes = "; the same command resumes from here" if isinstance(command, (Compare, Train)) else ""
        print(f"\ninterrupted{resumes}", file=sys.stderr)  # noqa: T201
        return Exit.INTERRUPTED
    return Exit.DONE


def _check_text(arguments: list[str]) -> None:
    """Reject file names in another encoding: they could be neither printed nor written into a report."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise InputError("ENCODING", f"{argument!r} is not valid UTF-8", fix="rename the file")


def _fail(error: Exception, code: int, command: Any = None) -> int:
    setting = getattr(getattr(command, "order", None), "setting", None)
    options = [field.name for part in (command, setting) if part is not None for field in dataclasses.fields(part)]
    print(f"tidegate: {in_shell(str(error), [*options, *FILES])}", file=sys.stderr)  # noqa: T201
    return code
