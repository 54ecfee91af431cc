"""Do the gradient sources agree? Each is compared with each, block by block of the parameters.

They are independent ways to the same numbers, so two that agree accuse the third. Nobody is to
blame for a difference across a kink: a measured entry that disagrees is measured again. Nobody
moves each parameter of a large network: there J is measured along a few random directions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from skgd._component import check_choice, check_number, resolve
from skgd._threads import one_blas_thread
from skgd.estimators import GradientLearner
from skgd.estimators.pipelines import learner_of, rows_seen
from skgd.gradient_check.kinks import Terms, look_closer
from skgd.gradient_check.report import DISAGREES, KINKS, OK, ON_KINKS, GradientCheck
from skgd.gradients import GRADIENTS, Analytic, GradientSource, Numeric
from skgd.gradients.differences import STENCILS, bend_along
from skgd.objective import DataObjective
from skgd.objective.models import Block
from skgd.objective.statistics import column_statistics

__all__ = ["GradientCheck", "check_gradient"]

_EPS = float(np.finfo(np.float64).eps)
_STEP = STENCILS["3-point"].step(np.float64)
_DIRECTIONS = 3  # of each block, when not every parameter is measured
_MANY_PARAMETERS, _MANY_NUMBERS = 2_000, 2_000_000  # parameters, and parameters times rows
_ENOUGH = 100  # entries of a block found wrong: the others need no second look


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
        One of the four estimators, or a Pipeline or search with one at its end; what its method
        `objective` returns; or a function ``fun(x) -> number``.
    X : array-like
        For an estimator, the rows: those of a Pipeline go through its first steps, as it was
        fitted with; where it was not, through clones fitted on X and y. For a function, the point
        x, of any shape. For an objective, the point theta; None is its `x0`.
    y : array-like of shape (n_samples, ...), default=None
        For an estimator, as for `fit`.
    sources : iterable of {"analytic", "backprop", "numeric"} or GradientSource
        At least two. "numeric" is central differences of J. A source that cannot do it, or
        estimates the gradient of a smoothed J, is listed in the report with the reason.
    sample_weight : array-like of shape (n_samples,), default=None
        For an estimator, as for `fit`.
    jac : callable, default=None
        For a function: ``jac(x) -> array of the shape of x``, the source "analytic".
    theta : array-like of shape (n_parameters,), default=None
        For an estimator, the point; None is the present parameters. One that has none is looked
        at a random step away from its start, which may be zero, where margins tie.
    rtol : float, default=None
        Largest relative error of a block. None is 1e-7 where a source measures ("2-point":
        1.5e-5), 1e-12 where none does (times ``sqrt(n / 10,000)`` above 10,000 rows).
    directions : int, "auto" or None, default="auto"
        None measures each parameter. A number measures along so many random directions in each
        block. *A fault in a single entry can be missed then*, unless two sources that measure
        nothing are compared, which is always done entry by entry. "auto" is 3 directions above
        2,000 parameters or 2,000,000 parameters times rows, and None below.
    random_state : int, RandomState instance or None, default=0
        Of the point near the start and the directions.

    Returns
    -------
    report : GradientCheck
        Print it; ``report.ok`` says whether all agree.

    Notes
    -----
    Two gradients a and b of a block agree if ``||a - b|| <= rtol max(||a||, ||b||, eps |J|)``.
    An entry also passes within ``10 eps^(2/3) max(1, |J|)`` if one of the two is measured by
    central differences, within ``100 eps max(1, |J|)`` if none is, and, if none is, a whole block
    within 1e-12 of the sum of the *absolute* contributions of the rows: near a minimum they cancel.

    A measured entry that disagrees is measured again, with steps 10, 100, ... times smaller, and
    the steadiest measurement counts: so a kink nearby, or a step too wide for a steep J, accuses
    nobody, and a wrong formula is still seen there. If theta lies on the kink itself, the entry is
    left out where the kink is large enough to explain the disagreement. Kinks that do no harm are
    not counted. Numeric(space="predictions") is taken at its word.

    References
    ----------
    J. Nocedal, S. J. Wright, *Numerical Optimization*, 2006, section 8.1 (the step).
    A. Karpathy, "CS231n: gradient checks", 2015 (relative errors, kinks).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgd import MLPBackpropClassifier, check_gradient
    >>> X, y = load_iris(return_X_y=True)
    >>> report = check_gradient(MLPBackpropClassifier((3,), "tanh"), X, y)
    >>> print(report)
    check_gradient(MLPBackpropClassifier), 27 parameters, 150 rows, at a random point near the start
    J = ...
    block          sources             error    allowed  worst entry         verdict
    coefs[0]       analytic, backprop  ...      1e-12    coefs[0][...]       ok
    ...
    All 3 sources agree in every block (largest relative error ...).

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
    # An inf or nan is reported, and so is a gradient of zero.
    with one_blas_thread(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        extra = {"y": y, "sample_weight": sample_weight, "jac": jac, "theta": theta}
        problem = _as_problem(estimator_or_fun, X, seed, **extra)
        if not np.isfinite(problem.value):
            raise ValueError(f"J is {problem.value}, so it has no gradient: give another point.")
        n = _n_directions(directions, problem)
        return _compare(problem, _along_random(problem, n, seed) if n else problem, chosen, rtol)


def _as_sources(sources: Any) -> dict[str, GradientSource]:
    if isinstance(sources, (str, GradientSource)) or not isinstance(sources, Iterable):
        raise TypeError(f"sources takes a list of at least two gradient sources; got {sources!r}.")
    chosen: dict[str, GradientSource] = {}
    for given in sources:
        label = given if isinstance(given, str) else repr(given)
        if label in chosen:
            raise ValueError(f"sources names {label} twice.")
        chosen[label] = resolve("sources", given, GRADIENTS, GradientSource)
    return chosen


def _n_directions(directions: Any, problem: _Problem) -> int:
    """Directions for each block; 0 measures each parameter."""
    if isinstance(directions, str):
        check_choice("directions", directions, ["auto"])
        n = problem.theta.size
        many = n > _MANY_PARAMETERS or n * problem.n_rows > _MANY_NUMBERS
        return _DIRECTIONS if many else 0
    if directions is not None:
        check_number("directions", directions, low=1, integer=True)
    return int(directions or 0)


# -- what is differentiated ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """A function of a flat vector theta, at a point."""

    title: str
    theta: np.ndarray
    blocks: tuple[Block, ...]  # the named parts of theta
    terms: Terms  # numbers whose sum is J: one for each row, and the penalty
    value: float
    n_rows: int
    gradient: Callable[[GradientSource], np.ndarray]
    along: str = ""  # what stands between the name of a block and the index of an entry
    mode: str = ""


def _as_problem(what: Any, X: Any, seed: int, **given: Any) -> _Problem:
    make: Callable[..., _Problem]
    if isinstance(learner_of(what), GradientLearner):
        make, takes = partial(_of_learner, seed=seed), ["y", "sample_weight", "theta"]
    elif isinstance(what, DataObjective):
        make, takes = partial(_of_objective, name="objective", where="the given point"), []
    elif callable(what) and not isinstance(what, type):
        make, takes = _of_function, ["jac"]
    else:
        raise TypeError(
            "Give one of the four estimators, a Pipeline that ends in one, its objective or "
            f"fun(x); got {what!r}."
        )
    for name, value in given.items():
        if value is not None and name not in takes:
            raise TypeError(f"{name} has no meaning for {what!r}: leave it out.")
    return make(what, X, **{name: given[name] for name in takes})


def _of_learner(what: Any, X: Any, y: Any, sample_weight: Any, theta: Any, seed: int) -> _Problem:
    if X is None or y is None:
        raise TypeError("check_gradient(estimator, X, y) needs X and y, as fit does.")
    X, learner = rows_seen(what, X, y), learner_of(what)
    name, ready = type(learner).__name__, learner.__sklearn_is_fitted__()
    # The start must not differ from call to call: a clone gets a seed.
    learner = learner if ready else clone(learner).set_params(random_state=seed)
    objective = learner.objective(X, y, sample_weight)
    where = "the given theta" if theta is not None else "the present parameters"
    if theta is None and not ready:
        theta, where = _near_start(objective, seed), "a random point near the start"
    return _of_objective(objective, theta, name, where)


def _near_start(objective: DataObjective, seed: int) -> np.ndarray:
    """Move each parameter so far that the inputs of its unit move by about a half, in all rows."""
    rng = np.random.default_rng([seed, 1])
    theta = objective.x0.astype(np.float64)
    scale: Any = column_statistics(objective._batch.X, None, centred=False)[1][:, None]
    layers = objective._objective.model.layers(theta)
    if layers.direct is not None:
        D = layers.direct
        D += rng.normal(size=D.shape) * (0.5 / np.sqrt(D.shape[0])) / scale
    for W, b in layers:
        W += rng.normal(size=W.shape) * (0.5 / np.sqrt(W.shape[0])) / scale
        scale = 1.0  # of what comes out of units
        if b is not None:
            b += 0.5 * rng.normal(size=b.shape)
    return theta


def _of_objective(objective: DataObjective, theta: Any, name: str, where: str) -> _Problem:
    inner, batch = objective._objective, objective._batch.astype(np.float64)
    theta = np.array(objective.x0 if theta is None else theta, dtype=np.float64)
    objective.unpack(theta)  # which checks the shape
    exact = DataObjective(inner, batch, objective._source, theta, objective._resolve_source)
    # Around theta the L1 term is linear.
    l1 = inner.l1_strength * np.sign(theta) * inner.model.decay_mask()

    def terms(theta: np.ndarray) -> np.ndarray:
        return np.append(inner.terms(inner.model.layers(theta), batch), l1 @ theta)

    value, n = exact.value(theta), batch.X.shape[0]
    gradient = cache(partial(exact.gradient, theta))
    title = f"check_gradient({name}), {theta.size} parameters, {n} rows, at {where}"
    return _Problem(title, theta, inner.model.blocks, terms, value, n, gradient)


def _of_function(fun: Callable[[np.ndarray], Any], x: Any, jac: Any) -> _Problem:
    point = np.asarray(x)
    if point.dtype.kind not in "iubf" or point.size == 0:
        raise TypeError(f"check_gradient(fun, x) needs x, an array of real numbers; got {x!r}.")
    point = point.astype(np.float64)
    value = fun(point.copy())
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "iuf":
        raise ValueError(f"fun(x) must be one real number to have a gradient; it is {value!r}.")

    def terms(theta: np.ndarray) -> np.ndarray:
        return np.array([fun(theta.reshape(point.shape).copy())])

    def gradient(source: GradientSource) -> np.ndarray:
        by_hand = isinstance(source, Analytic)
        if by_hand and jac is None:
            raise NotImplementedError("nobody has written this gradient by hand: give it as jac=.")
        gradient = jac(point.copy()) if by_hand else source.of_function(fun)(point.copy())[1]
        if (got := np.shape(gradient)) != point.shape:
            raise ValueError(f"jac(x) must have the shape of x, {point.shape}; it has {got}.")
        return np.array(gradient, dtype=np.float64).ravel()

    title = f"check_gradient({getattr(fun, '__name__', fun)}), x of shape {point.shape}"
    blocks = (Block("x", 0, point.size, point.shape),)
    return _Problem(title, point.ravel(), blocks, terms, float(value), 1, cache(gradient))


def _along(problem: _Problem, directions: list[tuple[Block, np.ndarray]]) -> _Problem:
    """Return J as a function of the distances by which one goes along directions in blocks."""
    start, zeros = problem.terms(problem.theta), np.zeros(len(directions))

    def terms(distances: np.ndarray) -> np.ndarray:
        theta = problem.theta.astype(distances.dtype)
        for (block, v), distance in zip(directions, distances, strict=True):
            block.of(theta)[...] += distance * v
        return problem.terms(theta)

    def gradient(source: GradientSource) -> np.ndarray:
        if _moves_parameters(source):
            return source.of_function(lambda at: (terms(at) - start).sum())(zeros)[1]
        whole = problem.gradient(source)
        return np.array([np.vdot(block.of(whole), v) for block, v in directions])

    return replace(problem, theta=zeros, terms=terms, gradient=cache(gradient), along=" along v")


def _along_random(problem: _Problem, n: int, seed: int) -> _Problem:
    """Return J as a function of the distances along n random directions in each block."""
    rng = np.random.default_rng([seed, 2])
    sizes = np.maximum(1.0, np.abs(problem.theta))  # all move in proportion, as they do alone
    drawn = [(b, rng.normal(size=b.shape)) for b in problem.blocks for _ in range(n)]
    directions = [(b, b.of(sizes) * v / np.linalg.norm(v)) for b, v in drawn]
    blocks = [Block(b.name, i * n, i * n + n, (n,)) for i, b in enumerate(problem.blocks)]
    mode = (
        f"Measured along {n} random directions v of each block: a fault in a single entry can be "
        "missed. directions=None measures each parameter."
    )
    return replace(_along(problem, directions), blocks=tuple(blocks), mode=mode)


# -- what is said of it, and by whom ---------------------------------------------------------------


def _moves_parameters(source: GradientSource) -> bool:
    return isinstance(source, Numeric) and source.space == "parameters"


def _refusal(source: GradientSource, problem: _Problem) -> str:
    """Why a source cannot compute this gradient; "" if it can."""
    if isinstance(source, Numeric) and source.method not in STENCILS:
        return f"method={source.method!r} is a random estimate of a smoothed J's gradient."
    # A formula has no excuse for another error; the others run code that has given J.
    unable = NotImplementedError if isinstance(source, Analytic) else Exception
    try:
        problem.gradient(source)
    except unable as error:
        return str(error)
    return ""


class _Answer:
    """What a source says of each entry of a problem, and how exact it can be."""

    def __init__(self, source: GradientSource, problem: _Problem, rtol: float | None) -> None:
        self.problem = problem
        self.values = problem.gradient(source).copy()
        self.rtol = rtol or 1e-12 * max(1.0, float(np.sqrt(problem.n_rows / 1e4)))
        self.step: np.ndarray | None = None  # by how much each entry was moved
        error = 10.0 * _EPS  # to be expected, for a function of order one
        if isinstance(source, Numeric):
            step, error = _precision(source, problem)
            self.rtol = rtol or max(1e-7, 1000.0 * error)
            if source.space == "parameters":
                self.step = step * np.maximum(1.0, np.abs(problem.theta))
        self.allowed = np.full(self.values.size, 10.0 * error * max(1.0, abs(problem.value)))
        self.kink = np.zeros(self.values.size)  # error that a kink explains
        self.seen, self.crossed, self.left_out = np.zeros((3, self.values.size), dtype=bool)

    def measure_again(self, j: int, threshold: float) -> None:
        """Measure an entry with smaller steps, if that was not done."""
        if self.step is None or self.seen[j]:
            return
        self.seen[j] = True
        theta, step = self.problem.theta, self.step[j]
        widest = max(step, _STEP * max(1.0, abs(theta[j])))
        look = look_closer(self.problem.terms, theta, j, widest, threshold)
        if not look.explains(self.values[j], 10.0 * self.allowed[j]):
            return  # not what this method measures here: the source is to blame
        self.values[j], self.step[j] = look.best.slope, look.best.step
        self.allowed[j] *= max(1.0, step / look.best.step)  # a smaller step brings more rounding
        self.allowed[j] = max(self.allowed[j], 2.0 * look.error)
        self.kink[j], self.crossed[j] = look.kink, look.crossed or look.kink > 0.0


def _precision(source: Numeric, problem: _Problem) -> tuple[float, float]:
    """Longest relative step, and the error of truncation, rounding and noise."""
    stencil, theta = STENCILS[source.method], problem.theta
    bend = partial(bend_along, problem.terms, theta, n_numbers=theta.size)
    step = source._steps().relative(np.float64, bend)
    noise = max(_EPS, source.noise_level or 0.0)
    error = _EPS if stencil.holomorphic else max(step ** (1.0 / stencil.power - 1.0), noise / step)
    return step * float(np.abs(stencil.points).max()), error


# -- the comparison --------------------------------------------------------------------------------


def _compare(
    problem: _Problem, moved: _Problem, chosen: dict[str, GradientSource], rtol: float | None
) -> GradientCheck:
    """Compare each two sources: in `moved` where one moves parameters, in `problem` elsewhere."""
    reasons = {label: _refusal(source, moved) for label, source in chosen.items()}
    able = {label: source for label, source in chosen.items() if not reasons[label]}
    if len(able) < 2:
        why = " ".join(f"{label}: {reason}" for label, reason in reasons.items() if reason)
        raise ValueError(f"Give at least two sources that can compute this gradient. {why}")
    whole = {s: able[s] for s in able if moved is problem or not _moves_parameters(able[s])}
    answers = {label: _Answer(source, moved, rtol) for label, source in able.items()}
    exact = answers if moved is problem else {s: _Answer(whole[s], problem, rtol) for s in whole}
    records = [
        _record(exact if {a, b} <= set(whole) else answers, number, a, b)
        for number in range(len(problem.blocks))
        for a, b in combinations(able, 2)
    ]
    return GradientCheck(
        title=problem.title,
        value=problem.value,
        sources=reasons,
        blocks=records,
        gradients={label: problem.gradient(source) for label, source in whole.items()},
        kinks=int(np.any([answer.crossed for answer in answers.values()], axis=0).sum()),
        left_out=int(np.any([answer.left_out for answer in answers.values()], axis=0).sum()),
        mode=moved.mode,
    )


def _record(answers: dict[str, _Answer], number: int, *labels: str) -> dict[str, Any]:
    """Compare two sources in a block."""
    a, b = (answers[label] for label in labels)
    block, rtol = a.problem.blocks[number], max(a.rtol, b.rtol)
    error = _relative_error(a, b, block, rtol)
    if rtol < error < np.inf:
        _measure_again(a, b, block, rtol)
        error = _relative_error(a, b, block, rtol)
        if error > rtol and a.step is None and b.step is None and _cancels(a, b, block, rtol):
            error = 0.0
    gap, _, out = _gap(a, b, block)
    block.of(a.left_out)[...] |= out
    kinks = int(block.of(a.crossed | b.crossed).sum())
    verdict = (KINKS if kinks else OK) if error <= rtol else DISAGREES
    i = int(np.argmax(np.nan_to_num(np.abs(gap), nan=np.inf)))
    index, j = [int(k) for k in np.unravel_index(i, block.shape)], block.start + i
    steps = [float(answer.step[j]) for answer in answers.values() if answer.step is not None]
    return {
        "block": block.name,
        "source_a": labels[0],
        "source_b": labels[1],
        "relative_error": np.nan if out.all() else error,
        "tolerance": rtol,
        "verdict": ON_KINKS if out.all() else verdict,
        "worst": f"{block.name}{a.problem.along}{index or ''}",
        "step": steps[0] if steps else None,
        "kinks": kinks,
        **{label: float(answer.values[j]) for label, answer in answers.items()},
    }


def _gap(a: _Answer, b: _Answer, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two sources; what rounding explains of it; which entries kinks explain."""
    gap = block.of(a.values - b.values)
    allowed = block.of(np.maximum(a.allowed, b.allowed))
    kink = block.of(a.kink + b.kink)
    out = (kink > 0.0) & (np.abs(gap) <= 1.01 * kink + allowed)
    return np.where(out, 0.0, gap), allowed, out


def _relative_error(a: _Answer, b: _Answer, block: Block, rtol: float) -> float:
    """Relative error; what rounding explains counts as 0 if the block would not pass otherwise."""
    gap, allowed, _ = _gap(a, b, block)
    sizes = [float(np.linalg.norm(block.of(answer.values))) for answer in (a, b)]
    scale = max(*sizes, _EPS * abs(a.problem.value), np.finfo(np.float64).tiny)
    error = float(np.linalg.norm(gap)) / scale
    if error > rtol:
        error = float(np.linalg.norm(np.where(np.abs(gap) <= allowed, 0.0, gap))) / scale
    return np.inf if np.isnan(error) else error


def _measure_again(a: _Answer, b: _Answer, block: Block, rtol: float) -> None:
    """Look at the entries that disagree, the worst first, until enough are found wrong."""
    gap, allowed, _ = _gap(a, b, block)
    # The smaller of the two: kinks may have made the other one large.
    size = min(float(np.linalg.norm(block.of(answer.values))) for answer in (a, b))
    threshold = max(float(allowed.min()), 0.5 * rtol * size / np.sqrt(gap.size))
    wrong = 0
    for i in np.argsort(-np.abs(gap), axis=None, kind="stable").tolist():
        if wrong == _ENOUGH or abs(gap.flat[i]) <= threshold:
            break
        j = block.start + i
        for answer in (a, b):
            answer.measure_again(j, threshold)
        excused = max(threshold, a.allowed[j], b.allowed[j]) + a.kink[j] + b.kink[j]
        wrong += abs(a.values[j] - b.values[j]) > excused


def _cancels(a: _Answer, b: _Answer, block: Block, rtol: float) -> bool:
    """Whether the gap of two formulas is rounding: the derivative is a small sum of large terms."""
    gap = block.of(a.values - b.values)
    size = float(np.linalg.norm(gap))
    line = _along(a.problem, [(block, gap / size)])
    return size <= rtol * look_closer(line.terms, line.theta, 0, _STEP, np.inf).best.mass
