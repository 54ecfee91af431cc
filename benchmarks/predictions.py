"""Predictions of many rows, beside scikit-learn's of the same model."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from synthetic import classes, linear
from timing import OURS, Report

from skgd import GDClassifier, MLPBackpropClassifier


def run(report: Report, rounds: int) -> None:
    """Predict a million rows with a linear model, and its training rows with the wide network."""
    group = "predictions"
    report.heading(group)
    X, y = linear(1_000_000, 28, "logistic")
    models = {
        OURS: GDClassifier(max_iter=1, tol=None).fit(X, y),
        "SGDClassifier": SGDClassifier(loss="log_loss", max_iter=1, tol=None).fit(X, y),
    }
    _contest(report, group, "linear, 1000000x28", models, X, rounds, "SGDClassifier")
    for dtype in (np.float64, np.float32):
        X, y = classes(20_000, 784, 10, dtype)
        hidden = (256, 128)
        models = {
            OURS: MLPBackpropClassifier(hidden, max_iter=1, tol=None).fit(X, y),
            "MLPClassifier": MLPClassifier(hidden, max_iter=1, n_iter_no_change=9).fit(X, y),
        }
        name = f"20000x784-256-128-10, {np.dtype(dtype).name}"
        _contest(report, group, name, models, X, rounds, "MLPClassifier")
    report.summary(group)


def _contest(report, group, work, models, X, rounds, peer):
    for method in ("predict", "predict_proba"):
        contestants = {name: partial(getattr(m, method), X) for name, m in models.items()}
        report.contest(
            group, f"{method}, {work}", contestants, rounds=3 * rounds, goals={peer: 1.2}
        )
