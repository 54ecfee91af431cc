"""Dropout: whose masks they are, where they count, and what the thinned network learns."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.model_selection import train_test_split

from skgd import MLPBackpropClassifier, MLPBackpropRegressor, config_context
from skgd.gradients import GRADIENTS, Numeric
from skgd.objective import Batch
from skgd.objective.dropout import Dropout

NETWORKS = (MLPBackpropRegressor, MLPBackpropClassifier)
both_networks = pytest.mark.parametrize("estimator", NETWORKS)
SHORT = {"max_iter": 4, "tol": None, "random_state": 0, "batch_size": 16}


def data(estimator, n=60, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X @ np.linspace(-2, 2, p) + 0.5 * rng.normal(size=n)
    return X, (np.digitize(y, [-1, 1]) if estimator is MLPBackpropClassifier else y)


def make(estimator, **settings):
    network = {"hidden_layer_sizes": (7, 5), "activation": "tanh", "dropout": 0.4}
    return estimator(**network | SHORT | settings)


def thinned(estimator, rates, seed=1, **settings):
    """An objective, rows with masks, and parameters to evaluate it at."""
    X, y = data(estimator)
    J = make(estimator, dropout=0.0, **settings).objective(X, y)
    batch = Dropout(rates, (7, 5), seed).masked(J._batch, step=3)
    return J._objective, batch, J.x0 + 0.3 * np.random.default_rng(2).normal(size=J.x0.shape)


# -------------------------------------------------------------------------------------- the masks


def test_masks_leave_out_the_share_that_was_asked_for():
    batch = Batch(np.empty((2000, 3)), np.empty(2000), None)
    rates, sizes = (0.2, 0.0, 0.75), (50, 3, 20)
    masks = Dropout(rates, sizes, seed=0).masked(batch, step=0).masks
    for mask, rate, size in zip(masks, rates, sizes, strict=True):
        assert mask.shape == (2000, size)
        assert_allclose(np.unique(mask), np.unique([0.0 if rate else 1.0, 1 / (1 - rate)]))
        # Five standard deviations of a share.
        assert abs((mask == 0).mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / mask.size)


def test_masks_differ_by_row_unit_layer_step_and_seed():
    batch = Batch(np.empty((4000, 1)), np.empty(4000), None)
    one, other = Dropout((0.5, 0.5), (3, 3), 0).masked(batch, 0).masks
    later = Dropout((0.5, 0.5), (3, 3), 0).masked(batch, 1).masks[0]
    of_another_seed = Dropout((0.5, 0.5), (3, 3), 1).masked(batch, 0).masks[0]
    columns = np.column_stack([one, other, later, of_another_seed, np.roll(one, 1, axis=0)])
    correlations = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_masks_have_the_dtype_of_the_rows_and_are_the_same(dtype):
    batch = Batch(np.empty((9, 1), dtype), np.empty(9, dtype), None)
    (mask,) = Dropout((0.5,), (6,), 0).masked(batch, 0).masks
    assert mask.dtype == dtype
    (double,) = Dropout((0.5,), (6,), 0).masked(batch.astype(np.float64), 0).masks
    assert_array_equal(mask, double)
    assert batch.masks is None
    half = Dropout((0.5,), (6,), 0).masked(batch, 0).rows(slice(0, 4))
    assert_array_equal(half.masks[0], mask[:4])
    assert half.astype(np.float64).masks[0].dtype == np.float64


# ---------------------------------------------------------------------------------- the gradient


# Printed by torch 2.14.1, in float64. Networks of 2 inputs, 2 + 1 hidden and 1 or 3 output units,
# theta = cos(4 k) for k = 0, 1, ...: first all weights W, then all biases b.
#     a = f(X @ W[0] + b[0]) * masks[0]  # f is torch.tanh, relu, selu or nn.functional.gelu
#     raw = f(a @ W[1] + b[1]) * masks[1] @ W[2] + b[2]
#     J = 0.5 * mse_loss(raw[:, 0], y)  # of the classifier: cross_entropy(raw, y)
#     J = J + 0.05 * sum((w**2).sum() for w in W)
#     J.backward()
#     J.item(), theta.grad
THINNED_X = np.array([[1.0, -0.5], [0.3, 2.0], [-1.2, 0.4]])
THINNED_Y = {"regressor": np.array([1.0, -2.0, 0.5]), "classifier": np.array([0, 2, 1])}
MASKS = np.array([[2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]), np.array([[0.0], [4.0], [4.0]])
# fmt: off
THINNED_BY_TORCH = [
    ("regressor", "tanh", 2.1193307662984884, [0.07426171768299158, -0.05904627425961599,
     -0.1861385521609175, 0.08866661287671478, -0.2432670474739323, 0.09802939622216755,
     3.749469925704306, -0.08579427439002807, -0.0014631408799976146, 0.02767684985241907,
     0.3740239365997644]),
    ("regressor", "relu", 4.061417464979153, [0.1, -0.1986429000426121, -0.014550003380861355,
     4.332691123139975, -0.09576594803233847, 14.381562301105863, 12.872996447112548, 0.0,
     2.6133747030278136, 3.202021048676797, 1.3315413421496893]),
    ("regressor", "selu", 12.680136844344277, [-1.831680376270639, 0.23560077105376453,
     -12.892419178518457, 8.92022962160517, -10.82027223227079, 28.190949205209208,
     49.55380097656329, -6.438934587568798, 5.068342113322888, 5.910296673412702,
     2.759639815227543]),
    ("regressor", "gelu", 4.606769018239936, [0.2190367706426285, -0.0467447712325265,
     0.7790284675699953, 5.317299326031737, -1.0385998979895623, 16.028321786974196,
     14.764711460552318, 0.3967892354754283, 3.103007757885554, 3.5892075361773794,
     1.3890288221650384]),
    ("classifier", "tanh", 3.3686251318495697, [0.1015739006702214, -0.5154582770423246,
     -0.00405733224605204, 0.2318414526554014, -0.09510806383666742, 0.5149783188528161,
     0.15896458399400548, -1.2596404878034053, 1.1302555539623933, 0.0052463355674046575,
     0.37354537662808324, 0.5582040934669439, -0.25402155675891086, -0.25694191795667376,
     0.5109634747155846]),
    ("classifier", "relu", 4.54034279184067, [0.1, -2.401244934598791, -0.014550003380861355,
     0.8496582583859714, -0.09576594803233847, 2.196437419206036, 0.11650739729489534,
     -1.924459605327365, 1.8375318581854638, 0.0, 1.9386183372178456, 2.375280021625085,
     -0.2736788640434811, -0.25727942968201684, 0.5309582937254979]),
    ("classifier", "selu", 4.750505794744309, [0.10316585677677279, -2.6447641356751856,
     0.006555708464290513, 0.937828693398066, -0.09437387414882381, 2.430352036474974,
     0.09942400752760361, -2.043547997678, 1.9737036403033912, 0.010552855922575934,
     2.1457161047735496, 2.502163128016779, -0.2774081193744717, -0.25728304527958856,
     0.5346911646540603]),
    ("classifier", "gelu", 3.940380094559424, [0.10246075773661044, -2.260796805788819,
     0.0018550481965415623, 0.7975641663681937, -0.0946285935190218, 1.6668833466530153,
     0.1297579716026345, -1.587648906488207, 1.487470585038566, 0.008202525788701459,
     1.818436533994583, 2.6576576625638904, -0.2688640591730864, -0.25724714282555405,
     0.5261112019986405]),
]
# fmt: on


@pytest.mark.parametrize(("task", "activation", "value", "gradient"), THINNED_BY_TORCH)
@pytest.mark.parametrize("source", ["analytic", "backprop"])
def test_gradient_of_the_thinned_network_as_in_torch(task, activation, value, gradient, source):
    estimator = {"regressor": MLPBackpropRegressor, "classifier": MLPBackpropClassifier}[task]
    model = estimator((2, 1), activation, alpha=0.1)
    J = model.objective(THINNED_X, THINNED_Y[task])
    theta, found = np.cos(4.0 * np.arange(J.x0.size)), np.empty(J.x0.size)
    bound = GRADIENTS[source]().bind(J._objective, np.float64)
    assert_allclose(bound(theta, J._batch._replace(masks=MASKS), found), value, rtol=1e-13)
    assert_allclose(found, gradient, rtol=1e-11, atol=1e-14)


@both_networks
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learning_rate": 0.05},
        {"dropout": [0.5, 0.0]},
        {"activation": ["selu", "logistic"]},
        {"direct_links": True},
    ],
    ids=str,
)
def test_formula_and_graph_fit_the_same(estimator, settings, csr):
    X, y = data(estimator)
    X = sparse.csr_matrix(X * (X > 0)) if csr else X
    one, other = (
        make(estimator, gradient=name, **settings).fit(X, y) for name in ("analytic", "backprop")
    )
    assert_allclose(one.parameters_, other.parameters_, rtol=1e-10, atol=1e-10)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-10)
    whole = make(estimator, **settings | {"dropout": 0.0}).fit(X, y)
    assert np.abs(one.parameters_ - whole.parameters_).max() > 1e-3


@both_networks
@pytest.mark.parametrize(
    "source",
    [Numeric(), Numeric(space="predictions"), Numeric(method="cs"), Numeric(method="richardson")],
    ids=str,
)
def test_measured_fits_are_nearly_the_same(estimator, source):
    """Both values of a difference see the same mask: else it would be noise over a tiny step."""
    X, y = data(estimator)
    X = np.round(X)  # alike moves are measured once
    settings = {"optimizer": "sgd", "max_iter": 2}
    formula = make(estimator, gradient="analytic", **settings).fit(X, y)
    measured = make(estimator, gradient=source, **settings).fit(X, y)
    assert_allclose(measured.parameters_, formula.parameters_, rtol=1e-6, atol=1e-7)


def test_random_directions_see_one_mask():
    """An estimate along directions that span all of space is the derivative by each of them."""
    objective, batch, theta = thinned(MLPBackpropRegressor, (0.3, 0.6))
    exact, total = np.empty_like(theta), np.zeros_like(theta)
    GRADIENTS["analytic"]().bind(objective, np.float64)(theta, batch, exact)
    bound = Numeric(method="smoothed", rel_step=1e-5, n_pairs=400).bind(objective, np.float64)
    estimate = np.empty_like(theta)
    for _ in range(20):
        bound(theta, batch, estimate)
        total += estimate / 20
    # ||error||^2 is (P + 1) / n of the square of the gradient (Nesterov & Spokoiny 2017).
    error = np.linalg.norm(total - exact) / np.linalg.norm(exact)
    assert error < 2 * np.sqrt((theta.size + 1) / 8000)


@both_networks
def test_a_function_as_loss(estimator):
    def squares(y, raw):
        return np.mean((y - raw) ** 2)

    X, y = data(estimator)
    one = make(estimator, loss=squares, gradient="backprop", batch_size="auto").fit(X, y)
    other = make(estimator, loss=squares, gradient="numeric", batch_size="auto").fit(X, y)
    assert_allclose(one.parameters_, other.parameters_, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------- what is learned


def test_mean_over_the_masks_is_the_marginal_objective():
    r"""Squared error, one hidden layer h, weights v: the masks add a ridge with known strength.

    E of 1/2 (v.(m h) + b - y)^2 is 1/2 (v.h + b - y)^2 + p/(1-p) / 2 * sum_k v_k^2 h_k^2, since the
    entries of m are independent with mean 1 and variance p/(1-p) (Srivastava et al., section 9.1).
    """
    X, y = data(MLPBackpropRegressor)
    J = MLPBackpropRegressor((7,), "tanh", alpha=0).objective(X, y)
    theta = J.x0 + np.random.default_rng(2).normal(size=J.x0.shape)
    (W, c), (v, b) = J._objective.model.layers(theta)
    h = np.tanh(X @ W + c)
    noise = 0.3 / 0.7 * 0.5 * np.mean((h**2) @ (v**2))
    expected = 0.5 * np.mean((h @ v[:, 0] + b - y) ** 2) + noise
    dropout = Dropout((0.3,), (7,), 0)
    values = [J._objective.value(theta, dropout.masked(J._batch, step)) for step in range(2000)]
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(2000)
    assert noise > 40 * np.std(values) / np.sqrt(2000)


@both_networks
def test_first_loss_is_that_of_the_thinned_network(estimator):
    """`loss_curve_` is J with the masks, at the parameters before the step."""
    X, y = data(estimator)
    settings = {"learning_rate": 0.1, "batch_size": None, "max_iter": 1, "penalty": None}
    model = make(estimator, **settings).fit(X, y)
    start = make(estimator, **settings).initialize(X, y)
    objective = start.objective(X, y)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    masks = Dropout((0.4, 0.4), (7, 5), seed).masked(objective._batch, 0).masks
    a = X
    for W, b, mask in zip(start.coefs_, start.intercepts_, masks, strict=False):
        a = np.tanh(a @ W + b) * mask
    raw = a @ start.coefs_[-1] + start.intercepts_[-1]
    if estimator is MLPBackpropClassifier:
        p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        expected = -np.log(p[np.arange(60), y]).mean()
    else:
        expected = 0.5 * np.mean((raw[:, 0] - y) ** 2)
    assert_allclose(model.loss_curve_[0], expected, rtol=1e-12)
    assert abs(model.loss_curve_[0] - objective(start.parameters_)[0]) > 1e-6


@both_networks
def test_all_but_the_steps_take_the_whole_network(estimator):
    X, y = data(estimator)
    model = make(estimator, early_stopping=True, max_iter=3, penalty=None).fit(X, y)
    without = make(estimator, dropout=0.0, max_iter=3, penalty=None)
    without.initialize(X, y, parameters=model.parameters_)
    assert_array_equal(model.predict(X), without.predict(X))
    value, gradient = model.loss_and_gradient(X, y)
    expected, slope = without.loss_and_gradient(X, y)
    assert value == expected
    assert_array_equal(gradient, slope)
    assert model.objective(X, y).value(model.parameters_) == expected
    # The best epoch's validation loss belongs to the parameters that were kept.
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    strata = y if estimator is MLPBackpropClassifier else None
    held = train_test_split(np.arange(60), test_size=0.1, random_state=seed, stratify=strata)[1]
    if estimator is MLPBackpropClassifier:
        found = -np.log(model.predict_proba(X[held])[np.arange(len(held)), y[held]]).mean()
    else:
        found = 0.5 * np.mean((model.predict(X[held]) - y[held]) ** 2)
    assert_allclose(min(model.validation_loss_curve_), found, rtol=1e-10)


@both_networks
def test_it_learns_and_the_weights_are_right_without_correction(estimator):
    X, y = data(estimator, n=600)
    model = make(estimator, hidden_layer_sizes=(60,), dropout=0.5, max_iter=150, batch_size=100)
    assert model.fit(X, y).score(X, y) > 0.85  # linear regression has an R^2 of .98


# -------------------------------------------------------------------------- going on, other parts


@both_networks
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_passes_are_one_training(estimator, optimizer):
    X, y = data(estimator)
    settings = {"learning_rate": 0.05, "optimizer": optimizer}
    whole = make(estimator, **settings).fit(X, y)
    again = make(estimator, **settings).fit(X, y)
    assert_array_equal(whole.parameters_, again.parameters_)
    classes = {"classes": np.unique(y)} if estimator is MLPBackpropClassifier else {}
    passes = make(estimator, **settings).partial_fit(X, y, **classes)
    for _ in range(3):
        passes = pickle.loads(pickle.dumps(passes)).partial_fit(X, y)
    assert_array_equal(passes.parameters_, whole.parameters_)


@both_networks
def test_no_rate_is_no_dropout(estimator):
    X, y = data(estimator)
    without = make(estimator, dropout=0.0).fit(X, y)
    for none in (0, [0.0, 0], (0, 0.0)):
        assert_array_equal(make(estimator, dropout=none).fit(X, y).parameters_, without.parameters_)
    linear = [make(estimator, hidden_layer_sizes=(), dropout=p).fit(X, y) for p in (0.5, 0)]
    assert_array_equal(linear[0].parameters_, linear[1].parameters_)


@both_networks
def test_other_settings_go_with_it(estimator):
    X, y = data(estimator)
    for settings in (
        {"penalty": "l1", "average": True},
        {"batch_size": 0.3, "shuffle": False},
        {"batch_size": 7, "optimizer": "lion", "clip_norm": 1.0},
    ):
        model = make(estimator, **settings).fit(X, y)
        assert np.isfinite(model.parameters_).all()
    model = make(estimator).fit(X.astype(np.float32), y)
    assert model.parameters_.dtype == np.float32
    weighted, plain = (make(estimator).fit(X, y, weight) for weight in (np.full(60, 3.0), None))
    assert_allclose(weighted.parameters_, plain.parameters_, rtol=1e-9, atol=1e-12)


@both_networks
def test_steps_are_taken_by_numpy(estimator):
    pytest.importorskip("numba")
    X, y = data(estimator)
    with config_context(engine="numba"):
        model = make(estimator).fit(X, y)
    assert model.engine_ == "numpy"
    assert_array_equal(model.parameters_, make(estimator).fit(X, y).parameters_)


@both_networks
@pytest.mark.parametrize("optimizer", ["lbfgs", "rprop"])
def test_not_where_one_function_is_needed(estimator, optimizer):
    X, y = data(estimator)
    settings = {"optimizer": optimizer, "batch_size": None, "max_iter": 50}
    with pytest.raises(ValueError, match=r"dropout=0\.4"):
        make(estimator, **settings).fit(X, y)
    make(estimator, dropout=0.0, **settings).fit(X, y)
