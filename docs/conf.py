"""Sphinx's settings: the pages are Markdown, which reads as well where the repository is hosted.

    sphinx-build -W --keep-going -c docs . build/docs        # tox -e docs

The source folder is the repository, so that links between pages, files and pictures are the same
relative ones on a Git host and in the pages built here. Nothing is fetched from a network, neither
while the pages are built nor when they are read.
"""

import re

from sphinx.application import Sphinx

project = "npgpt"
author = "the npgpt authors"
root_doc = "docs/index"
extensions = ["myst_parser"]
include_patterns = [
    "*.md",
    "docs/**.md",
    "oracle/adapters/PROTOCOL.md",
    "oracle/README.md",
    "oracle/golden/README.md",
    "weights/README.md",
]
exclude_patterns = [".*", "build", "dist"]
nitpicky = True

myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "npgpt"
html_static_path = ["static"]
html_css_files = ["npgpt.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Make the navigation of the index's own lists of links, which any Markdown reader shows."""
    app.connect("source-read", _add_navigation)


def _add_navigation(app: Sphinx, document: str, source: list[str]) -> None:
    if document != root_doc:
        return
    for part in source[0].split("\n## ")[1:]:
        links = re.findall(r"^- \[(.+?)\]\((.+?)\.md\)", part, re.M)
        entries = "\n".join(f"{title} <{page}>" for title, page in links)
        caption = part.partition("\n")[0]
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"
