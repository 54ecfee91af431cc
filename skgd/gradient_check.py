"""Do the gradient sources agree? Each is compared with each, block by block of the parameters.

Analytic, backprop and numeric gradients are three independent ways to the same numbers, so two
that agree accuse the third. What makes that less simple than a difference of two vectors:

kinks      A difference across a kink (relu, hinge, absolute error) is not the derivative, and
           nobody's fault.
rounding   A gradient near its minimum is a small sum of large terms.
size       A network has too many parameters to move each of them.

So an entry of the measured gradient that disagrees is looked at again, with smaller steps, before
anybody is accused; and a large gradient is measured along a few random directions only.
"""

from __future__ import annotations

import copy
import itertools
import textwrap
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state

from skgd._base import GradientLearner
from skgd._component import check_number, resolve
from skgd._threads import one_blas_thread
from skgd.differences import STENCILS, Steps, bend_along
from skgd.gradients import GRADIENTS, Analytic, Backprop, GradientSource, Numeric
from skgd.objective import DataObjective

__all__ = ["GradientCheck", "check_gradient"]

OK, ROUNDING, KINKS = "ok", "ok (rounding)", "ok (kinks)"
ON_KINKS, DISAGREES = "on kinks", "DISAGREES"

_EPS = float(np.finfo(np.float64).eps)
_WIDTH = 100  # columns of the printed report
_DIRECTIONS = 3  # of each block, when not every parameter is measured
_MANY_PARAMETERS, _MANY_NUMBERS = 2_000, 2_000_000  # parameters, and parameters times rows
_LEVELS = 7  # steps h, h/10, ... of a closer look
_ENOUGH = 100  # entries of a block found wrong: the others need no second look
_TOGETHER = "all together"


def check_gradient(
    estimator_or_fun: Any,
    X: Any = None,
    y: Any = None,
    *,
    sources: Iterable[Any] = ("analytic", "backprop", "numeric"),
    sample_weight: Any = None,
    jac: Callable[[np.ndarray], Any] | None = None,
    theta: Any = None,
    rtol: float | None = None,
    directions: int | str | None = "auto",
    random_state: Any = 0,
) -> GradientCheck:
    """Compare the gradients of several sources, and say which of them is suspect.

    Nothing is learned and the estimator does not change. All is computed in float64.

    Parameters
    ----------
    estimator_or_fun : estimator, objective or callable
        One of the four estimators; what its method `objective` returns; or a function
        ``fun(x) -> number``.
    X : array-like
        For an estimator, the rows, as for `fit`. For a function, the point x, of any shape. For
        an objective, the point theta; None is its `x0`.
    y : array-like, default=None
        Targets, for an estimator.
    sources : iterable of {"analytic", "backprop", "numeric"} or GradientSource
        At least two. "numeric" is ``Numeric()``, central differences of J. A source that cannot
        do it is listed in the report with the reason.
    sample_weight : array-like of shape (n_samples,), default=None
        For an estimator.
    jac : callable, default=None
        For a function: ``jac(x) -> array of the shape of x``, the gradient by hand, which is
        then the source "analytic".
    theta : array-like of shape (n_parameters,), default=None
        For an estimator, the point; None is the present parameters of one that is fitted or
        initialized. Any other is looked at near its start, a random step away: at the start
        itself a linear model is zero, where margins tie and symmetric errors cancel.
    rtol : float, default=None
        Largest relative error of a block that counts as agreement. None is 1e-7 where a source
        measures ("2-point": 1.5e-5), 1e-12 where none does (times ``sqrt(n / 10,000)`` above
        10,000 rows: rounding adds up over the rows).
    directions : int, "auto" or None, default="auto"
        None measures each parameter. A number measures along so many random directions in each
        block, and as many through all blocks together: two values of J for each, however many
        parameters there are. *A fault in a single entry can be missed then*, unless two sources
        that measure nothing are compared, which is always done entry by entry. "auto" measures
        each parameter up to 2,000 parameters and 2,000,000 parameters times rows, and along 3
        directions of each block beyond.
    random_state : int, RandomState instance or None, default=0
        Of the point near the start and the directions.

    Returns
    -------
    report : GradientCheck
        Print it; ``report.ok`` says whether all agree.

    Raises
    ------
    ValueError
        Fewer than two sources can compute this gradient, a source is unknown, or J is not finite
        at the point.
    TypeError
        The first argument is none of the three, or another one does not go with it.

    Notes
    -----
    Two gradients a and b of a block agree if ``||a - b|| <= rtol max(||a||, ||b||, eps |J|)``.
    An entry also passes within ``10 eps^(2/3) max(1, |J|)`` if one of the two is measured by
    central differences, within ``100 eps max(1, |J|)`` if none is, and, if none is, a whole block
    within 1e-12 of the sum of the *absolute* contributions of the rows: near a minimum they cancel.

    An entry of a measured gradient that disagrees is measured again, with steps 10, 100, ...
    times smaller. Each term of J, one for each row, shows whether there is a kink between: its
    second difference does not shrink with the square of the step. The measurement that is
    steadiest counts, so that a kink nearby, or a step too wide for a steep J, accuses nobody, and
    a wrong formula is still seen there. If theta lies on the kink itself, there is no derivative
    to measure, and the entry is left out where the kink is large enough to explain the
    disagreement. Only entries that disagree are looked at, until 100 of a block are found wrong:
    kinks that do no harm are not counted.

    Compared is the smooth part of J, loss and L2. An L1 term has the same derivative, alpha times
    the sign, in all sources.

    Numeric(method="smoothed") and "spsa" estimate another function's gradient and are refused.
    Numeric(space="predictions") and a `noise_level` are taken at their word: their entries are
    not measured again.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating
    errors", *Nature* 323, 1986 (analytic). J. Nocedal, S. J. Wright, *Numerical Optimization*,
    2006, section 8.1 (the step). A. Karpathy, "CS231n: gradient checks", 2015 (relative errors,
    kinks).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgd import MLPBackpropClassifier
    >>> from skgd.gradient_check import check_gradient
    >>> X, y = load_iris(return_X_y=True)
    >>> report = check_gradient(MLPBackpropClassifier((3,), "tanh"), X, y)
    >>> print(report)
    check_gradient(MLPBackpropClassifier), 27 parameters, 150 rows, at a random point near the start
    J = ...
    block          sources             error    allowed  worst entry         verdict
    coefs[0]       analytic, backprop  ...      1e-12    coefs[0][...]       ok
    ...
    All 3 sources agree in every block (largest relative error ...).
    >>> report.ok, report.kinks
    (True, 0)

    A function, and a gradient by hand that forgets the factor 2:

    >>> import numpy as np
    >>> report = check_gradient(lambda x: np.sum(x**2), np.array([1.0, 2.0]), jac=lambda x: x)
    >>> report.ok, report.suspect, report.worst
    (False, 'analytic', 'x[1]')
    """
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    if rtol is not None:
        check_number("rtol", rtol, low=0, include="neither")
    chosen = _as_sources(sources)
    with one_blas_thread(), np.errstate(all="ignore"):  # an inf or nan is reported
        problem = _as_problem(estimator_or_fun, X, y, sample_weight, jac, theta, seed)
        n_directions = _n_directions(directions, problem)
        candidates = [
            _ask(label, source, problem, n_directions) for label, source in chosen.items()
        ]
        able = [candidate for candidate in candidates if not candidate.refusal]
        if len(able) < 2:
            raise ValueError(_too_few(candidates))
        return _Comparison(problem, able, rtol, n_directions, seed).report(candidates)


@dataclass(frozen=True, repr=False, eq=False)
class GradientCheck:
    """What `check_gradient` found. It prints as a table, and is neither true nor false.

    Attributes
    ----------
    ok : bool
        Whether all sources agree in every block, and not every entry lies on a kink.
    max_relative_error : float
        The largest of the blocks. Entries within rounding count as zero in a block that would
        not pass otherwise, so that an error above the tolerance is a disagreement.
    worst : str
        Name of the parameter where the sources are furthest apart, in proportion to what is
        allowed, such as ``coefs[0][3, 17]``; or of a direction.
    step : float or None
        By how much it was moved to measure the derivative; None if it was not.
    kinks : int
        Parameters (or directions) whose differences disagreed and crossed a kink.
    left_out : int
        Those of them that lie on the kink, and were left out of the comparison with "numeric".
    suspect : str or None
        The one source that disagrees while all others agree with each other.
    value : float
        J at the point.
    blocks : list of dict
        One for each block and pair of sources: ``pandas.DataFrame(report.blocks)`` works. The
        columns named after sources hold the derivatives at the worst entry.
    sources : dict
        Label of each source, and "" or the reason why it could not be compared.
    gradients : dict
        Label, and gradient of shape (n_parameters,), of each source that computed all of it.
    mode : str
        What was measured, in words.
    conclusion : str
        What was found, in words: the last line of the table.
    """

    title: str
    value: float
    ok: bool
    max_relative_error: float
    worst: str
    step: float | None
    kinks: int
    left_out: int
    suspect: str | None
    mode: str
    conclusion: str
    sources: dict[str, str] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    gradients: dict[str, np.ndarray] = field(default_factory=dict)

    def __bool__(self) -> bool:
        raise TypeError(
            "The report of check_gradient is neither true nor false: print it, or ask report.ok."
        )

    def __str__(self) -> str:
        lines = [*_wrapped(self.title), f"J = {self.value:.9g}", *self._table()]
        for label, reason in self.sources.items():
            if reason:
                lines += _wrapped(f"{label} is not compared: {reason}")
        for record in self._shown_worst():
            lines += _wrapped(_described(record, self.sources))
        if self.mode:
            lines += _wrapped(self.mode)
        return "\n".join([*lines, *_wrapped(self.conclusion)])

    __repr__ = __str__

    def _table(self) -> list[str]:
        rows = [("block", "sources", "error", "allowed", "worst entry", "verdict")]
        previous = None
        for record in self.blocks:
            block = record["block"] if record["block"] != previous else ""
            previous = record["block"]
            rows.append(
                (
                    _cut(block, 14),
                    _cut(f"{record['source_a']}, {record['source_b']}", 26),
                    f"{record['relative_error']:.1e}",
                    f"{record['tolerance']:.0e}",
                    _cut(record["worst"], 22),
                    record["verdict"],
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    def _shown_worst(self) -> list[dict[str, Any]]:
        """One record for each block in which sources disagree, but few; else the worst of all."""
        bad = [record for record in self.blocks if record["verdict"] == DISAGREES]
        first = {record["worst"]: record for record in sorted(bad, key=_badness)}
        return list(first.values())[-4:] or [max(self.blocks, key=_badness)]


def _badness(record: dict[str, Any]) -> float:
    """Relative error in units of what is allowed."""
    return float(np.nan_to_num(record["relative_error"] / record["tolerance"], nan=-1.0))


def _described(record: dict[str, Any], labels: Iterable[str]) -> str:
    values = [f"{label} {record[label]:.9g}" for label in labels if label in record]
    step = "" if record["step"] is None else f" (step {record['step']:.2g})"
    return f"{record['worst']}: {', '.join(values)}{step}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), _WIDTH, subsequent_indent="  ")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


# -- what is differentiated ------------------------------------------------------------------------


@dataclass
class _Problem:
    """A function of a flat vector, at a point, with names for the parts of the vector.

    Attributes
    ----------
    title : str
    theta : ndarray of shape (n_parameters,)
    shapes : dict of str to tuple
        The blocks, in the order in which they lie in theta.
    terms : callable
        ``theta -> array`` of numbers whose sum is smooth J: one for each row, and the penalty.
    l1 : ndarray of shape (n_parameters,)
        Derivative of the L1 term.
    value : float
    n_rows : int
    gradient : callable
        ``source -> gradient``.
    """

    title: str
    theta: np.ndarray
    shapes: dict[str, tuple[int, ...]]
    terms: Callable[[np.ndarray], np.ndarray]
    l1: np.ndarray
    value: float
    n_rows: int
    gradient: Callable[[GradientSource], np.ndarray]

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(
                f"J is {self.value} at this point, so it has no gradient there: give another "
                "point (theta=, for an estimator)."
            )
        self.at_theta = self.terms(self.theta)

    @property
    def size(self) -> float:
        """``max(1, |J|)``."""
        return max(1.0, abs(self.value))

    def blocks(self) -> dict[str, slice]:
        """Where the named blocks lie."""
        ends = itertools.accumulate(int(np.prod(shape)) for shape in self.shapes.values())
        pairs = itertools.pairwise([0, *ends])
        return {name: slice(*pair) for name, pair in zip(self.shapes, pairs, strict=True)}


def _as_problem(
    what: Any, X: Any, y: Any, sample_weight: Any, jac: Any, theta: Any, seed: int
) -> _Problem:
    if isinstance(what, GradientLearner):
        _refuse_arguments("an estimator", jac=jac)
        if X is None or y is None:
            raise TypeError("check_gradient(estimator, X, y) needs X and y, as fit does.")
        return _of_estimator(what, X, y, sample_weight, theta, seed)
    if isinstance(what, DataObjective):
        _refuse_arguments("an objective", y=y, sample_weight=sample_weight, jac=jac)
        if X is not None and theta is not None:
            raise TypeError("X and theta both say at which point: give one of them.")
        point = X if X is not None else theta
        return _of_objective(what, point, "objective", "its x0" if point is None else "the point")
    if isinstance(what, type) or not callable(what):
        raise TypeError(
            "check_gradient takes one of skgd's four estimators, the objective of one, or a "
            f"function fun(x) -> number; got {what!r}."
        )
    _refuse_arguments("a function", y=y, sample_weight=sample_weight, theta=theta)
    if X is None:
        raise TypeError("check_gradient(fun, x) needs x, the point to look at.")
    return _of_function(what, X, jac)


def _refuse_arguments(what: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise TypeError(f"{name} has no meaning for {what}: leave it out.")


def _of_estimator(
    estimator: Any, X: Any, y: Any, sample_weight: Any, theta: Any, seed: int
) -> _Problem:
    ready = estimator.__sklearn_is_fitted__()
    # The start must not differ from call to call: a clone gets a seed.
    model = estimator if ready else clone(estimator).set_params(random_state=seed)
    objective = model.objective(X, y, sample_weight)
    where = "the given theta" if theta is not None else "the present parameters"
    if theta is None and not ready:
        theta, where = _near_start(_in_float64(objective), seed), "a random point near the start"
    return _of_objective(objective, theta, type(estimator).__name__, where)


def _of_objective(objective: DataObjective, theta: Any, name: str, where: str) -> _Problem:
    objective = _in_float64(objective)
    inner, batch = objective._objective, objective._batch
    theta = np.array(objective.x0 if theta is None else theta, dtype=np.float64)
    blocks = objective.unpack(theta)  # which checks the shape

    def terms(theta: np.ndarray) -> np.ndarray:
        return inner.terms(inner.model.layers(theta), batch)

    def gradient(source: GradientSource) -> np.ndarray:
        with warnings.catch_warnings():
            # "J is flat": the report says that itself
            warnings.simplefilter("ignore", UserWarning)
            return objective.gradient(theta, source)

    l1 = np.zeros_like(theta)
    l1[: inner.model.n_weights] = inner.l1_strength * np.sign(theta[: inner.model.n_weights])
    value, n = objective.value(theta), batch.X.shape[0]
    title = f"check_gradient({name}), {theta.size} parameters, {n} rows, at {where}"
    shapes = {name: array.shape for name, array in blocks.items()}
    return _Problem(title, theta, shapes, terms, l1, value, n, gradient)


def _in_float64(objective: DataObjective) -> DataObjective:
    twin = copy.copy(objective)
    twin.x0 = objective.x0.astype(np.float64)
    twin._batch = objective._batch.astype(np.float64)
    twin._bound = (None, None)  # the buffers there are of the old precision
    return twin


def _near_start(objective: DataObjective, seed: int) -> np.ndarray:
    """Move each parameter so far that the inputs of its unit move by about a half, in all rows."""
    rng = np.random.default_rng([seed, 1])
    theta = objective.x0.copy()
    scale = _column_sizes(objective._batch.X)
    for index, (W, b) in enumerate(objective._objective.model.layers(theta)):
        noise = rng.normal(size=W.shape) * (0.5 / np.sqrt(W.shape[0]))
        W += noise / scale[:, None] if index == 0 else noise
        if b is not None:
            b += 0.5 * rng.normal(size=b.shape)
    return theta


def _column_sizes(X: Any) -> np.ndarray:
    """Root mean square of each column; 1 for a column of zeros."""
    largest = abs(X).max(axis=0)
    largest = largest.toarray().ravel() if sparse.issparse(largest) else largest
    largest = np.where(largest > 0, largest, 1.0)  # squares of what is huge would overflow
    if sparse.issparse(X):
        unit = X.multiply(1.0 / largest).tocsr()
        mean = np.asarray(unit.multiply(unit).mean(axis=0)).ravel()
    else:
        mean = np.mean(np.square(X / largest), axis=0)
    return np.where(mean > 0, np.sqrt(mean) * largest, 1.0)


def _of_function(fun: Callable[[np.ndarray], Any], x: Any, jac: Any) -> _Problem:
    point = np.asarray(x)
    if point.dtype.kind not in "iubf" or point.size == 0:
        raise TypeError(f"x takes an array of real numbers; got {x!r}.")
    point = point.astype(np.float64)
    value = fun(point.copy())
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "iuf":
        raise ValueError(f"fun(x) must be one real number to have a gradient; it is {value!r}.")

    def terms(theta: np.ndarray) -> np.ndarray:
        return np.array([fun(theta.reshape(point.shape).copy())])

    def gradient(source: GradientSource) -> np.ndarray:
        if isinstance(source, Analytic):
            return _by_hand(jac, point)
        return np.asarray(source.of_function(fun)(point.copy())[1], dtype=np.float64).ravel()

    name = getattr(fun, "__name__", type(fun).__name__)
    return _Problem(
        title=f"check_gradient({name}), x of shape {point.shape}",
        theta=point.ravel(),
        shapes={"x": point.shape},
        terms=terms,
        l1=np.zeros(point.size),
        value=float(value),
        n_rows=1,
        gradient=gradient,
    )


def _by_hand(jac: Any, point: np.ndarray) -> np.ndarray:
    if jac is None:
        raise NotImplementedError("nobody has written this gradient by hand: give it as jac=.")
    gradient = np.asarray(jac(point.copy()), dtype=np.float64)
    if gradient.shape != point.shape:
        raise ValueError(
            f"jac(x) must return an array of the shape of x, {point.shape}; it has the shape "
            f"{gradient.shape}."
        )
    return gradient.ravel()


# -- who differentiates ----------------------------------------------------------------------------


@dataclass
class _Source:
    """A source of the gradient, what it said, and how exact it can be.

    Attributes
    ----------
    label : str
    gradient : ndarray of shape (n_parameters,) or None
        None if it only measures along directions.
    steps : Steps or None
        How it measures, if it does so by moving parameters.
    relative_step : float
        ``step / max(1, |theta_j|)``.
    error : float
        To be expected from the method, for a function of order one; 0 if it measures nothing.
    refusal : str
        Why it cannot do it.
    """

    label: str
    gradient: np.ndarray | None = None
    steps: Steps | None = None
    relative_step: float = 0.0
    error: float = 0.0
    refusal: str = ""

    @property
    def measures(self) -> bool:
        """Whether it takes differences, which kinks and rounding can spoil."""
        return self.error > 0.0

    @property
    def again(self) -> bool:
        """Whether its entries can be measured again, with smaller steps."""
        return self.measures and self.steps is not None and not self.steps.noise_level


def _as_sources(sources: Any) -> dict[str, GradientSource]:
    if isinstance(sources, (str, GradientSource)) or not isinstance(sources, Iterable):
        raise TypeError(
            f"sources takes a list of at least two gradient sources, such as "
            f'("backprop", "numeric"); got {sources!r}.'
        )
    chosen: dict[str, GradientSource] = {}
    for given in sources:
        source = resolve("sources", given, GRADIENTS, GradientSource)
        label = given if isinstance(given, str) else repr(given)
        if label in chosen:
            raise ValueError(f"sources names {label} twice.")
        chosen[label] = copy.copy(source)
    if len(chosen) < 2:
        raise ValueError(f"sources takes at least two, to compare; got {list(chosen)}.")
    return chosen


def _ask(label: str, source: GradientSource, problem: _Problem, n_directions: int) -> _Source:
    """Let a source compute its gradient, or say why it cannot."""
    answer = _Source(label)
    if isinstance(source, Numeric):
        if source.method not in STENCILS:
            answer.refusal = (
                f"method={source.method!r} is a random estimate of the gradient of a smoothed J, "
                "not of J's own."
            )
            return answer
        _set_precision(answer, source, problem)
    if n_directions and answer.steps is not None:
        return answer
    try:
        answer.gradient = problem.gradient(source)
    except _refusals(source) as error:
        answer.refusal = str(error)
    return answer


def _set_precision(answer: _Source, source: Numeric, problem: _Problem) -> None:
    stencil = STENCILS[source.method]
    steps = Steps(stencil, source.rel_step, source.noise_level)

    def bend(noise: float) -> float:
        return bend_along(problem.terms, problem.theta, noise, problem.theta.size)

    step = steps.relative(np.float64, bend)
    if source.space == "parameters":
        answer.steps, answer.relative_step = steps, step
    if not stencil.holomorphic:  # the error of truncation, and that of rounding or noise
        order = (1.0 - stencil.power) / stencil.power
        answer.error = max(step**order, max(_EPS, source.noise_level or 0.0) / step)


def _refusals(source: GradientSource) -> tuple[type[Exception], ...]:
    """Exceptions by which a source says that it cannot do it; all others are errors."""
    if isinstance(source, Backprop):  # what cannot be traced
        return NotImplementedError, TypeError, AttributeError
    if isinstance(source, Numeric):  # a complex step across a kink, outputs that do not split
        return NotImplementedError, ValueError
    return (NotImplementedError,)


def _too_few(candidates: list[_Source]) -> str:
    reasons = " ".join(f"{c.label}: {c.refusal}" for c in candidates if c.refusal)
    return f"At least two sources must be able to compute this gradient, to compare. {reasons}"


def _n_directions(directions: Any, problem: _Problem) -> int:
    """Directions for each block; 0 measures each parameter."""
    if directions is None:
        return 0
    if isinstance(directions, str):
        if directions != "auto":
            raise ValueError(
                f"directions takes a whole number, 'auto' or None; got {directions!r}."
            )
        n = problem.theta.size
        few = n <= _MANY_PARAMETERS and n * problem.n_rows <= _MANY_NUMBERS
        return 0 if few else _DIRECTIONS
    check_number("directions", directions, low=1, integer=True)
    return int(directions)


# -- measuring along a direction -------------------------------------------------------------------


class _Probe(NamedTuple):
    """A direction to move in: `along` within the part `where` of theta, and not elsewhere."""

    name: str
    where: slice
    along: np.ndarray

    def of(self, gradient: np.ndarray) -> float:
        """Return the derivative in this direction."""
        return float(gradient[self.where] @ self.along)

    def step(self, relative: float, theta: np.ndarray) -> float:
        """Step in proportion to what is moved."""
        return relative * max(1.0, float(np.linalg.norm(theta[self.where])))

    def moved(self, theta: np.ndarray, h: Any) -> np.ndarray:
        """Theta after a step h."""
        new = theta.astype(np.result_type(theta, type(h)))
        new[self.where] += h * self.along
        return new


class _Level(NamedTuple):
    """A central difference, term by term."""

    step: float
    slope: float
    mass: float  # sum of the absolute derivatives of the terms
    bend: np.ndarray  # of each term: by how much its slopes to the left and right differ from it
    noise: np.ndarray  # rounding in `bend`


def _measure(problem: _Problem, probe: _Probe, source: _Source) -> float:
    """Measure the derivative along the probe by the method of the source."""
    assert source.steps is not None
    h = probe.step(source.relative_step, problem.theta)
    total: Any = 0.0
    stencil = source.steps.stencil
    for point, weight in zip(stencil.points, stencil.weights, strict=True):
        change = problem.terms(probe.moved(problem.theta, point * h)) - problem.at_theta
        total = total + weight * change.sum()
    return float(np.real(total)) / h + probe.of(problem.l1)


def _level(problem: _Problem, probe: _Probe, h: float) -> _Level:
    right, left = probe.moved(problem.theta, h), probe.moved(problem.theta, -h)
    # the distance that was really moved, after rounding
    width = float((right - left)[probe.where] @ probe.along / (probe.along @ probe.along))
    above, below = problem.terms(right), problem.terms(left)
    first = (above - below) / width
    second = ((above - problem.at_theta) - (problem.at_theta - below)) / width
    slope = float(first.sum()) + probe.of(problem.l1)
    noise = (4.0 * _EPS / width) * np.abs(problem.at_theta)
    return _Level(h, slope, float(np.abs(first).sum()), second, noise)


class _Look(NamedTuple):
    """The steadiest of several measurements with smaller and smaller steps.

    Attributes
    ----------
    step, slope : float
    first_slope : float
        Of the widest step.
    first_error : float
        Largest error of `first_slope` that kinks and curvature can explain.
    error : float
        How much `slope` changes with the step.
    kink : float
        Largest error of `slope` that kinks explain; 0 if there are none.
    crossed : bool
        Whether the widest step crossed a kink.
    """

    step: float
    slope: float
    first_slope: float
    first_error: float
    error: float
    kink: float
    crossed: bool


def _look_closer(problem: _Problem, probe: _Probe, h: float, threshold: float) -> _Look:
    """Measure a derivative anew, so that neither kinks nearby nor a wide step spoil it."""
    levels = [_level(problem, probe, h)]
    kinks: list[float] = []
    drifts: list[float] = []
    errors = [np.inf]
    # Kinks and curvature do less harm to a smaller step, rounding does more: until it does.
    while len(levels) <= _LEVELS and threshold < errors[-1] <= 2.0 * min(errors):
        levels.append(_level(problem, probe, h / 10 ** len(levels)))
        kinks.append(_kink_between(*levels[-2:]))
        drifts.append(abs(levels[-2].slope - levels[-1].slope))
        errors.append(float(np.nan_to_num(kinks[-1] + drifts[-1], nan=np.inf)))
    best = int(np.argmin(errors[1:]))
    return _Look(
        step=levels[best].step,
        slope=levels[best].slope,
        first_slope=levels[0].slope,
        first_error=2.0 * (float(np.abs(levels[0].bend).sum()) + drifts[0]),
        error=min(drifts[best], 1e-6 * levels[best].mass),
        kink=kinks[best] if _is_genuine(kinks, best, threshold) else 0.0,
        crossed=_is_genuine(kinks, 0, threshold),
    )


def _is_genuine(kinks: list[float], k: int, threshold: float) -> bool:
    """Whether it is a kink and not noise, which looks like one that grows as the step shrinks."""
    neighbours = itertools.pairwise(kinks[max(0, k - 1) : k + 2])
    return kinks[k] > threshold and all(after <= 2.0 * before for before, after in neighbours)


def _kink_between(wide: _Level, narrow: _Level) -> float:
    """Error that kinks cause in the wide slope: the sum of the bends they make."""
    return float(np.abs(wide.bend[_has_kink(wide, narrow)]).sum())


def _has_kink(wide: _Level, narrow: _Level) -> np.ndarray:
    """Which terms have a kink within the wide step.

    Where a term is smooth, its bend is ``h/2`` times the second derivative and shrinks with h.
    At a distance s from theta, less than h, a kink by which the slope jumps makes a bend of
    ``jump (h - s) / 2h``, which is also the error of the slope: it stays as it is (s = 0) or is
    gone as soon as h is below s.
    """
    expected = 0.5 * np.abs(wide.bend) + 10.0 * narrow.noise
    return np.abs(wide.bend - 10.0 * narrow.bend) > expected


# -- the comparison --------------------------------------------------------------------------------


class _View(NamedTuple):
    """A block, and the directions in which it is measured; none: each of its parameters."""

    name: str
    where: slice
    shape: tuple[int, ...]
    probes: list[_Probe]

    def probe(self, i: int, entrywise: bool) -> _Probe:
        """Return number i of the directions, or of the parameters."""
        if not entrywise:
            return self.probes[i]
        number = self.where.start + i
        index = ", ".join(map(str, np.unravel_index(i, self.shape))) if self.shape else ""
        name = f"{self.name}[{index}]" if index else self.name
        return _Probe(name, slice(number, number + 1), np.ones(1))


@dataclass
class _Difference:
    """Derivatives of two sources along the same directions, and what is known of their gap."""

    a: np.ndarray
    b: np.ndarray
    allowed: np.ndarray  # of each entry, absolute
    step: np.ndarray
    left_out: np.ndarray
    kinks: int = 0

    @property
    def gap(self) -> np.ndarray:
        """Difference, 0 for what is left out."""
        return np.where(self.left_out, 0.0, self.a - self.b)

    @property
    def excess(self) -> np.ndarray:
        """Difference, 0 for what rounding explains."""
        gap = self.gap
        return np.where(np.abs(gap) <= self.allowed, 0.0, gap)


class _Comparison:
    """Every source against every other, in each block.

    Parameters
    ----------
    problem : _Problem
    sources : list of _Source
    rtol : float or None
    n_directions : int
    seed : int
    """

    def __init__(
        self,
        problem: _Problem,
        sources: list[_Source],
        rtol: float | None,
        n_directions: int,
        seed: int,
    ) -> None:
        self.problem = problem
        self.sources = sources
        self.rtol = rtol
        self.n_directions = n_directions
        self.views = self._views(np.random.default_rng([seed, 2]))
        self._along: dict[tuple[str, str], float] = {}
        self._looks: dict[tuple[str, str], _Look] = {}
        self._crossed: set[str] = set()
        self._on_kink: set[str] = set()

    def report(self, candidates: list[_Source]) -> GradientCheck:
        """Compare, and put all that was found together."""
        records = self._records()
        compared = any(record["verdict"] != ON_KINKS for record in self._measured(records))
        ok = compared and not any(record["verdict"] == DISAGREES for record in records)
        errors = [record["relative_error"] for record in records]
        worst = max(records, key=_badness)
        suspects = _suspects(records, [source.label for source in self.sources])
        suspect = next(iter(suspects.values())) if len(set(suspects.values())) == 1 else None
        return GradientCheck(
            title=self.problem.title,
            value=self.problem.value,
            ok=bool(ok),
            max_relative_error=float(np.nanmax([0.0, *errors])),
            worst=worst["worst"],
            step=worst["step"],
            kinks=len(self._crossed),
            left_out=len(self._on_kink),
            suspect=suspect,
            mode=self._mode(),
            conclusion=self._conclude(records, suspects, compared),
            sources={candidate.label: candidate.refusal for candidate in candidates},
            blocks=records,
            gradients={s.label: s.gradient for s in self.sources if s.gradient is not None},
        )

    def _records(self) -> list[dict[str, Any]]:
        return [
            self._record(view, a, b)
            for view in self.views
            for a, b in itertools.combinations(self.sources, 2)
            if view.name != _TOGETHER or not self._entrywise(a, b)
        ]

    def _measured(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the records that a kink can spoil; all, where there are none."""
        labels = {source.label for source in self.sources if source.measures}
        return [r for r in records if {r["source_a"], r["source_b"]} & labels] or records

    def _views(self, rng: np.random.Generator) -> list[_View]:
        views = [
            _View(name, where, self.problem.shapes[name], self._probes(name, where, rng))
            for name, where in self.problem.blocks().items()
        ]
        if self.n_directions:
            everywhere = slice(0, self.problem.theta.size)
            probes = self._probes(_TOGETHER, everywhere, rng)
            views.append(_View(_TOGETHER, everywhere, self.problem.theta.shape, probes))
        return views

    def _probes(self, name: str, where: slice, rng: np.random.Generator) -> list[_Probe]:
        probes = []
        for number in range(self.n_directions):
            along = rng.normal(size=where.stop - where.start)
            along /= np.linalg.norm(along)
            probes.append(_Probe(f"{name} along v{number}", where, along))
        return probes

    def _entrywise(self, *sources: _Source) -> bool:
        return all(source.gradient is not None for source in sources)

    def _values(self, view: _View, source: _Source, entrywise: bool) -> np.ndarray:
        if entrywise:
            assert source.gradient is not None
            return source.gradient[view.where]
        return np.array([self._value(probe, source) for probe in view.probes])

    def _value(self, probe: _Probe, source: _Source) -> float:
        """Return the derivative along the probe, as the source says."""
        if source.gradient is not None:
            return probe.of(source.gradient)
        key = probe.name, source.label
        if key not in self._along:
            self._along[key] = _measure(self.problem, probe, source)
        return self._along[key]

    # ------------------------------------------------------------------ one block, two sources

    def _record(self, view: _View, a: _Source, b: _Source) -> dict[str, Any]:
        entrywise = self._entrywise(a, b)
        values = [self._values(view, source, entrywise).copy() for source in (a, b)]
        sizes = [float(np.linalg.norm(array)) for array in values]
        scale = max(*sizes, _EPS * abs(self.problem.value))
        rtol = self._tolerance(a, b)
        difference = self._difference(view, a, b, values, entrywise)
        before = np.abs(difference.gap)
        error, verdict = _judge(difference, scale, rtol)
        if verdict == DISAGREES and np.isfinite(error):
            if a.measures or b.measures:
                self._settle(difference, view, (a, b), entrywise, scale * rtol)
                error, verdict = _judge(difference, scale, rtol)
            elif self._cancels(difference.excess, view, entrywise, rtol):
                error, verdict = 0.0, ROUNDING
        after = np.abs(difference.gap)
        i = int(np.argmax(np.nan_to_num(after if after.any() else before, nan=np.inf)))
        return {
            "block": view.name,
            "source_a": a.label,
            "source_b": b.label,
            "relative_error": error,
            "tolerance": rtol,
            "verdict": verdict,
            "compared": "entries" if entrywise else f"{len(view.probes)} directions",
            "worst": view.probe(i, entrywise).name,
            "step": self._step(view.probe(i, entrywise), entrywise),
            "kinks": difference.kinks,
            "left_out": int(difference.left_out.sum()),
            **self._at(view, i, entrywise),
        }

    def _at(self, view: _View, i: int, entrywise: bool) -> dict[str, float]:
        """Return what each source says of one entry; the last measurement, if there were two."""
        probe = view.probe(i, entrywise)
        able = [s for s in self.sources if s.gradient is not None or not entrywise]
        values = {source.label: self._value(probe, source) for source in able}
        for label in values:
            look = self._looks.get((probe.name, label))
            values[label] = values[label] if look is None else look.slope
        return values

    def _step(self, probe: _Probe, entrywise: bool) -> float | None:
        """By how much the first source that moves parameters moved this one."""
        for source in self.sources:
            if source.steps is not None and (source.gradient is not None or not entrywise):
                look = self._looks.get((probe.name, source.label))
                return look.step if look else probe.step(source.relative_step, self.problem.theta)
        return None

    def _tolerance(self, a: _Source, b: _Source) -> float:
        if self.rtol is not None:
            return float(self.rtol)
        error = max(a.error, b.error)
        if error:
            return max(1e-7, 1000.0 * error)
        exact = 1e-10 if a.steps or b.steps else 1e-12  # by a complex step, or by formulas
        return exact * max(1.0, float(np.sqrt(self.problem.n_rows / 1e4)))

    def _difference(
        self, view: _View, a: _Source, b: _Source, values: list[np.ndarray], entrywise: bool
    ) -> _Difference:
        n = len(values[0])
        error = max(a.error, b.error)
        allowed = (10.0 * error if error else 100.0 * _EPS) * self.problem.size
        relative = max(a.relative_step, b.relative_step)
        theta = self.problem.theta
        if entrywise:
            step = relative * np.maximum(1.0, np.abs(theta[view.where]))
        else:
            step = np.array([probe.step(relative, theta) for probe in view.probes])
        return _Difference(values[0], values[1], np.full(n, allowed), step, np.zeros(n, dtype=bool))

    def _settle(
        self,
        difference: _Difference,
        view: _View,
        sources: tuple[_Source, _Source],
        entrywise: bool,
        tolerance: float,
    ) -> None:
        """Measure the entries that disagree again; leave those out that lie on a kink."""
        gap = np.abs(difference.gap)
        threshold = max(difference.allowed[0], 0.5 * tolerance / np.sqrt(len(gap)))
        largest_first = np.argsort(-gap, kind="stable")[: np.count_nonzero(gap > threshold)]
        wrong = 0
        for i in map(int, largest_first):
            probe = view.probe(i, entrywise)
            self._measure_again(difference, i, probe, sources, threshold)
            wrong += abs(difference.excess[i]) > threshold
            if wrong == _ENOUGH:  # the verdict is certain, and each look costs values of J
                break

    def _measure_again(
        self,
        difference: _Difference,
        i: int,
        probe: _Probe,
        sources: tuple[_Source, _Source],
        threshold: float,
    ) -> None:
        sides = (difference.a, difference.b)
        for source, values, others in zip(sources, sides, sides[::-1], strict=True):
            if not source.again:
                continue
            look = self._look(probe, source, threshold)
            if not _is_explained(values[i], look, difference.allowed[i]):
                continue  # not what this method measures here: the source is to blame
            values[i] = look.slope
            self._take_over(difference, i, look, abs(look.slope - others[i]))
            if look.crossed:
                self._crossed.add(probe.name)
            if difference.left_out[i]:
                self._on_kink.add(probe.name)

    def _take_over(self, difference: _Difference, i: int, look: _Look, gap: float) -> None:
        # A smaller step brings more rounding.
        difference.allowed[i] *= max(1.0, difference.step[i] / look.step)
        difference.allowed[i] = max(difference.allowed[i], 2.0 * look.error)
        difference.step[i] = look.step
        difference.kinks += look.crossed
        if look.kink > 0.0 and gap <= 1.01 * look.kink + difference.allowed[i]:
            difference.left_out[i] = True

    def _look(self, probe: _Probe, source: _Source, threshold: float) -> _Look:
        key = probe.name, source.label
        if key not in self._looks:
            assert source.steps is not None
            points = np.abs(source.steps.stencil.points).max()
            relative = max(source.relative_step * points, STENCILS["3-point"].step(np.float64))
            h = probe.step(relative, self.problem.theta)
            self._looks[key] = _look_closer(self.problem, probe, h, threshold)
        return self._looks[key]

    def _cancels(self, gap: np.ndarray, view: _View, entrywise: bool, rtol: float) -> bool:
        """Whether a gap of two exact gradients is rounding: a small sum of large terms.

        The terms, one for each row, are measured in the direction of the gap; so is the
        curvature, since a change of theta by its own rounding changes the gradient by as much.
        """
        size = float(np.linalg.norm(gap))
        probe = _Probe("the gap", view.where, gap / size)
        if not entrywise:
            probe = view.probes[int(np.argmax(np.abs(gap)))]
        h = probe.step(STENCILS["3-point"].step(np.float64), self.problem.theta)
        wide, narrow = (_level(self.problem, probe, step) for step in (h, h / 10))
        smooth = wide.bend[~_has_kink(wide, narrow)]
        curvature = abs(float(smooth.sum())) * 2.0 / h
        return size <= rtol * (wide.mass + curvature * probe.step(1.0, self.problem.theta))

    # ------------------------------------------------------------------------- in words

    def _mode(self) -> str:
        labels = [source.label for source in self.sources if source.gradient is None]
        if not labels:
            return ""
        return (
            f"{_listed(labels)} measured along {self.n_directions} random directions v of each "
            "block, and of all together: a fault in a single entry can be missed. directions=None "
            "measures each parameter."
        )

    def _conclude(
        self, records: list[dict[str, Any]], suspects: dict[str, str], compared: bool
    ) -> str:
        labels = [source.label for source in self.sources]
        bad = [record for record in records if record["verdict"] == DISAGREES]
        if bad:
            measuring = {source.label for source in self.sources if source.measures}
            text = _accuse(bad, suspects, labels, measuring)
        elif not compared:
            text = (
                "Nothing measured could be compared: theta lies on a kink in every entry that "
                "counts. Give another point."
            )
            exact = [source.label for source in self.sources if not source.measures]
            text += f" {_listed(exact)} agree here." if len(exact) > 1 else ""
        else:
            text = self._praise(records)
        return self._about_kinks() + text

    def _praise(self, records: list[dict[str, Any]]) -> str:
        largest = np.nanmax([record["relative_error"] for record in records])
        tied = dict.fromkeys(r["block"] for r in records if r["verdict"] == ON_KINKS)
        text = f"All {len(self.sources)} sources agree in every block"
        if tied:
            text += f" but {_listed(list(tied))}, where theta lies on kinks in all that counts"
        text += f" (largest relative error {largest:.1e})."
        if all(s.gradient is not None and not s.gradient.any() for s in self.sources):
            text += " But the gradient is zero in every entry: another point would say more."
        return text

    def _about_kinks(self) -> str:
        n, out = len(self._crossed), len(self._on_kink)
        if not n:
            return ""
        what = "direction" if self.n_directions else "parameter"
        text = f"The differences of {n} {what}{'s' * (n > 1)} crossed a kink: "
        again = f"{n - out} measured again with a smaller step"
        outside = f"{out} left out, since no step avoids it"
        return text + " and ".join([again] * (n > out) + [outside] * (out > 0)) + ". "


def _judge(difference: _Difference, scale: float, rtol: float) -> tuple[float, str]:
    """Relative error of a block, and the verdict."""
    gap = difference.gap
    if not np.isfinite(gap).all():
        return np.inf, DISAGREES
    if difference.left_out.all():
        return np.nan, ON_KINKS
    error = _relative(gap, scale)
    if error <= rtol:
        return error, KINKS if difference.kinks else OK
    without_rounding = _relative(difference.excess, scale)
    if without_rounding <= rtol:
        return without_rounding, KINKS if difference.kinks else ROUNDING
    return error, DISAGREES


def _relative(gap: np.ndarray, scale: float) -> float:
    size = float(np.linalg.norm(gap))
    return size / scale if size else 0.0


def _is_explained(value: float, look: _Look, allowed: float) -> bool:
    """Whether a source's value is what its method gives here, kinks and wide steps included."""
    gap = abs(value - look.first_slope)
    return gap <= look.first_error + 10.0 * allowed + 1e-7 * abs(look.first_slope)


def _suspects(records: list[dict[str, Any]], labels: list[str]) -> dict[str, str]:
    """For each block in which sources disagree: the one that is alone against all others."""
    suspects = {}
    for block, group in itertools.groupby(records, key=lambda record: record["block"]):
        verdicts = {(r["source_a"], r["source_b"]): r["verdict"] for r in group}
        if len(labels) < 3 or DISAGREES not in verdicts.values():
            continue
        for label in labels:
            against = [v for pair, v in verdicts.items() if label in pair]
            others = [v for pair, v in verdicts.items() if label not in pair]
            alone = all(v == DISAGREES for v in against)
            if alone and not {DISAGREES, ON_KINKS} & set(others):
                suspects[block] = label
    return suspects


def _accuse(
    bad: list[dict[str, Any]], suspects: dict[str, str], labels: list[str], measuring: set[str]
) -> str:
    blocks = list(dict.fromkeys(record["block"] for record in bad))
    named = [block for block in blocks if block != _TOGETHER] or blocks
    if len(labels) == 2:
        return (
            f"{labels[0]} and {labels[1]} DISAGREE in {_listed(named)}. Two sources cannot tell "
            "which of them is wrong: compare with a third."
        )
    parts = []
    for suspect in dict.fromkeys(suspects.get(block, "") for block in named):
        where = [block for block in named if suspects.get(block, "") == suspect]
        if suspect:
            parts.append(_accuse_one(suspect, where, labels, suspect in measuring))
        else:
            parts.append(_accuse_none(where, bad))
    return " ".join(parts)


def _accuse_one(suspect: str, where: list[str], labels: list[str], measures: bool) -> str:
    others = [label for label in labels if label != suspect]
    text = (
        f"{_listed(others)} agree with each other, and {suspect} DISAGREES in {_listed(where)}: "
        f"{suspect} is suspect."
    )
    if measures:
        text += " A measurement is wrong where J is noisy: see Numeric(noise_level=)."
    return text


def _accuse_none(where: list[str], bad: list[dict[str, Any]]) -> str:
    pairs = {(r["source_a"], r["source_b"]) for r in bad if r["block"] in where}
    if len(pairs) > 1:
        return f"In {_listed(where)} the sources DISAGREE, and no single one is alone."
    (pair,) = pairs
    return f"{_listed(list(pair))} DISAGREE in {_listed(where)}, and no other source can tell."


def _listed(names: list[str]) -> str:
    if len(names) > 6:
        names = [*names[:6], f"{len(names) - 6} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
