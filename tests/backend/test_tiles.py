"""Tiles of each kind: instructions against what is known of them, who chooses which, whole layers through each."""

from __future__ import annotations

import ctypes
import errno
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.backend.test_pool import compiled
from tests.backend.tiles import names, tiles
from tests.reference import half_zoo, stepping
from tests.reference.half import FORMATS
from tests.reference.half_zoo import Shape, examined, layer_of
from tidegate.cli import main
from tidegate.errors import InputError
from tidegate.runtime import library
from tidegate.runtime.processor import Processor
from tidegate.runtime.tiles import TABLE, choose, left_aside

CHECK = Path(__file__).with_name("tile_check.cpp")
EVERYTHING = Processor(flags=frozenset().union(*(own.needs for own in TABLE)))
KINDS = names()


# Registers and instructions


@pytest.fixture(scope="module")
def check(tmp_path_factory) -> Path:
    flags = ["-O1", "-Wno-psabi", "-Wno-parentheses", *library.ISAS[library.isa()]]
    program, said = compiled(CHECK, flags, tmp_path_factory.mktemp("tiles"))
    assert program.exists(), said
    return program


def test_the_check_of_registers_finds_every_planted_mistake_and_no_other(check):
    """An instruction with one sum, with denormal numbers, with signed bytes, a load with another stride."""
    done = subprocess.run([check], capture_output=True, text=True, check=True)
    by_instruction, by_registers = done.stdout.splitlines()
    assert by_instruction in ("0", "-1"), "vdpbf16ps has other bits than its emulation; -1: there is none here"
    assert by_registers == "0 0 | 1 1 2 1"


@pytest.mark.parametrize("misuse", ["unconfigured", "misshaped"])
def test_emulated_registers_end_what_a_processor_would_refuse(check, misuse):
    assert subprocess.run([check, misuse], capture_output=True, check=False).returncode < 0


# Choice


class Engine:
    """A library with every kind of tiles, and what Linux and the check of registers would say."""

    def __init__(self, refused: int = 0, wrong: int = 0) -> None:
        self.chosen: list[str] = []
        self.asked = 0
        self.refused, self.wrong = refused, wrong

    def tg_tiles(self, name: bytes) -> int:
        self.chosen.append(name.decode())
        return 1

    def tg_ask_for_tiles(self) -> int:
        self.asked += 1
        return self.refused

    def tg_check_tiles(self, memory: ctypes.Array | None) -> int:
        return self.wrong if memory else 64


def chosen(engine: Engine, processor: Processor = EVERYTHING) -> dict[str, str]:
    return choose(processor, engine)  # type: ignore[arg-type]


def test_the_quickest_that_are_proven_are_chosen(monkeypatch):
    monkeypatch.delenv("TIDEGATE_TILES", raising=False)
    engine = Engine()
    assert chosen(engine) == {"bfloat16": "avx512_bf16", "int8": "avx512_vnni"}
    assert engine.chosen[-2:] == ["avx512_bf16", "avx512_vnni"]
    assert not engine.asked
    assert chosen(engine, Processor()) == {"bfloat16": "plain", "int8": "plain_int8"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("amx", {"bfloat16": "amx", "int8": "amx_int8"}),
        ("amx-emulated", {"bfloat16": "amx-emulated", "int8": "amx-emulated_int8"}),
        ("plain", {"bfloat16": "plain", "int8": "plain_int8"}),
        ("avx_vnni", {"bfloat16": "avx512_bf16", "int8": "avx_vnni"}),
    ],
)
def test_the_environment_names_others(monkeypatch, word, found):
    monkeypatch.setenv("TIDEGATE_TILES", word)
    engine = Engine()
    assert chosen(engine) == found
    assert bool(engine.asked) == (word == "amx")


@pytest.mark.parametrize(
    ("engine", "processor", "message"),
    [
        (Engine(), Processor(), r"'amx', but this engine runs plain, amx-emulated here"),
        (Engine(refused=errno.EOPNOTSUPP), EVERYTHING, "no tile registers for this process: Operation not supported"),
        (Engine(refused=-1), EVERYTHING, "this is no Linux"),
        (Engine(wrong=1), EVERYTHING, "tdpbf16ps of this processor has other bits than its emulation"),
        (Engine(wrong=2), EVERYTHING, "tdpbusd of this processor has other bits than its emulation"),
    ],
)
def test_amx_is_refused_with_a_reason(monkeypatch, engine, processor, message):
    monkeypatch.setenv("TIDEGATE_TILES", "amx")
    with pytest.raises(InputError, match=message):
        chosen(engine, processor)


def test_what_is_off_says_why(capsys):
    assert dict(left_aside(Processor()))["amx"] == "this processor lacks amx_bf16 amx_int8 amx_tile"
    assert dict(left_aside(EVERYTHING))["amx"].startswith("no machine has run them yet; TIDEGATE_TILES=amx")
    assert main(["engine"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"tiles, bfloat16 {library.load().tiles['bfloat16']}" in printed
    assert "off: slow: they are for tests of the logic of AMX" in printed


# Whole layers

CASES = {
    "lstm": (Shape(3, 21, 19, 7), (3,) * 9 + (2,) * 5 + (1,) * 7),
    "gru/before": (Shape(3, 2, 33, 40), None),
    "indrnn": (Shape(4, 3, 20, 35), None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CASES)
def test_layers_by_each_kind_have_the_steps_of_rounded_equations(kind, cell):
    """Outputs, states and every gradient, against float64."""
    shape, lengths = CASES[cell]
    case = half_zoo.draw(cell, shape, lengths=lengths)
    with tiles(kind):
        layer = examined(layer_of(case), "bfloat16", check=lambda one: _must_be_fused(one.last_path))
        verdict = stepping.compare(case.call, layer, case.step, case.parameters, FORMATS["bfloat16"])
    assert verdict.share < 1
    assert verdict.typical < 1e-6


def _must_be_fused(path: str) -> None:
    assert path == "fused"


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_threads_share_tiles_without_a_trace(kind):
    """Every number of sequences beside others, and two threads, with the bits of one alone."""
    case = half_zoo.draw("lstm", Shape(24, 37, 40, 9))  # up to 8 rows in all, matrices would be read as stored
    with tiles(kind):
        layer = examined(layer_of(case), "bfloat16")
        together = layer(case.call)
        for rows in (slice(0, 3), slice(3, 20)):
            part = replace(
                case.call,
                x=case.call.x[:, rows],
                lengths=case.call.lengths[rows],
                first=tuple(s[rows] for s in case.call.first),
                dy=case.call.dy[:, rows],
                dlast=tuple(s[rows] for s in case.call.dlast),
            )
            assert torch.equal(layer(part).y, together.y[:, rows])
            assert torch.equal(layer(part).dx, together.dx[:, rows])
