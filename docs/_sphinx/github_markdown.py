"""Markdown that reads well on a code host and in the site: links and contents, adapted at build.

On the code host a page links to files, such as ``../examples/f1_directly.py``. The site has pages
for these, so the targets are exchanged while Sphinx reads. Pages of the root (CONTRIBUTING,
CHANGELOG) are copied into the site's sources in the same way. Nothing is written twice.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Files outside of docs/, and their pages in the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "CHANGELOG.md": "generated/changes.md",
}
# The site's first level. `guide.md` lists its own pages.
FIRST_LEVEL = [
    "guide",
    "generated/api",
    "generated/examples/index",
    "generated/contributing",
    "generated/changes",
]
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")
_LISTED = re.compile(r"^- \[[^\]]+\]\(([\w-]+)\.md\)", re.MULTILINE)


def write_copies(docs: Path) -> None:
    """Write the pages that stand in the root into the site's sources."""
    for name, page in PAGES.items():
        if page.startswith("generated/"):
            text = (ROOT / name).read_text(encoding="utf-8")
            path = docs / page
            path.parent.mkdir(exist_ok=True)
            path.write_text(for_site(text, name, page), encoding="utf-8")


def for_site(text: str, source: str, page: str) -> str:
    """Exchange the link targets that are no pages of the site.

    Parameters
    ----------
    text : str
        Markdown.
    source : str
        The file it comes from, from the root: ``docs/speed.md``.
    page : str
        Where the site has it, from docs/: ``speed.md``.
    """

    def target(link: re.Match[str]) -> str:
        if "://" in link[2]:
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        new = posixpath.relpath(_page_of(file), posixpath.dirname(page) or ".")
        return f"{link[1]}{new}{link[3]}"

    return _LINK.sub(target, text)


def _page_of(file: str) -> str:
    """Name of the page, from docs/, that shows a file, from the root."""
    if file in PAGES:
        return PAGES[file]
    if file.startswith("examples/historical/"):  # several files, and a page that tells of them
        return "historical.md"
    if file == "examples":
        return "generated/examples/index.rst"
    if file.startswith("examples/"):
        return f"generated/{file.removesuffix('.py')}.rst"
    return posixpath.relpath(file, "docs")


def guide_pages(docs: Path) -> list[str]:
    """Pages of the guide: those that guide.md lists, in its order, then those it does not."""
    listed = _LISTED.findall((docs / "guide.md").read_text(encoding="utf-8"))
    rest = sorted(path.stem for path in docs.glob("*.md"))
    return [*listed, *(page for page in rest if page not in {*listed, "index", "guide"})]


def adapter(docs: Path) -> Callable[..., None]:
    """Return a handler of Sphinx's event "source-read"."""
    contents = {"index": FIRST_LEVEL, "guide": guide_pages(docs)}

    def adapt(app: object, docname: str, source: list[str]) -> None:
        if not (docs / f"{docname}.md").exists() or docname.startswith("generated/"):
            return
        source[0] = for_site(source[0], f"docs/{docname}.md", f"{docname}.md")
        if docname in contents:
            pages = "\n".join(contents[docname])
            source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"

    return adapt
