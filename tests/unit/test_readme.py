"""What the README shows runs as it stands there."""

import importlib.util
import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # a model is saved
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    names: dict = {"__name__": "readme"}
    for block in blocks:
        if "import keras" in block and importlib.util.find_spec("keras") is None:
            continue  # an extra, which tests/peer skips too
        exec(compile(block, "README.md", "exec"), names)
    assert names["gates"]["f_l0"].shape == (50, 3, 128)
    assert names["layer"].mode == "MyCell"


def test_the_commands_exist() -> None:
    from tidegate.cli import main  # noqa: F401  the verbs below are its subcommands

    verbs = set(re.findall(r"bin/tidegate (\w+)", README))
    assert verbs == {
        *("compare", "train", "evaluate", "cells", "trace", "bench"),
        *("generate", "translate", "predict", "forecast", "transcribe", "compose"),
    }


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target


def test_the_example_of_a_cell_of_ones_own_is_fused_and_right(capsys) -> None:
    import runpy
    import warnings

    from tidegate.zoo import CELLS

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as the one that says a layer runs eagerly
        example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "own_cell.py"))
        assert example["Leaky"].graph.hash not in {cell.graph.hash for cell in CELLS.values()}
        example["main"]()
    printed = capsys.readouterr().out
    assert float(re.search(r"eager layer: (\S+)", printed)[1]) < 1e-5
