"""`ErrorSurfaceDisplay`: J over a plane of parameters, with the paths of descent upon it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from skgd._component import check_bool, check_choice, check_number
from skgd.estimators import GradientLearner
from skgd.estimators.pipelines import learner_of, rows_seen
from skgd.plotting._figure import axes_for, legend, line_style, look, require_matplotlib, shorten
from skgd.plotting._learners import by_name
from skgd.plotting._paths import as_paths, record_path
from skgd.plotting._plane import plane_of_parameters, plane_of_paths

_N_LEVELS = 18
_MARGIN = 0.15  # of the extent of the paths, on each side
_FAR = 10.0  # times J at the start: what is higher does not set the limits of the axes
_HIGHEST = 1e150  # that is drawn: a projection multiplies what is near the largest number


class ErrorSurfaceDisplay:
    """The error surface: J over two parameters or directions, and paths of descent upon it.

    Make it with `from_estimator` or `from_function`. What is given is stored as attributes.

    Parameters
    ----------
    x0, x1 : ndarray of shape (n_columns,) and (n_rows,)
        Coordinates of the grid.
    values : ndarray of shape (n_rows, n_columns)
        J at each point of the grid.
    paths : dict, default=None
        Name, and array of shape (n_points, 3) of each path: the two coordinates, and J there.
    labels : tuple of two str, default=("x[0]", "x[1]")
        Of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    surface_ : matplotlib ContourSet or Poly3DCollection
    levels_ : ndarray
        J along the lines, and where the colours change.
    lines_ : list of matplotlib Line2D
        The paths.
    colorbar_ : matplotlib Colorbar or None
    legend_ : matplotlib Legend or None

    See Also
    --------
    LossCurveDisplay : J over the epochs.
    sklearn.inspection.DecisionBoundaryDisplay : What the model says, over two features.

    Notes
    -----
    With more than two parameters the picture is a plane through the point where the best path
    ends, and a path is drawn where its points are nearest to the plane: J there is not J on the
    path. The labels say how much of the way lies along each principal direction.

    References
    ----------
    H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of neural
    nets", 2018, section 7 (principal directions of a path).

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skgd import GDRegressor
    >>> from skgd.plotting import ErrorSurfaceDisplay
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> settings = {"learning_rate": 0.1, "alpha": 0.0, "max_iter": 50, "random_state": 0}
    >>> models = {name: GDRegressor(optimizer=name, **settings) for name in ("sgd", "nesterov")}
    >>> display = ErrorSurfaceDisplay.from_estimator(models, X, y, grid_resolution=20)
    >>> display.values.shape, display.labels
    ((20, 20), ('coef[0]', 'intercept[0]'))
    >>> display.paths["sgd"].shape  # the start and 50 epochs; two parameters and J
    (51, 3)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        x0: np.ndarray,
        x1: np.ndarray,
        values: np.ndarray,
        paths: Mapping[str, np.ndarray] | None = None,
        labels: tuple[str, str] = ("x[0]", "x[1]"),
    ) -> None:
        self.x0 = x0
        self.x1 = x1
        self.values = values
        self.paths = paths
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        paths: Any = None,
        parameters: Any = None,
        n_epochs: int | None = None,
        start: Any = None,
        kind: str = "contour",
        log_scale: bool | str = "auto",
        xlim: Any = None,
        ylim: Any = None,
        grid_resolution: int = 60,
        ax: Any = None,
        **kwargs: Any,
    ) -> ErrorSurfaceDisplay:
        """Draw J of an estimator on X and y, and the paths of descent.

        Parameters
        ----------
        estimator : estimator, list of them or dict name -> estimator
            Of skgd, fitted or not; or Pipelines that end in one, which see X through their first
            steps. They do not change. All must have the same J: they differ in how they descend.
        X, y : array-like
            The data of J. The picture costs ``grid_resolution**2`` values of J on all rows: a
            sample of many rows will do.
        paths : array of shape (n_points, n_parameters), list or dict name -> array, default=None
            Rows are parameters, the start first; an object with such an array as `path_` will
            do. None trains a clone of each estimator, epoch by epoch.
        parameters : two of int or str, default=None
            The parameters along the axes, by number or by a name such as ``"coef[0]"`` or
            ``"coefs[0][3, 1]"``; the others are those at the end of the path that ends lowest.
            None is the two there are, or, where there are more, the two principal directions of
            the paths.
        n_epochs : int, default=None
            How long the clones train; None is as long as the estimator did, or its `max_iter`.
        start : array-like of shape (n_parameters,), default=None
            Where the clones start; None is where `fit` would.
        kind : {"contour", "surface"}, default="contour"
            Seen from above, or in three dimensions.
        log_scale : bool or "auto", default="auto"
            Whether levels, colours and the height of a surface go by the logarithm of J's distance
            from the lowest value on the grid. "auto": levels and colours do, heights do not.
        xlim, ylim : pair of float, default=None
            None is what the paths need. A path that leaves them is cut off.
        grid_resolution : int, default=60
            Points of the grid along each axis.
        ax : matplotlib Axes, default=None
            None makes a figure. For "surface" it has ``projection="3d"``.
        **kwargs : dict
            For `contourf` or `plot_surface`, as in ``cmap="cividis"``.

        Returns
        -------
        display : ErrorSurfaceDisplay

        Raises
        ------
        ValueError
            The model has one parameter only; the estimators have different J; a path has
            another shape; a parameter has another name.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        learners, X = _learners_and_data(by_name(estimator), X, y)
        objectives = {name: learner.objective(X, y) for name, learner in learners.items()}
        objective = next(iter(objectives.values()))
        n = objective.x0.size
        if n < 2:
            raise ValueError(
                f"The model has {n} parameter only, and a surface needs two: draw J over it as a "
                "line, with estimator.objective(X, y).value, or use fit_intercept=True."
            )
        if paths is None:
            _check_same_objective(objectives)
            paths = {
                name: record_path(learner, X, y, n_epochs=n_epochs, start=start)
                for name, learner in learners.items()
            }
        found = as_paths(paths, n)
        origin = min((path[-1] for path in found.values()), key=_finite_or_inf(objective.value))
        if parameters is None and n > 2:
            plane = plane_of_paths(origin, list(found.values()))
        else:
            pair = (0, 1) if parameters is None else parameters
            names = objective.unpack(np.arange(n))
            plane = plane_of_parameters(origin, pair, names)

        def height(a: float, b: float) -> float:
            return float(objective.value(plane.at(a, b)))

        flat = {name: plane.project(path) for name, path in found.items()}
        display = cls._of(height, flat, xlim, ylim, grid_resolution, plane.labels)
        return display.plot(ax, kind=kind, log_scale=log_scale, **kwargs)

    @classmethod
    def from_function(
        cls,
        fun: Callable[[np.ndarray], Any],
        xlim: Any = None,
        ylim: Any = None,
        *,
        paths: Any = None,
        kind: str = "contour",
        log_scale: bool | str = "auto",
        grid_resolution: int = 120,
        ax: Any = None,
        **kwargs: Any,
    ) -> ErrorSurfaceDisplay:
        """Draw a function of two variables, as `skgd.minimize` takes it.

        Parameters
        ----------
        fun : callable
            ``fun(x) -> number``, with x of shape (2,).
        xlim, ylim : pair of float, default=None
            None is what the paths need.
        paths : array of shape (n_points, 2), list or dict name -> array, default=None
            Points of the way, the start first: what a callback of `minimize` was given.
        kind : {"contour", "surface"}, default="contour"
        log_scale : bool or "auto", default="auto"
            Whether levels, colours and the height of a surface go by the logarithm of J's distance
            from the lowest value on the grid. "auto": levels and colours do, heights do not.
        grid_resolution : int, default=120
        ax : matplotlib Axes, default=None
        **kwargs : dict
            For `contourf` or `plot_surface`.

        Returns
        -------
        display : ErrorSurfaceDisplay

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skgd import minimize
        >>> from skgd.plotting import ErrorSurfaceDisplay
        >>> def rosenbrock(x):
        ...     return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2
        >>> path = [np.array([-1.5, 2.0])]
        >>> result = minimize(rosenbrock, path[0], optimizer="lbfgs", callback=path.append)
        >>> display = ErrorSurfaceDisplay.from_function(
        ...     rosenbrock, (-2, 2), (-1, 3), paths={"lbfgs": np.array(path)}
        ... )
        >>> display.paths["lbfgs"][-1].round(3)
        array([1., 1., 0.])
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_function")
        if not callable(fun):
            raise TypeError(f"fun takes a callable x -> number; got {fun!r}.")
        found = {} if paths is None else as_paths(paths, 2)

        def height(a: float, b: float) -> float:
            return float(fun(np.array([a, b])))

        display = cls._of(height, found, xlim, ylim, grid_resolution, ("x[0]", "x[1]"))
        return display.plot(ax, kind=kind, log_scale=log_scale, **kwargs)

    @classmethod
    def _of(
        cls,
        height: Callable[[float, float], float],
        flat: dict[str, np.ndarray],
        xlim: Any,
        ylim: Any,
        grid_resolution: int,
        labels: tuple[str, str],
    ) -> ErrorSurfaceDisplay:
        """Evaluate J on the grid and along the paths."""
        check_number("grid_resolution", grid_resolution, low=2, integer=True)
        with np.errstate(all="ignore"):  # far away J may overflow, and is left white
            paths = {
                name: np.column_stack([path, [height(a, b) for a, b in path]])
                for name, path in flat.items()
            }
            low, high = _limits(paths, xlim, ylim)
            x0 = np.linspace(low[0], high[0], int(grid_resolution))
            x1 = np.linspace(low[1], high[1], int(grid_resolution))
            values = np.array([[height(a, b) for a in x0] for b in x1])
        if not np.isfinite(values).any():
            raise ValueError("J is not finite anywhere on the grid: give other xlim and ylim.")
        return cls(x0=x0, x1=x1, values=values, paths=paths, labels=labels)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "contour",
        log_scale: bool | str = "auto",
        **kwargs: Any,
    ) -> ErrorSurfaceDisplay:
        """Draw the surface and the paths.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        kind : {"contour", "surface"}, default="contour"
        log_scale : bool or "auto", default="auto"
            Whether levels, colours and the height of a surface go by the logarithm of J's distance
            from the lowest value on the grid. "auto": levels and colours do, heights do not.
        **kwargs : dict
            For `contourf` or `plot_surface`.

        Returns
        -------
        display : ErrorSurfaceDisplay
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_choice("kind", kind, ["contour", "surface"])
        solid = kind == "surface"
        if solid and ax is not None and getattr(ax, "name", "") != "3d":
            raise ValueError(
                'kind="surface" needs axes with three dimensions: make them with '
                'plt.subplots(subplot_kw={"projection": "3d"}), or leave ax out.'
            )
        ax = axes_for(ax, (7.6, 6.4) if solid else (7.6, 5.2), **_projection(solid))
        auto = isinstance(log_scale, str) and log_scale == "auto"
        if not auto:
            check_bool("log_scale", log_scale, also=("auto",))
        self._logarithmic = not solid if auto else bool(log_scale)  # the height, or the levels
        self.levels_ = _levels(self.values, logarithmic=auto or bool(log_scale))
        draw = self._draw_surface if solid else self._draw_contour
        self.lines_: list[Any] = []
        draw(ax, kwargs)
        pad: dict[str, Any] = {"labelpad": 8.0} if solid else {}  # clear of the numbers
        ax.set_xlabel(shorten(self.labels[0]), **pad)
        ax.set_ylabel(shorten(self.labels[1]), **pad)
        self.legend_ = self._legend(ax) if self.lines_ else None
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_contour(self, ax: Any, kwargs: dict[str, Any]) -> None:
        norm = _norm(self.levels_)
        values = np.ma.masked_invalid(self.values)
        grid = (self.x0, self.x1, values)
        settings: dict[str, Any] = {"cmap": "viridis", "norm": norm, "alpha": 0.85, **kwargs}
        self.surface_ = ax.contourf(*grid, levels=self.levels_, **settings)
        ax.contour(*grid, levels=self.levels_, colors="white", linewidths=0.5, alpha=0.6)
        self._bar(ax, self.surface_)
        for number, (name, path) in enumerate((self.paths or {}).items()):
            (line,) = ax.plot(path[:, 0], path[:, 1], label=name, **_path_style(number))
            self.lines_.append(line)
            _mark_ends(ax, path[:, :2], line)
        ax.set(xlim=self.x0[[0, -1]], ylim=self.x1[[0, -1]])

    def _draw_surface(self, ax: Any, kwargs: dict[str, Any]) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable

        norm = kwargs.pop("norm", None) or _norm(self.levels_)
        cmap = colormaps.get_cmap(kwargs.pop("cmap", "viridis"))
        height = self._height()
        colours = cmap(norm(np.ma.masked_invalid(self.values)))
        fine: dict[str, Any] = {"rcount": min(len(self.x1), 80), "ccount": min(len(self.x0), 80)}
        settings: dict[str, Any] = {
            "shade": False,
            "alpha": 0.8,
            "linewidth": 0,
            "antialiased": True,
            "zorder": 1,
        }
        grid = (*np.meshgrid(self.x0, self.x1), height(self.values))
        self.surface_ = ax.plot_surface(*grid, facecolors=colours, **{**settings, **fine, **kwargs})
        self._bar(ax, ScalarMappable(norm, cmap), shrink=0.7, pad=0.1)
        for number, (name, path) in enumerate((self.paths or {}).items()):
            nearest = np.clip(path[:, :2], self._corner(0), self._corner(-1))
            inside = (nearest == path[:, :2]).all(axis=1, keepdims=True)
            seen = np.where(inside, path, np.nan)  # nothing cuts a line off in 3-D
            seen[:, 2] = height(seen[:, 2])
            (line,) = ax.plot(*seen.T, label=name, **_path_style(number))
            self.lines_.append(line)
            _mark_ends(ax, seen, line)
        ax.set_zlabel("J")
        if self._logarithmic:
            shown = self.levels_[1 :: max(1, len(self.levels_) // 6)]
            ax.set_zticks(height(shown), labels=_told_apart(shown))
        ax.view_init(elev=38, azim=-60)
        ax.set_box_aspect(None, zoom=0.88)  # else the label of J is cut off

    def _height(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return what is drawn upwards: J, or the logarithm of its distance from the lowest."""
        if not self._logarithmic:
            return lambda values: np.where(np.abs(values) < _HIGHEST, values, np.nan)
        lowest, first = self.levels_[:2]

        def logarithm(values: np.ndarray) -> np.ndarray:
            above = np.maximum(values - lowest, 0.0) + (first - lowest)
            return np.log10(np.where(above < _HIGHEST, above, np.nan))

        return logarithm

    def _corner(self, end: int) -> np.ndarray:
        return np.array([self.x0[end], self.x1[end]])

    def _bar(self, ax: Any, mappable: Any, **where: Any) -> None:
        bar = ax.figure.colorbar(mappable, ax=ax, **where)
        bar.set_label("J")
        shown = self.levels_[:: max(1, len(self.levels_) // 8)]
        bar.set_ticks(shown, labels=_told_apart(shown))
        self.colorbar_ = bar

    def _legend(self, ax: Any) -> Any:
        from matplotlib.lines import Line2D

        ends: dict[str, Any] = {"linestyle": "", "markeredgecolor": "black", "color": "white"}
        handles = [
            *self.lines_,
            Line2D([], [], marker="o", markersize=8, **ends),
            Line2D([], [], marker="*", markersize=12, **ends),
        ]
        labels = [shorten(line.get_label()) for line in self.lines_]
        return legend(ax, handles, [*labels, "start", "end"], above=True)


def _projection(solid: bool) -> dict[str, Any]:
    return {"projection": "3d", "computed_zorder": False} if solid else {}


def _learners_and_data(named: dict[str, Any], X: Any, y: Any) -> tuple[dict[str, Any], Any]:
    """Return what learns in each estimator, and X as it sees it."""
    first = next(iter(named.values()))
    X = rows_seen(first, X, y)
    learners = {name: learner_of(estimator) for name, estimator in named.items()}
    for name, learner in learners.items():
        if not isinstance(learner, GradientLearner):
            raise TypeError(
                f"estimator takes estimators of skgd, which tell their J; {name} is {learner!r}."
            )
    return learners, X


def _check_same_objective(objectives: dict[str, Any]) -> None:
    """Raise unless all have the same J, as far as one point tells."""
    (first, objective), *others = objectives.items()
    theta = np.linspace(0.1, 0.2, objective.x0.size)
    wanted = objective.value(theta)
    for name, other in others:
        if other.x0.shape != theta.shape or not np.isclose(other.value(theta), wanted, rtol=1e-5):
            raise ValueError(
                f"{first} and {name} have different J, so that their paths do not lie on one "
                "surface: give them the same loss, penalty, alpha and layers."
            )


def _finite_or_inf(fun: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], float]:
    def value(theta: np.ndarray) -> float:
        found = fun(theta)
        return found if np.isfinite(found) else np.inf

    return value


def _limits(paths: dict[str, np.ndarray], xlim: Any, ylim: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper corner of the grid."""
    given = [_as_limits(name, pair) for name, pair in (("xlim", xlim), ("ylim", ylim))]
    if not paths and None in given:
        raise ValueError("xlim and ylim are needed where there are no paths.")
    corners = np.zeros((2, 2))
    if paths:
        points = np.concatenate(list(paths.values()))
        highest = max(abs(path[0, 2]) for path in paths.values())
        far: np.ndarray = points[:, 2] > _FAR * highest
        near = points[~far, :2]
        corners = np.array([near.min(axis=0), near.max(axis=0)])
        extent = corners[1] - corners[0]
        # A path along an axis still lies in a plane.
        extent = np.maximum(extent, 0.25 * extent.max())
        middle = corners.mean(axis=0)
        half = (0.5 + _MARGIN) * np.where(extent > 0.0, extent, 1.0)
        corners = np.array([middle - half, middle + half])
    for axis, pair in enumerate(given):
        if pair is not None:
            corners[:, axis] = pair
    return corners[0], corners[1]


def _as_limits(name: str, pair: Any) -> tuple[float, float] | None:
    if pair is None:
        return None
    if np.shape(pair) == (2,) and -np.inf < pair[0] < pair[1] < np.inf:
        return float(pair[0]), float(pair[1])
    raise ValueError(f"{name} takes two finite numbers, the lower first; got {pair!r}.")


def _levels(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Return evenly spaced levels, or levels whose distances from the lowest grow by a factor."""
    finite = values[np.isfinite(values)]
    lowest, highest = float(finite.min()), float(finite.max())
    span = highest - lowest
    if not span > 1e-12 * max(abs(lowest), abs(highest)):  # flat: one level below, one above
        half = 0.5 * max(abs(lowest), 1.0)
        return np.array([lowest - half, lowest + half])
    if not logarithmic:
        return np.linspace(lowest, highest, _N_LEVELS)
    # The first level encloses a hundredth of the picture.
    first = max(float(np.quantile(finite, 0.01)) - lowest, 1e-6 * span)
    levels = lowest + np.geomspace(min(first, 0.1 * span), span, _N_LEVELS)
    return np.array([lowest, *levels[:-1], highest])


def _told_apart(values: np.ndarray) -> list[str]:
    """Write numbers with three digits, or as many more as it takes to make them differ."""
    for digits in range(3, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _norm(levels: np.ndarray) -> Any:
    from matplotlib.colors import BoundaryNorm

    return BoundaryNorm(levels, 256)


def _path_style(number: int) -> dict[str, Any]:
    from matplotlib.patheffects import Normal, Stroke

    return {
        **look(number),
        "linestyle": line_style(number),
        "linewidth": 2.0,
        "markersize": 5.0,
        "markevery": 0.08,  # of the picture's diagonal, not of the points, which crowd at the end
        "zorder": 4,
        "path_effects": [Stroke(linewidth=3.6, foreground="white"), Normal()],
    }


def _mark_ends(ax: Any, path: np.ndarray, line: Any) -> None:
    """Mark the start by a circle and the end by a star, in two or three dimensions."""
    marks: dict[str, Any] = {"linestyle": "", "markeredgecolor": "black", "zorder": 6}
    ax.plot(*path[:1].T, marker="o", color="white", markersize=8, **marks)
    ax.plot(*path[-1:].T, marker="*", color=line.get_color(), markersize=13, **marks)
