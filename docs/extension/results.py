"""Results of benchmarks as pages: the tables of ``docs/results`` name them, and are their table of contents.

A result that no table names is in no table of contents, which is a warning, and so the build fails.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

GROUPS = Path(__file__).resolve().parents[1] / "results"
ROW = re.compile(r"^\| \[([^]]+)\]\(\.\./\.\./(benchmarks/results/.+)\.md\) \|(.*)\|$", re.MULTILINE)


@cache
def names() -> dict[str, str]:
    """The name of each result in the tables, by its document."""
    found = {}
    for path in sorted(GROUPS.glob("*.md")):
        for name, document, command in ROW.findall(path.read_text(encoding="utf-8")):
            if "`python " not in command:
                raise ExtensionError(f"{path}: {name} has no command; write `python ...`, which makes it, into its row")
            found[document] = name
    return found


def complete(_: Sphinx, document: str, text: list[str]) -> None:
    """Give results that have none a title, and the pages of their groups a table of contents."""
    if document.startswith("benchmarks/results/") and not text[0].startswith("# "):
        text[0] = f"# {names().get(document, document)}\n\n{text[0]}"
    elif document.startswith("docs/results/"):
        entries = "".join(f"{name} </{result}>\n" for name, result, _ in ROW.findall(text[0]))
        text[0] += f"\n```{{toctree}}\n:hidden:\n\n{entries}```\n" if entries else ""


class Folders(SphinxPostTransform):
    """A link to a folder leads to its README, to the page that lists what lies in it, or is text without a link."""

    default_priority = 8  # before MyST resolves links, and complains of these

    def run(self, **_: Any) -> None:
        for node in list(self.document.findall(pending_xref)):
            path = Path(self.env.doc2path(self.env.docname)).parent / node.get("reftarget", "")
            if node["reftype"] == "myst" and path.is_dir():
                node.replace_self(self.link(path.resolve().relative_to(self.env.srcdir).as_posix(), node[0]))

    def link(self, folder: str, content: nodes.Node) -> nodes.Node:
        pages = self.env.toctree_includes.items()
        listing = (page for page, within in pages if any(name.startswith(f"{folder}/") for name in within))
        target = next((page for page in (f"{folder}/README", *listing) if page in self.env.all_docs), None)
        return make_refnode(self.app.builder, self.env.docname, target, "", content) if target else content


def setup(app: Sphinx) -> None:
    app.connect("source-read", complete)
    app.add_post_transform(Folders)
