"""The site: ``make docs`` builds it in English and in Chinese; docs/design/site.md says how and why."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
os.environ["KERAS_BACKEND"] = "torch"  # for the code of pages

project = "Tidegate"
author = "The Tidegate developers"
copyright = author  # noqa: A001  a name of Sphinx
language = "en"

# The source is the whole repository, so that links between guides, results and examples lead to the same places
# here as in a checkout.
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/results/**.md", "examples/README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [
    "docs/_build/**",
    "docs/extra/**",
    "docs/extension/**",
    "docs/locale/**",
    ".venv/**",
    "build/**",
    "dist/**",
]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx_copybutton",
    "extension",
]
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "Tidegate"
html_static_path = ["_static"]
html_extra_path = ["extra"]  # the first page, which leads to docs/
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
templates_path = ["_templates"]
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .go"

locale_dirs = [str(ROOT / "docs" / "locale")]
translated = ["docs/index", "docs/*/index", "docs/learn/*"]  # and the generated docs/cells, by their own catalogue
gettext_compact = False
gettext_uuid = False
gettext_location = False
