"""A grid search over optimizers and rates, beside as many fits of MLPClassifier."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from timing import OURS, Report

from skgd import MLPBackpropClassifier, config_context

RATES = [1e-4, 1e-3, 1e-2, 1e-1]


def run(report: Report, rounds: int) -> None:
    """5 optimizers x 4 rates x 5 folds, networks with 64 units, 100 epochs, breast_cancer."""
    group = "grid search"
    report.heading(group)
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = GridSearchCV(
        MLPBackpropClassifier((64,), max_iter=100, tol=None, random_state=0),
        {"optimizer": ["sgd", "momentum", "nesterov", "rmsprop", "adam"], "learning_rate": RATES},
        cv=5,
    )
    theirs = GridSearchCV(
        MLPClassifier((64,), max_iter=100, n_iter_no_change=10**6, random_state=0),
        {"learning_rate_init": RATES, "alpha": np.logspace(-5, -1, 5)},
        cv=5,
    )

    def search(engine: str) -> None:
        with config_context(engine=engine):
            ours.fit(X, y)

    contestants = {
        OURS: lambda: search("numba"),
        'skgd, engine="auto"': lambda: search("auto"),
        "MLPClassifier": lambda: theirs.fit(X, y),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.contest(
            group, "100 fits of (64,), 100 epochs", contestants, rounds=min(rounds, 3),
            goals={"MLPClassifier": 4.0},
        )  # fmt: skip
