"""The built wheel, not the source tree: everything is inside, and it works from where it is installed."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("scikit_build_core", reason="building the wheel needs scikit-build-core: make test installs it")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_one_wheel_serves_every_python(wheel) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 2_000_000


def test_every_file_of_the_package_is_inside(wheel) -> None:
    source = ROOT / "src"
    wanted = {str(path.relative_to(source)) for path in (source / "tidegate").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())
    assert {"tidegate/py.typed", "tidegate/data/bundled/jsb/LICENSE"} <= wanted


def test_it_works_from_where_it_is_installed(wheel, tmp_path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import tidegate, sys; assert tidegate.__file__.startswith(sys.argv[1]), tidegate.__file__\n"
        "from tidegate import report, tasks\n"
        "assert all(tasks.bundled(name).data.hash for name in ('jsb', 'elnino', 'shakespeare'))\n"
    )
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path)],  # -S: no hook of an editable install gets in the way
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), packages])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
