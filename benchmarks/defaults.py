"""How well default settings fit, beside scikit-learn's, on real data.

Every estimator is used as a newcomer would: in a Pipeline after StandardScaler, with no
parameter set; repeated 5-fold cross-validation over several seeds, the same folds for all.
A difference within one standard error (of the paired differences over folds) counts as equal.

Run: python benchmarks/defaults.py [--seeds 3] [--only digits wine] [--learners linear network]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
from datasets import CLASSIFICATION, REGRESSION
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor

# (kind, learner): skgd's estimator, its peers, and how far below the better one it may be
CONTESTS = {
    ("classification", "linear"): (GDClassifier, (SGDClassifier, LogisticRegression), 0.005),
    ("classification", "network"): (MLPBackpropClassifier, (MLPClassifier,), 0.005),
    ("regression", "linear"): (GDRegressor, (Ridge,), 0.01),
    ("regression", "network"): (MLPBackpropRegressor, (Ridge, MLPRegressor), 0.05),
}


def scores(estimator, X, y, seeds: int) -> np.ndarray:
    """Score on each fold of each repetition."""
    splitter = StratifiedKFold if is_classifier(estimator) else KFold
    found = []
    for seed in range(seeds):
        for train, test in splitter(5, shuffle=True, random_state=seed).split(X, y):
            model = clone(estimator)
            if "random_state" in model.get_params():
                model.set_params(random_state=seed)
            pipeline = make_pipeline(StandardScaler(), model)
            found.append(pipeline.fit(X[train], y[train]).score(X[test], y[test]))
    return np.array(found)


def compare(kind: str, learner: str, name: str, seeds: int, settings: dict) -> dict:
    """One data set: skgd against each peer, on the same folds."""
    warnings.simplefilter("ignore")
    ours, peers, allowed = CONTESTS[kind, learner]
    X, y = (CLASSIFICATION if kind == "classification" else REGRESSION)[name]()
    start = time.perf_counter()
    own = scores(ours(**settings), X, y, seeds)
    row = {
        "data": name,
        "rows": X.shape[0],
        "skgd": own.mean(),
        "seconds": time.perf_counter() - start,
    }
    ok = True
    for peer in peers:
        other = scores(peer(), X, y, seeds)
        difference = own - other
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        row[peer.__name__] = other.mean()
        row[f"se_{peer.__name__}"] = error
        if (kind, peer) != ("regression", MLPRegressor):  # there only the mean has to be ahead
            ok &= difference.mean() >= -allowed - error
    row["ok"] = bool(ok)
    return row


def unscaled(settings: dict) -> list[dict]:
    """Raw columns on scales 1, 100 and 1e4: R^2 beside LinearRegression and SGDRegressor."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    rows = []
    for name in ("synthetic", "diabetes"):
        if name == "synthetic":
            X = rng.normal(size=(500, 3)) + 1
            y = X @ [1.0, -2.0, 3.0] + rng.normal(size=500)
        else:
            X, y = REGRESSION[name]()
            X = X[:, :9] / X[:, :9].std(axis=0)
        X = X * np.resize([1.0, 100.0, 1e4], X.shape[1])
        row = {"data": name}
        for model in (
            GDRegressor(**settings),
            MLPBackpropRegressor(),
            LinearRegression(),
            SGDRegressor(),
        ):
            row[type(model).__name__] = model.fit(X, y).score(X, y)
        row["ok"] = row["GDRegressor"] >= row["LinearRegression"] - 0.05
        rows.append(row)
    return rows


def show(title: str, rows: list[dict]) -> None:
    """Print rows as a table."""
    names = [name for name in rows[0] if not name.startswith("se_")]
    print(f"\n{title}\n" + "".join(f"{name:>24s}" for name in names))
    for row in rows:
        cells = [f"{row[n]:.4f}" if isinstance(row[n], float) else str(row[n]) for n in names]
        print("".join(f"{cell:>24s}" for cell in cells))
    means = [np.mean([r[n] for r in rows]) if n not in ("data",) else "mean" for n in names]
    print("".join(f"{m if isinstance(m, str) else f'{m:.4f}':>24s}" for m in means), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of data sets")
    parser.add_argument("--kinds", nargs="*", default=["classification", "regression"])
    parser.add_argument("--learners", nargs="*", default=["linear", "network"])
    parser.add_argument("--settings", default="{}", help="parameters of skgd's estimators, JSON")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    settings = json.loads(options.settings)
    everything = {}
    for kind, learner in CONTESTS:
        if kind not in options.kinds or learner not in options.learners:
            continue
        names = CLASSIFICATION if kind == "classification" else REGRESSION
        chosen = [n for n in names if not options.only or n in options.only]
        rows = Parallel(n_jobs=2)(
            delayed(compare)(kind, learner, name, options.seeds, settings) for name in chosen
        )
        everything[f"{kind} {learner}"] = rows
        show(f"{kind}, {learner}", rows)
    if "linear" in options.learners and "regression" in options.kinds:
        everything["unscaled"] = unscaled(settings)
        show("columns on scales 1, 100, 1e4 (R^2 on the training rows)", everything["unscaled"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(everything, file, indent=1)


if __name__ == "__main__":
    main()
