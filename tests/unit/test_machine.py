"""The processors that a process may use, ``--threads``, and threads that hold each other up on a busy machine."""

import dataclasses
import os
import subprocess
import sys
import threading

import pytest
import torch

from tidegate import machine
from tidegate.cli import Command, _run
from tidegate.cli.threads import use_threads
from tidegate.cli.train import Order
from tidegate.errors import InputError, TidegateWarning
from tidegate.train import crowd

GROUPS = {
    "none": ("0::/\n", {}, float("inf")),
    "unlimited": ("0::/\n", {"cpu.max": "max 100000"}, float("inf")),
    "one and a half": ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 1.5),
    "that of a parent": ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2),
    "hybrid": ("0::/a\n", {"unified/a/cpu.max": "300000 100000"}, 3),
    "version 1": (
        "4:cpu,cpuacct:/job\n3:memory:/job\n",
        {"cpu,cpuacct/job/cpu.cfs_quota_us": "50000", "cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
        0.5,
    ),
    "version 1, seen from inside": (
        "4:cpu:/docker/123\n",
        {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"},
        2.5,
    ),
    "version 1, unlimited": (
        "4:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        float("inf"),
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_smallest_quota_of_the_control_groups_counts(tmp_path, name) -> None:
    groups, limits, expected = GROUPS[name]
    files = {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{path}": text for path, text in limits.items()}}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert machine.quota(tmp_path) == expected


def test_a_machine_without_control_groups_has_no_quota(tmp_path) -> None:
    assert machine.quota(tmp_path) == float("inf")


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (1.9, 1), (2.0, 2), (2.9, 2), (99, 4), (float("inf"), 4)])
def test_processors_are_those_bound_to_within_the_quota(monkeypatch, quota, expected) -> None:
    monkeypatch.setattr(machine, "bound", lambda: 4)
    monkeypatch.setattr(machine, "quota", lambda: quota)
    assert machine.processors() == expected


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (1.0, 1), (1.2, 2), (2.0, 2), (99, 4), (float("inf"), 4)])
def test_the_engine_uses_no_more_threads_than_the_quota_feeds(monkeypatch, quota, expected) -> None:
    monkeypatch.setattr(machine, "bound", lambda: 4)
    monkeypatch.setattr(machine, "quota", lambda: quota)
    assert machine.most_threads() == expected
    monkeypatch.setattr(machine, "bound", lambda: 1)
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine.most_threads() == expected


@pytest.mark.parametrize(
    ("given", "loaded", "count", "brief"),
    [({}, False, "1000", True), ({}, True, "1000", False), ({"OMP_WAIT_POLICY": "active"}, True, None, True)],
)
def test_threads_wait_briefly_unless_torch_is_loaded_or_the_user_decides(
    monkeypatch, given, loaded, count, brief
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(sys, "modules", {"torch": torch} if loaded else {})
    monkeypatch.setattr(machine, "waits_briefly", None)
    machine.wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == count
    assert machine.waits_briefly == brief


def test_openmp_reads_what_tidegate_sets_before_it_loads_torch() -> None:
    code = "import tidegate, sys; assert 'torch' not in sys.modules; import torch"
    environment = {name: value for name, value in os.environ.items() if name not in machine.WAITING}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = [line for line in run.stderr.splitlines() if "SPINCOUNT" in line]
    if not shown:
        pytest.skip("this torch has another OpenMP than GNU's")
    assert all("'1000'" in line for line in shown)


@dataclasses.dataclass
class Recorder:
    threads: int
    seen: tuple = ()

    def run(self) -> None:
        self.seen = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


def test_a_command_computes_with_the_threads_that_it_is_given(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    command = Recorder(3)
    assert _run(command, speaks=True) == 0
    assert command.seen == (3, "3")
    assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (before, "1")


@pytest.mark.parametrize(("variable", "quota", "expected"), [("5", 2, "5"), (None, 2, "2"), (None, 8, None)])
def test_unless_given_they_are_those_of_the_user_or_within_the_quota(monkeypatch, variable, quota, expected) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr("tidegate.cli.threads.bound", lambda: 8)
    monkeypatch.setattr("tidegate.cli.threads.processors", lambda: quota)
    with use_threads(None):
        assert os.environ.get("OMP_NUM_THREADS") == expected


def test_a_number_of_threads_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="--threads must be between 1 and 1024, got 0"), use_threads(0):
        pass


def test_every_command_that_computes_has_the_option() -> None:
    verbs = [part.__origin__ for part in Command.__args__]
    without = {kind.__name__ for kind in verbs if "threads" not in {field.name for field in dataclasses.fields(kind)}}
    assert without <= {"Cells", "Engine", "Trace", "Train", "Compare", "Inspect"}  # Inspect times one thread
    assert "threads" in {field.name for field in dataclasses.fields(Order)}  # of train


# --- threads that hold each other up ---


@pytest.fixture
def pair(monkeypatch):
    """Two threads, and a torch that was loaded before Tidegate."""
    monkeypatch.setattr(machine, "waits_briefly", False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def slow(monkeypatch, *ratios: float) -> list[int]:
    """Make the threads these times as slow as one at each look; returns the sizes that were timed."""
    timed: list[int] = []

    def seconds(elements: int) -> float:
        timed.append(elements)
        ratio = ratios[min(len(timed) // 2, len(ratios) - 1)] if elements == crowd.SHARED else 1
        return ratio * elements

    monkeypatch.setattr(crowd, "_seconds", seconds)
    return timed


def holders() -> int:
    return sum(thread.name == crowd.NAME for thread in threading.enumerate())


def test_threads_that_hold_each_other_up_are_noticed_once_and_relieved_until_the_end(monkeypatch, pair) -> None:
    slow(monkeypatch, 50, 1)
    with crowd.unhindered() as look:
        with pytest.warns(TidegateWarning, match=r"2 threads .* 50 times as slow as one; from here on they sleep"):
            look()
        assert holders() >= 1
        look()  # nothing more to say
    assert holders() == 0


def test_where_nothing_helps_the_note_says_what_would(monkeypatch, pair) -> None:
    slow(monkeypatch, 50)
    with crowd.unhindered() as look, pytest.warns(TidegateWarning, match=r"torch.set_num_threads\(1\)"):
        look()


def test_threads_that_help_are_looked_at_again_only_after_a_pause(monkeypatch, pair) -> None:
    timed = slow(monkeypatch, 0.6)
    with crowd.unhindered() as look:
        for _ in range(5):
            look()
    assert timed == [crowd.SHARED, crowd.ALONE]
    assert holders() == 0


@pytest.mark.parametrize(("count", "brief"), [(1, False), (2, True)])
def test_one_thread_or_brief_waiting_needs_no_look(monkeypatch, pair, count, brief) -> None:
    monkeypatch.setattr(machine, "waits_briefly", brief)
    torch.set_num_threads(count)
    timed = slow(monkeypatch, 50)
    with crowd.unhindered() as look:
        look()
    assert timed == []


LATE = """
import subprocess, sys, warnings
import torch
from tidegate.train import crowd
torch.set_num_threads(2)
crowd.LOOK_SECONDS = 0.2
others = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(2)]
try:
    with warnings.catch_warnings(record=True) as caught, crowd.unhindered() as look:
        warnings.simplefilter("always")
        look()
        print(len(caught), crowd._slowness())
finally:
    for other in others:
        other.kill()
"""


@pytest.mark.skipif(machine.processors() != 2, reason="needs two processors, both busy")
def test_beside_other_programs_threads_are_relieved_in_earnest() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in machine.WAITING}
    run = subprocess.run([sys.executable, "-c", LATE], env=environment, capture_output=True, text=True, check=True)
    count, relieved = run.stdout.split()
    if count == "0":
        pytest.skip("the scheduler let the threads run side by side all the time")
    assert float(relieved) < crowd.TOO_SLOW
