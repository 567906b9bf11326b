"""Every exception that Tidegate raises on purpose, as one tree; and text that is safe to print.

An error says what was expected, what came, and what to do about it: of a name that is nearly right, which was
meant. ``code`` is stable and meant for programs; the message is meant for people.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

EXTRAS = {  # module that the core does not install: the extra that does
    **dict.fromkeys(("jinja2", "jiwer", "markupsafe", "matplotlib", "mido", "pandas", "sacrebleu"), "tasks"),
    **dict.fromkeys(("scipy", "sentencepiece", "sklearn", "soundfile", "tomli_w"), "tasks"),
    "dp_accounting": "private",
    "h5py": "hdf5",
    "keras": "keras",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "pyarrow": "parquet",
    "ray": "ray",
    **dict.fromkeys(("dask", "distributed"), "dask"),
    "tensorboard": "log",
}
# C0 and C1 controls, ends of lines, overrides of the direction of writing, halves of surrogate pairs
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LONG = re.compile(r"\S{300,}")  # no word or path that a reader knows again has so many characters
CLOSE = 0.75  # of 1; at difflib's 0.6 half of the names in a folder resemble each other


class TidegateError(Exception):
    """Base of all errors raised by Tidegate.

    Args:
        code: a stable upper-case identifier, e.g. ``"SHAPE_INPUT"``.
        message: what was expected and what came instead.
        fix: what the reader can do about it.

    Example:
        >>> import tidegate as tg
        >>> try:
        ...     tg.nn.Recurrent("lsmt", 8, 16)
        ... except tg.errors.TidegateError as error:
        ...     error.code, error.message
        ('CELL_UNKNOWN', "there is no cell 'lsmt'; did you mean 'lstm'?")
    """

    def __init__(self, code: str, message: str, *, fix: str = "") -> None:
        self.code = code
        self.message = LONG.sub(_shortened, message)
        self.fix = LONG.sub(_shortened, fix)
        super().__init__(code, self.message, self.fix)

    def __reduce__(self) -> tuple[Callable[..., TidegateError], tuple[Any, ...]]:
        return _rebuild, (type(self), self.code, self.message, self.fix)

    def __str__(self) -> str:
        return f"{self.message} — {self.fix}" if self.fix else self.message


def _shortened(found: re.Match[str]) -> str:
    return f"{found[0][:60]}...{found[0][-20:]}"


def _rebuild(kind: type[TidegateError], code: str, message: str, fix: str) -> TidegateError:
    """Unpickling: errors travel from worker processes."""
    return kind(code, message, fix=fix)


class TidegateWarning(UserWarning):
    """A call works, but not in the way that the caller may expect. Commands print it as a note."""


class DataWarning(TidegateWarning):
    """A note on data: what was left out or filled, which of two readings was chosen, which rows are in two parts."""


class SpecError(TidegateError):
    """The definition of a cell says something that cannot be meant."""


class InputError(TidegateError, ValueError):
    """The caller passed something that cannot be used."""


class EmitError(TidegateError):
    """This target cannot express that cell."""


class BackendError(TidegateError):
    """A compiler, driver, device or worker process failed."""


class MissingError(TidegateError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


class InternalError(TidegateError):
    """A bug in Tidegate: please report it with the program that the message prints."""


def note(*texts: str) -> None:
    """Warn of what was left out of data or chosen between two readings, in the name of who called the library."""
    package, level, frame = __name__.partition(".")[0], 2, sys._getframe(1)  # noqa: SLF001  Python 3.12 has a public way
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    for text in texts:
        warnings.warn(text, DataWarning, stacklevel=level)


@contextmanager
def explain_missing() -> Iterator[None]:
    """Name the extra to install when an import in this block fails for want of an optional package.

    Raises:
        MissingError: the package belongs to one of ``EXTRAS``. Other errors pass unchanged.

    Example:
        >>> from tidegate.errors import explain_missing
        >>> with explain_missing():
        ...     raise ModuleNotFoundError(name="onnx")
        Traceback (most recent call last):
            ...
        tidegate.errors.MissingError: the package onnx is not installed — pip install 'tidegate[onnx]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        fix = f"pip install 'tidegate[{EXTRAS[module]}]'"
        raise MissingError("MISSING", f"the package {module} is not installed", fix=fix) from error


def visible(text: str, keep: str = "") -> str:
    r"""The text with escapes for characters that would control a terminal, such as those in a stranger's file.

    Args:
        text: of any origin.
        keep: characters that stay, such as ends of lines.

    Examples:
        >>> visible("a\x1b[2Jb\n")
        'a\\x1b[2Jb\\n'
    """
    return HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def did_you_mean(name: str, known: Iterable[str], part: Callable[[str], str] = str) -> str:
    """The end of an error message: ``"; did you mean 'x' or 'y'?"``, or nothing if no known name is near.

    Args:
        name: what the caller wrote.
        known: the names that there are.
        part: what to compare of a name.

    Example:
        >>> from tidegate.errors import did_you_mean
        >>> did_you_mean("lsmt", ["lstm", "gru"])
        "; did you mean 'lstm'?"
    """
    parts: dict[str, list[str]] = {}
    for entry in known:
        parts.setdefault(part(entry).casefold(), []).append(entry)
    close = get_close_matches(part(name).casefold(), parts, n=3, cutoff=CLOSE)
    near = [entry for found in close for entry in parts[found]][:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
