"""The built wheel, not the source tree: everything is inside, and it works from where it is installed."""

import platform
import sysconfig
import zipfile

import pytest

from tests.packaging.conftest import ROOT
from tidegate.runtime import library

pytestmark = pytest.mark.timeout(900)  # the build shares its processors with the rest of the run

LIBRARIES = "tidegate/engine/lib/"


def names(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def expected_isas() -> set[str]:
    return set(library.ISAS) if platform.machine().lower() in ("x86_64", "amd64") else {"baseline"}


def test_one_wheel_serves_every_python_of_a_platform(wheel) -> None:
    assert "-py3-none-" in wheel.name
    assert wheel.name.endswith(f"{sysconfig.get_platform().replace('-', '_').replace('.', '_')}.whl")
    assert wheel.stat().st_size < 8_000_000  # of which the data sets are 1.7; optimised libraries are half as large


def test_without_a_compiler_it_serves_every_platform(plain_wheel) -> None:
    assert plain_wheel.name.endswith("-py3-none-any.whl")
    assert plain_wheel.stat().st_size < 3_600_000  # of which the data sets are 1.7


@pytest.mark.parametrize("kind", ["wheel", "plain_wheel"])
def test_every_file_of_the_package_is_inside(kind, request) -> None:
    source = ROOT / "src"
    wanted = {str(path.relative_to(source)) for path in (source / "tidegate").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name and not name.startswith(LIBRARIES)}
    assert wanted <= names(request.getfixturevalue(kind))
    assert {"tidegate/py.typed", "tidegate/data/bundled/jsb/LICENSE", "tidegate/engine/cell.h"} <= wanted


def test_a_library_for_each_instruction_set_is_inside_and_nothing_else_of_the_build(wheel, plain_wheel) -> None:
    added = {f"{LIBRARIES}tidegate-{isa}.so" for isa in expected_isas()} | {f"{LIBRARIES}sources.txt"}
    assert names(wheel) - names(plain_wheel) == added


def test_it_works_from_where_it_is_installed(wheel, run_installed) -> None:
    run_installed(
        wheel,
        "import tidegate, sys; assert tidegate.__file__.startswith(sys.argv[1]), tidegate.__file__\n"
        "from tidegate import report, tasks\n"
        "assert all(tasks.load(name).data.hash for name in ('jsb', 'elnino', 'shakespeare'))\n",
    )
