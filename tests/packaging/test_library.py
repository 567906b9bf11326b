"""The native libraries of the wheel: they are found, hold every cell of the zoo, and run where they must."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, run
from tests.packaging.test_wheel import LIBRARIES, expected_isas
from tidegate import zoo
from tidegate.emit.compiled import Compiled
from tidegate.passes import project
from tidegate.runtime import library
from tidegate.zoo.keras import STORED

pytestmark = pytest.mark.timeout(900)  # the build shares its processors with the rest of the run

# AVX and what came after it: wide registers, or the three-operand forms, whose names begin with v.
WIDE = re.compile(r"%[yz]mm|\tv[a-z]")

LAYERS = """
import os, sys, warnings
import torch
import tidegate
from tidegate import nn, zoo

def check(cell):
    torch.manual_seed(0)
    layer = nn.LSTM(7, 19) if cell is zoo.LSTM else nn.Recurrent(cell, 19 if cell.graph.input_axis == "H" else 7, 19)
    x = torch.randn(5, 3, layer.input_size, requires_grad=True)
    layer.trace(x)
    y, _ = layer(x)
    y.sum().backward()
    found = [y, x.grad, *(p.grad for p in layer.parameters())]
    x.grad = None
    layer.zero_grad()
    twin = layer.double()
    with torch.autograd.forward_ad.dual_level():  # which the engine leaves to the eager definition
        y, _ = twin(x.double())
    y.sum().backward()
    for a, b in zip(found, [y, x.grad, *(p.grad for p in twin.parameters())], strict=True):
        torch.testing.assert_close(a, b.to(a.dtype), rtol=1e-4, atol=1e-5)
"""

ENGINE = (
    LAYERS
    + """
import re
from tidegate import passes
from tidegate.runtime import library
from tidegate.emit.compiled import Compiled
from tidegate.zoo.keras import STORED

warnings.simplefilter("error")
check(zoo.LSTM)
check(zoo.MGU)
assert library.load.cache_info().currsize == 1  # the engine was asked
loaded = library.load()
assert str(loaded.path).startswith(sys.argv[1]), loaded.path
assert loaded.path.with_name("sources.txt").read_text().strip() == library.sources_hash()
graphs = [cell.graph for cell in (*zoo.IN_WHEEL, *STORED)]
for graph in (*graphs, passes.project(zoo.LSTM.graph)):
    text = "".join(own.source.text for own in Compiled(graph).variants)
    functions = re.findall(r"TIDEGATE_POINTWISE\\((tg_\\w+)", text)
    assert functions, graph.name
    for function in functions:
        assert hasattr(loaded.engine, function + "_f32") and hasattr(loaded.engine, function + "_f64"), graph.name
assert not os.path.exists(os.environ["TIDEGATE_CACHE"])
"""
)

EAGER = (
    LAYERS
    + """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    check(zoo.LSTM)
    check(zoo.MGU)
(warning,) = caught
print(warning.message)
"""
)


@pytest.mark.parametrize("isa", library.ISAS)
def test_every_cell_is_there_and_nothing_is_compiled(isa, wheel, run_installed) -> None:
    if isa not in library._available_isas():
        pytest.skip(f"this processor has no {isa}")
    run_installed(wheel, ENGINE, TIDEGATE_ISA=isa)


def test_without_a_compiler_layers_run_eagerly_and_say_so_once(plain_wheel, run_installed) -> None:
    assert "no C++ compiler was found" in run_installed(plain_wheel, EAGER)


def test_changed_sources_are_not_run_by_an_old_library(wheel, run_installed, tmp_path) -> None:
    changed = tmp_path / "changed.whl"
    shutil.copy(wheel, changed)
    with zipfile.ZipFile(changed, "a") as archive:
        archive.writestr("tidegate/engine/newer.h", "")
    assert "no C++ compiler was found" in run_installed(changed, EAGER)


@pytest.fixture(scope="module")
def libraries(wheel, tmp_path_factory) -> dict[str, Path]:
    site = tmp_path_factory.mktemp("libraries")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return {isa: site / LIBRARIES / f"tidegate-{isa}.so" for isa in expected_isas()}


def output_of(tool: str, *arguments: str) -> str:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed (Debian: apt install binutils)")
    return run([tool, *arguments])


def test_libraries_export_nothing_but_the_interface(libraries) -> None:
    for path in libraries.values():
        lines = output_of("nm", "-D", "--defined-only", str(path)).splitlines()
        assert {"tg_run", "tg_workspace"} <= {line.split()[-1] for line in lines}
        assert [line for line in lines if not line.split()[-1].startswith("tg_")] == []


def test_libraries_need_no_standard_library_of_the_language(libraries) -> None:
    for path in libraries.values():
        needed = re.findall(r"NEEDED\s+(\S+)", output_of("objdump", "-p", str(path)))
        assert {re.sub(r"[-.].*", "", name) for name in needed} <= {"libc", "libm", "libpthread", "ld"}, needed


def test_the_baseline_runs_on_every_processor(libraries) -> None:
    if len(libraries) == 1:
        pytest.skip("this processor knows one instruction set")
    wide = {isa: bool(WIDE.search(output_of("objdump", "-d", str(path)))) for isa, path in libraries.items()}
    assert wide == {"x86-64-v4": True, "x86-64-v3": True, "baseline": False}


def test_libraries_are_compiled_as_the_runtime_compiles(wheel, compiled) -> None:
    flags = {flag for flag in library.FLAGS if flag != "-shared" and not flag.startswith("-Wl,")}
    commands = [set(line.split()) for line in compiled.read_text().splitlines() if "engine.cpp" in line]
    commands = [command for command in commands if "-c" in command]
    assert len(commands) == len(expected_isas())
    for own in (library.ISAS[isa] for isa in expected_isas()):
        assert any({*flags, *own} <= command for command in commands), own
    assert all(flags <= command for command in commands)


def test_cells_are_emitted_by_a_bare_python(tmp_path) -> None:
    """Were it not so, a source install would go on without libraries, as it does without a compiler."""
    subprocess.run([sys.executable, "-I", "-S", "-B", str(ROOT / "cmake/emit_zoo.py"), str(tmp_path)], check=True)
    assert (tmp_path / "sources.txt").read_text().strip() == library.sources_hash.__wrapped__()
    text = "".join(path.read_text() for path in tmp_path.glob("*.cpp"))
    graphs = [cell.graph for cell in (*zoo.IN_WHEEL, *STORED)]
    keys = {own.source.key for graph in (*graphs, project(zoo.LSTM.graph)) for own in Compiled(graph).variants}
    assert set(re.findall(r"namespace cell_(\w+)", text)) == keys
    flags = re.findall(r'FLAGS_(\S+) "(.*)"', (tmp_path / "settings.cmake").read_text())
    assert {isa: tuple(text.split()) for isa, text in flags} == library.ISAS
