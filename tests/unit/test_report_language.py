"""Explanations and comparisons in Chinese: whole pages and printed answers without an English sentence."""

import html
import json
import re

import pytest
import torch
from rich.console import Console

import tidegate as tg
from tests.unit.report_record import comparison
from tidegate.cli import main
from tidegate.cli.explained import print_explanation
from tidegate.compare.answer import answer
from tidegate.errors import InputError
from tidegate.explain.check import check_chunks, check_padding, check_resets
from tidegate.language import say, speaking, translated
from tidegate.records import to_json
from tidegate.report import write_html

WORDS = re.compile(r"[A-Za-z][a-z'-]+(?:[ ,;:]+[A-Za-z(][A-Za-z'-]*)+")
NAMES = {"Page up", "Page down", "of sup", "checks all"}  # keys of a keyboard, a formula, an option


def shown(page: str) -> list[str]:
    """What a page shows or has read aloud."""
    page = re.sub(r"<(style|pre|code)\b.*?</\1>|<script>.*?</script>", "", page, flags=re.DOTALL)
    spoken = re.findall(r'(?:aria-label|title|alt|data-label)="([^"]*)"', page)
    return [html.unescape(text).strip() for text in [*re.sub(r"<[^>]+>", "\n", page).split("\n"), *spoken]]


def english(texts) -> set[str]:
    """Runs of English words in texts, but for names."""
    return {run for text in texts for run in WORDS.findall(text)} - NAMES


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    return tg.explain.run(tg.nn.LSTM(3, 3), torch.randn(26, 3, 3), 20, compare_init=True, lengths=[26, 21, 26])


def test_a_page_in_chinese_has_no_english_sentence(found, tmp_path) -> None:
    found.to_html(path := tmp_path / "zh.html", "zh")
    page = path.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in page
    assert {line.severity for line in found.verdicts}  # there is something to say
    assert english(shown(page)) == set()
    assert "诊断" in page


def test_the_record_and_the_other_page_stay_in_english(found, tmp_path) -> None:
    found.to_html(tmp_path / "en.html")  # after another test has written one in Chinese
    found.to_json(tmp_path / "found.json")
    for path in (tmp_path / "en.html", tmp_path / "found.json"):
        assert not re.search("[\u4e00-\u9fff]", path.read_text(encoding="utf-8"))


def test_what_is_printed_in_chinese_has_no_english_sentence(found) -> None:
    screen = Console(width=200, record=True, quiet=False, file=None, force_terminal=False)
    with screen.capture() as captured, speaking("zh"):
        print_explanation(screen, found.record)
    lines = [line for line in captured.get().splitlines() if "tg.nn" not in line and "tidegate train" not in line]
    assert english(lines) == set()


def test_a_report_in_chinese_has_no_english_but_its_data(tmp_path) -> None:
    record = comparison()
    write_html(record, path := tmp_path / "zh.html", "zh")
    data = json.dumps(to_json(record), ensure_ascii=False)
    assert {run for run in english(shown(path.read_text(encoding="utf-8"))) if run.strip(" (") not in data} == set()


def test_the_answer_of_a_comparison_is_said_in_chinese() -> None:
    record = comparison()
    told = answer(record.cells, record.pairs, record.baselines, "JSB")
    for text in (told.headline, told.why, *told.alerts, *told.reasons):
        assert english([translated(text, "zh")]) == set(), text
        assert not text or translated(text, "zh") != text


def test_checks_that_fail_are_said_in_chinese() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.LSTM(3, 4), torch.randn(12, 2, 3)
    reset = torch.zeros(12, 2, dtype=torch.bool)
    reset[5] = True
    both = tg.nn.LSTM(3, 4, bidirectional=True)
    checks = (check_padding(layer, x, [12, 7]), check_resets(layer, x, reset), check_resets(both, x, reset))
    for check in (*checks, check_chunks(tg.nn.GRU(3, 4), x)):
        assert english([re.sub(r"(lengths|reset)=?", "", translated(check.sentence, "zh"))]) == set()


@pytest.mark.parametrize("command", ["compare jsb --language de", "explain nowhere --language zh-CN"])
def test_commands_refuse_an_unknown_language(command, capsys) -> None:
    assert main(command.split()) == 2
    assert "choose of en, zh" in capsys.readouterr().err


def test_functions_refuse_an_unknown_language(found, tmp_path) -> None:
    with pytest.raises(InputError, match="choose of en, zh"):
        found.to_html(tmp_path / "x.html", "de")
    assert not (tmp_path / "x.html").exists()
    assert translated(say("loss"), "zh") == "损失"
