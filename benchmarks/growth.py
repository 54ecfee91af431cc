"""Time of an epoch against rows, columns, hidden units and threads, and the exponent of its growth.

The exponent is the slope of log(time) over log(size) between the two largest sizes: 1 is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import classes, linear
from threadpoolctl import threadpool_limits
from timing import Report, seconds_of

from skgd import GDClassifier, MLPBackpropClassifier, config_context

PICTURE = Path("docs/images/growth.png")
_MEASURABLE = 0.05  # seconds, beside which the noise of a fit is small


def run(report: Report, rounds: int) -> None:
    """All curves, as facts and as a picture."""
    report.heading("growth: seconds of an epoch, and the exponent between the two largest sizes")
    curves = {
        "rows, linear, 28 columns": (_rows, (10**3, 10**4, 10**5, 10**6, 10**7)),
        "columns, linear, 50000 rows": (_columns, (8, 32, 128, 512, 2048)),
        "hidden units, 20000x64 rows, 2 layers": (_units, (16, 64, 256, 1024)),
        "rows, network 28-64-64-2": (_rows_of_network, (10**3, 10**4, 10**5, 10**6)),
    }
    measured: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for name, (work, sizes) in curves.items():
        measured[name] = {}
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                points = [(size, _epoch(work(size), rounds)) for size in sizes]
            measured[name][threads] = points
            (a, s), (b, t) = points[-2:]
            times = ", ".join(f"{size:g}: {took:.2g}" for size, took in points)
            report.fact(f"{name}, {threads} thread(s): {times}; exponent",
                        float(np.log(t / s) / np.log(b / a)))  # fmt: skip
    _draw(measured)


def _epoch(fit: Callable[[int], Any], rounds: int) -> float:
    """Seconds of one epoch: fits of one epoch and of some more, their difference over the more."""
    fit(1)
    guess = (seconds_of(partial(fit, 4)) - seconds_of(partial(fit, 1))) / 3
    more = int(np.clip(_MEASURABLE / max(guess, 1e-5), 3, 500))
    one, some = ([seconds_of(partial(fit, n)) for _ in range(rounds)] for n in (1, 1 + more))
    return max((min(some) - min(one)) / more, 1e-6)


def _fit(model: Any, X: np.ndarray, y: np.ndarray) -> Callable[[int], Any]:
    def fit(epochs: int) -> None:
        with config_context(engine="numba"):
            model.set_params(max_iter=epochs).fit(X, y)

    return fit


def _rows(n: int) -> Callable[[int], Any]:
    return _fit(GDClassifier(tol=None, random_state=0), *linear(n, 28, "logistic"))


def _columns(p: int) -> Callable[[int], Any]:
    return _fit(GDClassifier(tol=None, random_state=0), *linear(50_000, p, "logistic"))


def _units(h: int) -> Callable[[int], Any]:
    model = MLPBackpropClassifier((h, h), tol=None, learning_rate=1e-3, random_state=0)
    return _fit(model, *classes(20_000, 64, 2, np.float32))


def _rows_of_network(n: int) -> Callable[[int], Any]:
    model = MLPBackpropClassifier((64, 64), tol=None, learning_rate=1e-3, random_state=0)
    return _fit(model, *classes(n, 28, 2, np.float32))


def _draw(measured: dict[str, dict[int, list[tuple[int, float]]]]) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, axes = plt.subplots(1, len(measured), figsize=(4 * len(measured), 3.4))
    for axis, (name, of_threads) in zip(axes, measured.items(), strict=True):
        for threads, style in ((1, "o-"), (2, "s--")):
            sizes, times = zip(*of_threads[threads], strict=True)
            label = f"{threads} thread" + ("s" if threads > 1 else "")
            axis.loglog(sizes, times, style, label=label)
        largest, time = of_threads[1][-1]
        line = np.array([sizes[0], largest])
        axis.loglog(line, time * line / largest, ":", color="grey", label="linear")
        what, _, where = name.partition(", ")
        axis.set(xlabel=what, title=where)
        axis.grid(alpha=0.3)
        axis.xaxis.set_minor_formatter(NullFormatter())  # their labels would overlap
        axis.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("seconds of an epoch")
    axes[0].legend()
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
