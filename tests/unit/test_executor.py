"""Executors: the same runs wherever they run, also when a worker is killed; and what cannot be had is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.killed import compared, killed
from tidegate import compare, report, tasks
from tidegate.compare.executors import dask, process, ray, work
from tidegate.compare.executors.job import ENGINES, Job, Progress, Workers
from tidegate.compare.run import _machines
from tidegate.compare.trial import TrialSpec, instruction_sets, run_trial
from tidegate.compare.tuning import Candidate
from tidegate.errors import BackendError, InputError, MissingError, TidegateWarning
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.zoo import GRU

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker to kill in /proc")


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


@pytest.fixture(scope="module")
def spec() -> TrialSpec:
    task = tasks.load("elnino", setting=ForecastSetting(epochs=2, strategy="direct", difference="last"))
    return TrialSpec(task.to_json(), "GRU", GRU.graph.to_json(), 0, (Candidate(4e-3, 0, 1, 4),))


def without_times(folder: Path) -> list[str]:
    assert report.TIMING_COLUMNS == ("train_seconds",)
    return [line.rpartition(",")[0] for line in (folder / "runs.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    compared("process", folder, compare.Progress())
    return without_times(folder)


@LINUX
def test_processes_of_which_one_is_killed_end_with_the_same_runs(undisturbed, tmp_path) -> None:
    with pytest.warns(TidegateWarning, match="a worker process died"):
        record = killed("process", tmp_path)
    assert without_times(tmp_path) == undisturbed
    assert record.machine["workers"] == "process: 2, one thread each"
    assert {run.machine for run in record.runs} == {instruction_sets()}


@LINUX
@pytest.mark.parametrize(
    "engine", [pytest.param("ray", marks=needs("ray")), pytest.param("dask", marks=needs("distributed"))]
)
def test_a_cluster_of_which_a_worker_is_killed_ends_with_the_same_runs(undisturbed, tmp_path, engine) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES.values()}
    command = [sys.executable, "-m", "tests.unit.killed", engine, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == f"{engine}: 2, one thread each"  # after what Ray says of the dead worker
    assert without_times(tmp_path) == undisturbed


def test_a_pool_whose_workers_die_again_and_again_is_given_up(spec, tmp_path, monkeypatch) -> None:
    def broken(*_):
        raise process.BrokenProcessPool
        yield

    monkeypatch.setattr(process, "_run_pool", broken)
    with pytest.warns(TidegateWarning), pytest.raises(BackendError, match="died 4 times"):
        list(process.run(Job([spec], tmp_path, Workers(), Progress())))


def test_a_worker_takes_a_text_and_returns_one(spec, tmp_path) -> None:
    told = []
    done = work.done_of(work.work(spec.to_text(), str(tmp_path), told.append))
    record = done.record
    alone = run_trial(spec, tmp_path, lambda *_: None)
    assert [(epoch.epoch, epoch.valid) for epoch in record.curve] == [(e.epoch, e.valid) for e in alone.curve]
    assert (record.run, record.test) == (spec.hash, alone.test)
    assert len(done.model) > 1000
    assert [json.loads(text)["record"]["epoch"] for text in told] == [1, 2]
    assert list(tmp_path.iterdir()) == []
    assert TrialSpec.from_text(spec.to_text()).hash == spec.hash


def test_a_worker_without_the_folder_keeps_its_checkpoints_to_itself(spec, tmp_path) -> None:
    gone = tmp_path / "gone"
    assert work.done_of(work.work(spec.to_text(), str(gone), lambda _: None)).record.run == spec.hash
    assert not gone.exists()


@pytest.mark.parametrize("other", [{"torch": "1.0"}, {"protocol": 0}])
def test_a_worker_of_another_version_refuses_the_trial(spec, tmp_path, other) -> None:
    with pytest.raises(InputError, match="install the same versions"):
        work.work(replace(spec, **other).to_text(), str(tmp_path), lambda _: None)


def test_threads_are_part_of_a_trial(spec) -> None:
    assert replace(spec, threads=2).hash != spec.hash
    assert replace(spec, threads=2).to_text() != spec.to_text()


def test_workers_have_the_variables_of_their_parent_and_no_others(monkeypatch) -> None:
    monkeypatch.setattr(os, "environ", {"KEPT": "1", "CHANGED": "old", "REMOVED": "1"})
    process._take_over({"KEPT": "1", "CHANGED": "new", "NEW": "1"})
    assert os.environ == {"KEPT": "1", "CHANGED": "new", "NEW": "1"}


@pytest.mark.parametrize(
    ("given", "variable", "message"),
    [
        ({"engine": "proces"}, "", "did you mean 'process'"),
        ({"count": 0}, "", "workers=0 is out of range"),
        ({"threads": 0}, "", "threads=0 is out of range"),
        ({"address": "tcp://x:1"}, "", "processes of this machine need no address='tcp://x:1'"),
        ({"engine": "dask", "count": 4, "address": "here"}, "", "workers=4 has no effect on the cluster at here"),
        ({"engine": "ray", "count": 4}, "RAY_ADDRESS", "workers=4 has no effect on the cluster at here"),
        ({"engine": "dask", "count": 4}, "DASK_SCHEDULER_ADDRESS", "workers=4 has no effect on the cluster at here"),
    ],
)
def test_workers_that_cannot_be_had_are_refused(monkeypatch, given, variable, message) -> None:
    if variable:
        monkeypatch.setenv(variable, "here")
    with pytest.raises(InputError, match=message):
        Workers(**given)


@pytest.mark.parametrize(("module", "engine", "extra"), [(ray, "ray", "ray"), (dask, "distributed", "dask")])
def test_a_missing_engine_is_named_with_the_command_that_installs_it(
    monkeypatch, spec, tmp_path, module, engine, extra
) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(MissingError, match=rf"pip install 'tidegate\[{extra}\]'"):
        next(module.run(Job([spec], tmp_path, Workers(extra), Progress())))


@needs("distributed")
def test_a_scheduler_that_does_not_answer_is_one_error(monkeypatch, spec, tmp_path) -> None:
    monkeypatch.setattr(dask, "CONNECT_SECONDS", 0.5)
    job = Job([spec], tmp_path, Workers("dask", address="tcp://127.0.0.1:1"), Progress())
    with pytest.raises(InputError, match="no Dask cluster answers at tcp:"):
        next(dask.run(job))


@needs("ray")
def test_a_cluster_of_ray_that_does_not_answer_is_one_error_at_once(spec, tmp_path) -> None:
    job = Job([spec], tmp_path, Workers("ray", address="127.0.0.1:1"), Progress())
    with pytest.raises(InputError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*unset RAY_ADDRESS"):
        next(ray.run(job))


@needs("distributed")
def test_a_cluster_that_runs_several_tasks_in_one_process_is_refused(spec, tmp_path) -> None:
    from distributed import LocalCluster

    settings = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**settings) as cluster:
        job = Job([spec], tmp_path, Workers("dask", address=cluster.scheduler_address), Progress())
        with pytest.raises(InputError, match="--nthreads 1"):
            next(dask.run(job))


def test_runs_of_several_kinds_of_processors_are_said(spec, tmp_path) -> None:
    record = run_trial(spec, tmp_path, lambda *_: None)
    assert dict(_machines([record, record])) == {instruction_sets(): 2}
    with pytest.warns(TidegateWarning, match="1 on x86_64, torch AVX2, engine x86-64-v3"):
        _machines([record, replace(record, machine="x86_64, torch AVX2, engine x86-64-v3")])
