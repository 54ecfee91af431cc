"""The pictures show the numbers: what is in the artists is compared with where it comes from."""

import itertools
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, check_gradient, minimize
from skgd.callbacks import RecordPath
from skgd.exceptions import DivergenceWarning
from skgd.plotting import (
    ErrorSurfaceDisplay,
    GradientCheckDisplay,
    LossCurveDisplay,
    WeightsDisplay,
)

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
    assert cross.get_ydata() == [display.ax_.get_ylim()[1]]
    assert cross.get_xdata() == [1 + np.argmax(cross.get_ydata() < model.history_["loss"])]
    broken = {"epoch": [1, 2, 3, 4], "loss": [1.0, np.nan, 2.0, np.inf]}
    display = LossCurveDisplay(curves={"a": broken}, diverged=["a"]).plot()
    drawn(display.figure_)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), [1.0, np.nan, 2.0, np.nan])
    assert display.lines_[0].get_markevery() == [0, 2]  # alone, no line leads there
    assert display.ax_.lines[1].get_xdata() == [3.0]


def test_a_diverged_curve_leaves_room_for_the_others():
    X, y = load_wine(return_X_y=True)
    lost = GDRegressor(optimizer="sgd", learning_rate=100.0, max_iter=30, tol=None)
    with pytest.warns(DivergenceWarning):
        lost.fit(X, y)
    assert max(lost.loss_curve_) > 1e100
    good = GDRegressor(max_iter=30, tol=None).fit(X, y)
    display = LossCurveDisplay.from_estimator({"lost": lost, "good": good})
    drawn(display.figure_)
    box, line = display.ax_.get_window_extent(), display.lines_[1]
    heights = display.ax_.transData.transform(line.get_xydata())[:, 1]
    assert heights.max() - heights.min() > 0.3 * box.height
    assert box.y0 < heights.min() < heights.max() < box.y1
    (cross,) = [line for line in display.ax_.lines if line.get_marker() == "x"]
    assert cross.get_ydata() == [display.ax_.get_ylim()[1]]
    assert cross.get_xdata() == [2]  # the first epoch that is not on the picture
    alone = LossCurveDisplay.from_estimator(lost)
    drawn(alone.figure_)
    assert alone.ax_.get_ylim()[1] == pytest.approx(1e3 * lost.loss_curve_[0])


@pytest.mark.parametrize("n", [3, 12, 30, 200])
def test_there_is_no_epoch_zero(n):
    curve = {"epoch": list(range(1, n + 1)), "loss": list(np.linspace(1.0, 0.5, n))}
    ax = LossCurveDisplay(curves={"a": curve}).plot().ax_
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert min(ticks) >= 1 and len(ticks) >= 2


def test_the_legend_shows_what_is_drawn():
    X, y = iris()
    for display in (
        LossCurveDisplay.from_estimator(learner(early_stopping=True).fit(X, y)),
        LossCurveDisplay.from_estimator([learner("sgd").fit(X, y), learner().fit(X, y)]),
    ):
        for line, handle in zip(display.lines_, display.legend_.legend_handles, strict=False):
            assert (handle.get_marker() in ("", "None")) == (not line.get_markevery())


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


# --------------------------------------------------------------------------------- error surfaces


def line_data(n=40):
    rng = np.random.default_rng(0)
    X = rng.normal(1.0, 2.0, size=(n, 1))
    return X, 2.0 * X[:, 0] + 1.0 + rng.normal(size=n)


def line_model(optimizer="sgd", **more):
    settings = {"learning_rate": 0.05, "alpha": 0.01, "max_iter": 25, "random_state": 0, **more}
    return GDRegressor(optimizer=optimizer, tol=None, **settings)


def squared_error(X, y, w, b, alpha=0.01):
    """J by hand: docs/three-parts.md."""
    return 0.5 * np.mean((w * X[:, 0] + b - y) ** 2) + 0.5 * alpha * w**2


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def test_surface_is_j_and_lines_are_the_paths():
    X, y = line_data()
    models = {"sgd": line_model(), "adam": line_model("adam")}
    display = ErrorSurfaceDisplay.from_estimator(models, X, y, grid_resolution=15)
    drawn(display.figure_)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("coef[0]", "intercept[0]")
    wanted = [[squared_error(X, y, w, b) for w in display.x0] for b in display.x1]
    np.testing.assert_allclose(display.values, wanted, rtol=1e-12)
    for (name, model), line in zip(models.items(), display.lines_, strict=True):
        path = display.paths[name]
        theta = model.fit(X, y).parameters_
        np.testing.assert_allclose(path[-1, :2], theta, rtol=1e-12)  # the same epochs as of fit
        assert len(path) == 26
        np.testing.assert_allclose(path[0, :2], 0.0, atol=1e-12)
        np.testing.assert_allclose(path[-1, 2], squared_error(X, y, *theta), rtol=1e-12)
        np.testing.assert_array_equal(line.get_xydata(), path[:, :2])


def test_contours_lie_where_j_has_their_level():
    display = ErrorSurfaceDisplay.from_function(
        rosenbrock, (-2.0, 2.0), (-1.0, 3.0), grid_resolution=300
    )
    gaps = np.diff(np.log(display.levels_[1:] - display.levels_[0]))
    np.testing.assert_allclose(gaps, gaps[0])  # even in the logarithm
    np.testing.assert_array_equal(display.surface_.levels, display.levels_)
    level, lines = display.levels_[12], display.surface_.get_paths()[12]
    found = np.array([rosenbrock(v) for v in lines.vertices])
    upper = display.levels_[13]  # a filled band has two edges, and the picture's own
    assert ((found > 0.97 * level) & (found < 1.03 * upper)).all()
    assert (np.isclose(found, level, rtol=0.03) | np.isclose(found, upper, rtol=0.03)).mean() > 0.9


@pytest.mark.parametrize("log_scale", ["auto", True])
def test_a_surface_has_the_height_of_j(log_scale):
    path = np.array([[-1.5, 2.0], [-1.0, 1.0], [0.5, 0.2], [5.0, 5.0]])
    display = ErrorSurfaceDisplay.from_function(
        rosenbrock, (-2, 2), (-1, 3), paths=path, kind="surface", log_scale=log_scale
    )
    drawn(display.figure_)
    z = np.array(display.lines_[0].get_data_3d())[2]
    wanted = np.array([rosenbrock(x) for x in path[:3]])
    if log_scale is True:
        lowest, first = display.levels_[:2]
        wanted = np.log10(wanted - lowest + first - lowest)
    np.testing.assert_allclose(z[:3], wanted)
    assert np.isnan(z[3])  # outside the box


def test_path_of_a_solver_and_of_a_start_that_is_given():
    X, y = line_data()
    solver = line_model("lbfgs", learning_rate="auto").set_params(tol=1e-4)
    display = ErrorSurfaceDisplay.from_estimator(solver, X, y, grid_resolution=4)
    path = display.paths["GDRegressor"]
    np.testing.assert_allclose(path[-1, :2], solver.fit(X, y).parameters_, rtol=1e-9)
    assert len(path) == solver.n_iter_ + 1
    for model in (solver, line_model()):
        display = ErrorSurfaceDisplay.from_estimator(
            model, X, y, start=[-2.0, 3.0], n_epochs=3, grid_resolution=4
        )
        path = display.paths["GDRegressor"]
        np.testing.assert_array_equal(path[0, :2], [-2.0, 3.0])
        assert 2 < len(path) <= 4
        assert path[1, 2] < path[0, 2]


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_the_path_is_that_of_the_fit(schedule):
    """Which stopped before max_iter, on which the schedule depends."""
    X, y = line_data()
    model = line_model(schedule=schedule, learning_rate=0.1, max_iter=100)
    record = RecordPath()
    model.set_params(tol=1e-2, n_iter_no_change=3).set_callbacks(record).fit(X, y)
    assert 5 < model.n_iter_ < 90
    display = ErrorSurfaceDisplay.from_estimator(model, X, y, grid_resolution=3)
    path = display.paths["GDRegressor"]
    np.testing.assert_array_equal(path[:, :2], record.path_)
    short = ErrorSurfaceDisplay.from_estimator(model, X, y, n_epochs=4, grid_resolution=3)
    np.testing.assert_array_equal(short.paths["GDRegressor"][:, :2], path[:5, :2])


def test_two_parameters_by_name_among_many():
    X, y = iris()
    model = MLPBackpropClassifier((3,), "tanh", max_iter=4, tol=None, random_state=0).fit(X, y)
    names = ("coefs[0][2, 1]", "intercepts[1][0]")
    display = ErrorSurfaceDisplay.from_estimator(model, X, y, parameters=names, grid_resolution=3)
    assert display.labels == names
    objective, theta = model.objective(X, y), model.parameters_
    a, b = 2 * 3 + 1, 4 * 3 + 3 * 3 + 3  # weights of both layers, then intercepts
    for i, j in ((0, 0), (2, 1)):
        theta[a], theta[b] = display.x0[j], display.x1[i]
        assert display.values[i, j] == pytest.approx(objective.value(theta), rel=1e-12)
    last = display.paths["MLPBackpropClassifier"][-1]
    np.testing.assert_allclose(last[:2], model.parameters_[[a, b]], rtol=1e-12)


def test_principal_directions_hold_a_path_that_lies_in_a_plane():
    X, y = iris()
    model = learner().fit(X, y)
    theta = model.parameters_
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(theta.size, 2)))[0].T
    steps = rng.normal(size=(7, 2)) * [3.0, 1.0]
    steps[-1] = 0.0
    path = theta + steps @ directions
    display = ErrorSurfaceDisplay.from_estimator(model, X, y, paths=path, grid_resolution=3)
    drawn_path = display.paths["path"]
    np.testing.assert_allclose(  # a rotation keeps the distances
        np.linalg.norm(drawn_path[:, :2], axis=1), np.linalg.norm(steps, axis=1), atol=1e-10
    )
    objective = model.objective(X, y)
    heights = [objective.value(point) for point in path]
    np.testing.assert_allclose(drawn_path[:, 2], heights, rtol=1e-9)
    shares = np.linalg.svd(steps, compute_uv=False) ** 2
    assert f"({shares[0] / shares.sum():.0%} of the way)" in display.labels[0]


def test_paths_of_minimize():
    path = [np.array([-1.2, 1.0])]
    result = minimize(rosenbrock, path[0], optimizer="lbfgs", callback=path.append)
    display = ErrorSurfaceDisplay.from_function(rosenbrock, paths={"lbfgs": np.array(path)})
    np.testing.assert_array_equal(display.paths["lbfgs"][-1, :2], result.x)
    assert display.lines_[0].get_label() == "lbfgs"
    low, high = np.min(path, axis=0), np.max(path, axis=0)
    (x_low, x_high), (y_low, y_high) = display.ax_.get_xlim(), display.ax_.get_ylim()
    assert x_low < low[0] and high[0] < x_high and y_low < low[1] and high[1] < y_high


def test_paths_that_leave_the_world_do_not_take_the_picture_with_them():
    away = np.array([[1.0, 1.0], [-2.0, 2.0], [1e3, 1e3], [np.inf, 0.0], [0.0, 0.0]])
    near = np.array([[1.0, 1.0], [0.5, 0.5]])
    display = ErrorSurfaceDisplay.from_function(lambda x: x @ x, paths=[away, near])
    drawn(display.figure_)
    assert list(display.paths) == ["path 1", "path 2"]
    assert len(display.paths["path 1"]) == 3  # up to the last finite point
    assert max(np.abs(display.ax_.get_xlim())) < 5.0

    def overflows(x):
        return np.exp(1000.0 * x[0]) + x[1] ** 2

    for kind in ("contour", "surface"):
        display = ErrorSurfaceDisplay.from_function(overflows, (-1, 1), (-1, 1), kind=kind)
        drawn(display.figure_)
        assert np.isinf(display.values).any()
        drawn(ErrorSurfaceDisplay.from_function(lambda x: 3.0, (0, 1), (0, 1), kind=kind).figure_)


def test_a_diverging_training_is_recorded_up_to_its_end():
    X, y = line_data()
    models = {"small": line_model(), "large": line_model(learning_rate=3.0, batch_size=None)}
    display = ErrorSurfaceDisplay.from_estimator(models, X, y, grid_resolution=5)
    drawn(display.figure_)
    assert np.isfinite(display.paths["large"]).all()
    assert np.isfinite(display.values).all()


def test_pipeline_sees_its_own_columns():
    X, y = line_data()
    scaled = StandardScaler().fit_transform(X)
    pipeline = make_pipeline(StandardScaler(), line_model())
    display = ErrorSurfaceDisplay.from_estimator(pipeline, X, y, grid_resolution=3)
    wanted = squared_error(scaled, y, display.x0[0], display.x1[2])
    assert display.values[2, 0] == pytest.approx(wanted, rel=1e-12)


def test_subplots_share_a_figure():
    figure = plt.figure(figsize=(8, 4))
    flat, solid = figure.add_subplot(121), figure.add_subplot(122, projection="3d")
    settings = {"xlim": (-1, 1), "ylim": (-1, 1), "grid_resolution": 5}
    assert ErrorSurfaceDisplay.from_function(rosenbrock, **settings, ax=flat).ax_ is flat
    display = ErrorSurfaceDisplay.from_function(rosenbrock, **settings, ax=solid, kind="surface")
    assert display.ax_ is solid and display.figure_ is figure
    with pytest.raises(ValueError, match="three dimensions"):
        display.plot(flat, kind="surface")


def test_surfaces_that_cannot_be_drawn_say_why():
    X, y = line_data()
    draw = ErrorSurfaceDisplay.from_estimator
    with pytest.raises(ValueError, match="1 parameter only, and a surface needs two"):
        draw(line_model(fit_intercept=False), X, y)
    with pytest.raises(ValueError, match="sgd and adam have different J"):
        draw({"sgd": line_model(), "adam": line_model("adam", alpha=1.0)}, X, y)
    with pytest.raises(TypeError, match="estimators of skgd"):
        draw(Ridge(), X, y)
    with pytest.raises(ValueError, match=r"paths: 'a' must have shape \(n_points, 2\)"):
        draw(line_model(), X, y, paths={"a": np.zeros((4, 3))})
    with pytest.raises(ValueError, match=r"there is no 'coef\[7\]'.*coef of shape \(1,\)"):
        draw(line_model(), X, y, parameters=("coef[7]", 1), n_epochs=1)
    with pytest.raises(ValueError, match="two different ones"):
        draw(line_model(), X, y, parameters=("coef[0]", 0), n_epochs=1)
    with pytest.raises(ValueError, match="kind"):
        draw(line_model(), X, y, kind="heights", n_epochs=1)
    draw = ErrorSurfaceDisplay.from_function
    with pytest.raises(ValueError, match="xlim and ylim are needed"):
        draw(rosenbrock)
    with pytest.raises(ValueError, match="ylim takes two finite numbers"):
        draw(rosenbrock, (0, 1), (1, 0))
    with pytest.raises(ValueError, match="not finite anywhere"):
        draw(lambda x: np.nan, (0, 1), (0, 1))
    Z, t = iris()
    still = np.zeros((3, learner().fit(Z, t).parameters_.size))
    with pytest.raises(ValueError, match="do not leave their end"):
        ErrorSurfaceDisplay.from_estimator(learner(), Z, t, paths=still)


# --------------------------------------------------------------------------------- gradient checks


def test_markers_stand_at_the_errors_of_the_report():
    X, y = iris()
    model = MLPBackpropClassifier((3,), "tanh", random_state=0).fit(X, y)
    report = check_gradient(model, X, y)
    display = GradientCheckDisplay.from_report(report)
    drawn(display.figure_)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["coefs[0]", "coefs[1]", "intercepts[0]", "intercepts[1]"]
    assert len(display.lines_) == 3
    seen = 0
    for line in display.lines_:
        for x, row in zip(*line.get_data(), strict=True):
            (record,) = (
                record
                for record in report.blocks
                if record["block"] == names[round(row)]
                and f"{record['source_a']}, {record['source_b']}" == line.get_label()
            )
            if record["relative_error"]:
                assert x == record["relative_error"]
                seen += 1
    assert seen >= 8  # those that are measured are never exactly equal
    allowed = [line.get_xdata()[0] for line in display.thresholds_]
    assert allowed == sorted({record["tolerance"] for record in report.blocks})
    assert display.legend_.get_title().get_text() == "All 3 sources agree"
    by_estimator = GradientCheckDisplay.from_estimator(model, X, y)
    for line, other in zip(display.lines_, by_estimator.lines_, strict=True):
        np.testing.assert_array_equal(line.get_data(), other.get_data())


@pytest.mark.parametrize(
    ("factor", "error"), [([1.0, 0.5], 1 / np.sqrt(8)), ([1.0, np.nan], np.inf), ([1.0, 1.0], 0.0)]
)
def test_a_wrong_formula_is_seen(factor, error):
    """x^T x at (1, 1) has the gradient (2, 2); (2, 1) is off by 1 of sqrt(8)."""
    report = check_gradient(lambda x: x @ x, np.ones(2), jac=lambda x: 2.0 * x * factor)
    display = GradientCheckDisplay.from_report(report)
    drawn(display.figure_)
    analytic = next(li for li in display.lines_ if li.get_label() == "analytic, backprop")
    title = display.legend_.get_title().get_text()
    texts = [text.get_text() for text in display.ax_.texts]
    ticks = dict(zip(display.ax_.get_xticks(), _labels(display.ax_), strict=True))
    if error == 0.0:
        assert ticks[analytic.get_xdata()[0]] == "0"
        assert (title, texts) == ("All 3 sources agree", [])
        return
    assert title == "analytic is suspect: it disagrees in 1 of 1 blocks"
    assert texts == ["worst: x[1]"]
    if np.isinf(error):
        assert ticks[analytic.get_xdata()[0]] == "not\nfinite"
    else:
        assert analytic.get_xdata()[0] == pytest.approx(error)


def _labels(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def test_entries_of_one_gradient_against_another():
    X, y = iris()
    model = learner().fit(X, y)
    display = GradientCheckDisplay.from_estimator(model, X, y, kind="entries")
    drawn(display.figure_)
    objective, theta = model.objective(X, y), model.parameters_
    for line, source in zip(display.lines_, ("backprop", "numeric"), strict=True):
        assert line.get_label() == source
        np.testing.assert_allclose(line.get_xdata(), objective.gradient(theta, "analytic"))
        np.testing.assert_allclose(
            line.get_ydata(), objective.gradient(theta, source), rtol=1e-6, atol=1e-9
        )
    sources = ("analytic", "numeric")
    report = check_gradient(model, X, y, sources=sources, directions=2)
    with pytest.raises(ValueError, match="this report has analytic"):
        GradientCheckDisplay.from_report(report, kind="entries")
    drawn(GradientCheckDisplay.from_report(report).figure_)
    with pytest.raises(TypeError, match="check_gradient returns"):
        GradientCheckDisplay.from_report({"a": 1})


def test_a_legend_stands_above_given_axes():
    report = check_gradient(lambda x: x @ x, np.ones(2), jac=lambda x: 2.0 * x)
    for kind in ("errors", "entries"):
        for layout in (None, "constrained"):
            figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout=layout)
            display = GradientCheckDisplay.from_report(report, ax=axes[0], kind=kind)
            drawn(figure)
            box, panel = display.legend_.get_window_extent(), axes[0].get_window_extent()
            assert box.y0 >= panel.y1 - 1.0
            assert box.y1 <= figure.bbox.y1
            assert panel.height > 100


# ----------------------------------------------------------------------------------------- weights


def digits_network():
    X, y = load_digits(return_X_y=True)
    settings = {"max_iter": 2, "tol": None, "random_state": 0}
    return MLPBackpropClassifier((5,), **settings).fit(X[:200], y[:200])


def test_filters_are_the_columns_of_the_weights():
    model = digits_network()
    display = WeightsDisplay.from_estimator(model)
    drawn(display.figure_)
    largest = np.abs(model.coefs_[0]).max()
    assert len(display.images_) == 5
    for unit, image in enumerate(display.images_):
        np.testing.assert_array_equal(image.get_array(), model.coefs_[0][:, unit].reshape(8, 8))
        assert image.get_clim() == (-largest, largest)  # centred, and the same for all
    (bar,) = [ax for ax in display.figure_.axes if ax is not display.ax_]
    assert display.colorbar_.ax is bar
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts == [f"unit {i}" for i in range(5)]
    wide = WeightsDisplay.from_estimator(model, image_shape=(4, 16))
    assert wide.images_[0].get_array().shape == (4, 16)


@pytest.mark.parametrize("width", [4.0, 6.0, 9.0, 16.0])
def test_names_of_many_filters_do_not_overlap(width):
    """In axes of the user's, which do not grow with the number of units."""
    figure, ax = plt.subplots(figsize=(width, 0.5 * width))
    weights = np.random.default_rng(0).normal(size=(64, 30))
    names = [f"unit {i}" for i in range(30)]
    display = WeightsDisplay(weights, unit_names=names).plot(ax)
    drawn(figure)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == (30 if width > 4.0 else 0)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    images = [image.get_window_extent() for image in display.images_]
    for box, image in itertools.product(boxes, images):
        assert not box.padded(-1).overlaps(image)


def test_inputs_that_are_no_square_image_are_drawn_as_squares():
    weights = np.random.default_rng(0).normal(size=(30, 4))
    assert WeightsDisplay(weights).plot().squares_ is not None
    assert len(WeightsDisplay(weights, image_shape=(5, 6)).plot().images_) == 4
    assert len(WeightsDisplay(weights[:25]).plot().images_) == 4


def areas_and_places(squares):
    corners = np.array([path.vertices[:4] for path in squares.get_paths()])
    sides = corners.max(axis=1) - corners.min(axis=1)
    return sides.prod(axis=1), corners.mean(axis=1)


def test_areas_of_a_hinton_diagram_are_the_sizes_of_the_weights():
    model = digits_network()
    weights = model.coefs_[1]
    display = WeightsDisplay.from_estimator(model, layer=1, kind="hinton")
    drawn(display.figure_)
    areas, places = areas_and_places(display.squares_)
    column, row = places.round().astype(int).T
    wanted = np.abs(weights[row, column])
    np.testing.assert_allclose(areas / areas.max(), wanted / wanted.max(), rtol=1e-9)
    assert len({*zip(row, column, strict=True)}) == weights.size
    white = display.squares_.get_facecolor()[:, 0] == 1.0
    np.testing.assert_array_equal(white, weights[row, column] > 0)
    assert areas.max() < 1.0  # neighbours do not touch
    assert _labels(display.ax_) == [str(label) for label in range(10)]
    same = WeightsDisplay.from_estimator(model, layer=-1, kind="hinton")
    np.testing.assert_array_equal(areas_and_places(same.squares_)[0], areas)


def test_names_of_features_and_classes():
    data = load_iris(as_frame=True)
    model = learner(max_iter=2).fit(data.data, data.target_names[data.target])
    display = WeightsDisplay.from_estimator(make_pipeline(model), kind="hinton")
    drawn(display.figure_)
    assert _labels(display.ax_) == list(data.target_names)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list(data.data.columns)
    tight, figure = display.figure_.get_tightbbox(), display.figure_.get_size_inches()
    assert tight.x0 > -0.05 and tight.x1 < figure[0] + 0.05  # nothing is cut off
    assert tight.y0 > -0.05 and tight.y1 < figure[1] + 0.05


def test_one_filter_many_filters_and_models_of_scikit_learn():
    X, y = load_digits(return_X_y=True)
    display = WeightsDisplay.from_estimator(learner(max_iter=2).fit(X, y == 3))
    drawn(display.figure_)
    assert [text.get_text() for text in display.ax_.texts] == ["True"]
    display = WeightsDisplay.from_estimator(Ridge().fit(X, y))
    np.testing.assert_array_equal(display.images_[0].get_array().ravel(), display.weights[:, 0])
    many = WeightsDisplay(np.random.default_rng(0).normal(size=(784, 49))).plot()
    drawn(many.figure_)
    assert len(many.images_) == 49 and not many.ax_.texts
    assert max(many.figure_.get_size_inches()) < 11.0
    sparse = learner(max_iter=2).fit(X, y)
    dense = sparse.coef_.copy()
    sparse.sparsify()
    np.testing.assert_array_equal(WeightsDisplay.from_estimator(sparse).weights, dense.T)


def test_weights_that_are_zero_or_not_finite():
    for kind in ("filters", "hinton"):
        drawn(WeightsDisplay(np.zeros((4, 2))).plot(kind=kind).figure_)
        weights = np.array([[1.0, np.nan], [np.inf, -2.0], [0.0, 0.5], [1.0, 1.0]])
        display = WeightsDisplay(weights).plot(kind=kind)
        drawn(display.figure_)
    assert [text.get_text() for text in display.ax_.texts] == ["?", "?"]
    assert len(display.squares_.get_paths()) == 5


def test_weights_that_cannot_be_drawn_say_why():
    X, y = iris()
    draw = WeightsDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(learner())
    model = learner(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=r"layer=1: GDClassifier has 1 layer of weights"):
        draw(model, layer=1)
    with pytest.raises(ValueError, match=r"product is 4, the number of inputs; got \(3, 2\)"):
        draw(model, image_shape=(3, 2))
    with pytest.raises(ValueError, match=r'3 inputs are no square image.*kind="hinton"'):
        draw(learner(max_iter=1).fit(X[:, :3], y), kind="filters")
    with pytest.raises(TypeError, match="neither coefs_ nor coef_"):
        draw(StandardScaler().fit(X))
