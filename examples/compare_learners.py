"""
Compare gradient sources and optimizers on scikit-learn's digits and breast_cancer data
=======================================================================================

1. Who computes the gradient? Three sources, the same start: the same parameters in the end.
2. What moves the parameters? A grid search over optimizers and learning rates in a Pipeline.
3. A picture of the objective over the epochs, one line for each optimizer.

Run it with ``make demo``, or ``python examples/compare_learners.py --output picture.png``.
"""

import argparse
import time
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, MLPBackpropClassifier
from skgd.exceptions import DivergenceWarning

SOURCES = ["analytic", "backprop"]  # for the search; numeric gives the same, and is slow
OPTIMIZERS = ["sgd", "momentum", "adagrad", "rmsprop", "adam"]
RATES = [0.001, 0.01, 0.1, 1.0]
BATCH_SIZE = 64
ALPHA = 1e-3  # of every model here; nothing below depends on a default

# From the palette of Okabe and Ito (2008), told apart by every kind of colour vision.
COLOURS = ["#000000", "#D55E00", "#CC79A7", "#009E73", "#0072B2"]


def load(loader, n_rows=None):
    X, y = loader(return_X_y=True)
    X, y = X[:n_rows], y[:n_rows]
    return X[:, X.std(axis=0) > 0], y


# ------------------------------------------------------------------ 1. who computes the gradient?


def compare_sources(model, X, y):
    """Fit the model by each source. Returns a row of results for each, the analytic one first."""
    rows = []
    for source in ("analytic", "backprop", "numeric"):
        learner = model.set_params(gradient=source)
        start = time.perf_counter()
        learner.fit(X, y)
        seconds = time.perf_counter() - start
        theta = learner.parameters_
        first = rows[0]["parameters"] if rows else theta
        rows.append(
            {
                "source": source,
                "parameters": theta,
                "difference": float(np.abs(theta - first).max()),
                "loss": learner.loss_,
                "gradients": learner.n_gradient_evaluations_,
                "losses": learner.n_loss_evaluations_,
                "seconds": seconds,
            }
        )
    return rows


def print_sources(title, rows):
    print(f"\n{title}, {rows[0]['parameters'].size} parameters")
    print("  source    largest difference  final J  gradients  evaluations of J  seconds")
    for row in rows:
        difference = f"{row['difference']:.1e}" if row is not rows[0] else "-"
        print(
            f"  {row['source']:8s}  {difference:>18s}  {row['loss']:7.5f}  {row['gradients']:9d}"
            f"  {row['losses']:16d}  {row['seconds']:7.3f}"
        )


def show_sources(epochs):
    print("1. Who computes the gradient? The same model, start and batches; momentum")
    X, y = load(load_breast_cancer)
    X = StandardScaler().fit_transform(X)
    settings = {
        "optimizer": "momentum",
        "learning_rate": 0.05,
        "batch_size": BATCH_SIZE,
        "alpha": ALPHA,
        "max_iter": epochs,
        "tol": None,
        "random_state": 0,
    }
    linear = GDClassifier(**settings)
    print_sources("GDClassifier, breast_cancer", compare_sources(linear, X, y))
    network = MLPBackpropClassifier((4,), "tanh", **settings)
    print_sources("MLPBackpropClassifier 30-4-1, breast_cancer", compare_sources(network, X, y))


# ------------------------------------------------------------------ 2. what moves the parameters?


def search_optimizers(model, X, y, rates, **more):
    """Search optimizer x learning rate in a Pipeline. Returns the fitted GridSearchCV."""
    pipeline = Pipeline([("scale", StandardScaler()), ("model", model)])
    grid = {"model__optimizer": OPTIMIZERS, "model__learning_rate": rates}
    grid |= {f"model__{name}": values for name, values in more.items()}
    with warnings.catch_warnings():
        # The largest rate is too much for some optimizers; to find that out is the search's work.
        warnings.simplefilter("ignore", DivergenceWarning)
        return GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)


def best_by_optimizer(search, **where):
    """Best mean score of each optimizer, and the learning rate it was reached with."""
    best = {}
    results = search.cv_results_
    for params, score in zip(results["params"], results["mean_test_score"], strict=True):
        if any(params[f"model__{name}"] != value for name, value in where.items()):
            continue
        optimizer = params["model__optimizer"]
        if optimizer not in best or score > best[optimizer][0]:
            best[optimizer] = (float(score), params["model__learning_rate"])
    return best


def score_logistic_regression(X, y):
    """scikit-learn's solver on the same objective: C = 1 / (alpha n), n rows to train on."""
    C = 1 / (ALPHA * len(y) * 2 / 3)
    pipeline = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=C))])
    return cross_val_score(pipeline, X, y, cv=3, n_jobs=2).mean()


def search_mlp_classifier(X, y, hidden, epochs, rates):
    """scikit-learn's network with Adam, as many epochs and the same learning rates."""
    network = MLPClassifier(
        hidden,
        alpha=ALPHA * BATCH_SIZE,  # it divides alpha by the size of the batch
        batch_size=BATCH_SIZE,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    )
    pipeline = Pipeline([("scale", StandardScaler()), ("model", network)])
    grid = {"model__learning_rate_init": rates}
    with warnings.catch_warnings():
        # It warns whenever max_iter ends the training, and here all trainings are that long.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)
    return search.best_score_, search.best_params_["model__learning_rate_init"]


def show_linear(title, search, logistic):
    print(f"\n{title}: {len(search.cv_results_['params'])} candidates, 3 folds")
    print("  optimizer           analytic         backprop")
    columns = [best_by_optimizer(search, gradient=source) for source in SOURCES]
    for optimizer in columns[0]:
        cells = [f"{score:.4f} ({rate:g})" for score, rate in (c[optimizer] for c in columns)]
        print(f"  {optimizer:18s}  " + "  ".join(f"{cell:15s}" for cell in cells).rstrip())
    print(f"  {'LogisticRegression':18s}  {logistic:.4f}  (scikit-learn)")


def show_network(title, search, score, rate):
    print(f"\n{title}: {len(search.cv_results_['params'])} candidates, 3 folds")
    print("  optimizer           backprop")
    for optimizer, (best, best_rate) in best_by_optimizer(search).items():
        print(f"  {optimizer:18s}  {best:.4f} ({best_rate:g})")
    print(f"  {'MLPClassifier adam':18s}  {score:.4f} ({rate:g})  (scikit-learn)")


def show_searches(epochs, n_rows, hidden, rates):
    print("\n2. What moves the parameters? Pipeline(StandardScaler, model) in GridSearchCV")
    print("   Mean accuracy over the folds, at the best learning rate (in brackets)")
    settings = {
        "batch_size": BATCH_SIZE,
        "alpha": ALPHA,
        "max_iter": epochs,
        "tol": None,  # all train for the same number of epochs
        "random_state": 0,
    }
    for name, loader in (("breast_cancer", load_breast_cancer), ("digits", load_digits)):
        X, y = load(loader, n_rows)
        search = search_optimizers(GDClassifier(**settings), X, y, rates, gradient=SOURCES)
        show_linear(f"GDClassifier, {name}", search, score_logistic_regression(X, y))
        search = search_optimizers(MLPBackpropClassifier(hidden, **settings), X, y, rates)
        score, rate = search_mlp_classifier(X, y, hidden, epochs, rates)
        show_network(f"MLPBackpropClassifier{hidden}, {name}", search, score, rate)


# ------------------------------------------------------------------ 3. the picture


def best_curves(model, X, y, rates):
    """Loss curve of each optimizer at the rate whose second half is lowest on the average."""
    curves = {}
    for optimizer in OPTIMIZERS:
        fits = []
        for rate in rates:
            model.set_params(optimizer=optimizer, learning_rate=rate)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DivergenceWarning)  # as in the search
                curve = model.fit(X, y).loss_curve_
            if len(curve) == model.max_iter:  # it did not diverge
                fits.append((rate, np.array(curve)))
        curves[optimizer] = min(fits, key=lambda fit: fit[1][len(fit[1]) // 2 :].mean())
    return curves


def lowest_loss(X, y):
    """Minimum of GDClassifier's objective, which is convex, by a quasi-Newton method."""
    settings = {"alpha": ALPHA, "learning_rate": "auto", "max_iter": 10_000, "tol": 1e-12}
    return GDClassifier(optimizer="lbfgs", **settings).fit(X, y).best_loss_


def spread_labels(log_heights, gap):
    """Move heights apart until neighbours are at least `gap` from each other."""
    order = np.argsort(log_heights)
    placed = np.array(log_heights, dtype=float)[order]
    for _ in range(200):
        short = gap - np.diff(placed)
        if (short <= 1e-9).all():
            break
        for i in np.flatnonzero(short > 0):
            placed[i] -= short[i] / 2
            placed[i + 1] += short[i] / 2
    result = np.empty_like(placed)
    result[order] = placed
    return result


def draw_curves(axis, curves, title, ylabel):
    n_epochs = len(next(iter(curves.values()))[1])
    for colour, (_, curve) in zip(COLOURS, curves.values(), strict=True):
        axis.plot(np.arange(1, n_epochs + 1), curve, color=colour, linewidth=1.8)
    axis.set_yscale("log")
    axis.set_xlim(1, n_epochs)
    low, high = np.log10(axis.get_ylim())
    ends = [np.log10(curve[-1]) for _, curve in curves.values()]
    heights = spread_labels(ends, gap=0.065 * (high - low))
    rows = zip(COLOURS, curves.items(), ends, heights, strict=True)
    for colour, (optimizer, (rate, _)), end, height in rows:
        axis.annotate(
            f"{optimizer} ({rate:g})",
            xy=(n_epochs, 10**end),
            xytext=(1.06, 10**height),
            textcoords=axis.get_yaxis_transform(),  # x from 0 to 1 over the axis, y in data
            color=colour,
            fontsize=10,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )
    axis.set_title(title, loc="left", fontsize=11)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.set_xlabel("epoch")
    axis.set_ylabel(ylabel)
    axis.grid(axis="y", which="major", color="0.88", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def save_picture(path, n_rows, hidden, full_batch_epochs, epochs, rates):
    X, y = load(load_digits, n_rows)
    X = StandardScaler().fit_transform(X)
    settings = {"alpha": ALPHA, "tol": None, "random_state": 0}
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.8))

    linear = GDClassifier(batch_size=None, max_iter=full_batch_epochs, **settings)
    curves = best_curves(linear, X, y, rates)
    lowest = lowest_loss(X, y)
    distances = {name: (rate, curve - lowest) for name, (rate, curve) in curves.items()}
    draw_curves(axes[0], distances, "GDClassifier, full batch", "J above its minimum")

    network = MLPBackpropClassifier(
        hidden, schedule="cosine", batch_size=BATCH_SIZE, max_iter=epochs, **settings
    )
    curves = best_curves(network, X, y, rates)
    title = f'MLPBackpropClassifier, batches of {BATCH_SIZE}, schedule="cosine"'
    draw_curves(axes[1], curves, title, "J, mean over the epoch")

    figure.suptitle(
        "The same gradient, other optimizers: digits, at the best learning rate (in brackets)",
        fontsize=12,
        x=0.07,
        ha="left",
    )
    figure.subplots_adjust(left=0.07, right=0.87, top=0.84, bottom=0.12, wspace=0.68)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description="Gradient sources and optimizers, on real data.")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("compare_learners.png"),
        help="where to save the picture",
    )
    parser.add_argument("--quick", action="store_true", help="few rows, epochs and rates")
    arguments = parser.parse_args()

    n_rows, hidden, epochs, rates, drawn = None, (32,), 20, RATES, (300, 40)
    if arguments.quick:
        n_rows, hidden, epochs, rates, drawn = 200, (8,), 3, RATES[1:3], (5, 3)
    show_sources(epochs)
    show_searches(epochs, n_rows, hidden, rates)
    save_picture(arguments.output, n_rows, hidden, *drawn, rates)
    print(f"\n3. The objective over the epochs: {arguments.output.resolve()}")


if __name__ == "__main__":
    main()
