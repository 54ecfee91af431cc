"""BLAS threads during a fit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController  # scikit-learn's own dependency


@cache
def _controller() -> Any:
    # Looking through the loaded libraries takes milliseconds: once for each process.
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Run BLAS on one thread.

    With two threads the last bits of a product differ from those with one, and a worker of
    joblib is given fewer threads than its parent: one thread everywhere makes a fit the
    same, bit for bit, for every n_jobs. It is also the faster way for small products.
    """
    return _controller().limit(limits=1, user_api="blas")
