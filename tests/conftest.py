"""Settings and fixtures that hold for every test."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from tests.architecture.house import House

# Compiled cells are kept beside the build, not in the user's cache; workers of a parallel run share them.
os.environ.setdefault("TIDEGATE_CACHE", str(Path(__file__).parents[1] / "build" / "test-cache"))

# A worker of a parallel run has one core: two threads in each would wait for the others' at every small step.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every machine and no deadline: a shared runner can be slow at any moment.
settings.register_profile(
    "tidegate",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tidegate")


def pytest_terminal_summary(terminalreporter):
    """End the run with what is longer than it should be: a signal to redesign, not a failure."""
    if lines := House().over_budget:
        terminalreporter.section("over budget: functions of 40 lines, files of 400")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def benchmark_script():
    """Load a script of benchmarks/ as a module, so that tests check what the documentation quotes."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
        module_spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
        return module

    return load
