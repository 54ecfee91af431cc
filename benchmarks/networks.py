"""Networks, as many epochs each, beside MLPClassifier, torch and JAX."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from peers import jax_network, torch_network
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from synthetic import classes
from timing import OURS, Report, seconds_of

from skgd import MLPBackpropClassifier, config_context

SMALL = {"MLPClassifier": 5.0, "JAX, jit + scan": 1.3, "torch, eager": 6.0}
WIDE = {"MLPClassifier": 2.0, "JAX, jit + scan": 1.1, "torch, eager": 1.5}


def run(report: Report, rounds: int) -> None:
    """Small networks and a wide one, in float32 and float64."""
    small, wide = "networks, small", "networks, wide"
    report.heading(small)
    for dtype in (np.float64, np.float32):
        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(dtype)
        _contest(report, small, "digits 64-100-10, batch 32", X, y, (100,), 32, 20, SMALL, rounds)
        _contest(report, small, "digits 64-100-10, batch 200", X, y, (100,), 200, 40, SMALL, rounds)
        X, y = classes(50_000, 28, 2, dtype)
        _contest(
            report, small, "50000x28-64-64-2, batch 256", X, y, (64, 64), 256, 4, SMALL, rounds
        )
    report.summary(small)
    report.heading(wide)
    for dtype in (np.float64, np.float32):
        X, y = classes(20_000, 784, 10, dtype)
        medians = _contest(
            report, wide, "20000x784-256-128-10, batch 200", X, y, (256, 128), 200, 2, WIDE, rounds
        )
        if dtype is np.float32:
            _share_of_peak(report, 2 * 20_000, medians[OURS])
    report.summary(wide)


def ours(hidden: tuple[int, ...], batch_size: int, epochs: int) -> MLPBackpropClassifier:
    """Adam at MLPClassifier's rate, no stopping."""
    return MLPBackpropClassifier(
        hidden, batch_size=batch_size, max_iter=epochs, tol=None, learning_rate=1e-3, random_state=0
    )


def _contest(
    report: Report, group: str, work: str, X: np.ndarray, y: np.ndarray, hidden: tuple[int, ...],
    batch_size: int, epochs: int, goals: dict[str, float], rounds: int,
) -> dict[str, float]:  # fmt: skip
    def fit(engine: str) -> None:
        with config_context(engine=engine):
            ours(hidden, batch_size, epochs).fit(X, y)

    theirs = MLPClassifier(
        hidden, batch_size=batch_size, max_iter=epochs, n_iter_no_change=10**6, random_state=0
    )
    contestants = {
        OURS: lambda: fit("numba"),
        'skgd, engine="auto"': lambda: fit("auto"),
        'skgd, engine="numpy"': lambda: fit("numpy"),
        "MLPClassifier": lambda: theirs.fit(X, y),
    }
    peers = {
        "JAX, jit + scan": lambda: jax_network(X, y, hidden, batch_size, epochs),
        "torch, eager": lambda: torch_network(X, y, hidden, batch_size, epochs),
        "torch, compiled": lambda: _warm(
            torch_network(X, y, hidden, batch_size, epochs, compiled=True)
        ),
    }
    for name, make in peers.items():
        try:
            contestants[name] = make()
        except Exception as error:  # not installed, or no C++ compiler
            report.skip(name, error)
    work = f"{work}, {np.dtype(X.dtype).name}"
    return report.contest(group, work, contestants, rounds=rounds, goals=goals)


def _warm(train):
    train()
    return train


def _share_of_peak(report: Report, n_rows: int, seconds: float) -> None:
    """Share of the matrix-product peak of this run that a training reaches."""
    peak = matrix_product_peak(np.float32)
    flops = 2 * n_rows * (2 * 784 * 256 + 3 * 256 * 128 + 3 * 128 * 10)
    report.fact("matrix-product peak, float32, GFLOP/s", peak)
    report.fact(
        "share of it in the wide network, whole fit", flops / seconds / 1e9 / peak, ">= .65"
    )


def matrix_product_peak(dtype: DTypeLike) -> float:
    """GFLOP/s of the product of two square matrices, on all threads."""
    A = np.ones((1024, 1024), dtype)
    A @ A
    return 2 * 1024**3 / np.median([seconds_of(lambda: A @ A) for _ in range(10)]) / 1e9
