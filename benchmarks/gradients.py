"""What a gradient costs: the graph beside HIPS autograd, measurement beside SciPy, callables.

Run with ``make gradients``. All sides run in this process, on one BLAS thread unless the table says
otherwise, in turn; a cell is the median of its runs after a warm-up.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp
import autograd.scipy.special as asp
import numpy as np
import scipy.special as sp
from scipy.optimize import approx_fprime
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import skgd
from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.gradients import Numeric
from skgd.special import logsumexp


def in_turn(runs: dict[str, Callable[[], Any]], rounds: int, repeats: int = 1) -> dict[str, float]:
    """Median seconds of each, one round of all after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            if round_:
                seconds[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(of) for name, of in seconds.items()}


def row(name: str, columns: list[Any]) -> None:
    print(f"{name:34s}" + "".join(f"{column:>12}" for column in columns))


# -- the graph beside autograd: the same text, with another NumPy ----------------------------------


def losses(np: Any, sc: Any, y: Any) -> dict[str, Callable[[Any], Any]]:
    """Losses of raw outputs, as somebody would write them."""

    def soft_f1(raw: Any) -> Any:
        p = sc.expit(raw)
        return 1.0 - 2.0 * np.sum(p * (y > 0)) / (np.sum(p) + np.sum(y > 0))

    return {
        "squared error": lambda raw: np.mean((y - raw) ** 2),
        "absolute percentage error": lambda raw: np.mean(np.abs((y - raw) / y)),
        "pinball": lambda raw: np.mean(np.maximum(0.9 * (y - raw), -0.1 * (y - raw))),
        "asymmetric": lambda raw: np.mean(np.where(y > raw, 3 * (y - raw) ** 2, np.abs(y - raw))),
        "logistic": lambda raw: np.mean(np.logaddexp(0.0, raw) - (y > 0) * raw),
        "Poisson": lambda raw: np.mean(np.exp(raw) - y * raw),
        "soft F1": soft_f1,
        "Sharpe ratio": lambda raw: -np.mean(raw * y) / np.std(raw * y),
    }


def network(np: Any, logsumexp: Any, X: np.ndarray, Y: np.ndarray) -> Callable[..., Any]:
    """Log loss of a network with one hidden layer."""

    def loss(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        hidden = np.tanh(X @ W1 + b1)
        raw = hidden @ W2 + b2
        return np.mean(logsumexp(raw, axis=1) - np.sum(raw * Y, axis=1))

    return loss


def graph_table() -> None:
    print("\nvalue_and_grad, microseconds: skgd and HIPS autograd, float64")
    row("", ["autograd", "skgd", "ratio"])
    rng = np.random.default_rng(0)
    y, raw = rng.normal(size=256) + 3.0, rng.normal(size=256)
    ours: Any = losses(np, sp, y)
    theirs: Any = losses(anp, asp, y)
    for name in ours:
        compare(f"{name}, 256 samples", theirs[name], ours[name], [raw], repeats=200)
    X, labels = load_digits(return_X_y=True)
    theta = [rng.normal(size=(64, 100)) / 8, np.zeros(100), rng.normal(size=(100, 10)) / 10]
    theta.append(np.zeros(10))
    for n in (32, 200, len(X)):
        data = X[:n] / 16.0, np.eye(10)[labels[:n]]
        ours, theirs = network(np, logsumexp, *data), network(anp, asp.logsumexp, *data)
        compare(f"digits 64-100-10, {n} samples", theirs, ours, theta, repeats=50)


def compare(
    name: str, theirs: Callable[..., Any], ours: Callable[..., Any], at: list[Any], repeats: int
) -> None:
    """Time both, after a look at whether they agree."""
    by = tuple(range(len(at)))
    of_theirs, of_ours = autograd.value_and_grad(theirs, by), skgd.value_and_grad(ours, by)
    for a, b in zip(of_theirs(*at)[1], of_ours(*at)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    both = {"autograd": lambda: of_theirs(*at), "skgd": lambda: of_ours(*at)}
    report(name, in_turn(both, rounds=9, repeats=repeats))


def report(name: str, seconds: dict[str, float]) -> None:
    """One row: both times, and how many times faster the second is."""
    first, second = seconds.values()
    row(name, [f"{1e6 * first:.0f}", f"{1e6 * second:.0f}", f"{first / second:.2f}"])


# -- measured gradients beside SciPy ---------------------------------------------------------------


def numeric_table() -> None:
    print("\nmeasured gradient of digits 64-100-10, 7,510 parameters, 1,797 samples: seconds")
    row("", ["seconds", "ratio", "error"])
    X, y = load_digits(return_X_y=True)
    for activation in ("relu", "tanh"):
        model = MLPBackpropClassifier((100,), activation, random_state=0).initialize(X / 16, y)
        J = model.objective(X / 16, y)
        exact = J.gradient(J.x0, "analytic")
        start = time.perf_counter()
        theirs = approx_fprime(J.x0, J.value)
        slow = time.perf_counter() - start
        measured_row(f"{activation}: approx_fprime (2-point)", slow, slow, theirs, exact)
        sources = {
            f"Numeric {method}, {engine}": (engine, Numeric(method=method))
            for engine in ("numpy", "numba")
            for method in ("2-point", "3-point", "richardson")
        }
        sources["Numeric of predictions"] = ("numpy", Numeric(space="predictions"))
        for name, (engine, source) in sources.items():
            with skgd.config_context(engine=engine):
                fast = in_turn({"": lambda J=J, s=source: J.gradient(J.x0, s)}, rounds=3)[""]
                ours = J.gradient(J.x0, source)
            measured_row(f"{activation}: {name}", fast, slow, ours, exact)


def measured_row(
    name: str, seconds: float, slow: float, gradient: np.ndarray, exact: np.ndarray
) -> None:
    error = np.linalg.norm(gradient - exact) / np.linalg.norm(exact)
    row(name, [f"{seconds:.3f}", f"{slow / seconds:.0f}", f"{error:.0e}"])


# -- a callable loss beside the same loss of the table ---------------------------------------------


def squared(y: Any, raw: Any) -> Any:
    return 0.5 * (y - raw) ** 2


def logistic(y: Any, raw: Any) -> Any:
    return np.logaddexp(0.0, raw) - y * raw


def pinball(y: Any, raw: Any) -> Any:
    return np.maximum(0.5 * (y - raw), 0.5 * (raw - y))


def callable_table() -> None:
    print("\ntraining at batch 256, 20,000 x 28: microseconds per step")
    row("", ["by hand", "graph", "callable", "to graph", "to hand"])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 28))
    y = X @ rng.normal(size=28) + rng.normal(size=20_000)
    cases = [
        (GDRegressor(), "squared_error", squared, y),
        (GDRegressor(), "quantile", pinball, y),
        (GDClassifier(), "log_loss", logistic, y > 0),
        (MLPBackpropRegressor((64,)), "squared_error", squared, y),
        (MLPBackpropClassifier((64,)), "log_loss", logistic, y > 0),
    ]
    settings = {"learning_rate": 0.01, "batch_size": 256, "max_iter": 5, "tol": None}
    steps = settings["max_iter"] * -(-len(X) // 256)
    for model, name, function, target in cases:
        model.set_params(**settings, random_state=0)

        def fit(model: Any = model, target: Any = target, **how: Any) -> None:
            model.set_params(**how).fit(X, target)

        runs = {
            "by hand": lambda fit=fit, name=name: fit(loss=name, gradient="analytic"),
            "graph": lambda fit=fit, name=name: fit(loss=name, gradient="backprop"),
            "callable": lambda fit=fit, f=function: fit(loss=f, gradient="auto"),
        }
        times = [seconds / steps * 1e6 for seconds in in_turn(runs, rounds=7).values()]
        ratios = [f"{times[2] / times[1]:.2f}", f"{times[2] / times[0]:.2f}"]
        row(f"{type(model).__name__} {name}", [f"{t:.0f}" for t in times] + ratios)


if __name__ == "__main__":
    with threadpool_limits(1):
        graph_table()
        callable_table()
    numeric_table()
