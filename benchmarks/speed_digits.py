"""Time of one training of a small network, beside MLPClassifier, in one run.

Digits, 64-100-10, batches of 200, Adam at rate 1e-3, 30 epochs, float64. The learners take turns;
the table shows the median over the turns, the least and the largest, and the ratio of medians.

Run: python benchmarks/speed_digits.py [--turns 11]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from skgd import MLPBackpropClassifier

EPOCHS = 30
COMMON = {"batch_size": 200, "max_iter": EPOCHS, "random_state": 0}


def learners() -> dict:
    """MLPClassifier and skgd, as many epochs each: no rule ends one of them early."""
    skgd = {**COMMON, "optimizer": "adam", "tol": None}
    return {
        "MLPClassifier": MLPClassifier((100,), n_iter_no_change=EPOCHS, **COMMON),
        "skgd, analytic": MLPBackpropClassifier(gradient="analytic", learning_rate=1e-3, **skgd),
        "skgd, backprop": MLPBackpropClassifier(gradient="backprop", learning_rate=1e-3, **skgd),
        "skgd, backprop, auto rate": MLPBackpropClassifier(gradient="backprop", **skgd),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=11)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    X = X / 16
    models = learners()
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(turns + 1):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(X, y)
            if turn > 0:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - start)
    reference = np.median(seconds["MLPClassifier"])
    print(f"{'':28s}{'median s':>10s}{'min':>8s}{'max':>8s}{'ratio':>8s}{'epochs':>8s}")
    for name, times in seconds.items():
        median = np.median(times)
        print(
            f"{name:28s}{median:10.4f}{min(times):8.4f}{max(times):8.4f}"
            f"{median / reference:8.2f}{models[name].n_iter_:8d}"
        )


if __name__ == "__main__":
    main()
