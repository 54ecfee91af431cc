"""What the displays share: matplotlib when it is needed, axes, and a look for each line."""

from __future__ import annotations

from typing import Any

# Okabe and Ito (2008): told apart by every kind of colour vision. Without yellow, which is too
# light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")  # 11 and 7 have no factor
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_LONGEST_NAME = 44


def require_matplotlib(caller: str) -> None:
    """Raise an ImportError that names the extra where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which comes with the extra plot: "
            "pip install 'skgd[plot]', or pip install matplotlib."
        ) from error


def axes_for(ax: Any, size: tuple[float, float], **subplot: Any) -> Any:
    """Return `ax`, or the axes of a new figure that makes room for all that is drawn."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained", subplot_kw=subplot)[1]


def look(number: int) -> dict[str, Any]:
    """Colour and marker of a line; they repeat together after 77 lines."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def line_style(number: int) -> Any:
    """Solid, dashed, dash-dotted, ...: for lines that colour alone must not tell apart."""
    return LINES[number % len(LINES)]


def shorten(name: Any) -> str:
    """Return a name that leaves room for the picture, and is no mathematics to matplotlib."""
    text = str(name)
    if len(text) > _LONGEST_NAME:
        half = (_LONGEST_NAME - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    return text.replace("$", r"\$")


def makes_room(figure: Any) -> bool:
    """Whether the figure shrinks its axes for what stands beside them."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)


def legend(
    ax: Any, handles: list[Any], labels: list[str], *, above: bool = False, title: str = ""
) -> Any:
    """Draw a legend; outside the axes, if it is long and the figure makes room, or `above`.

    Where the figure makes no room above, the axes become shorter.
    """
    many, room = len(handles) > 6, makes_room(ax.figure)
    settings: dict[str, Any] = {"title": title or None, "alignment": "left"}
    if room and above:
        columns = 2 if max(map(len, labels)) > 20 else 4
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        settings |= {"ncols": columns, "frameon": False, **place}
    elif above:
        return _legend_above(ax, handles, labels, settings)
    elif room and many:
        settings |= {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    elif many:
        settings |= {"fontsize": "x-small", "ncols": 2, "framealpha": 0.8}
    else:
        settings |= {"framealpha": 0.8}
    return ax.legend(handles, labels, **settings)


def _legend_above(ax: Any, handles: list[Any], labels: list[str], settings: dict[str, Any]) -> Any:
    """Take the room of a legend from the axes: what stands above them stays as it was."""
    ax.apply_aspect()
    inches = ax.get_window_extent().width / ax.figure.dpi
    columns = max(1, int(inches / (0.8 + 0.065 * max(map(len, labels)))))
    settings |= {"ncols": columns, "frameon": False, "fontsize": "small", "borderaxespad": 0.2}
    drawn = ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), **settings)
    box, height = ax.get_position(), ax.get_window_extent().height
    left = max(0.3, 1.0 - drawn.get_window_extent().height / height)
    ax.set_position([box.x0, box.y0, box.width, left * box.height])
    return drawn


def label_decades(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis between the powers of ten, too, where it spans few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    if high / low < 1e3:
        between = (1.0, 2.0, 5.0) if high / low > 5.0 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
        axis.set_major_locator(LogLocator(subs=between))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
