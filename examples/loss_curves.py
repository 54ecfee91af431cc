"""
Loss curves: the same network and gradient, other optimizers
============================================================

Digits, 64-32-10. A tenth of the rows is kept back (`early_stopping=True`), and each training
returns the parameters that were best there, not the last ones. `LossCurveDisplay` reads all from
the fitted estimators' `history_`.

    python examples/loss_curves.py --output loss_curves.png
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skgd import MLPBackpropClassifier
from skgd.plotting import LossCurveDisplay

RATES = {"sgd": 0.1, "momentum": 0.1, "adagrad": 0.02, "adam": 0.003}
EPOCHS = 60


def train(X, y):
    """Return a fitted Pipeline for each optimizer."""
    learners = {}
    for optimizer, rate in RATES.items():
        network = MLPBackpropClassifier(
            (32,),
            optimizer=optimizer,
            learning_rate=rate,
            batch_size=64,
            alpha=1e-3,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,  # all train equally long
            tol=None,
            early_stopping=True,
            random_state=0,
        )
        learners[f"{optimizer} ({rate:g})"] = make_pipeline(MinMaxScaler(), network).fit(X, y)
    return learners


def main():
    parser = argparse.ArgumentParser(description="The same gradient, other optimizers.")
    parser.add_argument("--output", type=Path, help="where to save the picture")
    arguments = parser.parse_args()

    X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    learners = train(X, y)
    print("optimizer (rate)    J, first and last epoch   validation loss   best epoch   test score")
    for name, learner in learners.items():
        history = learner[-1].history_
        validation = history["validation_loss"]
        best = validation.index(min(validation))
        print(
            f"{name:18s}  {history['loss'][0]:10.4f} {history['loss'][-1]:10.4f}"
            f"  {validation[best]:16.4f}  {history['epoch'][best]:11d}"
            f"  {learner.score(X_test, y_test):11.4f}"
        )
    display = LossCurveDisplay.from_estimator(learners)
    display.ax_.set_title("Digits, 64-32-10: optimizer (learning rate)", loc="left")
    if arguments.output:
        display.figure_.savefig(arguments.output, dpi=110)
        print(f"\n{arguments.output.resolve()}")


if __name__ == "__main__":
    main()
