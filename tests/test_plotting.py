"""The pictures show the numbers: what is in the artists is compared with where it comes from."""

import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier
from skgd.exceptions import DivergenceWarning
from skgd.plotting import LossCurveDisplay

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def drawn(figure):
    """Draw all of it: what cannot be drawn raises here."""
    figure.canvas.draw()


# ------------------------------------------------------------------------------ matplotlib missing


def test_skgd_and_its_plotting_load_no_matplotlib():
    code = "import sys, skgd, skgd.plotting; print('matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_missing_matplotlib_names_the_extra(monkeypatch):
    X, y = iris()
    model = GDClassifier(max_iter=2, tol=None).fit(X, y)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"LossCurveDisplay\.from_estimator.*skgd\[plot\]"):
        LossCurveDisplay.from_estimator(model)
    with pytest.raises(ImportError, match=r"LossCurveDisplay\.plot.*skgd\[plot\]"):
        LossCurveDisplay(curves={"a": model.history_}).plot()


# ------------------------------------------------------------------------------------- loss curves


def learner(optimizer="adam", **more):
    settings = {"max_iter": 12, "tol": None, "random_state": 0, **more}
    return GDClassifier(optimizer=optimizer, **settings)


def test_lines_are_the_history():
    X, y = iris()
    models = {name: learner(name, early_stopping=True).fit(X, y) for name in ("sgd", "adam")}
    display = LossCurveDisplay.from_estimator(models)
    drawn(display.figure_)
    rows = zip(models.values(), display.lines_, display.validation_lines_, strict=True)
    for model, line, dashed in rows:
        np.testing.assert_array_equal(line.get_xdata(), model.history_["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), model.history_["loss"])
        np.testing.assert_array_equal(dashed.get_ydata(), model.history_["validation_loss"])
        assert (line.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
        assert line.get_color() == dashed.get_color()
    assert display.lines_[0].get_color() != display.lines_[1].get_color()
    assert display.lines_[0].get_marker() != display.lines_[1].get_marker()
    labels = [text.get_text() for text in display.legend_.get_texts()]
    assert labels == ["sgd", "adam", "training", "validation"]


def test_without_validation():
    X, y = iris()
    model = learner(early_stopping=True).fit(X, y)
    display = LossCurveDisplay.from_estimator(model, validation=False)
    assert display.validation_lines_ == [None]
    assert len(display.ax_.lines) == 1


def test_pipeline_search_and_network_of_scikit_learn():
    X, y = iris()
    pipeline = make_pipeline(StandardScaler(), learner()).fit(X, y)
    search = GridSearchCV(pipeline, {"gdclassifier__alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    network = MLPClassifier((3,), max_iter=5, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator([pipeline, search, network])
    best = search.best_estimator_[-1].history_["loss"]
    wanted = [pipeline[-1].history_["loss"], best, network.loss_curve_]
    for line, losses in zip(display.lines_, wanted, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), losses)
    np.testing.assert_array_equal(display.lines_[2].get_xdata(), [1, 2, 3, 4, 5])


def test_estimators_in_a_list_are_named_after_what_differs():
    X, y = iris()
    models = [learner(o, learning_rate=r).fit(X, y) for o, r in (("sgd", 0.1), ("adam", 0.01))]
    labels = [line.get_label() for line in LossCurveDisplay.from_estimator(models).lines_]
    assert labels == [
        "learning_rate=0.1, optimizer=sgd",
        "learning_rate=0.01, optimizer=adam",
    ]
    same = LossCurveDisplay.from_estimator([models[0], models[0]])
    assert [li.get_label() for li in same.lines_] == ["GDClassifier (1)", "GDClassifier (2)"]


def test_scale_of_the_axis():
    falls = {"epoch": [1, 2], "loss": [1.0, 0.01]}
    flat = {"epoch": [1, 2], "loss": [1.0, 0.5]}
    below = {"epoch": [1, 2], "loss": [1.0, -0.5]}
    for curve, scale in ((falls, "log"), (flat, "linear"), (below, "linear")):
        assert LossCurveDisplay(curves={"a": curve}).plot().ax_.get_yscale() == scale
    display = LossCurveDisplay(curves={"a": flat})
    assert display.plot(log_scale=True).ax_.get_yscale() == "log"
    with pytest.raises(ValueError, match=r"log_scale=True.*above zero.*-0\.5"):
        LossCurveDisplay(curves={"a": below}).plot(log_scale=True)
    with pytest.raises(TypeError, match="log_scale"):
        display.plot(log_scale="yes")


def test_a_diverged_history_is_drawn_up_to_its_end():
    X, y = iris()
    model = learner("sgd", loss="squared_hinge", learning_rate=1e3)
    with pytest.warns(DivergenceWarning):
        model.fit(X * 1e3, y)
    display = LossCurveDisplay.from_estimator({"a": model, "b": learner().fit(X, y)})
    drawn(display.figure_)
    assert display.lines_[0].get_label() == "a (diverged)"
    cross = display.ax_.lines[1]
    assert cross.get_marker() == "x"
    assert cross.get_ydata() == [model.history_["loss"][-1]]
    broken = {"epoch": [1, 2, 3, 4], "loss": [1.0, np.nan, 2.0, np.inf]}
    display = LossCurveDisplay(curves={"a": broken}, diverged=["a"]).plot()
    drawn(display.figure_)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), [1.0, np.nan, 2.0, np.nan])
    assert display.lines_[0].get_markevery() == [0, 2]  # alone, no line leads there
    assert display.ax_.lines[1].get_xdata() == [3.0]


def test_one_epoch_is_seen():
    X, y = iris()
    display = LossCurveDisplay.from_estimator(learner(max_iter=1).fit(X, y))
    assert display.lines_[0].get_marker() == "o"
    assert display.lines_[0].get_markevery() == [0]


def test_twelve_curves_look_different_and_leave_the_axes_free():
    curves = {f"curve {k}": {"epoch": [1, 2], "loss": [1.0 + k, 0.1]} for k in range(12)}
    display = LossCurveDisplay(curves=curves).plot()
    drawn(display.figure_)
    assert len({(li.get_color(), li.get_marker()) for li in display.lines_}) == 12
    legend, axes = display.legend_.get_window_extent(), display.ax_.get_window_extent()
    assert legend.x0 > axes.x1
    assert legend.x1 <= display.figure_.bbox.x1


def test_draws_on_given_axes_and_takes_settings_of_lines():
    X, y = iris()
    figure, axes = plt.subplots(1, 2)
    display = LossCurveDisplay.from_estimator(learner().fit(X, y), ax=axes[1], linewidth=3)
    assert display.ax_ is axes[1] and display.figure_ is figure
    assert not axes[0].lines
    assert display.lines_[0].get_linewidth() == 3


def test_other_columns():
    X, y = iris()
    model = learner(learning_rate=0.1, schedule="exponential").fit(X, y)
    display = LossCurveDisplay.from_estimator(model, y="learning_rate")
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), model.history_["learning_rate"])
    with pytest.raises(ValueError, match=r"y='f1' is no column.*'loss'"):
        LossCurveDisplay.from_estimator(model, y="f1")


def test_what_has_no_curve_is_refused():
    X, y = iris()
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(learner())
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(make_pipeline(StandardScaler(), learner()))
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(GridSearchCV(learner(), {}))
    with pytest.raises(TypeError, match="Ridge has neither history_ nor loss_curve_"):
        LossCurveDisplay.from_estimator(Ridge().fit(X, y))
    with pytest.raises(ValueError, match="no epoch yet"):
        LossCurveDisplay.from_estimator(learner().initialize(X, y))
    with pytest.raises(ValueError, match="empty"):
        LossCurveDisplay.from_estimator([])
    with pytest.raises(TypeError, match="estimator takes"):
        LossCurveDisplay.from_estimator({"a": 3})
