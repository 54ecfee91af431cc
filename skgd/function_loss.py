"""A plain function ``loss(y_true, raw)``, written in NumPy or in anything else, as a loss.

Such a function comes without what the losses of the table know of themselves: its derivative,
how steep it is, whether raw outputs are in the units of y. The derivative is left to the graph or
to measurement; the rest is found by trying the function on the targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from skgd.losses import Loss


@dataclass(frozen=True)
class _Measured:
    """What trying the function on the targets showed; see `Loss` for the meaning."""

    per_sample: bool
    in_units_of_y: bool
    level: float
    bend: float | None
    unit: float


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
    >>> from skgd.function_loss import FunctionLoss
    >>> loss = FunctionLoss(lambda y, raw: (y - raw) ** 4, "regression")
    >>> loss.value(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0., 16.])
    """

    any_rows = False

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
    def unit(self) -> float:  # type: ignore[override]
        """Size of the loss where the raw outputs are of order one."""
        return 1.0 if self.measured is None else self.measured.unit

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
        """Return what the function returns, if it is of the right shape."""
        result = self.function(y, raw)
        shape = getattr(result, "shape", None)
        if shape is None:
            result = self._as_array(result)
            shape = result.shape
        n = y.shape[0]
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

    def measured_on(self, y: np.ndarray, weight: np.ndarray | None) -> FunctionLoss:
        """Try the function on the targets: with raw outputs of order one, around two centres."""
        with np.errstate(all="ignore"):
            per_sample = np.ndim(_plain(self.value(y, self.trial_outputs(y)))) == 1
            if weight is not None and not per_sample:
                raise ValueError(
                    f"{self!r} returns one number for the whole batch, so there is no sample that "
                    "sample_weight or class_weight could weigh: leave them out, or return one "
                    "value per sample."
                )

            def mean_loss(raw: np.ndarray) -> float:
                losses = np.asarray(_plain(self.value(y, raw.astype(y.dtype))), dtype=np.float64)
                return float(np.average(losses, weights=weight if per_sample else None))

            centre: Any = 0.0
            spread, in_units = 1.0, False
            if self.task == "regression":
                mean = np.average(y, axis=0, weights=weight)
                zeros = np.zeros(y.shape)
                in_units = not mean_loss(zeros) < mean_loss(zeros + mean)
                centre = mean if in_units else _best_constant(mean_loss, zeros)
                if in_units:
                    squares = np.average(np.square(y - mean), axis=0, weights=weight)
                    spread = float(np.sqrt(np.max(squares)))
                    spread = spread if np.isfinite(spread) and spread > 0 else 1.0
            bend, unit = _bend_and_unit(mean_loss, centre, spread, y.shape)
        level = 0.0 if in_units else float(centre)
        measured = _Measured(per_sample, in_units, level, bend, unit)
        return FunctionLoss(self.function, self.task, measured)

    def trial_outputs(self, y: np.ndarray) -> np.ndarray:
        """Raw outputs to try the function on: random, in the range of y for a regressor."""
        noise = np.random.default_rng(0).standard_normal(y.shape)
        if self.task == "regression":
            noise = np.mean(y, axis=0) + 0.5 * np.std(y, axis=0) * noise
        return noise.astype(y.dtype)

    def _as_array(self, result: Any) -> np.ndarray:
        try:
            array = np.asarray(result, dtype=np.float64)
        except (TypeError, ValueError):
            array = None
        if result is None or array is None:
            forgot = " Is a return statement missing?" if result is None else ""
            raise TypeError(
                f"{self!r} returned {type(result).__name__}; it must return an array with one "
                f"value per sample, or one number.{forgot}"
            )
        return array


def _best_constant(mean_loss: Callable[[np.ndarray], float], zeros: np.ndarray) -> float:
    """Raw output that is best if it is the same for all samples; 0 where there is no such.

    Raw outputs of a log link, say, are nowhere near the mean of y, and J bends otherwise there.
    """
    found = minimize_scalar(
        lambda c: mean_loss(zeros + c), bracket=(0.0, 0.5), options={"maxiter": 40}
    )
    sensible = found.success and abs(found.x) < 30 and found.fun < mean_loss(zeros)
    return float(found.x) if sensible else 0.0


def _bend_and_unit(
    mean_loss: Callable[[np.ndarray], float], centre: Any, spread: float, shape: tuple[int, ...]
) -> tuple[float | None, float]:
    """Largest second difference over moves of one spread, and the largest |J| met on the way.

    The moves are: all raw outputs together, and random signs, from a few places of order one. The
    mean of a sample's curvature is what they see, so it is doubled.
    """
    rng = np.random.default_rng(0)
    values, bends = [], []
    for place in (-1.0, 0.0, 1.0, None):
        raw = rng.standard_normal(shape) if place is None else np.full(shape, place)
        raw = centre + spread * raw
        for move in (np.ones(shape), rng.choice([-1.0, 1.0], shape)):
            below, middle, above = (mean_loss(raw + k * spread * move) for k in (-0.5, 0.0, 0.5))
            values += [below, middle, above]
            bends.append(abs((above - middle) + (below - middle)) / (0.5 * spread) ** 2)
    finite = [bend for bend in bends if np.isfinite(bend) and bend > 0]
    sizes = [abs(value) for value in values if np.isfinite(value) and value != 0]
    n_outputs = shape[1] if len(shape) > 1 else 1
    bend = 2.0 * max(finite) / n_outputs if finite else None
    return bend, float(np.median(sizes)) if sizes else 1.0


def _plain(result: Any) -> Any:
    return getattr(result, "value", result)


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
