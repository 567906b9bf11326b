"""The site: ``make docs`` builds it in English and in Chinese; docs/design/site.md says how and why."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
os.environ["KERAS_BACKEND"] = "torch"  # for the code of pages
os.environ.setdefault("OMP_NUM_THREADS", "1")  # its work is small, and two languages are built at once

project = "Tidegate"
author = "The Tidegate developers"
copyright = author  # noqa: A001  a name of Sphinx
language = "en"

# The source is the whole repository, so that links between guides, results and examples lead to the same places
# here as in a checkout.
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/results/**.md",
    "examples/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
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
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6b82", "color-brand-content": "#0b6b82"},
    "dark_css_variables": {"color-brand-primary": "#63c5da", "color-brand-content": "#63c5da"},
    "top_of_page_buttons": ["view"],  # our template: the other languages
}
html_title = "Tidegate"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_extra_path = ["extra"]  # the first page, which leads to docs/
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_search_summary = False  # would have to request pages, which files on a disk cannot
templates_path = ["_templates"]
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .go"

locale_dirs = [str(ROOT / "docs" / "locale")]
translated = ["docs/index", "docs/learn/*"]  # and the generated docs/cells, by their own catalogue
gettext_compact = False
gettext_uuid = False
gettext_location = False
