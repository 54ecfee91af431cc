"""Public names in the Markdown pages become links: `GDClassifier`, `skgd.losses`."""

from __future__ import annotations

from typing import Any

import public
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the transform to Sphinx."""
    app.add_transform(NamesAreLinks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class NamesAreLinks(SphinxTransform):
    """Code that is a public name, and nothing else, leads to the page of that name."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Wrap the names of one page."""
        if not str(self.document["source"]).endswith(".md"):
            return
        for node in list(self.document.findall(nodes.literal)):
            target = _TARGETS.get(node.astext())
            within = (nodes.title, nodes.reference, addnodes.pending_xref)
            if target and not isinstance(node.parent, within):
                link = addnodes.pending_xref(
                    refdomain="py",
                    reftype="obj",
                    reftarget=target,
                    refexplicit=True,
                    refwarn=True,
                    refdoc=self.env.docname,
                )
                node.replace_self(link)
                link += node


def _targets() -> dict[str, str]:
    """Map what may be written, a full name or a class alone, to the full name."""
    targets = {name: name for name in public.modules() if name != "skgd"}
    for full, value in public.objects():
        targets[full] = full
        if isinstance(value, type):
            targets.setdefault(value.__name__, full)
    return targets


_TARGETS = _targets()
