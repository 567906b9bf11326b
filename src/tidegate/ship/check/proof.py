"""The self-tests of artefacts, run here as far as they can be."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.errors import BackendError, MissingError
from tidegate.ship.c import Source
from tidegate.ship.check.compiled import Compiled
from tidegate.ship.onnx import selftest

RIGHT = 1e-4  # of an answer, or of 1: above that a runtime is not right


@dataclass(frozen=True)
class Tested:
    """A self-test.

    Attributes:
        file: that holds it.
        passed: None where it could not be run.
        says: the result, or why there is none.
    """

    file: str
    passed: bool | None
    says: str


def onnx_tested(name: str, content: bytes) -> Tested:
    """The self-test of one ONNX file."""
    try:
        error = selftest(content)
    except MissingError as missing:
        return Tested(name, None, str(missing))
    except BackendError as wrong:
        return Tested(name, passed=False, says=str(wrong))
    return Tested(name, error <= RIGHT, f"largest error {error:.2g} in onnxruntime, of at most {RIGHT:g}")


def c_tested(source: Source) -> tuple[Tested, Compiled | None]:
    """The self-test of one C source, and the same compiled, if a compiler takes it."""
    name = f"{source.name}.c"
    try:
        compiled = Compiled(source)
    except BackendError as error:
        return Tested(name, None if error.code == "NO_C_COMPILER" else False, str(error)), None
    wrong = compiled.selftest()
    says = f"{wrong} numbers of a known answer are wrong" if wrong else "all numbers of a known answer are right"
    return Tested(name, wrong == 0, says), compiled
