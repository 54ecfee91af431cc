"""Threads: BLAS on one during a fit, how many a fit may use, passes over large arrays on two."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController  # scikit-learn's own dependency


@cache
def _controller() -> Any:
    # Looking through the loaded libraries takes milliseconds: once for each process.
    return ThreadpoolController()


_LARGE = 2**21  # numbers: a pass over fewer takes no longer than to start a thread

_allowed: ContextVar[int] = ContextVar("skgd_threads", default=1)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run BLAS on one thread.

    With two threads the last bits of a product differ from those with one, and a worker of
    joblib is given fewer threads than its parent: one thread everywhere makes a fit the
    same, bit for bit, for every n_jobs. It is also the faster way for small products.
    """
    token = _allowed.set(max(_allowed.get(), _threads_of_blas()))
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _allowed.reset(token)


def allowed_threads() -> int:
    """Threads that this process may use: those that BLAS had before it was limited to one.

    So a worker of joblib, and whoever sets OMP_NUM_THREADS or threadpool_limits, is obeyed.
    """
    return _allowed.get()


def is_large(array: Any) -> bool:
    """Whether a pass over the array takes so long that two threads are worth their while."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size >= _LARGE


def in_halves(function: Callable[[slice], Any], array: np.ndarray) -> list[Any]:
    """Call ``function(rows)`` for the two halves of a large array, at once if threads are allowed.

    The halves depend on the size alone, so that what is added up is the same for any number of
    threads. NumPy lets go of the interpreter while it works on an array.
    """
    n = array.shape[0]
    if not is_large(array) or n < 2:
        return [function(slice(0, n))]
    halves = [slice(0, n // 2), slice(n // 2, n)]
    if allowed_threads() < 2:
        return [function(rows) for rows in halves]
    with ThreadPoolExecutor(1) as other:
        second = other.submit(copy_context().run, function, halves[1])  # with NumPy's errstate
        return [function(halves[0]), second.result()]


def _threads_of_blas() -> int:
    libraries = _controller().lib_controllers
    threads = [library.num_threads or 1 for library in libraries if library.user_api == "blas"]
    return min([_processors(), *threads])


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
