"""Which engine takes the steps: NumPy, or machine code compiled by numba (extra `fast`).

Both do the same, up to rounding; the compiled one has no Python between the steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import sparse

from skgd._threads import one_blas_thread
from skgd.activations import ACTIVATIONS
from skgd.averaging import AVERAGES, Averaging
from skgd.gradients import Analytic, Backprop, GradientSource, Numeric
from skgd.gradients.base import GradientFunction
from skgd.gradients.differences import STENCILS
from skgd.gradients.moved_parameters import MovedParameters
from skgd.losses import LOSSES
from skgd.objective import Batch, Objective
from skgd.objective.statistics import Sums
from skgd.optimizers import LBFGS, OPTIMIZERS, Optimizer

ENGINES = ("auto", "numpy", "numba")
_VARIABLE = "SKGD_ENGINE"
_WORTH_LOADING = 1.0  # seconds of NumPy; to load numba and the kernels takes a third of one
_PYTHON_OF_STEP = 1e-4  # seconds that a step of the NumPy engine takes beside its arithmetic
_FLOPS = 3e10  # of the NumPy engine, in a second
_MOVE = 1e-8  # seconds that NumPy takes for one moved parameter in one row
_PYTHON_OF_UNIT = 1e-4  # seconds for the moves of a unit beside its arithmetic
_WORTH_A_KERNEL = 2**18  # numbers: over fewer, a pass of NumPy takes no longer than to load one
_CALLS = 20  # gradients that whoever asks for one will ask for

_chosen: ContextVar[str | None] = ContextVar("skgd_engine", default=None)
_default: str | None = None


def set_config(engine: str | None = None) -> None:
    """Choose the engine for all fits of this process from now on.

    Parameters
    ----------
    engine : {"auto", "numpy", "numba"} or None
        "numpy" always works. "numba" takes compiled steps wherever the parts of a learner have
        compiled forms: losses, activations and optimizers of the tables, with the gradient by
        "analytic" or "backprop", without dropout or constraint; and compiled measurements for
        "numeric", on dense rows, without dropout. "auto" does so if numba is installed and the
        work is large enough to pay for loading it, by a rule that depends on sizes alone. None
        changes nothing. The environment variable SKGD_ENGINE sets it for worker processes, too.

    Raises
    ------
    ValueError
        There is no such engine.
    ImportError
        "numba", and it is not installed.

    Examples
    --------
    >>> import skgd
    >>> skgd.set_config(engine="auto")
    """
    global _default
    if engine is not None:
        _default = _checked(engine, "engine")


@contextmanager
def config_context(engine: str | None = None) -> Iterator[None]:
    """Choose the engine for the fits in a ``with`` block.

    Parameters
    ----------
    engine : {"auto", "numpy", "numba"} or None
        As for `set_config`.

    Yields
    ------
    None
        Nothing; the engine is the former one again after the block.

    Examples
    --------
    >>> import skgd
    >>> from skgd import GDRegressor
    >>> with skgd.config_context(engine="numpy"):
    ...     GDRegressor().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).engine_
    'numpy'
    """
    token = _chosen.set(_chosen.get() if engine is None else _checked(engine, "engine"))
    try:
        yield
    finally:
        _chosen.reset(token)


def wanted() -> str:
    """Return the engine that was asked for."""
    given = _chosen.get() or _default
    if given is not None:
        return given
    return _checked(os.environ.get(_VARIABLE) or "auto", _VARIABLE)


def compile_kernels() -> int:
    """Compile all kernels of the compiled engine, and keep them on disk.

    A fit compiles what it needs when it needs it for the first time, which takes some seconds,
    once for each machine. An image that machines start from can have it behind it::

        RUN python -c "import skgd; skgd.compile_kernels()"

    Machine code is made for the processor on which it is compiled. For machines of several kinds
    set numba's ``NUMBA_CPU_NAME=generic``, both where it is compiled and where it runs.

    Returns
    -------
    n_kernels : int
        How many there are.

    Raises
    ------
    ImportError
        numba is not installed.

    Examples
    --------
    >>> import skgd
    >>> n_kernels = skgd.compile_kernels()  # doctest: +SKIP
    """
    _checked("numba", "engine")
    from skgd.compiled import compiler  # loads numba

    return compiler.compile_all()


def engine_for(
    objective: Objective,
    source: GradientSource,
    X: Any,
    n_steps: int,
    n_rows: int,
    *,
    optimizer: Optimizer | LBFGS | None = None,
    average: Averaging | None = None,
    bounded: bool = False,
    dropout: bool = False,
) -> str:
    """Return "numba" or "numpy", for a training of so many steps on so many rows each.

    The optimizer is None where gradients alone are asked for; `bounded` says whether a constraint
    bounds the weights.
    """
    numeric = isinstance(source, Numeric)
    if numeric:  # any optimizer may make the steps
        compiled = _has_compiled_moves(objective, source, X)
    else:
        compiled = _has_compiled_form(objective, source, X) and (
            isinstance(optimizer, LBFGS)
            or (_has_compiled_steps(optimizer, average) and not bounded)
        )
    compiled = compiled and not dropout
    engine = wanted()
    if engine == "numpy" or not compiled:
        return "numpy"
    if engine == "numba":
        return "numba"
    seconds = n_steps * (_seconds_of_moves if numeric else _seconds_of_step)(objective, X, n_rows)
    return "numba" if seconds >= _WORTH_LOADING and find_spec("numba") is not None else "numpy"


def sums_for(engine: str, X: Any) -> Sums | None:
    """Return what adds up the columns of X with this engine; None is NumPy."""
    numbers = X.nnz if sparse.issparse(X) else X.size
    if engine == "numpy" or numbers < _WORTH_A_KERNEL or X.dtype not in (np.float64, np.float32):
        return None
    if sparse.issparse(X) and X.indices.dtype != np.int32:
        return None
    from skgd.compiled.columns import sums_of  # loads numba

    return sums_of


def bind(
    objective: Objective, source: GradientSource, dtype: Any, batch: Batch
) -> GradientFunction:
    """Return the source, bound to the objective, for gradients by theta on this batch.

    Measured gradients are compiled by the rule of a training of some steps; the other sources
    gain nothing where there are no steps.
    """
    bound = source.bind(objective, dtype)
    n = batch.X.shape[0]
    if (
        not isinstance(bound, MovedParameters)
        or engine_for(objective, source, batch.X, _CALLS, n) == "numpy"
    ):
        return bound
    return _OnOwnThreads(compiled_moves(bound))


def compiled_moves(bound: MovedParameters) -> MovedParameters:
    """Let machine code measure; `bound` is changed."""
    from skgd.compiled.measurement import CompiledMoves  # loads numba

    bound.moves = CompiledMoves(bound.objective, bound.coordinates, bound.steps.stencil)
    return bound


class _OnOwnThreads:
    """A gradient outside of a fit, which finds BLAS on one thread and takes the others itself."""

    def __init__(self, bound: MovedParameters) -> None:
        self._bound = bound
        self.losses_per_call = bound.losses_per_call

    def resume(self, step: int) -> None:
        """All steps are alike."""

    def __call__(self, u: np.ndarray, batch: Batch, gradient: np.ndarray) -> float:
        """Return smooth J at theta(u) and write its gradient by u into `gradient`."""
        with one_blas_thread():
            return self._bound(u, batch, gradient)


def _seconds_of_step(objective: Objective, X: Any, n_rows: int) -> float:
    density = X.nnz / (X.shape[0] * X.shape[1]) if sparse.issparse(X) else 1.0
    return _PYTHON_OF_STEP + 6.0 * n_rows * objective.model.n_weights * density / _FLOPS


def _seconds_of_moves(objective: Objective, X: Any, n_rows: int) -> float:
    model = objective.model
    units = sum(model.hidden_layer_sizes) + model.n_outputs
    return units * _PYTHON_OF_UNIT + n_rows * model.n_parameters * _MOVE


def _has_compiled_moves(objective: Objective, source: Numeric, X: Any) -> bool:
    """Whether machine code can measure."""
    return (
        type(source) is Numeric
        and source.space == "parameters"
        and source.method in STENCILS
        and not STENCILS[source.method].holomorphic
        and _has_compiled_parts(objective)
        and X.dtype in (np.float64, np.float32)
        and not sparse.issparse(X)
    )


def _has_compiled_parts(objective: Objective) -> bool:
    model = objective.model
    activations = all(type(part) in ACTIVATIONS.values() for part in model.activations)
    return type(objective.loss) in LOSSES.values() and activations and not model.direct_links


def _has_compiled_form(objective: Objective, source: GradientSource, X: Any) -> bool:
    """Whether all parts are rows of the tables; a user's own class may do anything."""
    return (
        type(source) in (Analytic, Backprop)
        and _has_compiled_parts(objective)
        and X.dtype in (np.float64, np.float32)
        and X.shape[0] < 2**31
        and (not sparse.issparse(X) or X.indices.dtype == np.int32)
    )


def _has_compiled_steps(optimizer: Optimizer | None, average: Averaging | None) -> bool:
    """Whether the kernels know all that a step has to do."""
    known = average is None or type(average) in AVERAGES.values()
    return known and type(optimizer) in OPTIMIZERS.values()


def _checked(engine: str, parameter: str) -> str:
    if engine not in ENGINES:
        raise ValueError(f"{parameter} takes one of {', '.join(ENGINES)}; got {engine!r}.")
    if engine == "numba" and find_spec("numba") is None:
        raise ImportError(
            f'{parameter}="numba" needs numba, which is not installed: pip install "skgd[fast]".'
        )
    return engine
