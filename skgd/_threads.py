"""BLAS threads during a fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController  # scikit-learn's own dependency


@cache
def _controller() -> Any:
    # Looking through the loaded libraries takes milliseconds: once for each process.
    return ThreadpoolController()


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


def _threads_of_blas() -> int:
    libraries = _controller().lib_controllers
    threads = [library.num_threads or 1 for library in libraries if library.user_api == "blas"]
    return min([_processors(), *threads])


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
