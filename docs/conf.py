"""Configuration of the documentation site; `make docs` builds it, without network."""

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_sphinx"))

import github_markdown  # noqa: E402
import pages  # noqa: E402
import pictures  # noqa: E402

import skgd  # noqa: E402

# Seconds each; the others are shown without their output: make docs EXAMPLES=all.
FAST_EXAMPLES = (
    "backprop_is_not_learning|black_box_simulator|fit_physics|loss_curves|mape_with_l2"
    "|paths_of_descent"
)

project = "skgd"
author = "The skgd developers"
copyright = author
release = version = skgd.__version__

extensions = [
    "mathml",
    "names",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_sphinx"]
default_role = "py:obj"
highlight_language = "none"  # blocks without a language are formulas and tables
nitpicky = False  # scikit-learn and NumPy have no pages here

myst_heading_anchors = 3

autosummary_generate = False  # `pages` writes the stubs
autodoc_typehints = "none"  # numpydoc says the types
numpydoc_show_class_members = False  # `pages` lists the members

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "generated/examples",
    "filename_pattern": "" if os.environ.get("EXAMPLES") == "all" else FAST_EXAMPLES,
    "download_all_examples": False,
    "reference_url": {"skgd": None},
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "skgd"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["skgd.css"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
}


def mend_docstring(app, what, name, obj, options, lines):
    """Drop scikit-learn's references to its own pages; "H. Robbins" is no item of a list."""
    for i, line in enumerate(lines):
        line = re.sub(r":(?:ref|term):`([^`<]+?)( <[^`]*)?`", r"\1", line)
        lines[i] = re.sub(r"^( *)([A-Z]\. )", r"\1\\\2", line)


def setup(app):
    """Write the pages that are made, and adapt the Markdown pages while they are read."""
    generated = DOCS / "generated"
    pages.write(generated, pictures.draw(generated / "pictures"))
    github_markdown.write_copies(DOCS)
    app.connect("autodoc-process-docstring", mend_docstring)
    # A page that came or went changes the contents of these, not their text.
    app.connect("env-get-outdated", lambda *_: ["index", "guide"])
    app.connect("source-read", github_markdown.adapter(DOCS))
