"""What the README shows runs as it stands there."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 2
    names: dict = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["gates"]["f_l0"].shape == (50, 3, 128)
    assert names["layer"].mode == "MyCell"


def test_the_commands_exist() -> None:
    from tidegate.cli import main  # noqa: F401  the verbs below are its subcommands

    verbs = set(re.findall(r"bin/tidegate (\w+)", README))
    assert verbs == {"compare", "cells", "trace", "bench"}


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target
