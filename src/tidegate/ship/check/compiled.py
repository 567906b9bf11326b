"""C of ours, compiled here into a shared library and called from Python."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.errors import BackendError, InputError
from tidegate.phase import phase
from tidegate.ship.c import Source
from tidegate.ship.flow import Answer, Flow
from tidegate.ship.flow.node import Array

FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared")
COMPILERS = ("cc", "gcc", "clang")
STRUCTURE = re.compile(r"typedef struct \{\n(.*?)\n\} (\w+);", re.DOTALL)
MEMBER = re.compile(r"^\s*(\w+) (\w+)(?:\[(\d+)\])?;", re.MULTILINE)
DTYPES = {"float": "f4", "int32_t": "i4", "int": "i4", "int8_t": "i1", "int16_t": "i2", "char": "i1"}
DRIVER = """\
#include "{name}.h"
size_t driver_size(void) {{ return sizeof({name}_state); }}
size_t driver_run({name}_state *state, const {read} *in, {written} *out, size_t n)
{{
    {run}
}}
"""
STEPS = "for (size_t t = 0; t < n; ++t) {check};\n    return 0;"


def compiler() -> list[str]:
    """The command of the system's C compiler; ``CC`` names another.

    Raises:
        BackendError: there is none.
    """
    chosen = shlex.split(os.environ.get("CC", "")) or next(([own] for own in COMPILERS if shutil.which(own)), [])
    if not chosen or not shutil.which(chosen[0]):
        raise BackendError(
            "NO_C_COMPILER",
            f"no C compiler was found ({' '.join(chosen) or ', '.join(COMPILERS)})",
            fix="install one (Debian: apt install gcc), or set CC",
        )
    return chosen


class Compiled:
    """A C source as functions.

    Args:
        source: of a layer or of a flow.

    Raises:
        BackendError: there is no compiler, or it refuses the source.
        InputError: the header is not one of ours.
    """

    def __init__(self, source: Source) -> None:
        phase(f"compiling {source.name}.c")
        self.name, self.header = source.name, source.header
        structures = {title: members(text) for text, title in STRUCTURE.findall(source.header)}
        if f"{self.name}_state" not in structures:
            raise InputError("C_HEADER", f"{self.name}.h declares no {self.name}_state", fix="pass a file of Tidegate")
        self.state = structures[f"{self.name}_state"]
        self.read, self.written = (
            structures.get(f"{self.name}_{kind}") or self._plain(f"{kind.upper()}_SIZE") for kind in ("input", "output")
        )
        self.streams, self._structured = f"{self.name}_step(" in source.header, f"{self.name}_input" in structures
        with tempfile.TemporaryDirectory(prefix="tidegate-", ignore_cleanup_errors=True) as folder:
            self._library = ctypes.CDLL(str(self._built(source, Path(folder))))
        if self.streams:
            self._library.driver_size.restype = ctypes.c_size_t
            self._library.driver_run.restype = ctypes.c_size_t
            if self._library.driver_size() != self.state.itemsize:
                raise BackendError("C_HEADER", f"{self.name}_state has another layout than Python reads of the header")

    def _plain(self, size: str) -> np.dtype[Any]:
        """A row of numbers, of the C of a layer."""
        found = re.search(rf"#define {self.name.upper()}_{size} (\d+)", self.header)
        if found is None:
            raise InputError("C_HEADER", f"{self.name}.h does not say {size}", fix="pass a file of Tidegate")
        return np.dtype([("x" if size.startswith("INPUT") else "y", "f4", (int(found[1]),))])

    def _built(self, source: Source, folder: Path) -> Path:
        source.write(folder)
        files, library = [folder / f"{source.name}.c"], folder / f"{source.name}.so"
        if self.streams:
            files.append(folder / "tidegate_driver.c")
            files[-1].write_text(self._driver(), encoding="utf-8")
        command = [*compiler(), *FLAGS, *map(str, files), "-o", str(library)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise BackendError(
                "C_COMPILE",
                f"{command[0]} refuses {source.name}.c: {done.stderr.strip().splitlines()[0] if done.stderr else ''}",
                fix="report this, with the version of the compiler",
            )
        return library

    def _driver(self) -> str:
        name = self.name
        if not self._structured:
            run = f"{name}_block(state, in, out, n);\n    return 0;"
            return DRIVER.format(name=name, read="float", written="float", run=run)
        call = f"{name}_step(state, in + t, out + t)"
        check = f"if ({call}) return t + 1" if f"int {name}_step(" in self.header else call
        run = STEPS.format(check=check)
        return DRIVER.format(name=name, read=f"{name}_input", written=f"{name}_output", run=run)

    def selftest(self) -> int:
        """How many numbers of a known answer come out wrong."""
        wrong: int = self._library[f"{self.name}_selftest"]()
        return wrong

    def begun(self) -> Array:
        """A state before the first step."""
        state = np.zeros(1, self.state)
        self._library[f"{self.name}_reset"](_address(state))
        return state

    def run(self, state: Array, rows: Array) -> Array:
        """Some steps, one after the other; the state changes.

        Raises:
            BackendError: a step refuses a symbol.
        """
        answers = np.zeros(len(rows), self.written)
        wrong = self._library.driver_run(_address(state), _address(rows), _address(answers), ctypes.c_size_t(len(rows)))
        if wrong:
            raise BackendError("C_STEP", f"{self.name}_step refuses row {wrong}: a symbol is out of range")
        return answers


class CRunner:
    """Runs a flow by the C of it, one sequence after the other.

    Args:
        flow: the flow.
        source: its C.
    """

    def __init__(self, flow: Flow, source: Source) -> None:
        self.flow, self.compiled = flow, Compiled(source)
        self._layers = dict(self._places())

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Sequence[int] | None = None,
        states: Mapping[str, Any] | None = None,
    ) -> Answer:
        """As ``Flow.run``. States of layers have the names that the flow gives them, others those of C."""
        own, given = self.compiled, {name: np.asarray(value) for name, value in inputs.items()}
        steps, size = next(iter(given.values())).shape[:2]
        ends = [steps] * size if lengths is None else list(lengths)
        found = {
            one.name: np.zeros((*((steps,) * (not one.last)), size, self.flow.kinds[one.node].width), np.float32)
            for one in self.flow.outputs
        }
        after = np.zeros(size, own.state)
        for k, end in enumerate(ends):
            state, rows = self._state(states or {}, k), np.zeros(end, own.read)
            for read, member in zip(self.flow.inputs, own.read.names or (), strict=True):
                rows[member] = given[read.name][:end, k].reshape(rows[member].shape)
            answers = own.run(state, rows)
            after[k] = state[0]
            for one, member in zip(self.flow.outputs, own.written.names or (), strict=True):
                value = answers[member].reshape(end, self.flow.kinds[one.node].width)
                if one.last and end:
                    found[one.name][k] = value[-1]
                elif not one.last:
                    found[one.name][:end, k] = value
        return Answer(found, self._states(after))

    def _places(self) -> Any:
        """The members of each state of a layer, in the order of [layers x directions]."""
        several = len(self.flow.recurrent) > 1
        for node in self.flow.recurrent:
            for state in node.recurrent.graph.states:
                label = rf"{state.name}_*_{f'{node.name}_' * several}l\d+(_reverse)?"
                yield (
                    f"{node.name}_{state.name}",
                    [m for m in self.compiled.state.names or () if re.fullmatch(label, m)],
                )

    def _state(self, states: Mapping[str, Any], row: int) -> Array:
        state = self.compiled.begun()
        for name, value in states.items():
            for k, member in enumerate(self._layers.get(name, [name])):
                state[member] = np.asarray(value)[row][k] if name in self._layers else np.asarray(value)[row]
        return state

    def _states(self, after: Array) -> dict[str, Array]:
        made = {
            name: np.stack([after[m].reshape(len(after), -1) for m in own], 1) for name, own in self._layers.items()
        }
        known = {member for own in self._layers.values() for member in own}
        return made | {name: after[name] for name in after.dtype.names or () if name not in known}


def members(text: str) -> np.dtype[Any]:
    """The layout of a structure, from the text between its braces."""
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    fields = [
        (name, DTYPES[kind], (int(size),)) if size else (name, DTYPES[kind])
        for kind, name, size in MEMBER.findall(plain)
    ]
    return np.dtype(fields, align=True)


def _address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
