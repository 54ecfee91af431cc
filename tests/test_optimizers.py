"""Every row of OPTIMIZERS goes through the generic tests; a new row needs no test of its own."""

import doctest
import math
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, rosen, rosen_der
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from skgd.optimizers import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    resolve_optimizer,
)

RULES = [name for name, row in OPTIMIZERS.items() if issubclass(row, Optimizer)]
SOLVERS = [name for name in OPTIMIZERS if name not in RULES]

every_row = pytest.mark.parametrize("name", OPTIMIZERS)
every_rule = pytest.mark.parametrize("name", RULES)


def gradients(n_steps, size=7, seed=0):
    scale = np.logspace(-2, 1, size)
    return scale * np.random.default_rng(seed).normal(size=(n_steps, size))


def walk(optimizer, grads, learning_rate=0.05, dtype=np.float64, state=None, theta=None, **options):
    """Follow a fixed sequence of gradients; return theta and the state."""
    if theta is None:
        theta = np.linspace(-1, 1, grads.shape[1]).astype(dtype)
    if state is None:
        state = optimizer.init(theta)
    for grad in grads.astype(dtype):
        optimizer.update(theta, grad, state, learning_rate, **options)
    return theta, state


def descend(optimizer, gradient, x0, learning_rate, n_steps):
    """Follow a function's own gradient; return all points."""
    x = np.array(x0, dtype=float)
    state, path = optimizer.init(x), [x.copy()]
    for _ in range(n_steps):
        optimizer.update(x, gradient(x), state, learning_rate)
        path.append(x.copy())
    return np.array(path)


def numeric_settings(component):
    return [
        key
        for key, value in component.get_params().items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]


# ---------------------------------------------------------------- what holds for all components


@every_row
def test_documentation_has_reference_and_numbers(name):
    row = OPTIMIZERS[name]
    for section in ("Notes", "References", "Examples"):
        assert re.search(rf"\n    {section}\n    -+\n", row.__doc__), f"{row.__name__}: {section}"
    examples = doctest.DocTestParser().get_examples(row.__doc__)
    numbers = re.findall(r"-?\d+\.\d*", "".join(example.want for example in examples))
    assert len(numbers) >= 3, f"{row.__name__}: the example prints theta after three steps"


@every_row
def test_clones_pickles_and_prints(name):
    row = OPTIMIZERS[name]
    component = row()
    component.check()
    settings = numeric_settings(component)
    assert repr(component) == f"{row.__name__}()"
    if settings:
        value = component.get_params()[settings[0]] * 0.5
        component.set_params(**{settings[0]: value})
        assert repr(component) == f"{row.__name__}({settings[0]}={value!r})"
    for copy in (clone(component), pickle.loads(pickle.dumps(component))):
        assert type(copy) is row
        assert copy.get_params() == component.get_params()


@every_row
def test_bad_setting_is_named(name):
    row = OPTIMIZERS[name]
    for key in numeric_settings(row()):
        for bad in (-1, math.nan, math.inf):
            with pytest.raises((ValueError, TypeError) if bad != -1 else ValueError, match=key):
                row(**{key: bad}).check()
        with pytest.raises(TypeError, match=key):
            row(**{key: "large"}).check()
        with pytest.raises(TypeError, match=key):
            row(**{key: True}).check()


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (Adam(beta_1=1.0), "beta_1"),
        (Adam(epsilon=0), "epsilon"),
        (Momentum(momentum=1), "momentum"),
        (Rprop(eta_minus=1.0), "eta_minus"),
        (Rprop(eta_plus=1.0), "eta_plus"),
        (Rprop(step_min=2, step_max=1), "step_max"),
        (LBFGS(memory=0), "memory"),
    ],
)
def test_bad_setting_examples(optimizer, named):
    with pytest.raises(ValueError, match=named):
        optimizer.check()
    with pytest.raises(ValueError, match=named):
        resolve_optimizer(optimizer)


def test_bad_flag_is_named():
    with pytest.raises(TypeError, match="centered"):
        RMSprop(centered="yes").check()


def test_resolve():
    assert isinstance(resolve_optimizer("lbfgs"), LBFGS)
    solver, rule = LBFGS(memory=3), Adam(beta_1=0.5)
    assert resolve_optimizer(solver) is solver
    assert resolve_optimizer(rule) is rule
    with pytest.raises(ValueError, match=r"optimizer='adm' .* Did you mean 'adam'"):
        resolve_optimizer("adm")
    for row in (Adam, LBFGS):
        with pytest.raises(TypeError, match=rf"give an object: {row.__name__}\(\)"):
            resolve_optimizer(row)
    with pytest.raises(TypeError, match="optimizer"):
        resolve_optimizer(0.1)


# ---------------------------------------------------------------- what holds for all rules


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keeps_dtype_and_gradient(name, dtype):
    grads = gradients(4).astype(dtype)
    before = grads.copy()
    theta, state = walk(OPTIMIZERS[name](), grads, dtype=dtype)
    assert theta.dtype == dtype
    assert np.isfinite(theta).all()
    assert_array_equal(grads, before)
    assert state["t"] == 4
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            assert value.dtype == dtype, key
        else:
            assert type(value) in (int, float), key


@every_rule
def test_float32_is_close_to_float64(name):
    # The first gradients decide: after many steps, rounding may turn a sign.
    grads = gradients(5).astype(np.float32).astype(np.float64)
    single, _ = walk(OPTIMIZERS[name](), grads, dtype=np.float32)
    double, _ = walk(OPTIMIZERS[name](), grads)
    assert_allclose(single, double, rtol=1e-4, atol=1e-5)


@every_rule
def test_numpy_scalars_as_settings_change_nothing(name):
    # A random search hands in np.float64, which float32 arrays must not be promoted by.
    optimizer = OPTIMIZERS[name]()
    searched = clone(optimizer).set_params(
        **{key: np.float64(getattr(optimizer, key)) for key in numeric_settings(optimizer)}
    )
    grads = gradients(8)
    expected, _ = walk(optimizer, grads, dtype=np.float32)
    theta, state = walk(searched, grads, np.float64(0.05), dtype=np.float32)
    assert_array_equal(theta, expected)
    assert all(v.dtype == np.float32 for v in state.values() if isinstance(v, np.ndarray))


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resumes_to_the_last_bit(name, dtype):
    grads = gradients(20)
    straight, _ = walk(OPTIMIZERS[name](), grads, dtype=dtype)
    optimizer = OPTIMIZERS[name]()
    theta, state = walk(optimizer, grads[:9], dtype=dtype)
    state.pop("scratch", None)  # No memory: may be removed at any time.
    optimizer, theta, state = pickle.loads(pickle.dumps((optimizer, theta, state)))
    theta, _ = walk(optimizer, grads[9:], dtype=dtype, theta=theta, state=state)
    assert_array_equal(theta, straight)


@every_rule
def test_optimizer_holds_no_state(name):
    optimizer = OPTIMIZERS[name]()
    before = dict(vars(optimizer))
    first, _ = walk(optimizer, gradients(5))
    second, _ = walk(optimizer, gradients(5))
    assert vars(optimizer) == before
    assert_array_equal(first, second)


@every_rule
def test_coordinates_do_not_mix(name):
    grads = gradients(12)
    whole, _ = walk(OPTIMIZERS[name](), grads)
    start = np.linspace(-1, 1, grads.shape[1])
    for j in range(grads.shape[1]):
        one, _ = walk(OPTIMIZERS[name](), grads[:, [j]], theta=start[[j]])
        assert_allclose(one, whole[j], rtol=1e-13)


@every_rule
def test_descends_a_quadratic(name):
    curvature = np.array([0.1, 1.0, 10.0])
    path = descend(OPTIMIZERS[name](), lambda x: curvature * x, [1.0, -1.0, 1.0], 0.01, 300)
    value = 0.5 * (path**2 @ curvature)
    assert value[-1] < value[0]
    assert np.isfinite(path).all()


@every_rule
def test_zero_gradient_stays_put(name):
    optimizer = OPTIMIZERS[name]()
    if "weight_decay" in optimizer.get_params():
        optimizer.set_params(weight_decay=0.0)
    theta, _ = walk(optimizer, np.zeros((3, 4)), dtype=np.float32)
    assert_array_equal(theta, np.linspace(-1, 1, 4, dtype=np.float32))


@every_rule
def test_scale_free_means_what_it_says(name):
    optimizer = OPTIMIZERS[name]()
    grads = np.random.default_rng(1).uniform(0.5, 1.5, size=(40, 5))
    lengths = []
    for scale in (1.0, 1000.0):
        before, state = walk(optimizer, scale * grads[:-1])
        after, _ = walk(optimizer, scale * grads[-1:], theta=before.copy(), state=state)
        lengths.append(np.abs(after - before).max())
    assert (lengths[1] < 10 * lengths[0]) == optimizer.scale_free


@every_rule
def test_momentum_of_a_schedule_replaces_the_own(name):
    row = OPTIMIZERS[name]
    settings = row().get_params()
    own = next((key for key in ("momentum", "beta_1") if key in settings), None)
    grads = gradients(6)
    if own is None:
        expected, _ = walk(row(), grads)
        theta, _ = walk(row(), grads, momentum=0.5)
    else:
        expected, _ = walk(row(**{own: 0.5}), grads)
        theta, _ = walk(row(**{own: 0.7}), grads, momentum=0.5)
    assert_array_equal(theta, expected)


@every_rule
def test_decay_leaves_out_what_the_mask_leaves_out(name):
    row = OPTIMIZERS[name]
    decays = "weight_decay" in row().get_params()
    optimizer = row(weight_decay=0.5) if decays else row()
    mask = np.array([True, False, True])
    start = np.array([1.0, -2.0, 3.0])
    theta, _ = walk(optimizer, np.zeros((1, 3)), 0.1, theta=start.copy(), decay_mask=mask)
    assert_allclose(theta, np.where(mask & decays, 0.95 * start, start), rtol=1e-15)
    everywhere, _ = walk(optimizer, np.zeros((1, 3)), 0.1, theta=start.copy())
    assert_allclose(everywhere, (0.95 if decays else 1.0) * start, rtol=1e-15)


@every_rule
def test_later_steps_allocate_nothing_large(name):
    theta, grad = np.ones(100_000), np.ones(100_000)
    optimizer = OPTIMIZERS[name]()
    state = optimizer.init(theta)
    optimizer.update(theta, grad, state, 0.01)
    tracemalloc.start()
    try:
        optimizer.update(theta, grad, state, 0.01)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < theta.nbytes / 2


# ---------------------------------------------------------------- numbers from elsewhere

# x after steps 1, 2, 3, 10 and 20 on f = x^2 / 2 from x = 1 with rate 0.1 (Adadelta: 1).
# All but Lion from torch 2.13 in float64.
REFERENCE = [
    (SGD(), [0.9, 0.81, 0.729, 0.3486784401, 0.121576654591]),
    (Momentum(), [0.9, 0.72, 0.486, -0.5887893888, 0.344667448627]),
    (Nesterov(), [0.81, 0.5751, 0.327321, -0.346578171646, 0.119972239695]),
    (Adagrad(), [0.90000000001, 0.833103526852, 0.780456181366, 0.553731200378, 0.376576014261]),
    (Adadelta(), [0.996837738151, 0.993598198408, 0.990309082801, 0.96659718637, 0.931842072028]),
    (
        RMSprop(),
        [9.99999903994e-08, -5.03771376547e-10, 5.0885483631e-12, -8.304767e-23, -4.124588e-34],
    ),
    (Adam(), [0.900000001, 0.800412229712, 0.701586274504, 0.0762491606198, -0.271154094087]),
    (AMSGrad(), [0.900000001, 0.800412229712, 0.701586274504, 0.0762491606198, -0.271127290701]),
    (AdamW(), [0.899000001, 0.798519028189, 0.698911184716, 0.0716955020746, -0.269167505509]),
    (
        NAdam(),
        [0.894354823221, 0.819973071532, 0.752729267616, 0.323364022561, -0.0292807727043],
    ),
    (RAdam(), [0.9, 0.805263157895, 0.715770052437, 0.534747594718, 0.472004049985]),
    (Adamax(), [0.900000001, 0.805168328117, 0.715499474737, 0.22879221315, -0.0932831450091]),
    (Rprop(), [0.9, 0.78, 0.636, 0.03686784, 0.0028276224]),
]


@pytest.mark.parametrize(("optimizer", "expected"), REFERENCE, ids=str)
def test_parabola(optimizer, expected):
    rate = 1.0 if isinstance(optimizer, Adadelta) else 0.1
    path = descend(optimizer, lambda x: x.copy(), [1.0], rate, 20)[:, 0]
    assert_allclose(path[[1, 2, 3, 10, 20]], expected, rtol=1e-9, atol=1e-16)


def test_parabola_lion():
    path = descend(Lion(), lambda x: x.copy(), [1.0], 0.1, 20)[:, 0]
    # Ten times 0.1 is one, up to rounding.
    assert_allclose(path[[1, 2, 3, 10, 20]], [0.9, 0.8, 0.7, 0, -0.2], rtol=1e-9, atol=1e-15)


# x after 8 steps of
#     x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
#     for t in range(1, 9):
#         x.grad = torch.cos(t * torch.tensor([1, 2, 3])) * torch.tensor([0.01, 1, 10])  # float64
#         optimizer.step()
# with torch.optim's class of that name and the same settings at lr=0.1, in torch 2.13
# (SGD(momentum=0.8, nesterov=False or True) for the first two, Adam(amsgrad=True) for AMSGrad).
FROM_TORCH = [
    (Momentum(momentum=0.8), [1.000854037111, -1.760928813397, 2.543331467154]),
    (Nesterov(momentum=0.8), [1.000350475645, -1.701617047015, 2.454685144327]),
    (
        Adagrad(epsilon=1e-3, initial_accumulator_value=0.1),
        [0.9989553092473, -1.859897322394, 0.5526162257661],
    ),
    (Adadelta(rho=0.95, epsilon=1e-4), [0.9996689161384, -1.989950588826, 0.5012542333398]),
    (RMSprop(rho=0.9, epsilon=1e-3), [0.9553320564536, -1.458823454428, 0.6572932526751]),
    (RMSprop(momentum=0.9), [1.376009819584, 5.868250291802, 4.021189296298]),
    (RMSprop(centered=True), [0.8082020186045, -0.320903685989, 1.030364781205]),
    (RMSprop(momentum=0.5, centered=True), [0.8536853830175, 0.9539582546439, 1.673815007772]),
    (
        Adam(beta_1=0.8, beta_2=0.95, epsilon=1e-3),
        [1.001686495159, -1.764557472146, 0.6376241236356],
    ),
    (AMSGrad(beta_1=0.8, beta_2=0.5), [0.9835358137992, -1.774073765015, 0.6376918690028]),
    (AdamW(weight_decay=0.3), [0.7975126350559, -1.352562746822, 0.5239729169842]),
    (NAdam(beta_1=0.8, momentum_decay=0.1), [0.9587264131387, -1.77754460514, 0.5671397459045]),
    (RAdam(beta_1=0.8, beta_2=0.95), [0.9842646968852, -1.881745505765, 1.813214988263]),
    (Adamax(beta_1=0.8, beta_2=0.9), [0.96985927007, -1.788871284257, 0.6426111377862]),
    (Rprop(eta_minus=0.4, eta_plus=1.3, step_min=0.05, step_max=0.2), [0.9, -1.7004, 0.75]),
]

WAVES = np.cos(np.outer(np.arange(1, 9), [1, 2, 3])) * np.array([0.01, 1, 10])
START = np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize(("optimizer", "expected"), FROM_TORCH, ids=str)
def test_settings(optimizer, expected):
    theta, _ = walk(optimizer, WAVES, 0.1, theta=START.copy())
    assert_allclose(theta, expected, rtol=1e-10)


def test_adamw_with_intercept():
    # The same, with the third coordinate in a parameter group of weight_decay 0.
    mask = np.array([True, True, False])
    theta, _ = walk(AdamW(weight_decay=0.3), WAVES, 0.1, theta=START.copy(), decay_mask=mask)
    assert_allclose(theta, [0.7975126350559, -1.352562746822, 0.6569606518399], rtol=1e-10)


def test_adam_with_a_momentum_that_changes():
    # The same, with param_groups[0]["betas"] = (0.95 - 0.02 * t, 0.999) before step t.
    theta, optimizer = START.copy(), Adam()
    state = optimizer.init(theta)
    for t, grad in enumerate(WAVES, start=1):
        optimizer.update(theta, grad, state, 0.1, momentum=0.95 - 0.02 * t)
    assert_allclose(theta, [0.9778731882844, -1.789691705928, 0.6169801006955], rtol=1e-10)


def test_lion_with_decay():
    # No Lion in torch: the rule of the paper, one number at a time.
    expected = START.tolist()
    for j, x in enumerate(expected):
        m = 0.0
        for grad in WAVES[:, j]:
            x -= 0.1 * (math.copysign(1, 0.9 * m + 0.1 * grad) + 0.3 * x)
            m = 0.99 * m + 0.01 * grad
        expected[j] = x
    theta, _ = walk(Lion(weight_decay=0.3), WAVES, 0.1, theta=START.copy())
    assert_allclose(theta, expected, rtol=1e-12)


def test_centered_survives_a_constant_gradient():
    # v - m^2 tends to zero there, and rounding takes it below.
    theta, _ = walk(RMSprop(rho=0.5, centered=True), np.full((200, 3), [1e3, 0.1, 3e-7]), 1e-3)
    assert np.isfinite(theta).all()


def test_radam_without_rectification():
    # With so short a memory v is never known well enough: momentum, corrected for its bias.
    theta, _ = walk(RAdam(beta_1=0.0, beta_2=0.5), WAVES, 0.1, theta=START.copy())
    assert_allclose(theta, START - 0.1 * WAVES.sum(axis=0), rtol=1e-12)


def test_rprop_rests_after_a_turn_and_has_no_rate_after_the_first_step():
    optimizer = Rprop()
    grads = np.array([[1.0], [2.0], [-1.0], [-1.0], [0.0]])
    theta, state = np.zeros(1), optimizer.init(np.zeros(1))
    steps = []
    for grad, rate in zip(grads, [0.1, 7.0, 7.0, 7.0, 7.0], strict=True):
        before = theta[0]
        optimizer.update(theta, grad, state, rate)
        steps.append(theta[0] - before)
    assert_allclose(steps, [-0.1, -0.12, 0.0, 0.06, 0.0], atol=1e-15)


@pytest.mark.parametrize(
    ("optimizer", "rate", "first", "n_steps", "value", "rtol"),
    [
        (SGD(), 1e-3, (-0.9844, 1.088), 10_000, 5.85276e-05, 1e-5),
        (Momentum(), 2e-4, None, 10_000, 1.6046e-08, 1e-4),
        (Adam(), 1e-2, (-1.19, 1.01), 1_000, 1.25497, 1e-5),
    ],
    ids=str,
)
def test_rosenbrock(optimizer, rate, first, n_steps, value, rtol):
    assert_allclose(rosen_der(np.array([-1.2, 1.0])), [-215.6, -88.0])
    path = descend(optimizer, rosen_der, [-1.2, 1.0], rate, n_steps)
    if first is not None:
        assert_allclose(path[1], first, rtol=1e-6)
    assert_allclose(rosen(path[-1]), value, rtol=rtol)


def test_rosenbrock_adam_arrives():
    path = descend(Adam(), rosen_der, [-1.2, 1.0], 1e-2, 10_000)
    assert rosen(path[-1]) < 1e-13


@pytest.mark.slow
def test_amsgrad_counterexample():
    # One step in 101 says what is right, and loudly; Adam's average forgets it (Reddi et al. 2018).
    def play(optimizer):
        x = np.zeros(1)
        state = optimizer.init(x)
        rare, common = np.array([1010.0]), np.array([-10.0])
        for t in range(1, 300_001):
            optimizer.update(x, rare if t % 101 == 1 else common, state, 0.01)
            np.clip(x, -1, 1, out=x)
        return x[0]

    assert_allclose(play(Adam(beta_2=0.99)), 0.9454, atol=1e-3)
    assert_allclose(play(AMSGrad(beta_2=0.99)), -0.9982, atol=1e-3)


# ---------------------------------------------------------------- solvers


def rosenbrock(x):
    return rosen(x), rosen_der(x)


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_finds_the_minimum(name):
    x0 = np.array([-1.2, 1.0, 0.5], dtype=np.float32)
    before = x0.copy()
    result = OPTIMIZERS[name]().solve(rosenbrock, x0, max_iter=500, tol=1e-8)
    assert result.success
    assert result.x.dtype == np.float64
    assert_allclose(result.x, np.ones(3), rtol=1e-6)
    assert_array_equal(x0, before)


def test_lbfgs_is_scipys():
    x0 = np.array([-1.2, 1.0, 0.5])
    result = LBFGS(memory=5).solve(rosenbrock, x0, max_iter=200, tol=1e-6)
    expected = minimize(
        rosenbrock,
        x0,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": 5,
            "gtol": 1e-6,
            "ftol": 64 * np.finfo(float).eps,
            "maxls": 50,
        },
    )
    assert_array_equal(result.x, expected.x)
    assert_array_equal(result.jac, expected.jac)
    assert (result.fun, result.nit, result.nfev, result.status, result.message) == (
        expected.fun,
        expected.nit,
        expected.nfev,
        expected.status,
        expected.message,
    )


def test_lbfgs_stops_at_max_iter():
    result = LBFGS().solve(rosenbrock, np.array([-1.2, 1.0]), max_iter=3, tol=1e-8)
    assert result.nit == 3
    assert not result.success


@pytest.mark.parametrize("l1", [None, np.array([0.3, 0.0])])
def test_lbfgs_without_tolerance_goes_to_the_end(l1):
    result = LBFGS().solve(rosenbrock, np.array([-1.2, 1.0]), max_iter=1000, tol=None, l1=l1)
    assert result.success
    assert np.abs(result.jac).max() < 1e-5


@pytest.fixture
def lasso_problem():
    X, y = load_diabetes(return_X_y=True)
    n, p = X.shape

    def fun(theta):  # The weights, then an intercept that is not penalised.
        r = X @ theta[:p] + theta[p] - y
        return 0.5 * r @ r / n, np.append(X.T @ r, r.sum()) / n

    return X, y, fun


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("start", [0.0, 50.0])
def test_lbfgs_with_l1_is_the_lasso(lasso_problem, alpha, start):
    X, y, fun = lasso_problem
    p = X.shape[1]
    l1 = np.append(np.full(p, alpha), 0.0)
    seen = []
    result = LBFGS().solve(
        fun,
        np.linspace(-start, start, p + 1),
        max_iter=5000,
        tol=1e-9,
        l1=l1,
        callback=lambda x, value: seen.append((x, value)),
    )
    lasso = Lasso(alpha=alpha, tol=1e-12, max_iter=100_000).fit(X, y)
    assert_allclose(result.x[:p], lasso.coef_, rtol=1e-4, atol=1e-3)
    assert_allclose(result.x[p], lasso.intercept_, rtol=1e-6)
    assert_array_equal(result.x[:p] == 0, lasso.coef_ == 0)
    assert_allclose(result.fun, fun(result.x)[0] + alpha * np.abs(result.x[:p]).sum(), rtol=1e-12)
    assert np.abs(result.jac).max() < 1e-5
    assert len(seen) == result.nit
    for x, value in seen[:: max(1, len(seen) // 5)]:
        assert_allclose(value, fun(x)[0] + alpha * np.abs(x[:p]).sum(), rtol=1e-12)
    assert_array_equal(seen[-1][0], result.x)


@pytest.mark.parametrize("l1", [None, np.array([0.1, 0.1])])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_exceptions_pass_through_the_solver(l1, error):
    def callback(x, value):
        raise error

    def fun(x):
        if fun.calls == 3:
            raise error
        fun.calls += 1
        return rosenbrock(x)

    fun.calls = 0
    x0 = np.array([-1.2, 1.0])
    with pytest.raises(error):
        LBFGS().solve(rosenbrock, x0, max_iter=10, tol=1e-8, l1=l1, callback=callback)
    with pytest.raises(error):
        LBFGS().solve(fun, x0, max_iter=10, tol=1e-8, l1=l1)


def test_stop_iteration_ends_the_solver():
    values = []

    def callback(x, value):
        values.append(value)
        if len(values) == 4:
            raise StopIteration

    result = LBFGS().solve(
        rosenbrock, np.array([-1.2, 1.0]), max_iter=100, tol=1e-8, callback=callback
    )
    assert result.nit == 4
    assert result.fun == values[-1]
