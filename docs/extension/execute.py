"""Every fence of ``python`` on a page runs, in order, in one namespace; an error fails the build.

What a block prints stands beneath it, and so do the figures that it leaves open. A fence of ``shell`` holds commands,
which run one after another in the page's own folder. ``py`` and ``console`` mark code and commands that are only shown.
Outputs are kept under the hash of the page's code, the library and the results of benchmarks, so that both languages,
which may be built at the same time, share one run.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from filelock import FileLock
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from . import run

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "_build" / "executed"
READ = ("src/**/*.py", "src/**/*.h", "src/**/*.cpp", "src/**/*.toml", "benchmarks/results/**/*.*")
LOG = logging.getLogger(__name__)


@cache
def library() -> str:
    """A hash of all that the code of pages reads: when it changes, everything runs again."""
    files = sorted(path for pattern in READ for path in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def outputs(file: str, name: str, blocks: list[run.Block]) -> list[run.Output]:
    """What the blocks of a page give: from an earlier run of the same code, or from one in a process of its own.

    Raises:
        run.CodeError: a block failed.
    """
    code = hashlib.sha256(json.dumps([library(), name, *(block[:2] for block in blocks)]).encode()).hexdigest()
    kept = KEPT / f"{code}.json"
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            kept.write_text(json.dumps(run.apart(file, blocks, code)), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))


def run_page(app: Sphinx, document: nodes.document) -> None:
    """Run the blocks of one page and put their outputs beneath them."""
    found = [node for node in document.findall(nodes.literal_block) if node.get("language") in run.LANGUAGES]
    if not found or app.builder.name == "gettext":
        return
    env, name = app.env, app.env.docname
    try:
        file = env.doc2path(name)
        shown = outputs(str(file), name, list(blocks_of(found, Path(file).read_text(encoding="utf-8"))))
    except run.CodeError as error:
        LOG.error(str(error), location=(name, error.line))  # noqa: TRY400  with the traceback of the page's code alone
        env.note_reread()
        app.failed_code = True
        return
    executed(env)[name] = (library(), len(found))
    for node, output in zip(found, shown, strict=True):
        show(node, output)


def blocks_of(found: list[nodes.literal_block], text: str) -> Iterator[run.Block]:
    """The blocks of a page with the line before their first one, by which tracebacks count."""
    for node in found:
        place = text.find(node.astext())  # what is indented is not found, and Sphinx's line is near
        yield node["language"], node.astext(), text.count("\n", 0, place) if place >= 0 else node.line or 0


def executed(env: BuildEnvironment) -> dict[str, tuple[str, int]]:
    """By page: the hash of the library that its blocks ran with, and how many they are."""
    if not hasattr(env, "executed_blocks"):
        env.executed_blocks = {}
    return env.executed_blocks


def outdated(_: Sphinx, env: BuildEnvironment, *__: set[str]) -> list[str]:
    """Pages whose code ran with another state of the library."""
    return [name for name, (ran, _) in executed(env).items() if ran != library()]


def order(app: Sphinx, _: BuildEnvironment, names: list[str]) -> None:
    """Two languages read pages from two ends, so that each page runs in the build that comes to it first."""
    if app.config.language != "en":
        names.reverse()


def forget(_: Sphinx, env: BuildEnvironment, name: str) -> None:
    executed(env).pop(name, None)


def show(node: nodes.literal_block, output: run.Output) -> None:
    text, figures = (
        output["text"],
        [nodes.raw("", f'<div class="figure">{svg}</div>', format="html") for svg in output["figures"]],
    )
    if node["language"] == "shell":  # the commands come back with what they print
        node.replace_self(nodes.literal_block(text, text, language="console"))
    else:
        printed = [nodes.literal_block(text, text, language="text", classes=["output"])] if text else []
        place = node.parent.index(node) + 1
        node.parent[place:place] = [*printed, *figures]


def fail(app: Sphinx, error: Exception | None) -> None:
    if error is None and getattr(app, "failed_code", False):
        app.statuscode = 1


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", run_page)
    app.connect("env-get-outdated", outdated)
    app.connect("env-before-read-docs", order)
    app.connect("env-purge-doc", forget)
    app.connect("build-finished", fail)
