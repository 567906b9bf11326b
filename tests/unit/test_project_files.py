"""The files that GitHub and others read: they parse, and say the same as the package."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tidegate._version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"})
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


def read(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_have_least_permissions_and_pinned_actions(path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))
        assert "${{ github.event" not in step.get("run", "")  # a title of a pull request is no shell


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_say_what_has_never_run(path) -> None:
    assert "Has never run on GitHub." in path.read_text(encoding="utf-8").split("\nname:")[0]


def test_the_wheel_is_tested_with_every_python_that_it_is_for() -> None:
    matrix = read(ROOT / ".github/workflows/wheel.yml")["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    assert f">={matrix[0]}" == PROJECT["requires-python"]
    assert set(PYTHONS) <= set(matrix)
    assert matrix == [f"3.{minor}" for minor in range(11, 11 + len(matrix))]


def test_the_suite_runs_by_the_readmes_command() -> None:
    assert {"run": "make test"} in steps(read(ROOT / ".github/workflows/test.yml"))
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_what_helps(path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown"}
    asks_for_engine = any("tidegate engine" in field["attributes"]["label"] for field in fields)
    assert asks_for_engine == (path.stem != "question")


def test_the_citation_is_of_this_version() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == PROJECT["version"] == __version__
    assert citation["authors"] == [{"name": "The Tidegate developers"}]
    assert citation["license"] == PROJECT["license"]


def test_pre_commit_runs_what_make_lint_runs() -> None:
    hooks = [hook["entry"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlint:")[1].split("\n\n")[0]
    assert all(hook.removeprefix(".venv/bin/").removesuffix(" --force-exclude") in recipe for hook in hooks)
    assert len(hooks) == recipe.count("$(BIN)/")
