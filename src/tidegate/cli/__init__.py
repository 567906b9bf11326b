"""The command line: parsing and printing only. Every verb lives in its room."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from tidegate import __version__
from tidegate.cli.cells import Cells
from tidegate.cli.compare import Compare
from tidegate.cli.trace import Trace
from tidegate.errors import InputError, SpecError, TidegateError

Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Cells, tyro.conf.subcommand("cells")]
    | Annotated[Trace, tyro.conf.subcommand("trace")]
)


@dataclass(frozen=True)
class Exit:
    """Exit codes: what a script may rely on."""

    wrong_input: int = 2
    failure: int = 1
    interrupted: int = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        print(f"tidegate {__version__}")  # noqa: T201  this is the command line
        return 0
    command = tyro.cli(
        Command,
        prog="tidegate",
        description="Gated recurrent networks: each cell written once, as its equations.",
        args=arguments or ["--help"],
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagConversionOff),
    )
    try:
        command.run()
    except (InputError, SpecError) as error:
        return _fail(error, Exit.wrong_input)
    except TidegateError as error:
        return _fail(error, Exit.failure)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return Exit.interrupted
    return 0


def _fail(error: TidegateError, code: int) -> int:
    print(f"tidegate: {error}", file=sys.stderr)  # noqa: T201
    return code
