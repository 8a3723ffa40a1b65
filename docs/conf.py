"""How Sphinx builds the site: ``python -m sphinx -W --keep-going docs build/site``."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of

from sphinx.application import Sphinx

REPOSITORY = "https://github.com/napari-4dstem-orient/napari-4dstem-orient"

project = "napari-4dstem-orient"
author = "The napari-4dstem-orient developers"
copyright = f"{author}, GPL-3.0-or-later"
release = version = version_of(project)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build"]
highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "github_url": REPOSITORY,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "use_edit_page_button": True,
}
html_context = {
    "github_user": project,
    "github_repo": project,
    "github_version": "main",
    "doc_path": "docs",
}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

# Every cell runs whenever the site is built; one that fails, or that warns, fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove-warn"
nb_merge_streams = True

# The docstrings tell the types.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

OUTSIDE = re.compile(r"\]\((?:\.\./)+((?:benchmarks|tools|resources|src|tests)\b[^)]*|[A-Z]\w+\.\w+)\)")
"""Links to what lies in the repository, but not on the site."""


def link_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to other files of the repository to GitHub."""
    source[0] = OUTSIDE.sub(rf"]({REPOSITORY}/blob/main/\1)", source[0])


def escape_bars(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Let |q| in a docstring be a length, not a substitution of reStructuredText."""
    lines[:] = [line if "``" in line else line.replace("|", r"\|") for line in lines]


def setup(app: Sphinx) -> None:
    """Tell Sphinx what is special here."""
    app.connect("source-read", link_outside)
    app.connect("autodoc-process-docstring", escape_bars)
