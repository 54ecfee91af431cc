"""Where the documentation is: scikit-learn's HTML view of an object links to its page."""

SITE = "https://skgd.readthedocs.io/en/latest"


class Documented:
    """Names the object's page to scikit-learn.

    A subclass outside of skgd has no page, and scikit-learn shows no link.
    """

    _doc_link_module = "skgd"
    _doc_link_template = f"{SITE}/generated/api/{{public_module}}.{{name}}.html"
    _public_module: str | None = None  # where it is not the room of the module that defines it

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        kind = type(self)
        return {"public_module": self._public_module or room_of(kind), "name": kind.__name__}


def room_of(kind: type) -> str:
    """Name the module that users import a class of skgd from."""
    return ".".join(kind.__module__.split(".")[:2])
