"""The README and the guides in docs/: their code runs, their commands are accepted, their links lead somewhere."""

import importlib.util
import re
import runpy
import shlex
import tomllib
import warnings
from pathlib import Path
from typing import get_args

import pytest

from tidegate import cli
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train.setting import check
from tidegate.train.toml import to_toml
from tidegate.zoo import CELLS

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
HOWTO, DESIGN = (
    tuple(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / part).glob("*.md")))
    for part in ("howto", "design")
)
PAGES = (*READMES, *HOWTO)
PROSE = (
    "docs/howto/compare.md",
    "docs/howto/index.md",
    "docs/howto/which-cell.md",
)  # commands, or code that is only shown
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for part in ("benchmarks", "cmake", "docs", "examples", "src", "tests")
    for path in (ROOT / part).rglob("*")
    if path.suffix in {".py", ".h", ".cpp"}
]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = "".join(blocks(page, "console")).splitlines()
    assert all(line.startswith("$ ") for line in lines), lines
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]


@pytest.mark.parametrize("page", [page for page in PAGES if page != READMES[1] and page not in PROSE])
def test_the_code_runs(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # where models are saved
    names: dict = {"__name__": "page"}
    code = blocks(page, "python")
    assert code
    for block in code:
        if "import keras" in block and importlib.util.find_spec("keras") is None:
            continue  # an extra, which tests/peer skips too
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_the_commands_of_tidegate_are_accepted(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for config in ("sea/config.toml", "recipe.toml"):
        Path(config).parent.mkdir(exist_ok=True)
        Path(config).write_text(to_toml(ForecastSetting()), encoding="utf-8")
    accepted: list = []

    def accept(command: object) -> None:
        accepted.append(command)

    for verb in get_args(cli.Command):
        monkeypatch.setattr(get_args(verb)[0], "run", accept)
    listed = [words[words.index("tidegate") + 1 :] for words in commands(page) if "tidegate" in words]
    for arguments in listed:
        assert cli.main(arguments) == 0, arguments
        if arguments[0] == "train":
            check(accepted[-1].order.setting)
    assert len(accepted) == len(listed) > 0


@pytest.mark.parametrize("page", READMES)
def test_the_commands_that_install_exist(page) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    extras = project["optional-dependencies"]
    known = {*(f"make {target}" for target in targets), *(f"pip install .[{extra}]" for extra in extras)}
    assert {" ".join(words) for words in commands(page) if "tidegate" not in words} <= known


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    for program, *arguments in commands("README.md"):
        if program == "tidegate" and arguments[0] != "compare":  # one runs in docs/howto/compare.md
            short = ["--epochs", "1"] if arguments[0] == "train" else []
            assert cli.main([*arguments, *short]) == 0, capfd.readouterr().err
    assert Path("forecast.svg").stat().st_size > 0


def test_the_chinese_readme_shows_the_same_code_and_commands() -> None:
    def spoken_by_machines(page: str) -> list[object]:
        code = [re.sub(r"  # .*", "", block) for block in blocks(page, "python")]
        return [code, commands(page)]

    assert spoken_by_machines(READMES[0]) == spoken_by_machines(READMES[1])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)  # code calls x[0](y)
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        path, _, heading = target.partition("#")
        where = (ROOT / page).parent / path if path else ROOT / page
        assert where.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", where.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}, target


@pytest.mark.parametrize("page", DESIGN)
def test_sources_that_a_design_note_names_exist(page) -> None:
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|h|cpp))`", (ROOT / page).read_text(encoding="utf-8"))
    assert not [path for path in named if not any(f"/{known}".endswith(f"/{path}") for known in SOURCES)]


def test_the_example_of_a_cell_of_ones_own_is_fused_and_right(capsys) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as the one that says a layer runs eagerly
        example = runpy.run_path(str(ROOT / "examples" / "own_cell.py"))
        assert example["Leaky"].graph.hash not in {cell.graph.hash for cell in CELLS.values()}
        example["main"]()
    printed = capsys.readouterr().out
    assert float(re.search(r"eager layer: (\S+)", printed)[1]) < 1e-5
