"""Losses: the formula, the derivative and the numerics of every row of the table."""

import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special as scipy_special
from scipy import stats
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier

from skgd import GDClassifier
from skgd._component import resolve
from skgd.autodiff import value_and_grad
from skgd.losses import (
    LOSSES,
    EpsilonInsensitive,
    Focal,
    Gamma,
    Hinge,
    Huber,
    LogCosh,
    LogLoss,
    Loss,
    ModifiedHuber,
    Perceptron,
    Poisson,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredHinge,
    losses_for,
)

OTHER_SETTINGS = [
    Huber(delta=np.float64(0.3)),
    EpsilonInsensitive(epsilon=0.0),
    SquaredEpsilonInsensitive(epsilon=np.float64(1.0)),
    Quantile(quantile=np.float64(0.1)),
    Focal(gamma=0.0),
    Focal(gamma=0.5),
    Focal(gamma=np.float64(3.0)),
    LogLoss(label_smoothing=0.1),
    LogLoss(label_smoothing=np.float64(0.7)),
]
ALL = [row() for row in LOSSES.values()] + OTHER_SETTINGS


def each(losses=ALL):
    return pytest.mark.parametrize("loss", losses, ids=repr)


def make(loss, columns=None, n=200, seed=0, dtype=np.float64):
    """Targets that the loss takes, and raw outputs around them."""
    rng = np.random.default_rng(seed)
    shape = (n,) if columns is None else (n, columns)
    raw = rng.normal(scale=2.0, size=shape)
    if loss.task == "regression":
        y = rng.gamma(2.0, size=shape)
        try:
            loss.check_target(-y)
            y -= 2.0
        except ValueError:
            pass
    elif columns is None:
        y = rng.integers(0, 2, size=n)
    else:
        y = np.eye(columns)[rng.integers(0, columns, size=n)]
    return y.astype(dtype), raw.astype(dtype)


def differences(loss, y, raw, h=1e-5):
    """Central differences of the value, one column of raw outputs at a time."""
    columns = raw.reshape(len(raw), -1)
    slopes = np.empty_like(columns)
    for k in range(columns.shape[1]):
        step = np.zeros_like(columns)
        step[:, k] = h
        step = step.reshape(raw.shape)
        slopes[:, k] = (loss.value(y, raw + step) - loss.value(y, raw - step)) / (2 * h)
    return slopes.reshape(raw.shape)


def by_graph(loss, y, raw):
    return value_and_grad(lambda r: np.sum(loss.value(y, r)))(raw)


# ---------------------------------------------------------------- the table and the protocol


@pytest.mark.parametrize("name", LOSSES)
def test_row_is_a_final_documented_component(name):
    row = LOSSES[name]
    assert issubclass(row, Loss) and row.__mro__[1] is Loss
    assert row.task in ("regression", "classification")
    assert "Examples" in row.__doc__ and "References" in row.__doc__
    assert isinstance(resolve("loss", name, LOSSES, Loss), row)
    assert row().has_gradient


@each()
def test_clone_pickle_and_print(loss):
    for copy in (clone(loss), pickle.loads(pickle.dumps(loss))):
        assert type(copy) is type(loss) and copy.get_params() == loss.get_params()
    assert repr(loss).startswith(type(loss).__name__ + "(")
    for name, value in loss.get_params().items():
        assert clone(loss).set_params(**{name: value}).get_params() == loss.get_params()


def test_tasks_share_out_the_table():
    parts = [losses_for(task) for task in ("regression", "classification")]
    assert parts[0] | parts[1] == LOSSES and not parts[0].keys() & parts[1].keys()
    for name in TRUTH:
        assert LOSSES[name].has_proba == (name in ("log_loss", "modified_huber", "focal"))


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (Huber(delta=0.0), "delta"),
        (Huber(delta=np.inf), "delta"),
        (EpsilonInsensitive(epsilon=-0.1), "epsilon"),
        (SquaredEpsilonInsensitive(epsilon=np.nan), "epsilon"),
        (Quantile(quantile=0.0), "quantile"),
        (Quantile(quantile=1), "quantile"),
        (Focal(gamma=-1), "gamma"),
        (LogLoss(label_smoothing=-0.1), "label_smoothing"),
        (LogLoss(label_smoothing=1), "label_smoothing"),
    ],
    ids=repr,
)
def test_setting_out_of_range(loss, name):
    with pytest.raises(ValueError, match=name):
        loss.check()


@pytest.mark.parametrize("row", LOSSES.values())
def test_every_setting_is_checked(row):
    for name in inspect.signature(row).parameters:
        with pytest.raises(TypeError, match=name):
            row(**{name: "much"}).check()
    row().check()


# Printed by torch 2.14.1, in float64, at raw = SMOOTHED_AT[:, :columns]:
#     loss = torch.nn.CrossEntropyLoss(label_smoothing=share, reduction="none")(raw, labels)
#     loss.sum().backward()
#     loss, raw.grad
# One raw output is that of class 1 against 0: there raw = torch.stack([0 * raw, raw], dim=1).
SMOOTHED_AT = np.array([[0.5, -1.0, 2.0, 0.0], [-0.3, 1.5, 0.7, -2.0]])
SMOOTHED_LABELS = {None: np.array([1.0, 0.0]), 2: np.eye(2)[[1, 0]], 4: np.eye(4)[[2, 3]]}
# fmt: off
SMOOTHED_BY_TORCH = [
    (None, 0.0, [0.4740769841801067, 0.554355244468527], [-0.3775406687981454,
     0.4255574831883411]),
    (None, 0.1, [0.4990769841801067, 0.569355244468527], [-0.3275406687981455,
     0.3755574831883411]),
    (None, 0.6, [0.6240769841801067, 0.644355244468527], [-0.07754066879814536,
     0.1255574831883411]),
    (2, 0.0, [1.7014132779827524, 1.952977610526074], [[0.8175744761936437, -0.8175744761936437],
     [-0.8581489350995122, 0.8581489350995123]]),
    (2, 0.1, [1.6264132779827525, 1.862977610526074], [[0.7675744761936436, -0.7675744761936437],
     [-0.8081489350995122, 0.8081489350995122]]),
    (2, 0.6, [1.2514132779827525, 1.412977610526074], [[0.5175744761936436, -0.5175744761936436],
     [-0.5581489350995121, 0.5581489350995124]]),
    (4, 0.0, [0.342349582389822, 3.9976341389146133], [[0.15844470951497974, 0.03535379340874887,
     -0.2899000771138257, 0.09610157419009721], [0.10049632303038936, 0.6079673258036195,
     0.2731773287204577, -0.9816409775544664]]),
    (4, 0.1, [0.504849582389822, 3.8001341389146135], [[0.13344470951497975, 0.010353793408748868,
     -0.21490007711382575, 0.07110157419009722], [0.07549632303038936, 0.5829673258036194,
     0.2481773287204577, -0.9066409775544665]]),
    (4, 0.6, [1.317349582389822, 2.8126341389146132], [[0.008444709514979748, -0.11464620659125113,
     0.16009992288617425, -0.053898425809902784], [-0.04950367696961064, 0.45796732580361943,
     0.1231773287204577, -0.5316409775544665]]),
]
# fmt: on


@pytest.mark.parametrize(("columns", "share", "value", "gradient"), SMOOTHED_BY_TORCH)
def test_label_smoothing_as_in_torch(columns, share, value, gradient):
    loss, y = LogLoss(label_smoothing=share), SMOOTHED_LABELS[columns]
    raw = SMOOTHED_AT[:, 0] if columns is None else SMOOTHED_AT[:, :columns]
    np.testing.assert_allclose(loss.value(y, raw), value, rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(y, raw), gradient, rtol=1e-12)


@pytest.mark.parametrize("columns", [None, 2, 5])
def test_smoothed_log_loss_is_lowest_at_the_smoothed_labels(columns):
    """Cross entropy with fixed targets is lowest where the probabilities are those targets."""
    y, _ = make(LogLoss(), columns)
    p = 0.8 * y + 0.2 / (columns or 2)
    raw = np.log(p) if columns else scipy_special.logit(p)
    loss = LogLoss(label_smoothing=0.2)
    np.testing.assert_allclose(loss.gradient(y, raw), 0.0, atol=1e-15)
    np.testing.assert_allclose(loss.inverse_link(raw), p, rtol=1e-14)
    entropy = stats.entropy(p, axis=1) if columns else stats.bernoulli(p).entropy()
    np.testing.assert_allclose(loss.value(y, raw), entropy, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "lbfgs"])
def test_fit_with_smoothed_labels_is_one_of_weighted_rows(n_classes, optimizer):
    """Each row once for every class, with its share as weight: so scikit-learn can do it."""
    X, label = load_iris(return_X_y=True)
    X, label = X[label < n_classes], label[label < n_classes]
    share = 0.7 * np.eye(n_classes)[label] + 0.3 / n_classes
    n = len(X)
    peer = LogisticRegression(C=1 / (n * 0.01), tol=1e-10, max_iter=10_000).fit(
        np.repeat(X, n_classes, axis=0), np.tile(np.arange(n_classes), n), share.ravel()
    )
    settings = {"max_iter": 3000, "tol": None, "alpha": 0.01, "batch_size": None}
    settings["schedule"] = "constant" if optimizer == "lbfgs" else "cosine"
    model = GDClassifier(LogLoss(label_smoothing=0.3), optimizer=optimizer, **settings)
    p = model.fit(X, label).predict_proba(X)
    np.testing.assert_allclose(p, peer.predict_proba(X), atol=1e-4)


def test_loss_of_a_user_without_derivative():
    class Cubic(Loss):
        def value(self, y, raw):
            return np.abs(raw - y) ** 3

    loss = Cubic()
    assert not loss.has_gradient
    with pytest.raises(NotImplementedError, match=r"Cubic.*backprop.*numeric"):
        loss.gradient(np.zeros(2), np.ones(2))
    with pytest.raises(NotImplementedError, match="value"):
        Loss().value(np.zeros(2), np.ones(2))


@each()
@pytest.mark.parametrize("columns", [None, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtype(loss, columns, dtype):
    y, raw = make(loss, columns, n=7, dtype=dtype)
    kept = y.copy(), raw.copy()
    value, gradient = loss.value_and_gradient(y, raw)
    for v in (value, loss.value(y, raw)):
        assert v.shape == (7,) and v.dtype == dtype
    for g in (gradient, loss.gradient(y, raw)):
        assert g.shape == raw.shape and g.dtype == dtype
        assert not np.shares_memory(g, raw) and not np.shares_memory(g, y)
    assert loss.inverse_link(raw).shape == raw.shape
    assert loss.inverse_link(raw).dtype == dtype
    np.testing.assert_array_equal(y, kept[0])
    np.testing.assert_array_equal(raw, kept[1])


@each()
@pytest.mark.parametrize("columns", [None, 3])
def test_value_and_gradient_are_the_two_methods(loss, columns):
    y, raw = make(loss, columns)
    value, gradient = loss.value_and_gradient(y, raw)
    np.testing.assert_allclose(value, loss.value(y, raw), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, loss.gradient(y, raw), rtol=1e-12, atol=1e-14)
    assert np.all(value >= 0.0)


@each([loss for loss in ALL if loss.task == "regression"])
def test_outputs_are_summed_within_a_sample(loss):
    y, raw = make(loss, 3)
    parts = [loss.value(y[:, k], raw[:, k]) for k in range(3)]
    np.testing.assert_allclose(loss.value(y, raw), np.sum(parts, axis=0), rtol=1e-12)


# ---------------------------------------------------------------- derivatives


@each()
@pytest.mark.parametrize("columns", [None, 3])
def test_gradient_is_the_slope_of_the_value(loss, columns):
    y, raw = make(loss, columns)
    away_from_kinks = np.abs(differences(loss, y, raw, 1e-4) - differences(loss, y, raw)) < 1e-6
    assert away_from_kinks.mean() > 0.9
    np.testing.assert_allclose(
        loss.gradient(y, raw)[away_from_kinks],
        differences(loss, y, raw)[away_from_kinks],
        rtol=1e-6,
        atol=1e-8,
    )


@each([loss for loss in ALL if loss.holomorphic])
@pytest.mark.parametrize("columns", [None, 3])
def test_complex_step(loss, columns):
    y, raw = make(loss, columns)
    columns = raw.reshape(len(raw), -1)
    slopes = np.empty_like(columns)
    for k in range(columns.shape[1]):
        moved = columns.astype(complex)
        moved[:, k] += 1e-20j
        slopes[:, k] = loss.value(y, moved.reshape(raw.shape)).imag / 1e-20
    np.testing.assert_allclose(slopes.reshape(raw.shape), loss.gradient(y, raw), rtol=1e-11)


@each()
@pytest.mark.parametrize("columns", [None, 3])
def test_graph(loss, columns):
    y, raw = make(loss, columns)
    value, gradient = by_graph(loss, y, raw)
    np.testing.assert_allclose(value, np.sum(loss.value(y, raw)), rtol=1e-13)
    np.testing.assert_allclose(gradient, loss.gradient(y, raw), rtol=1e-9, atol=1e-13)


@each()
@pytest.mark.parametrize("columns", [None, 3])
def test_graph_at_ties(loss, columns):
    # The conventions are the same for both sources: residuals 0 and on the edge of a tube,
    # margins 0 and 1, raw outputs all equal.
    y, raw = make(loss, columns)
    if loss.task == "regression":
        y = np.round(y) + 2.0
        edge = next(iter(loss.get_params().values()), 1.0)
        ties = [y, y + edge, y - edge]
    else:
        ties = [np.zeros_like(y), 2.0 * y - 1.0, 1.0 - 2.0 * y]
    for tie in ties:
        # y + edge - y is not edge in floating point: keep to ties that are exact
        exact = (tie - y) + y == tie
        gradient = by_graph(loss, y, np.where(exact, tie, raw))[1]
        expected = loss.gradient(y, np.where(exact, tie, raw))
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-13)


@each()
@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 80.0, 1.0, 0.0])
def test_extreme_raw_outputs(loss, columns, dtype, size):
    # Warnings are errors here. Finite wherever the true value can be represented.
    y, raw = make(loss, columns, n=40, dtype=dtype)
    raw = (size * np.sign(raw)).astype(dtype)
    if isinstance(loss, Poisson):
        raw = np.minimum(raw, 80.0)  # exp(1e4) is a true overflow: a test of its own
    if isinstance(loss, Gamma):
        raw = np.maximum(raw, -80.0)
    value, gradient = loss.value_and_gradient(y, raw)
    by_value = loss.value(y, raw)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    assert np.all(np.isfinite(by_value))
    np.testing.assert_allclose(value, by_value, rtol=1e-5)
    traced = by_graph(loss, y, raw)[1]
    np.testing.assert_allclose(traced, gradient, rtol=1e-4, atol=1e-6)
    assert traced.dtype == dtype


@pytest.mark.parametrize(("loss", "raw"), [(Poisson(), 1e4), (Gamma(), -1e4)], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_true_overflow_is_infinite_and_silent(loss, raw, dtype):
    y, raw = np.array([1.0, 2.0], dtype), np.array([raw, 0.0], dtype)
    for value in (loss.value(y, raw), loss.value_and_gradient(y, raw)[0]):
        assert value[0] == np.inf and np.isfinite(value[1])
    assert np.isinf(loss.gradient(y, raw)[0])
    assert loss.inverse_link(np.abs(raw))[0] == np.inf


@each()
@given(data=st.data())
def test_gradient_is_nondecreasing_along_a_column(loss, data):
    if not loss.convex:
        return
    y, _ = make(loss, None, n=1)
    low, high = sorted(data.draw(st.lists(st.floats(-50, 50), min_size=2, max_size=2)))
    slopes = [loss.gradient(y, np.array([raw]))[0] for raw in (low, high)]
    assert slopes[0] <= slopes[1] + 1e-12 * abs(slopes[1])
    bound = loss.curvature(1)
    if bound is not None:
        assert slopes[1] - slopes[0] <= bound * (high - low) + 1e-12 * (1 + np.max(np.abs(slopes)))


@each()
@pytest.mark.parametrize("columns", [None, 3])
def test_curvature_bounds_the_hessian(loss, columns):
    bound = loss.curvature(columns or 1)
    if bound is None:
        return
    y, raw = make(loss, columns)
    rng = np.random.default_rng(1)
    step = rng.normal(scale=0.1, size=raw.shape)
    change = loss.gradient(y, raw + step) - loss.gradient(y, raw)
    lengths = [np.linalg.norm(d.reshape(len(raw), -1), axis=1) for d in (change, step)]
    assert np.all(lengths[0] <= bound * lengths[1] * (1 + 1e-9))
    assert np.max(lengths[0] / lengths[1]) > 0.5 * bound  # and is no idle bound


@each()
def test_smooth_is_said_truly(loss):
    y = make(loss, None, n=1)[0]
    raw = np.linspace(-4.0, 4.0, 400_001)
    jumps = np.abs(np.diff(loss.gradient(np.broadcast_to(y, raw.shape), raw)))
    assert (np.max(jumps) < 1e-2) == loss.smooth


# ---------------------------------------------------------------- conventions at kinks


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_hinge_and_perceptron_are_active_at_the_tie(y):
    y, sign = np.array([y]), 2 * y - 1
    assert Perceptron().gradient(y, np.zeros(1)) == -sign
    assert Hinge().gradient(y, np.array([sign])) == -sign
    assert Perceptron().gradient(y, np.array([sign * 1e-9])) == 0.0
    assert Hinge().gradient(y, np.array([sign * (1 + 1e-9)])) == 0.0


def test_regression_kinks():
    y = np.zeros(3)
    assert not np.any(LOSSES["absolute_error"]().gradient(y, y))
    tube = np.array([-0.1, 0.0, 0.1])
    assert not np.any(EpsilonInsensitive().gradient(y, tube))
    np.testing.assert_array_equal(Quantile(quantile=0.25).gradient(y, y), 0.25)
    edges = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(Huber().gradient(y, edges), edges)


# ---------------------------------------------------------------- truth from elsewhere


def mean_of(loss, y, raw):
    return float(np.mean(loss.value(y, raw)))


def one_vs_rest(metric):
    """Sum of a two-class metric over the columns of one-hot targets."""

    def summed(y, raw):
        n = len(y)
        return sum(map(metric, y.reshape(n, -1).T, raw.reshape(n, -1).T))

    return summed


def squared_hinge(y, raw):
    return np.mean(np.maximum(1 - np.where(y > 0, raw, -raw), 0) ** 2)


def modified_huber(y, raw):
    m = np.where(y > 0, raw, -raw)
    return np.mean(np.where(m >= -1, np.maximum(1 - m, 0) ** 2, -4 * m))


def focal(y, raw):
    p = scipy_special.softmax(np.stack([0 * raw, raw], 1) if y.ndim == 1 else raw, axis=1)
    truth = p[np.arange(len(p)), y.astype(int) if y.ndim == 1 else y.argmax(axis=1)]
    return np.mean(-((1 - truth) ** 2) * np.log(truth))


TRUTH = {
    "squared_error": lambda y, raw: 0.5 * metrics.mean_squared_error(y, raw),
    "absolute_error": metrics.mean_absolute_error,
    "huber": lambda y, raw: np.mean(scipy_special.huber(1.0, y - raw)),
    "epsilon_insensitive": lambda y, raw: np.mean(np.maximum(np.abs(y - raw) - 0.1, 0)),
    "squared_epsilon_insensitive": lambda y, raw: np.mean(
        np.maximum(np.abs(y - raw) - 0.1, 0) ** 2
    ),
    "quantile": lambda y, raw: metrics.mean_pinball_loss(y, raw, alpha=0.5),
    "log_cosh": lambda y, raw: np.mean(np.log(np.cosh(y - raw))),
    "poisson": lambda y, raw: 0.5 * metrics.mean_poisson_deviance(y, np.exp(raw)),
    "gamma": lambda y, raw: 0.5 * metrics.mean_gamma_deviance(y, np.exp(raw)),
    "log_loss": lambda y, raw: metrics.log_loss(
        y, scipy_special.expit(raw) if y.ndim == 1 else scipy_special.softmax(raw, axis=1)
    ),
    "hinge": one_vs_rest(metrics.hinge_loss),
    "squared_hinge": one_vs_rest(squared_hinge),
    "modified_huber": one_vs_rest(modified_huber),
    "perceptron": one_vs_rest(lambda y, raw: np.mean(np.maximum(np.where(y, -raw, raw), 0))),
    "focal": focal,
}


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("columns", [None, 3])
def test_value_against_another_implementation(name, columns):
    loss = LOSSES[name]()
    y, raw = make(loss, columns)
    if loss.task == "regression" and columns:
        expected = sum(TRUTH[name](y[:, k], raw[:, k]) for k in range(columns))
    else:
        expected = TRUTH[name](y, raw)
    assert mean_of(loss, y, raw) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_pinball_loss(quantile):
    loss = Quantile(quantile=quantile)
    y, raw = make(loss)
    expected = metrics.mean_pinball_loss(y, raw, alpha=quantile)
    assert mean_of(loss, y, raw) == pytest.approx(expected, rel=1e-12)
    # and its best constant is the quantile of y
    grid = np.linspace(y.min(), y.max(), 2001)
    best = grid[np.argmin([mean_of(loss, y, np.full_like(y, c)) for c in grid])]
    assert np.mean(y <= best) == pytest.approx(quantile, abs=0.01)


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber(delta):
    y, raw = make(Huber())
    expected = scipy_special.huber(delta, raw - y)
    np.testing.assert_allclose(Huber(delta=delta).value(y, raw), expected, rtol=1e-12)
    far = np.float32([3e30, -3e30])  # its square has no float32, the loss has
    np.testing.assert_allclose(Huber().value(np.zeros(2, np.float32), far), 3e30, rtol=1e-6)


def test_log_cosh_keeps_its_digits():
    r = np.array([1e-8, 1e-3, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 3.0, 500.0])
    wide = r.astype(np.longdouble)
    # log cosh r = 1/2 log1p(sinh^2 r)
    expected = 0.5 * np.log1p(np.sinh(wide) ** 2)
    for sign in (-1, 1):
        got = LogCosh().value(np.zeros_like(r), sign * r)
        np.testing.assert_allclose(got, expected.astype(float), rtol=1e-15 * 4)


def test_log_loss_keeps_its_digits_when_the_answer_is_right_and_sure():
    raw = np.array([30.0, 36.0, 100.0, 700.0])
    y = np.ones(4)
    loss = LogLoss()
    for sign, target in ((1, y), (-1, 1 - y)):
        np.testing.assert_allclose(loss.value(target, sign * raw), np.exp(-raw), rtol=1e-12)
        value, gradient = loss.value_and_gradient(target, sign * raw)
        np.testing.assert_allclose(value, np.exp(-raw), rtol=1e-12)
        np.testing.assert_allclose(gradient, -sign * np.exp(-raw), rtol=1e-12)


def test_log_loss_takes_probabilities_as_targets():
    rng = np.random.default_rng(0)
    y, raw = rng.uniform(size=50), rng.normal(scale=3, size=50)
    p = scipy_special.expit(raw)
    expected = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    for value in (LogLoss().value(y, raw), LogLoss().value_and_gradient(y, raw)[0]):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(LogLoss().gradient(y, raw), p - y, rtol=1e-12)
    two = [np.stack(pair, axis=1) for pair in ((1 - y, y), (np.zeros(50), raw))]
    np.testing.assert_allclose(LogLoss().value(*two), expected, rtol=1e-12)
    np.testing.assert_allclose(LogLoss().gradient(*two)[:, 1], p - y, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("columns", [None, 3])
def test_focal_without_focus_is_the_log_loss(columns):
    y, raw = make(LogLoss(), columns)
    for method in ("value", "gradient"):
        got, expected = (getattr(loss, method)(y, raw) for loss in (Focal(gamma=0.0), LogLoss()))
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", [Poisson(), Gamma()], ids=repr)
def test_deviance_is_zero_at_the_target(loss):
    y = np.array([1e-3, 0.5, 1.0, 7.0, 1e5])
    np.testing.assert_allclose(loss.value(y, np.log(y)), 0.0, atol=1e-10)
    np.testing.assert_allclose(loss.gradient(y, np.log(y)), 0.0, atol=1e-10)


def test_poisson_at_zero_counts():
    raw = np.array([-1e4, 0.0, 2.0])
    np.testing.assert_allclose(Poisson().value(np.zeros(3), raw), np.exp(raw))


def test_log_loss_against_the_binomial_and_multinomial_laws():
    y, raw = make(LogLoss())
    expected = -stats.bernoulli.logpmf(y, scipy_special.expit(raw))
    np.testing.assert_allclose(LogLoss().value(y, raw), expected, rtol=1e-11)


# ---------------------------------------------------------------- links and targets


@each([loss for loss in ALL if loss.has_proba])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities(loss, dtype):
    _, raw = make(loss, None, dtype=dtype)
    raw[:2] = -1e4, 1e4
    p = loss.inverse_link(raw)
    assert np.all((p >= 0) & (p <= 1)) and p[0] == 0 and p[1] == 1
    _, raw = make(loss, 4, dtype=dtype)
    raw[0], raw[1, 0] = -1e4, 1e4
    p = loss.inverse_link(raw)
    assert np.all((p >= 0) & (p <= 1))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(p[0], 0.25)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_modified_huber_probabilities_as_in_scikit_learn(n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = rng.integers(0, n_classes, size=300)
    model = SGDClassifier(loss="modified_huber", max_iter=3, random_state=0, tol=None).fit(X, y)
    raw = model.decision_function(X)
    p = ModifiedHuber().inverse_link(raw.copy())
    p = p if n_classes > 2 else np.stack([1 - p, p], axis=1)
    np.testing.assert_allclose(p, model.predict_proba(X), rtol=1e-12, atol=1e-15)
    if n_classes > 2:
        assert np.any(np.all(raw <= -1, axis=1))  # the rows without any probability are met


@each()
def test_link_of_mean_inverts_the_link(loss):
    if loss.task == "regression" or loss.has_proba:
        mean = 0.3
        raw = np.array([loss.link_of_mean(mean)])
        np.testing.assert_allclose(loss.inverse_link(raw), mean, rtol=1e-12)
    if loss.task == "regression":
        means = np.array([0.5, 2.0])
        np.testing.assert_allclose(loss.inverse_link(loss.link_of_mean(means)), means)


@pytest.mark.parametrize("name", ["squared_error", "poisson", "gamma", "log_loss"])
@pytest.mark.parametrize("columns", [None, 3])
def test_mean_is_the_best_constant(name, columns):
    loss = LOSSES[name]()
    y, _ = make(loss, columns)
    raw = np.broadcast_to(loss.link_of_mean(y.mean(axis=0)), y.shape)
    np.testing.assert_allclose(loss.gradient(y, raw).mean(axis=0), 0.0, atol=1e-12)


def test_class_share_of_zero_has_a_finite_raw_output():
    assert np.all(np.isfinite(LogLoss().link_of_mean(np.array([0.0, 0.4, 0.6]))))
    assert np.all(np.isfinite(LogLoss().link_of_mean(np.float32(1.0))))


@each([loss for loss in ALL if loss.task == "regression"])
def test_targets_out_of_the_domain(loss):
    zero, counts = np.zeros(3), np.array([0.0, 1.0, 2.0])
    if isinstance(loss, Poisson):
        loss.check_target(counts)
        for wrong in (zero, counts - 1, np.stack([zero, counts], axis=1)):
            with pytest.raises(ValueError, match=r"poisson.*y >= 0"):
                loss.check_target(wrong)
    elif isinstance(loss, Gamma):
        loss.check_target(counts + 1)
        for wrong in (zero, counts, -counts):
            with pytest.raises(ValueError, match=r"gamma.*y > 0"):
                loss.check_target(wrong)
    else:
        loss.check_target(-counts)


@pytest.mark.parametrize("loss", [SquaredHinge(), Hinge(), ModifiedHuber(), Perceptron()], ids=repr)
def test_margin_losses_sum_one_vs_rest(loss):
    y, raw = make(loss, 3)
    parts = [loss.value(y[:, k], raw[:, k]) for k in range(3)]
    np.testing.assert_allclose(loss.value(y, raw), np.sum(parts, axis=0), rtol=1e-12)
    for k in range(3):
        np.testing.assert_array_equal(
            loss.gradient(y, raw)[:, k], loss.gradient(y[:, k], raw[:, k])
        )
