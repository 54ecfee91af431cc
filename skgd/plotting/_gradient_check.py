"""`GradientCheckDisplay`: the report of `check_gradient` as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from skgd._component import check_choice
from skgd.gradient_check import GradientCheck, check_gradient
from skgd.gradient_check.report import DISAGREES, ON_KINKS
from skgd.plotting._figure import (
    axes_for,
    legend,
    line_style,
    look,
    require_matplotlib,
    shorten,
)

_NAMED = 6  # disagreements that are called by name


class GradientCheckDisplay:
    """How far gradient sources are apart, for each named block of parameters.

    Make it with `from_estimator` or `from_report`. What is given is stored as attributes.

    Parameters
    ----------
    report : GradientCheck
        What `skgd.check_gradient` found.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The markers, one line for each pair of sources.
    thresholds_ : list of matplotlib Line2D
        What is allowed, where the errors are shown.
    legend_ : matplotlib Legend

    See Also
    --------
    skgd.check_gradient : The report, as a table.

    Notes
    -----
    The error of a block is ``||a - b|| / max(||a||, ||b||, eps |J|)``. One that is zero, or not
    finite, stands at the end of the logarithmic axis that says so. Hollow markers: theta lies on
    a kink, and nothing measured there could be compared.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skgd import MLPBackpropClassifier
    >>> from skgd.plotting import GradientCheckDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPBackpropClassifier((3,), "tanh")
    >>> display = GradientCheckDisplay.from_estimator(model, X, y)
    >>> display.report.ok, len(display.lines_)  # three sources are three pairs
    (True, 3)
    >>> plt.close(display.figure_)
    """

    def __init__(self, report: GradientCheck) -> None:
        self.report = report

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        kind: str = "errors",
        ax: Any = None,
        **settings: Any,
    ) -> GradientCheckDisplay:
        """Check the gradients of an estimator, and draw what was found.

        Parameters
        ----------
        estimator, X, y : estimator and array-likes
            As for `skgd.check_gradient`, which takes a function and a point, too.
        kind : {"errors", "entries"}, default="errors"
            Relative errors by block, or each entry of one gradient against that of another.
        ax : matplotlib Axes, default=None
            None makes a figure.
        **settings : dict
            For `skgd.check_gradient`, as in ``sources=("analytic", "numeric")``.

        Returns
        -------
        display : GradientCheckDisplay
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_choice("kind", kind, ["errors", "entries"])
        return cls(check_gradient(estimator, X, y, **settings)).plot(ax, kind=kind)

    @classmethod
    def from_report(
        cls, report: GradientCheck, *, kind: str = "errors", ax: Any = None, **kwargs: Any
    ) -> GradientCheckDisplay:
        """Draw a report.

        Parameters
        ----------
        report : GradientCheck
            What `skgd.check_gradient` found.
        kind : {"errors", "entries"}, default="errors"
        ax : matplotlib Axes, default=None
        **kwargs : dict
            For the markers, as in ``markersize=4``.

        Returns
        -------
        display : GradientCheckDisplay
        """
        require_matplotlib(f"{cls.__name__}.from_report")
        if not isinstance(report, GradientCheck):
            raise TypeError(f"report takes what skgd.check_gradient returns; got {report!r}.")
        return cls(report).plot(ax, kind=kind, **kwargs)

    def plot(self, ax: Any = None, *, kind: str = "errors", **kwargs: Any) -> GradientCheckDisplay:
        """Draw the report.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        kind : {"errors", "entries"}, default="errors"
        **kwargs : dict
            For the markers.

        Returns
        -------
        display : GradientCheckDisplay

        Raises
        ------
        ValueError
            "entries" of a report in which fewer than two sources have computed all entries.
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_choice("kind", kind, ["errors", "entries"])
        self.lines_: list[Any] = []
        self.thresholds_: list[Any] = []
        ax = self._draw_errors(ax, kwargs) if kind == "errors" else self._draw_entries(ax, kwargs)
        handles = [*self.lines_, *self.thresholds_]
        labels = [shorten(handle.get_label()) for handle in handles]
        self.legend_ = legend(ax, handles, labels, above=True, title=self._verdict())
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _verdict(self) -> str:
        report = self.report
        n = sum(not reason for reason in report.sources.values())
        bad = {record["block"] for record in report.blocks if record["verdict"] == DISAGREES}
        of = len({record["block"] for record in report.blocks})
        if report.suspect is not None:
            return (
                f"{shorten(report.suspect)} is suspect: it disagrees in {len(bad)} of {of} blocks"
            )
        if bad:
            return f"The sources disagree in {len(bad)} of {of} blocks"
        return f"All {n} sources agree" if report.ok else "Nothing measured could be compared"

    def _draw_errors(self, ax: Any, kwargs: dict[str, Any]) -> Any:
        records = self.report.blocks
        blocks = list(dict.fromkeys(record["block"] for record in records))
        pairs = list(dict.fromkeys(map(_pair, records)))
        ax = axes_for(ax, (7.6, 1.9 + 0.5 * min(len(blocks), 30)))
        scale = _Scale(records)
        for number, pair in enumerate(pairs):
            of_pair = [record for record in records if _pair(record) == pair]
            errors = [record["relative_error"] for record in of_pair]
            # Pairs stand one below the other, so that equal errors do not hide each other.
            shift = 0.5 * ((number + 0.5) / len(pairs) - 0.5)
            rows = [blocks.index(record["block"]) + shift for record in of_pair]
            style = {**look(number), "linestyle": "", "markersize": 7.0, "zorder": 3, **kwargs}
            (line,) = ax.plot(scale.place(errors), rows, label=", ".join(pair), **style)
            self.lines_.append(line)
            for record, x, row in zip(of_pair, scale.place(errors), rows, strict=True):
                if record["verdict"] == ON_KINKS:
                    ax.plot(x, row, **{**style, "color": "white", "zorder": 4})
                    ax.plot(x, row, **{**style, "markerfacecolor": "none", "zorder": 5})
        self._draw_thresholds(ax, records)
        self._name_the_worst(ax, scale, blocks)
        scale.dress(ax)
        ax.set_xlabel("relative error of the block")
        ax.set_yticks(range(len(blocks)), labels=[shorten(block) for block in blocks])
        ax.set_ylim(len(blocks) - 0.5, -0.5)  # the first on top
        for row in range(1, len(blocks)):
            ax.axhline(row - 0.5, color="0.9", linewidth=0.8, zorder=0)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _draw_thresholds(self, ax: Any, records: list[dict[str, Any]]) -> None:
        allowed: dict[float, list[tuple[str, str]]] = {}
        for record in records:
            allowed.setdefault(record["tolerance"], []).append(_pair(record))
        for number, (tolerance, pairs) in enumerate(sorted(allowed.items())):
            shared = [name for name in pairs[0] if all(name in pair for pair in pairs)]
            of_whom = f" for {', '.join(shared)}" if shared and len(allowed) > 1 else ""
            label = f"allowed{of_whom}: {tolerance:.0e}"
            style = line_style(number + 1)
            line = ax.axvline(tolerance, color="0.35", linestyle=style, label=label, zorder=1)
            self.thresholds_.append(line)

    def _name_the_worst(self, ax: Any, scale: _Scale, blocks: list[str]) -> None:
        """Say which entry is furthest off in each block in which sources disagree."""
        worst: dict[str, dict[str, Any]] = {}
        for record in self.report.blocks:
            known = worst.get(record["block"])
            if record["verdict"] == DISAGREES and (
                known is None or record["relative_error"] > known["relative_error"]
            ):
                worst[record["block"]] = record
        for record in list(worst.values())[:_NAMED]:
            (x,), row = scale.place([record["relative_error"]]), blocks.index(record["block"])
            right = x > scale.middle
            ax.annotate(
                f"worst: {shorten(record['worst'])}",
                xy=(x, row),
                xytext=(-10 if right else 10, 0),
                textcoords="offset points",
                ha="right" if right else "left",
                va="center",
                fontsize="small",
                zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
            )

    def _draw_entries(self, ax: Any, kwargs: dict[str, Any]) -> Any:
        gradients = self.report.gradients
        if len(gradients) < 2:
            raise ValueError(
                'kind="entries" needs two sources that computed every entry; this report has '
                f"{', '.join(gradients) or 'none'}: use check_gradient(..., directions=None), or "
                'kind="errors".'
            )
        ax = axes_for(ax, (5.6, 5.4))
        (first, reference), *others = gradients.items()
        for number, (name, gradient) in enumerate(others):
            style = {**look(number), "linestyle": "", "markersize": 5.0, "alpha": 0.7, **kwargs}
            size = {"markersize": style["markersize"] + 3.0 * (len(others) - 1 - number)}
            (line,) = ax.plot(reference, gradient, label=name, **{**style, **size})
            self.lines_.append(line)
        every = np.concatenate(list(gradients.values()))
        every = every[np.isfinite(every)]
        if every.size:
            ax.axline((0.0, 0.0), slope=1.0, color="0.6", linewidth=0.9, zorder=0)
        ax.set_xlabel(f"entries of the gradient by {shorten(first)}")
        ax.set_ylabel("the same entries by another source")
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        return ax


class _Scale:
    """A logarithmic axis with a place for zero at its low end, and for infinity at its high end."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        errors = np.array([record["relative_error"] for record in records])
        allowed = np.array([record["tolerance"] for record in records])
        positive = np.concatenate([errors[np.isfinite(errors) & (errors > 0.0)], allowed])
        self.zero, self.infinite = bool((errors == 0.0).any()), bool(np.isinf(errors).any())
        self.low = int(np.floor(np.log10(positive.min()))) - 1
        self.high = int(np.ceil(np.log10(positive.max()))) + 1
        self.middle = 10.0 ** (0.5 * (self.low + self.high))

    def place(self, errors: list[float]) -> np.ndarray:
        """Return where errors stand."""
        placed = np.array(errors, dtype=float)
        placed[placed == 0.0] = 10.0**self.low
        placed[np.isinf(placed)] = 10.0**self.high
        return placed

    def dress(self, ax: Any) -> None:
        """Label the decades, zero and infinity."""
        from matplotlib.ticker import NullLocator

        ax.set_xscale("log")
        every = -(-(self.high - self.low) // 7)  # rounded up
        decades = range(self.low + self.zero, self.high + 1 - self.infinite, every)
        ticks = [10.0**k for k in decades]
        labels = [f"$10^{{{k}}}$" for k in decades]
        if self.zero:
            ticks, labels = [10.0**self.low, *ticks], ["0", *labels]
        if self.infinite:
            ticks, labels = [*ticks, 10.0**self.high], [*labels, "not\nfinite"]
        ax.set_xticks(ticks, labels=labels)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlim(10.0 ** (self.low - 0.5), 10.0 ** (self.high + 0.5))
        ax.grid(axis="x", color="0.93", linewidth=0.8)
        ax.set_axisbelow(True)


def _pair(record: dict[str, Any]) -> tuple[str, str]:
    return record["source_a"], record["source_b"]
