"""The reference: every public name is on exactly one page, every command, setting, option and error code in a table."""

import re
from collections import defaultdict
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

pytest.importorskip("keras", reason="the names of tidegate.keras are read, too")

from tests.architecture.public import listed
from tidegate import cli
from tidegate.errors import MissingError, TidegateError
from tidegate.tasks import ESTIMATORS

DOCS = Path(__file__).parents[2] / "docs"
SPEC = spec_from_file_location("reference_names", DOCS / "extension" / "reference" / "names.py")  # it needs no Sphinx
pages = module_from_spec(SPEC)
SPEC.loader.exec_module(pages)


def thing(full_name: str) -> object:
    module, _, name = full_name.rpartition(".")
    return pages.identity(full_name, getattr(import_module(module), name))


def test_every_public_name_is_on_exactly_one_page() -> None:
    where = defaultdict(list)
    for page, module, body in pages.fences():
        for name in pages.expanded(module, body):
            where[thing(f"{module}.{name}")].append(f"{page}: {module}.{name}")
    assert {name: where[thing(name)] for name in listed() if len(where[thing(name)]) != 1} == {}


def test_a_star_stands_for_what_no_fence_names() -> None:
    rest = pages.expanded("tidegate.nn", ["LSTM", "*"])
    assert rest[0] == "LSTM"
    assert not {"GRU", "Session"} & set(rest)  # on pages of their own


def test_pages_without_an_extra_are_left_out(monkeypatch) -> None:
    def without_keras(name: str) -> object:
        if name == "tidegate.keras":
            raise MissingError("MISSING", "the package keras is not installed")
        return import_module(name)

    everything = pages.named()
    monkeypatch.setattr(pages, "importlib", SimpleNamespace(import_module=without_keras))
    assert pages.named.__wrapped__() < everything


def arguments(page: str, directive: str) -> list[str]:
    return re.findall(rf"```\{{{directive}\}} (.+)", (DOCS / "reference" / page).read_text(encoding="utf-8"))


def test_all_commands_have_a_section() -> None:
    verbs = [get_args(verb)[0].__name__.lower() for verb in get_args(cli.Command)]
    assert [words for words in arguments("commands.md", "command") if " " not in words] == verbs


def test_all_tasks_have_their_settings() -> None:
    assert arguments("settings.md", "settings") == ["all", *ESTIMATORS]


def test_all_kinds_of_errors_have_their_codes() -> None:
    assert set(arguments("errors.md", "errors")) == {kind.__name__ for kind in TidegateError.__subclasses__()}
