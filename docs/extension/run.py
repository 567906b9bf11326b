"""The code of one page, run in a process of its own: nothing that it sets outlives it, and its seeds are its own."""

import contextlib
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

from . import figure

LANGUAGES = ("python", "shell")
LIMIT = 300  # seconds for a page
OURS = 'python() { "$PYTHON" "$@"; }; tidegate() { python -m tidegate "$@"; }'  # those that build the site
Block = tuple[str, str, int]  # language, code, line of the page
Output = dict[str, Any]  # {"text": what was printed, "figures": SVG}


class CodeError(Exception):
    """The code of a page failed.

    Attributes:
        line: of the page, where the failing block begins.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message, line)
        self.line = line

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def server() -> multiprocessing.context.BaseContext:
    """Processes begin as copies of one that has imported the heavy packages, and has computed nothing."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # which Python 3.11 does not tell the server
    context.set_forkserver_preload([__name__, "torch", "tidegate.nn"])
    return context


def apart(file: str, blocks: list[Block], name: str) -> list[Output]:
    """The outputs of a page's blocks.

    Raises:
        CodeError: a block failed, or did not end in time.
    """
    ours, theirs = server().Pipe(duplex=False)
    process = server().Process(target=answer, args=(theirs, file, blocks, name))
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(LIMIT) else CodeError(f"did not end within {LIMIT} s", blocks[0][2])
    except EOFError:
        process.join()
        found = CodeError(f"the process of its code ended with {process.exitcode}", blocks[0][2])
    process.kill()
    process.join()
    if isinstance(found, CodeError):
        raise found
    return found


def answer(to: Connection, file: str, blocks: list[Block], name: str) -> None:
    """Send the outputs, or the error."""
    try:
        to.send(outputs(file, blocks, name))
    except CodeError as error:
        to.send(error)


def outputs(file: str, blocks: list[Block], name: str) -> list[Output]:
    """Run the blocks in an empty folder, one after another."""
    import torch

    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "__page__"}
    found = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for language, code, line in blocks:
            try:
                drawn = f"{name[:8]}-{len(found)}"
                found.append(commands(code) if language == "shell" else python(file, code, line, names, drawn))
            except (Exception, SystemExit) as error:
                raise CodeError(f"the code of this page failed\n{told(error, file)}", line) from error
    return found


def python(file: str, code: str, line: int, names: dict[str, Any], drawn: str) -> Output:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(action="always"), figure.style():
        warnings.showwarning = lambda text, kind, *_, **__: print(f"{kind.__name__}: {text}")  # noqa: T201
        exec(compile("\n" * line + code, file, "exec"), names)  # noqa: S102  the page's own code
        return {"text": printed.getvalue(), "figures": figure.drawn(drawn)}


def commands(code: str) -> Output:
    environment = {**os.environ, "PYTHON": sys.executable, "NO_COLOR": "1", "COLUMNS": "100"}
    text = ""
    for line in code.splitlines():
        command = ["bash", "-c", f"{OURS}\n{line}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"{line}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        text += f"$ {line}\n{done.stdout}"
    return {"text": text, "figures": []}


def told(error: BaseException, file: str) -> str:
    """The traceback from the page's own line on."""
    told = traceback.TracebackException.from_exception(error)
    while told.stack and told.stack[0].filename != file and any(frame.filename == file for frame in told.stack):
        del told.stack[0]
    return "".join(told.format()).rstrip()
