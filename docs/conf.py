"""The manual, built by ``make docs``: the guides of this folder, and pages made from the code (`_extensions`)."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = "loops_nb"
author = "the loops_nb contributors"
version = release = _project["version"]
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "pages_from_code",
    "gallery",
]
# Made at each build.
exclude_patterns = ["_extensions", "_static"]
default_role = "code"
nitpicky = False

# The outputs of the notebooks are those that are committed.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [
    # A live panel needs a kernel; its report does not.
    ("html", "application/vnd.jupyter.widget-view+json", None),
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_numpy_docstring = True
napoleon_google_docstring = False
# Attributes have descriptions of their own in the classes.
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# Clients make resources; their constructors are of no use to others.
autodoc_class_signature = "separated"

html_theme = "pydata_sphinx_theme"
html_title = "loops_nb"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "navbar_start": ["navbar-logo"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "navigation_with_keys": False,
}
