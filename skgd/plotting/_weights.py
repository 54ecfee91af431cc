"""`WeightsDisplay`: what was learned, as filters or as a Hinton diagram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from skgd._component import check_choice, check_number
from skgd.plotting._figure import axes_for, require_matplotlib, shorten
from skgd.plotting._learners import fitted_learner

_GAP = 0.12  # between filters, as a share of their width
_LABEL = 0.22  # above filters, for their names
_MANY_FILTERS = 36  # more are too small for names
_SMALLEST = 5.5  # points, of letters that can be read
_KINDS = ("filters", "hinton", "auto")


class WeightsDisplay:
    """The weights of a layer: filters, an image for each unit, or a Hinton diagram.

    Make it with `from_estimator`. What is given is stored as attributes.

    Parameters
    ----------
    weights : ndarray of shape (n_inputs, n_units)
        A column for each unit, class or target.
    input_names, unit_names : list of str, default=None
        None numbers them.
    image_shape : tuple of two int, default=None
        Rows and columns of a filter; None is a square.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
        One for each unit ("filters").
    colorbar_ : matplotlib Colorbar or None
        One for all filters, centred at zero.
    squares_ : matplotlib PolyCollection or None
        The area of a square is proportional to the size of its weight ("hinton").

    References
    ----------
    G. E. Hinton and T. Shallice, "Lesioning an attractor network", 1991: such diagrams.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skgd import GDClassifier
    >>> from skgd.plotting import WeightsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = GDClassifier(max_iter=5, tol=None, random_state=0).fit(X, y)
    >>> display = WeightsDisplay.from_estimator(model)
    >>> len(display.images_), display.images_[0].get_array().shape
    (10, (8, 8))
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        weights: np.ndarray,
        *,
        input_names: Sequence[str] | None = None,
        unit_names: Sequence[str] | None = None,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.weights = weights
        self.input_names = input_names
        self.unit_names = unit_names
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        layer: int = 0,
        kind: str = "auto",
        image_shape: tuple[int, int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> WeightsDisplay:
        """Draw the weights of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with `coefs_` (networks) or `coef_` (linear models), of skgd or scikit-learn.
            A Pipeline shows its last step, a search its best estimator.
        layer : int, default=0
            The weights that lead to this layer of units; -1 is the last. A linear model has one.
        kind : {"filters", "hinton", "auto"}, default="auto"
            An image for each unit, where the inputs are pixels; or a square for each weight. "auto"
            is "filters" where there is an `image_shape`, or as many inputs as a square image has.
        image_shape : tuple of two int, default=None
            Rows and columns of the images; None is a square.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs : dict
            For `imshow`, as in ``cmap="PuOr"``, or for the PolyCollection of the squares.

        Returns
        -------
        display : WeightsDisplay

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        TypeError, ValueError
            It has no weights or no such layer, or its inputs are no image of this shape.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_choice("kind", kind, _KINDS)
        learner = fitted_learner(estimator)
        layers = _layers(learner)
        check_number("layer", layer, integer=True)
        if not -len(layers) <= layer < len(layers):
            raise ValueError(
                f"layer={layer}: {type(learner).__name__} has {len(layers)} "
                f"{'layers' if len(layers) > 1 else 'layer'} of weights, "
                f"from 0 to {len(layers) - 1}."
            )
        layer = layer % len(layers)
        weights = layers[layer]
        display = cls(
            weights,
            input_names=_input_names(learner, layer, len(weights)),
            unit_names=_unit_names(learner, layer == len(layers) - 1, weights.shape[1]),
            image_shape=image_shape,
        )
        return display.plot(ax, kind=kind, **kwargs)

    def plot(self, ax: Any = None, *, kind: str = "auto", **kwargs: Any) -> WeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        kind : {"filters", "hinton", "auto"}, default="auto"
        **kwargs : dict
            For `imshow`, or for the PolyCollection of the squares.

        Returns
        -------
        display : WeightsDisplay
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_choice("kind", kind, _KINDS)
        if kind == "auto":
            square = math.isqrt(len(self.weights)) ** 2 == len(self.weights)
            kind = "filters" if square or self.image_shape is not None else "hinton"
        self.images_: list[Any] = []
        self.colorbar_: Any = None
        self.squares_: Any = None
        draw = self._draw_filters if kind == "filters" else self._draw_hinton
        self.ax_ = draw(ax, kwargs)
        self.figure_ = self.ax_.figure
        return self

    def _draw_filters(self, ax: Any, kwargs: dict[str, Any]) -> Any:
        from matplotlib import colormaps

        n_inputs, n = self.weights.shape
        rows, columns = _image_shape(self.image_shape, n_inputs)
        named = n <= _MANY_FILTERS
        height = rows / columns  # all in widths of a filter
        down = height + _GAP + _LABEL * named
        across = min(n, max(1, round(math.sqrt(n * down * 1.3))))
        n_rows = math.ceil(n / across)
        whole = across * (1.0 + _GAP) - _GAP, n_rows * down - _GAP
        inch = min(1.0, 9.0 / whole[0], 9.0 / whole[1])
        ax = axes_for(ax, (max(2.4, whole[0] * inch) + 1.2, max(1.8, whole[1] * inch) + 0.4))
        finite = np.abs(self.weights[np.isfinite(self.weights)])
        largest = float(finite.max(initial=0.0)) or 1.0
        settings = {"vmin": -largest, "vmax": largest, **kwargs}
        # What is not finite must not look like zero.
        cmap = colormaps.get_cmap(settings.pop("cmap", "RdBu_r"))
        settings["cmap"] = cmap.with_extremes(bad="0.45")
        for unit in range(n):
            left = (unit % across) * (1.0 + _GAP)
            top = (unit // across) * down + _LABEL * named
            image = self.weights[:, unit].reshape(rows, columns)
            extent = (left, left + 1.0, top + height, top)
            self.images_.append(ax.imshow(image, extent=extent, **settings))
        ax.set(xlim=(0.0, whole[0]), ylim=(whole[1], 0.0), aspect="equal")
        ax.set_axis_off()
        self.colorbar_ = ax.figure.colorbar(self.images_[0], ax=ax, shrink=0.8, label="weight")
        if named:
            self._name_filters(ax, whole[0])
        return ax

    def _name_filters(self, ax: Any, widths: float) -> None:
        """Write names above filters, in letters as large as there is room for; or numbers."""
        ax.figure.draw_without_rendering()  # which settles how large the axes are
        points = 72.0 * ax.get_window_extent().width / ax.figure.dpi / widths  # of a filter
        names = [shorten(_name(self.unit_names, unit)) for unit in range(len(self.images_))]
        numbers = [name.removeprefix("unit ") for name in names]
        for texts in (names, numbers):
            size = min(9.0, 0.8 * (_LABEL + _GAP) * points, points / (0.6 * max(map(len, texts))))
            if size >= _SMALLEST:
                break
        else:
            return
        for image, text in zip(self.images_, texts, strict=True):
            left, right, _, top = image.get_extent()
            place = 0.5 * (left + right), top - 0.03
            ax.text(*place, text, ha="center", va="bottom", fontsize=size)

    def _draw_hinton(self, ax: Any, kwargs: dict[str, Any]) -> Any:
        from matplotlib.collections import PolyCollection

        n_inputs, n = self.weights.shape
        inch = min(0.42, 9.0 / max(n_inputs, n))
        longest = max(len(shorten(name)) for name in self.input_names or [n_inputs])
        width, height = n * inch + 0.8 + 0.085 * longest, n_inputs * inch + 1.4
        ax = axes_for(ax, (max(2.6, width), max(2.2, height)))
        row, column = np.nonzero(np.isfinite(self.weights) & (self.weights != 0.0))
        weights = self.weights[row, column]
        largest = float(np.abs(weights).max(initial=0.0)) or 1.0
        half = 0.46 * np.sqrt(np.abs(weights) / largest)[:, None]
        x = column[:, None] + half * [-1.0, 1.0, 1.0, -1.0]
        y = row[:, None] + half * [-1.0, -1.0, 1.0, 1.0]
        settings = {"facecolors": np.where(weights > 0.0, "white", "black"), "linewidths": 0.0}
        self.squares_ = PolyCollection(list(np.stack([x, y], axis=2)), **{**settings, **kwargs})
        ax.add_collection(self.squares_)
        for lost in np.argwhere(~np.isfinite(self.weights)):
            ax.text(lost[1], lost[0], "?", ha="center", va="center", color="#D55E00")
        ax.set(xlim=(-0.6, n - 0.4), ylim=(n_inputs - 0.4, -0.6), aspect="equal", facecolor="0.55")
        ax.set_xlabel(f"white: above 0; black: below\nlargest: {largest:.3g}", fontsize="small")
        ax.xaxis.tick_top()
        upright = max(map(len, map(str, self.unit_names or [""]))) > 3
        ax.tick_params(axis="x", labelrotation=90 if upright else 0)
        ax.tick_params(length=0)
        ax.figure.draw_without_rendering()  # which settles how large the axes are
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        _tick(ax.xaxis, self.unit_names, n, round(box.width / (0.17 if upright else 0.3)))
        _tick(ax.yaxis, self.input_names, n_inputs, round(box.height / 0.17))
        return ax


def _layers(learner: Any) -> list[np.ndarray]:
    """Weights of each layer, (units before, units after)."""
    if hasattr(learner, "coefs_"):
        return [np.asarray(weights) for weights in learner.coefs_]
    coef = getattr(learner, "coef_", None)
    if coef is None:
        raise TypeError(
            f"{type(learner).__name__} has neither coefs_ nor coef_, so there are no weights to "
            "draw: give a network or a linear model."
        )
    dense = coef.toarray() if sparse.issparse(coef) else np.asarray(coef)
    return [np.atleast_2d(dense).T]


def _input_names(learner: Any, layer: int, n: int) -> list[str]:
    names = getattr(learner, "feature_names_in_", None)
    if layer == 0 and names is not None:
        return [str(name) for name in names]
    return [f"x{i}" if layer == 0 else f"unit {i}" for i in range(n)]


def _unit_names(learner: Any, is_last: bool, n: int) -> list[str]:
    classes = getattr(learner, "classes_", None)
    if not is_last:
        return [f"unit {i}" for i in range(n)]
    if classes is not None and np.ndim(classes) == 1 and n in (1, len(classes)):
        return [str(label) for label in (classes if n > 1 else classes[1:])]
    return [f"output {i}" for i in range(n)]


def _name(names: Sequence[str] | None, i: int) -> str:
    return str(i) if names is None else names[i]


def _tick(axis: Any, names: Sequence[str] | None, n: int, room: int) -> None:
    """Name the rows or columns; every second, third, ... where there is room for few."""
    every = math.ceil(n / max(1, room))
    places = range(0, n, every)
    axis.set_ticks(places, labels=[shorten(_name(names, i)) for i in places], fontsize="small")


def _image_shape(given: Any, n_inputs: int) -> tuple[int, int]:
    side = math.isqrt(n_inputs)
    if given is None:
        if side * side != n_inputs:
            raise ValueError(
                f"{n_inputs} inputs are no square image: give image_shape=(rows, columns), or use "
                'kind="hinton".'
            )
        return side, side
    if np.shape(given) != (2,) or math.prod(given) != n_inputs or min(given) < 1:
        raise ValueError(
            f"image_shape takes two whole numbers, rows and columns, whose product is {n_inputs}, "
            f"the number of inputs; got {given!r}."
        )
    return int(given[0]), int(given[1])
