"""`LossCurveDisplay`: J over the epochs, of one training or of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgd._component import check_bool
from skgd.plotting._figure import axes_for, label_decades, legend, look, require_matplotlib, shorten
from skgd.plotting._learners import by_name, fitted_learner

_VALIDATION = {"linestyle": "--", "alpha": 0.8}
_DIVERGED = " (diverged)"
# How far above the others a curve that diverged is drawn; alone, above its own start.
_CEILING, _CEILING_ALONE, _CEILING_LINEAR = 10.0, 1e3, 2.0


class LossCurveDisplay:
    """Loss over the epochs: the training solid, the rows kept back dashed.

    Make it with `from_estimator`. What is given is stored as attributes.

    Parameters
    ----------
    curves : dict
        Name, and a dict of equally long lists such as `history_`: "epoch", "loss" and, where
        there was validation, "validation_loss".
    diverged : collection of str, default=()
        Names of the trainings that diverged: the axis ends above the others, and a cross marks
        their last epoch or, beyond the axis, where they leave it.
    x, y : str, default="epoch", "loss"
        Columns to draw; the dashed lines are the column ``"validation_" + y``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Of the training, in the order of `curves`.
    validation_lines_ : list of matplotlib Line2D or None
        Of the rows kept back; None where there are none.
    legend_ : matplotlib Legend or None

    See Also
    --------
    ErrorSurfaceDisplay : The paths of descent instead of the heights.
    sklearn.model_selection.LearningCurveDisplay : Scores over the number of rows.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skgd import GDClassifier
    >>> from skgd.plotting import LossCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> settings = {"max_iter": 30, "tol": None, "early_stopping": True, "random_state": 0}
    >>> models = [
    ...     GDClassifier(optimizer=optimizer, **settings).fit(X, y)
    ...     for optimizer in ("sgd", "nesterov", "adam")
    ... ]
    >>> display = LossCurveDisplay.from_estimator(models)
    >>> [line.get_label() for line in display.lines_]
    ['optimizer=sgd', 'optimizer=nesterov', 'optimizer=adam']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        curves: Mapping[str, Mapping[str, Any]],
        diverged: Any = (),
        x: str = "epoch",
        y: str = "loss",
    ) -> None:
        self.curves = curves
        self.diverged = diverged
        self.x = x
        self.y = y

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        validation: bool = True,
        log_scale: bool | str = "auto",
        x: str = "epoch",
        y: str = "loss",
        ax: Any = None,
        **kwargs: Any,
    ) -> LossCurveDisplay:
        """Draw the history of fitted estimators.

        Parameters
        ----------
        estimator : estimator, list of them or dict name -> estimator
            Fitted. A Pipeline shows its last step, a search its best estimator; any estimator
            with a `loss_curve_`, such as scikit-learn's networks, will do. Those in a list are
            named after the parameters in which they differ.
        validation : bool, default=True
            Draw the rows kept back, too, where there are any.
        log_scale : bool or "auto", default="auto"
            Logarithmic vertical axis; "auto" is where all values are above zero and the largest
            is at least ten times the smallest.
        x, y : str, default="epoch", "loss"
            Columns of `history_`: ``y="learning_rate"`` shows the schedule.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **kwargs : dict
            For all lines, as in ``linewidth=1``.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        NotFittedError
            An estimator is not fitted.
        TypeError
            An estimator keeps no curve.
        ValueError
            An estimator has learned for no epoch, or has no such column.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        curves, diverged = {}, []
        for name, given in by_name(estimator).items():
            learner = fitted_learner(given)
            curves[name] = _history(name, learner, x, y)
            if str(getattr(learner, "stop_reason_", "")).startswith("diverged"):
                diverged.append(name)
        display = cls(curves=curves, diverged=diverged, x=x, y=y)
        return display.plot(ax, validation=validation, log_scale=log_scale, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        validation: bool = True,
        log_scale: bool | str = "auto",
        **kwargs: Any,
    ) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        validation : bool, default=True
        log_scale : bool or "auto", default="auto"
        **kwargs : dict
            For all lines.

        Returns
        -------
        display : LossCurveDisplay
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_bool("validation", validation)
        drawn = [self.y, f"validation_{self.y}"] if validation else [self.y]
        self._ceiling = self._end_of_axis(drawn)
        logarithmic = self._logarithmic(log_scale, drawn)
        ax = axes_for(ax, (7.0, 4.4))
        self.lines_: list[Any] = []
        self.validation_lines_: list[Any] = []
        for number, (name, curve) in enumerate(self.curves.items()):
            self.lines_.append(self._line(ax, number, name, curve, self.y, kwargs))
            dashed = curve.get(f"validation_{self.y}") if validation else None
            if dashed is None:
                self.validation_lines_.append(None)
            else:
                more = {**_VALIDATION, **kwargs}
                column = f"validation_{self.y}"
                self.validation_lines_.append(self._line(ax, number, name, curve, column, more))
        if self._ceiling < np.inf:
            ax.set_ylim(self._floor(drawn, logarithmic), self._ceiling)
        if logarithmic:
            ax.set_yscale("log")
        self._dress(ax, logarithmic)
        self.legend_ = self._legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _line(
        self, ax: Any, number: int, name: str, curve: Any, column: str, kwargs: dict[str, Any]
    ) -> Any:
        x, y = np.asarray(curve[self.x], float), np.asarray(curve[column], float)
        y = np.where(np.isfinite(y), y, np.nan)  # an inf would take the axis with it
        shown = np.flatnonzero(np.isfinite(y))
        style = {**look(number), "markersize": 4.5, "linewidth": 1.6}
        style["markevery"] = _marked(np.isfinite(y), number, len(self.curves))
        if not style["markevery"]:  # then the legend has none either
            style["marker"] = ""
        label = name + _DIVERGED * (name in self.diverged)
        if column != self.y:
            label = f"_{label}, validation"  # the underscore keeps it out of legends
        style = {**style, "label": label, **kwargs}
        (line,) = ax.plot(x, y, **style)
        if name in self.diverged and len(shown):
            beyond = np.flatnonzero(y > self._ceiling)
            last = beyond[0] if len(beyond) else shown[-1]
            cross = {"color": line.get_color(), "markersize": 10, "mew": 2.5, "clip_on": False}
            ax.plot(x[last], min(y[last], self._ceiling), "x", zorder=4, **cross)
        return line

    def _finite(self, columns: list[str], names: Any) -> np.ndarray:
        """Finite values of these curves."""
        given = [
            np.asarray(self.curves[name][column], float)
            for name in names
            for column in columns
            if self.curves[name].get(column) is not None
        ]
        values = np.concatenate([np.empty(0), *given])
        return values[np.isfinite(values)]

    def _end_of_axis(self, columns: list[str]) -> float:
        """Value at which a curve that diverged leaves the axes; inf where none does."""
        lost = [name for name in self.curves if name in self.diverged]
        others = self._finite(columns, [name for name in self.curves if name not in self.diverged])
        values = self._finite(columns, lost)
        if not values.size:
            return np.inf
        starts = [self._finite([self.y], [name])[:1] for name in lost]
        known = others if others.size else np.concatenate(starts)
        if not known.size:
            return np.inf
        factor = _CEILING if others.size else _CEILING_ALONE
        if min(known.min(), values.min()) <= 0.0:
            factor = _CEILING_LINEAR
        end = factor * float(np.abs(known).max() or 1.0)
        return end if values.max() > end else np.inf

    def _floor(self, columns: list[str], logarithmic: bool) -> float:
        """Lower end of the axis beside `_ceiling`."""
        low = float(self._finite(columns, self.curves).min())
        return 0.8 * low if logarithmic else low - 0.05 * (self._ceiling - low)

    def _logarithmic(self, log_scale: Any, columns: list[str]) -> bool:
        values = np.minimum(self._finite(columns, self.curves), self._ceiling)
        positive = bool(values.size and values.min() > 0)
        if isinstance(log_scale, str) and log_scale == "auto":
            return positive and bool(values.max() >= 10.0 * values.min())
        check_bool("log_scale", log_scale, also=("auto",))
        if log_scale and values.size and not positive:
            raise ValueError(
                f"log_scale=True needs values above zero; the lowest {self.y} is "
                f'{values.min():g}. Use log_scale=False or "auto".'
            )
        return bool(log_scale)

    def _dress(self, ax: Any, logarithmic: bool) -> None:
        from matplotlib.ticker import MaxNLocator

        class FromOne(MaxNLocator):
            """Whole numbers, without the zero that the margin would show."""

            def tick_values(self, vmin: float, vmax: float) -> Any:
                places = np.asarray(super().tick_values(vmin, vmax))
                return places[places >= 1]

        words = {"loss": "loss (J, mean over the epoch)"}
        ax.set_xlabel(self.x.replace("_", " "))
        ax.set_ylabel(words.get(self.y, self.y.replace("_", " ")))
        if self.x == "epoch":
            ax.xaxis.set_major_locator(FromOne("auto", integer=True, min_n_ticks=1))
        if logarithmic:
            label_decades(ax.yaxis, *ax.get_ylim())
        ax.grid(color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)

    def _legend(self, ax: Any) -> Any:
        from matplotlib.lines import Line2D

        validated = any(line is not None for line in self.validation_lines_)
        kinds = ["training", "validation"] if validated else []
        if len(self.curves) == 1:
            (name,) = self.curves
            (line,), (dashed,) = self.lines_, self.validation_lines_
            handles = [line, dashed] if validated else [line]
            labels = list(kinds) or [shorten(line.get_label())]
            if name in self.diverged and validated:
                labels[0] += _DIVERGED
        else:
            handles, labels = list(self.lines_), [shorten(li.get_label()) for li in self.lines_]
            if validated:
                handles.append(Line2D([], [], color="0.4", linestyle="-"))
                handles.append(Line2D([], [], color="0.4", linestyle="--"))
                labels += kinds
        return legend(ax, handles, labels)


def _marked(finite: np.ndarray, number: int, n_curves: int) -> list[int]:
    """Return the entries to mark: some of each curve where there are several, and lone points."""
    around = np.concatenate([[False], finite, [False]])
    lone = finite & ~around[:-2] & ~around[2:]
    every = max(1, len(finite) // 8)
    if n_curves > 1:  # markers of neighbouring lines stand apart
        lone[number * every // n_curves :: every] = True
    return [int(entry) for entry in np.flatnonzero(lone)]


def _history(name: str, learner: Any, x: str, y: str) -> dict[str, list[Any]]:
    """Return the columns of a fitted estimator; they are copies."""
    if isinstance(getattr(learner, "history_", None), Mapping):
        history = {column: list(values) for column, values in learner.history_.items()}
    elif getattr(learner, "loss_curve_", None) is not None:
        losses = list(learner.loss_curve_)
        history = {"epoch": list(range(1, len(losses) + 1)), "loss": losses}
    else:
        raise TypeError(
            f"{name} has neither history_ nor loss_curve_, so there is no curve to draw: give an "
            f"estimator of skgd, or one that keeps its losses; got {learner!r}."
        )
    for parameter, column in (("x", x), ("y", y)):
        if column not in history:
            raise ValueError(
                f"{parameter}={column!r} is no column of the history of {name}; there are "
                f"{', '.join(map(repr, history))}."
            )
    if not history[y]:
        raise ValueError(f"{name} has learned for no epoch yet: call fit or partial_fit first.")
    return history
