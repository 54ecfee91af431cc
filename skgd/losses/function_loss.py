"""A plain function ``loss(y_true, raw)``, written in NumPy or in anything else, as a loss.

Such a function comes without what the losses of the table know of themselves: its derivative,
how steep it is, whether raw outputs are in the units of y. The derivative is left to the graph or
to measurement; the rest is found by trying the function on the targets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from skgd.autodiff import Traced
from skgd.losses.base import Loss


@dataclass(frozen=True)
class _Measured:
    """What trying the function on the targets showed; see `Loss` for the meaning."""

    per_sample: bool
    in_units_of_y: bool
    level: float
    bend: float | None
    unit: float
    degenerate: bool


_MANY_OUTPUTS = 10
_PLACES = (-1.0, -0.5, 0.0, 0.5, 1.0)  # in units of the width of the raw outputs


class FunctionLoss(Loss):
    """The loss that a function computes.

    Estimators make it of a callable that is given as `loss`; there is no need to.

    Parameters
    ----------
    function : callable
        ``function(y_true, raw)`` with arrays of shape (n,), or (n, K) for several outputs or more
        than two classes; y_true holds {0, 1} or one-hot rows for classes. It returns one value per
        sample, of shape (n,), or one number for the whole batch.
    task : {"regression", "classification"}
    measured : object, default=None
        What `measured_on` found.

    Raises
    ------
    TypeError, ValueError
        From `value`, if the function returns something else.

    Examples
    --------
    >>> import numpy as np
    >>> from skgd.losses.function_loss import FunctionLoss
    >>> loss = FunctionLoss(lambda y, raw: (y - raw) ** 4, "regression")
    >>> loss.value(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0., 16.])
    """

    def __init__(
        self, function: Callable[..., Any], task: str = "regression", measured: Any = None
    ) -> None:
        self.function = function
        self.task = task  # type: ignore[misc]
        self.measured = measured

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        name = getattr(self.function, "__qualname__", None) or repr(self.function)
        return f"the loss function {name}"

    @property
    def per_sample(self) -> bool:  # type: ignore[override]
        """Whether the function returns one value for each sample."""
        return self.measured is None or self.measured.per_sample

    @property
    def unit(self) -> float | None:  # type: ignore[override]
        """Size of the loss where the raw outputs are of order one."""
        return None if self.measured is None else self.measured.unit

    @property
    def degenerate(self) -> bool:  # type: ignore[override]
        """Whether a model that says nothing has the lowest loss that was seen."""
        return self.measured is not None and self.measured.degenerate

    @property
    def in_units_of_y(self) -> bool:
        """Whether the mean of y is a better raw output than 0."""
        return self.measured is not None and self.measured.in_units_of_y

    def link_of_mean(self, mean: Any) -> Any:
        """Raw output to start from: the mean of y, or the number that is best for all samples."""
        level = 0.0 if self.measured is None else self.measured.level
        return mean if self.in_units_of_y else np.full_like(mean, level)

    def curvature(self, n_outputs: int = 1) -> float | None:
        """Largest second derivative that was measured along some directions."""
        return None if self.measured is None else self.measured.bend

    def value(self, y: np.ndarray, raw: Any) -> Any:
        """Return what the function returns, if it is of the right shape.

        It is given copies: a function that writes into its arguments changes nothing of ours.
        """
        try:
            result = self.function(y.copy(), raw.copy() if isinstance(raw, np.ndarray) else raw)
        except Exception as error:
            self._explain_branch(error)
            error.add_note(
                f"In {self!r}, called with y_true and raw of shape {y.shape}: all samples of a "
                "batch at once. Write it in NumPy functions of whole arrays; what leaves NumPy "
                'returns an array too, and is measured with gradient="numeric".'
            )
            raise
        if not isinstance(result, Traced):
            result = self._as_array(result)
        shape, n = result.shape, y.shape[0]
        if shape == () or shape == (n,):
            if self.measured is not None and self.per_sample != (shape == (n,)):
                raise ValueError(
                    f"{self!r} returned {_described(shape)}, and before "
                    f"{_described((n,) if self.per_sample else ())}: it must return the same kind "
                    "for every batch."
                )
            return result
        raise ValueError(
            f"{self!r} returned an array of shape {shape} for {n} samples. It takes y_true and raw "
            f"of shape {y.shape} and returns one value per sample, shape ({n},), or one number for "
            f"the whole batch. {_advice(shape, n)}"
        )

    def measured_on(
        self, y: np.ndarray, weight: np.ndarray | None, known: Loss | None = None
    ) -> FunctionLoss:
        """Try the function on the targets, with raw outputs of order one around a centre.

        A row that is written twice counts as one of weight 2 here, too: the raw outputs that are
        tried depend on the targets alone.
        """
        if (
            isinstance(known, FunctionLoss)
            and known.function is self.function
            and (weight is None or known.per_sample)
        ):
            return known
        with np.errstate(all="ignore"):
            per_sample = self.value(y, self.trial_outputs(y)).ndim == 1
            if weight is not None and not per_sample:
                raise ValueError(
                    f"{self!r} returns one number for the whole batch, so there is no sample that "
                    "sample_weight or class_weight could weigh: leave them out, or return one "
                    "value per sample."
                )

            def mean_loss(raw: np.ndarray) -> float:
                losses = self.value(y, np.broadcast_to(raw, y.shape).astype(y.dtype))
                return float(np.average(losses, weights=weight if per_sample else None))

            mean = np.average(y, axis=0, weights=weight)
            spread = np.sqrt(np.average(np.square(y - mean), axis=0, weights=weight))
            spread = np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)
            towards = (y - mean) / spread
            level, in_units = 0.0, False
            if self.task == "regression":
                level, in_units = _best_constant(mean_loss, mean, np.min(y), np.max(y))
                in_units = in_units or self._is_invariant(y, mean, spread)
            centre = mean if in_units else level
            width = float(np.max(spread)) if in_units else 1.0
            bend, unit, lowest = _measure(mean_loss, centre, width, towards)
        degenerate = lowest and self.task == "classification"
        measured = _Measured(per_sample, in_units, level, bend, unit, degenerate)
        return FunctionLoss(self.function, self.task, measured)

    def _is_invariant(self, y: np.ndarray, mean: Any, spread: Any) -> bool:
        """Whether targets and raw outputs can be shifted, or scaled, together.

        So it is where raw outputs are like targets: a shift does not change the loss, or a factor
        of 2 multiplies it by the same number each time.
        """

        def loss(raw: np.ndarray, factor: float, shift: Any) -> float:
            moved = (factor * a + shift for a in (y, raw))
            return float(np.mean(self.value(*(a.astype(y.dtype) for a in moved))))

        try:
            # Near the targets, and of order one, where an exponential is no plateau.
            for raw in (0.5 * (y + mean) + 0.25 * spread, y / max(float(np.abs(y).max()), 1e-300)):
                here, shifted = loss(raw, 1.0, 0.0), loss(raw, 1.0, spread)
                twice, again = loss(raw, 2.0, 0.0), loss(raw, 4.0, 0.0)
                if not np.isfinite([here, shifted, twice * twice, here * again]).all():
                    return False
                same = np.isclose([here, twice * twice], [shifted, here * again], 1e-6, 0)
                if not same.any():
                    return False
        except Exception:  # it may be defined for these targets alone
            return False
        return True

    def trial_outputs(self, y: np.ndarray) -> np.ndarray:
        """Raw outputs to try the function on: random, in the range of y for a regressor."""
        noise = np.random.default_rng(0).standard_normal(y.shape)
        if self.task == "regression":
            noise = np.mean(y, axis=0) + 0.5 * np.std(y, axis=0) * noise
        return noise.astype(y.dtype)

    def _as_array(self, result: Any) -> np.ndarray:
        if isinstance(result, (list, tuple)) and any(isinstance(r, Traced) for r in result):
            raise TypeError(
                f"{self!r} returned a {type(result).__name__} of traced values: make an array of "
                'it, with np.stack, or let the gradient be measured: gradient="numeric".'
            )
        array = np.asarray(result)
        if array.dtype.kind in "biu":
            return array.astype(np.float64)
        if array.dtype.kind not in "fc":
            forgot = " Is a return statement missing?" if result is None else ""
            raise TypeError(
                f"{self!r} returned {type(result).__name__}; it must return an array with one "
                f"value per sample, or one number.{forgot}"
            )
        return array


def _best_constant(
    mean_loss: Callable[[Any], float], mean: Any, least: float, largest: float
) -> tuple[float, bool]:
    """Raw output that is best if it is the same for all samples, and whether it is like a target.

    With a log link, say, raw outputs are nowhere near the targets, and J bends otherwise there: the
    best is the logarithm of the mean.
    """
    size = max(float(largest - least), np.finfo(float).tiny)
    best, lowest = 0.0, mean_loss(0.0)
    of_mean = mean_loss(mean)
    for start in (0.0, float(np.mean(mean))):
        bracket = (start, start + min(size, 0.5))
        try:
            found = minimize_scalar(mean_loss, bracket=bracket, options={"maxiter": 60})
        except RuntimeError:  # it goes on falling
            continue
        if found.success and found.fun < lowest:
            best, lowest = float(found.x), float(found.fun)
    like_targets = least <= best <= largest and of_mean < mean_loss(0.0)
    return (best if abs(best) < 30.0 or like_targets else 0.0), bool(like_targets)


def _measure(
    mean_loss: Callable[[Any], float], centre: Any, width: float, towards: np.ndarray
) -> tuple[float | None, float, bool]:
    """Bend, size and whether the centre is the lowest, of J over raw outputs of order one.

    The raw outputs move all together, and towards the targets. The bend is the largest second
    difference; what it sees is a mean over the samples, so it is doubled. The size is that of J at
    the centre, or the median where that is zero.
    """
    values, bends = [], []
    n_outputs = towards[0].size  # along each of which both moves have a mean square of one
    square = (_PLACES[1] - _PLACES[0]) ** 2 * width**2 * n_outputs
    for move in (np.ones_like(towards), towards):
        at = [mean_loss(centre + width * t * move) for t in _PLACES]
        bends += list(np.abs(np.diff(at, n=2)) / square)
        values += at
    here = at[len(at) // 2]
    if 1 < n_outputs <= _MANY_OUTPUTS:
        bends.append(_coupled_bend(mean_loss, centre, 0.5 * width, n_outputs))
    finite = [bend for bend in bends if np.isfinite(bend) and bend > 0]
    sizes = np.abs([value for value in values if np.isfinite(value)])
    sizes = sizes[sizes > 1e-6 * np.max(sizes, initial=0.0)]  # less is what rounding leaves of 0
    size = float(np.median(sizes)) if len(sizes) else 1.0
    if abs(here) in sizes:
        size = abs(here)
    lowest = not any(value < here for value in values)
    return 2.0 * max(finite) if finite else None, size, lowest


def _coupled_bend(
    mean_loss: Callable[[Any], float], centre: Any, h: float, n_outputs: int
) -> float:
    """Largest eigenvalue of the second derivatives by the outputs, which may depend on another."""

    def second(move: np.ndarray) -> float:
        above, below = mean_loss(centre + h * move), mean_loss(centre - h * move)
        return above + below - 2.0 * here

    here, axes = mean_loss(centre + np.zeros(n_outputs)), np.eye(n_outputs)
    matrix = np.diag([second(axis) for axis in axes])
    for i, j in itertools.combinations(range(n_outputs), 2):
        both = second(axes[i] + axes[j])
        matrix[i, j] = matrix[j, i] = 0.5 * (both - matrix[i, i] - matrix[j, j])
    if not np.isfinite(matrix).all():
        return 0.0
    return float(np.abs(np.linalg.eigvalsh(matrix)).max()) / (h * h)


def _described(shape: tuple[int, ...]) -> str:
    return "one value per sample" if shape else "one number"


def _advice(shape: tuple[int, ...], n: int) -> str:
    if shape == (n, n):
        return "Broadcasting (n,) against (n, 1) makes (n, n): compare the shapes."
    if len(shape) == 2 and shape[0] == n:
        if shape[1] == 1:
            return "Reduce the second axis: return losses[:, 0]."
        return "Sum over the outputs of each sample: return np.sum(losses, axis=1)."
    return "Reduce it, with np.sum or np.mean."
