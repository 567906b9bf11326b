"""``tidegate inspect FILE``: what a file for another place is, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.console import console, print_line, shown, shown_as, table
from tidegate.cli.status import status
from tidegate.cli.words import in_shell


@dataclass(frozen=True)
class Inspect:
    """Say what a shipped file is, and what runs it.

    Prints sizes, inputs, outputs, states, layers, operations, latency, and the result of the self-test.
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """An .onnx, a .c of tidegate ship, a .nam, a .json of RTNeural, a "DNNw" file, or a .safetensors."""
    run_c: tyro.conf.FlagCreatePairsOff[Annotated[bool, shown_as("")]] = False
    """Compile a .c and run it, for its self-test and latency; only for files that you trust."""

    def run(self) -> int:
        """Inspect and print.

        Returns:
            The exit code: 1 if the self-test failed, else 0.
        """
        with status() as now:
            now.phase("loading torch")
            from tidegate.ship import inspect  # slow to load: not for --help

            found = inspect(self.file, run_c=self.run_c)
        screen = console()
        print_line(screen, str(self.file), style="bold")
        rows = table("", "")
        rows.show_header = False
        rows.columns[1].justify, rows.columns[1].no_wrap = "left", False
        for label, text in found.lines():
            rows.add_row(shown(label), shown(in_shell(text, ["run_c"])))
        screen.print(rows)
        return int(found.tested is not None and found.tested.passed is False)
