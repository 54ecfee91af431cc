"""Threads: one for BLAS during a fit, several where work falls into independent parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import ThreadpoolController  # scikit-learn's own dependency

_WORTH_IT = 1_000_000  # numbers to compute: below it, one thread is done sooner


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


def in_threads(function: Callable[[Any], None], items: Sequence[Any], work: float) -> None:
    """Call `function` for each item, side by side where there is enough work.

    NumPy lets other threads run during its loops. No item may depend on another, so that the
    result does not depend on the number of threads: as many as scikit-learn's own loops would
    have here, which are fewer in a worker of joblib.

    Parameters
    ----------
    function : callable
    items : sequence
    work : float
        About how many numbers are computed.
    """
    n_threads = _openmp_effective_n_threads() if work >= _WORTH_IT else 1
    if n_threads == 1:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(function, items):  # which raises what was raised
            pass
