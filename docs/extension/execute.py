"""Every fence of ``python`` on a page runs, in order, in one namespace; an error fails the build.

What a block prints stands beneath it, and so do the figures that it leaves open. A fence of ``shell`` holds commands,
which run one after another in the page's own folder. ``py`` and ``console`` mark code and commands that are only shown.
Outputs are kept under the hash of the code and of the library, so that both languages share one run.
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from . import figure

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "_build" / "executed"
OURS = 'python() { "$PYTHON" "$@"; }; tidegate() { python -m tidegate "$@"; }'  # those that build the site
Output = dict[str, Any]  # {"text": what was printed, "figures": SVG}


class Page:
    """The namespace and folder of one page."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.code = name, folder, library()
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.waiting: list[tuple[str, str]] = []  # blocks whose outputs were kept, run only if a later one is new

    def output(self, language: str, code: str) -> Output:
        self.code = hashlib.sha256(f"{self.code}\n{language}\n{code}".encode()).hexdigest()
        self.waiting.append((language, code))
        kept = KEPT / f"{self.code}.json"
        if not kept.exists():
            for entry in self.waiting:
                output = self.run(*entry)
            self.waiting.clear()
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(output), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))

    def run(self, language: str, code: str) -> Output:
        with contextlib.chdir(self.folder):
            return self.commands(code) if language == "shell" else self.python(code)

    def python(self, code: str) -> Output:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings(action="always"), figure.style():
            warnings.showwarning = lambda text, kind, *_, **__: print(f"{kind.__name__}: {text}")  # noqa: T201
            exec(compile(code, self.name, "exec"), self.names)  # noqa: S102  the page's own code
            return {"text": printed.getvalue(), "figures": figure.drawn(f"{self.code}")}

    @staticmethod
    def commands(code: str) -> Output:
        environment = {**os.environ, "PYTHON": sys.executable, "NO_COLOR": "1", "COLUMNS": "100"}
        text = ""
        for line in code.splitlines():
            command = ["bash", "-c", f"{OURS}\n{line}"]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
            if done.returncode:
                raise RuntimeError(f"{line}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
            text += f"$ {line}\n{done.stdout}"
        return {"text": text, "figures": []}


@cache
def library() -> str:
    """A hash of the library's sources: when they change, everything runs again."""
    files = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".h", ".cpp", ".toml"})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def run_page(app: Sphinx, document: nodes.document) -> None:
    """Run the blocks of one page and put their outputs beneath them."""
    blocks = [node for node in document.findall(nodes.literal_block) if node.get("language") in {"python", "shell"}]
    if not blocks or app.builder.name == "gettext":
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Page(app.env.docname, Path(folder))
        for node in blocks:
            try:
                output = page.output(node["language"], node.astext())
            except Exception as error:
                raise ExtensionError(f"{app.env.docname}, line {node.line}: {type(error).__name__}: {error}") from error
            show(node, output)
    app.executed_blocks = getattr(app, "executed_blocks", 0) + len(blocks)


def show(node: nodes.literal_block, output: Output) -> None:
    shown = list(outputs(output))
    if node["language"] == "shell":  # the commands come back with what they print
        node.replace_self(nodes.literal_block(output["text"], output["text"], language="console"))
    elif shown:
        node.parent[node.parent.index(node) + 1 : node.parent.index(node) + 1] = shown


def outputs(output: Output) -> Iterator[nodes.Node]:
    if output["text"]:
        yield nodes.literal_block(output["text"], output["text"], language="text", classes=["output"])
    for drawn in output["figures"]:
        yield nodes.raw("", f'<div class="figure">{drawn}</div>', format="html")


def report(app: Sphinx, error: Exception | None) -> None:
    if error is None and hasattr(app, "executed_blocks"):
        print(f"{app.executed_blocks} code blocks ran")  # noqa: T201


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", run_page)
    app.connect("build-finished", report)
