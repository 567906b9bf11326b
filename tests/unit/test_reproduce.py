"""The reproduction of published rows: finished seeds count while their settings do, and the table is what they say."""

import dataclasses
import json
import shutil

import pytest
from benchmarks.reproduce.case import RESULTS, Case, found, read, results_of, run_row
from benchmarks.reproduce.row import ROWS, Row
from benchmarks.reproduce.table import _section, write_table

from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.tasks.synthetic.task import Adding
from tidegate.train.setting import check

SETTING = SyntheticSetting(cell="gru", length=10, steps=2, hidden_size=3, batch_size=100, epochs=2, patience=2)


def case(**changed):
    setting = dataclasses.replace(SETTING, **changed)
    return Case("GRU", lambda setting: Adding(setting=setting), setting, "0.5", "somewhere")


def test_finished_seeds_are_not_run_again_and_changed_settings_are(tmp_path):
    run_row("adding", [case()], 2, tmp_path)
    path = tmp_path / "adding.jsonl"
    first = path.read_text()
    run_row("adding", [case()], 2, tmp_path)
    assert path.read_text() == first
    assert [record["seed"] for record in results_of(case(), read(path))] == [0, 1]
    assert found(case(hidden_size=4), 0, read(path)) is None
    run_row("adding", [case(hidden_size=4)], 1, tmp_path)
    assert path.read_text().startswith(first)
    assert len(read(path)) == 3
    section = _section("adding", Row("title", "somewhere", [case()]), read(path))
    mean = sum(record["scores"]["mean squared error"] for record in read(path)[:2]) / 2
    assert f"| GRU | {mean:.4g} |" in section
    assert "| 2 | 0.5 |" in section


def test_a_setting_that_is_new_was_at_its_default():
    record = json.loads(json.dumps({**case().identity(0), "scores": {}}))  # as in the file, where tuples are lists
    del record["setting"]["clip"]
    assert found(case(), 0, [record]) == record
    assert found(case(clip=2.0), 0, [record]) is None


@pytest.mark.parametrize("row", ROWS)
def test_rows_can_be_written_down_and_their_cases_have_names(row):
    names = [one.name for one in ROWS[row].cases]
    assert len(set(names)) == len(names)
    for one in ROWS[row].cases:
        check(one.setting)
        json.dumps(one.identity(0))


def test_the_published_table_is_what_the_stored_runs_say(tmp_path):
    shutil.copytree(RESULTS.parent, tmp_path / "results")
    write_table(tmp_path / "results" / RESULTS.name)
    assert (tmp_path / "results" / "reproduce.md").read_text() == (RESULTS.parent / "reproduce.md").read_text()
