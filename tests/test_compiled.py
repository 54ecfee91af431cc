"""The compiled engine against the NumPy engine, NumPy and SciPy.

The rows are drawn from the tables (LOSSES, ACTIVATIONS, OPTIMIZERS, SCHEDULES), so that a new row
is tested without a change here, and fails where it has no kernel. Which engine is chosen, threads
and the cache are in test_engine.py.
"""

import ctypes
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy import special as scipy_special
from sklearn.base import clone

from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    config_context,
)
from skgd.activations import ACTIVATIONS
from skgd.averaging import EMA, Polynomial
from skgd.exceptions import DivergenceWarning
from skgd.losses import LOSSES, Focal, Huber, LogLoss, losses_for
from skgd.optimizers import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adagrad,
    AdamW,
    Lion,
    Momentum,
    NAdam,
    RAdam,
    RMSprop,
)
from skgd.penalties import PENALTIES
from skgd.schedules import SCHEDULES

numba = pytest.importorskip("numba")

from skgd.compiled import activations, compiler, losses, numbers, optimizers, training  # noqa: E402

ENGINES = ("numpy", "numba")
RULES = {name: row for name, row in OPTIMIZERS.items() if row is not LBFGS}
DTYPES = [np.float64, np.float32]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
LINEAR = {"regression": GDRegressor, "classification": GDClassifier}
NETWORK = {"regression": MLPBackpropRegressor, "classification": MLPBackpropClassifier}
SHORT = {"max_iter": 4, "tol": None, "random_state": 0, "batch_size": 8}
RANDOM = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# ------------------------------------------------------------------------- problems, comparisons


def problem(task="regression", n_outputs=1, n=45, p=4, dtype=np.float64, csr=False, seed=0):
    """Rows whose columns differ in scale; positive targets, which suit every regression loss."""
    rng = np.random.default_rng([seed, n, n_outputs])
    X = rng.normal(size=(n, p)) * np.logspace(-0.5, 0.5, p) + 0.3
    if csr:
        X *= rng.random(X.shape) < 0.5
        X[n // 2] = X[-1] = 0.0  # rows without an entry
        X = sparse.csr_matrix(X)
    if task == "classification":
        n_classes = max(2, n_outputs)
        # Of unequal size: else some gradients are zero but for rounding, whose sign some rules use.
        y = rng.permutation(np.minimum(np.arange(n) ** 2 // n, np.arange(n)) % n_classes)
        y[:n_classes] = np.arange(n_classes)
    else:
        y = np.exp(0.7 * rng.normal(size=(n, n_outputs)))
        y = y[:, 0] if n_outputs == 1 else y
    return X.astype(dtype), y


@contextmanager
def changed(**numbers_of_training):
    """Other sizes of blocks and parts, and buffers whose old content would be seen."""
    make_space = training._space

    def poisoned(*arguments):
        space = make_space(*arguments)
        for name, array in space._asdict().items():
            if name not in ("no_intercepts", "block"):
                array.fill(np.nan)
        return space

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_space", poisoned)
        for name, value in numbers_of_training.items():
            patch.setattr(training, name, value)
        yield


def many_parts(n_threads=1, stretch=0.2):
    """Eight parts, of blocks of three rows, for problems of any size."""
    return changed(
        _PART=1e-12,
        _LARGEST_BLOCK=3,
        _LEAST_BLOCK=1,
        _STRETCH=stretch,
        allowed_threads=lambda: n_threads,
    )


def run(engine, make, *learn):
    """Fit by one engine; `learn` are functions of the model. Returns it and its warnings."""
    model = make()
    with config_context(engine=engine), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in learn:
            step(model)
    assert model.engine_ == engine
    return model, [warning.category for warning in caught]


def fits(X, y, **options):
    return lambda model: model.fit(X, y, **options)


def assert_same_course(one, two, rtol):
    """Both went the same way: the same counts, rates, reasons and losses."""
    for name in ("n_iter_", "t_", "stop_reason_", "batch_size_", "n_gradient_evaluations_",
                 "n_loss_evaluations_", "learning_rate_"):  # fmt: skip
        assert getattr(one, name) == getattr(two, name), name
    assert_allclose(two.loss_curve_, one.loss_curve_, rtol=rtol)
    assert_allclose(two.best_loss_, one.best_loss_, rtol=rtol)
    assert one.history_.keys() == two.history_.keys()
    for name in one.history_.keys() - {"seconds"}:
        values = one.history_[name]
        assert_allclose(two.history_[name], values, rtol=rtol, atol=rtol)
    assert_allclose(two.history_["learning_rate"], one.history_["learning_rate"], rtol=1e-14)


def assert_same_parameters(one, two, rtol):
    theta, other = one.parameters_, two.parameters_
    assert other.dtype == theta.dtype
    assert np.isfinite(theta).all() and np.isfinite(other).all()
    scale = np.linalg.norm(theta.astype(np.float64))
    assert np.linalg.norm(other.astype(np.float64) - theta) <= rtol * max(scale, 1e-3)
    assert_array_equal(other == 0, theta == 0)  # those of L1 are exact


def assert_alike(make, *learn, rtol=1e-10):
    """Train by both engines and compare all that a fit leaves; returns both models."""
    (one, warned), (two, also_warned) = (run(engine, make, *learn) for engine in ENGINES)
    assert also_warned == warned
    assert_same_parameters(one, two, rtol)
    assert_same_course(one, two, rtol)
    return one, two


def moved(model, X, y):
    """How far the training went from its start: two engines that rest would agree, too."""
    start = clone(model).initialize(X, y).parameters_
    return np.linalg.norm(model.parameters_ - start)


def short(optimizer="nesterov", **options):
    """Settings of a short training, of batches unless the rule takes none."""
    row = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else type(optimizer)
    whole = {"batch_size": None, "schedule": "constant"} if row.full_batch_only else {}
    return SHORT | {"optimizer": optimizer} | options | whole


def numeric_settings(row):
    given = row().get_params().items()
    return {key: value for key, value in given if type(value) in (int, float)}


def variants(table):
    """Each row as it is, and with all of its numbers changed."""
    rows = []
    for row in table.values():
        rows.append(row())
        numbers_ = {key: 0.6 * value for key, value in numeric_settings(row).items() if value}
        if "eta_plus" in numbers_:  # rprop: it must be above 1
            numbers_ |= {"eta_plus": 1.1, "step_max": 0.5, "step_min": 1e-3}
        if numbers_:
            rows.append(row(**numbers_))
    return rows


def test_every_row_has_a_kernel():
    assert losses.LOSS_KERNELS.keys() == LOSSES.keys()
    assert activations.ACTIVATION_KERNELS.keys() == ACTIVATIONS.keys()
    assert optimizers.OPTIMIZER_KERNELS.keys() == RULES.keys()


@both_dtypes
@pytest.mark.parametrize("n_classes", [2, 3])
def test_label_smoothing(n_classes, dtype):
    X, y = problem("classification", n_classes, dtype=dtype)
    for estimator in (GDClassifier, MLPBackpropClassifier):
        make = lambda cls=estimator: cls(loss=LogLoss(label_smoothing=0.3), **SHORT)  # noqa: E731
        assert_alike(make, fits(X, y), rtol=1e-10 if dtype == np.float64 else 1e-4)


def test_every_setting_of_a_loss_reaches_its_kernel():
    for name, row in LOSSES.items():
        assert set(losses.LOSS_KERNELS[name][1]) == set(numeric_settings(row)), name


# ------------------------------------------------------------------------------ every row, fitted


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
@pytest.mark.parametrize("loss", variants(LOSSES), ids=repr)
def test_losses(loss, n_outputs):
    X, y = problem(loss.task, n_outputs)
    assert_alike(lambda: LINEAR[loss.task](loss, **SHORT), fits(X, y))
    network = NETWORK[loss.task]((5,), "tanh", loss=loss, **SHORT)
    one, _ = assert_alike(lambda: network, fits(X, y))
    assert moved(one, X, y) > 1e-3


@pytest.mark.parametrize("sizes", [(6,), (5, 3)])
@pytest.mark.parametrize("task", NETWORK)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, task, sizes):
    X, y = problem(task, n_outputs=3)
    one, _ = assert_alike(lambda: NETWORK[task](sizes, name, **SHORT), fits(X, y))
    assert moved(one, X, y) > 1e-3


def test_activations_differ_between_layers():
    X, y = problem()
    assert_alike(lambda: MLPBackpropRegressor((4, 5, 3), ["mish", "relu", "elu"], **SHORT),
                 fits(X, y))  # fmt: skip


SPECIAL_RULES = [
    RMSprop(centered=True, momentum=0.9),
    RMSprop(centered=True),
    RMSprop(momentum=0.9),
    AdamW(weight_decay=0.5),
    Lion(weight_decay=0.5),
    Adagrad(initial_accumulator_value=0.5),
    NAdam(beta_2=0.99, momentum_decay=0.1),
    RAdam(beta_2=0.7),  # rectified from the first steps on
]


@pytest.mark.parametrize("rate", ["auto", 0.01])
@pytest.mark.parametrize("optimizer", [*variants(RULES), *SPECIAL_RULES], ids=repr)
def test_optimizers(optimizer, rate):
    X, y = problem("classification", 3)
    options = short(optimizer, learning_rate=rate)
    linear = GDClassifier(**options)
    one, _ = assert_alike(lambda: linear, fits(X, y))
    assert moved(one, X, y) > 1e-4
    assert_alike(lambda: MLPBackpropClassifier((5,), **options), fits(X, y))


@pytest.mark.parametrize("optimizer", [SGD(), Momentum(), NAdam(), RMSprop(momentum=0.5)], ids=repr)
@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda step, n_steps: 1 - step / n_steps / 2])
def test_schedules(schedule, optimizer):
    X, y = problem()
    model = GDRegressor(optimizer=optimizer, schedule=schedule, **SHORT | {"max_iter": 12})
    _, two = assert_alike(lambda: model, fits(X, y))
    if schedule not in ("constant", "plateau", "warmup"):  # which rises within the first epoch
        assert len(set(two.history_["learning_rate"])) > 1


def test_plateau_is_told_the_losses():
    X, y = problem()
    settings_ = SHORT | {"schedule": "plateau", "max_iter": 60, "optimizer": "sgd"}
    _, two = assert_alike(lambda: GDRegressor(learning_rate=0.05, **settings_), fits(X, y))
    assert len(set(two.history_["learning_rate"])) > 1


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("task", LINEAR)
def test_lbfgs(task, penalty):
    X, y = problem(task, 3)
    settings_ = {"optimizer": "lbfgs", "penalty": penalty, "alpha": 0.05, "max_iter": 8}
    for estimator in (LINEAR[task], NETWORK[task]):
        # A line search multiplies rounding: less agrees than after as many steps of a rule.
        make = lambda estimator=estimator: estimator(random_state=0, **settings_)  # noqa: E731
        one, _ = assert_alike(make, fits(X, y), rtol=1e-8)
        assert moved(one, X, y) > 1e-2


# ------------------------------------------------------------------------------------ parameters

PARAMETERS = [
    {"clip_norm": 0.05},
    {"clip_norm": 0.05, "penalty": "l1", "alpha": 0.1},
    {"clip_value": 0.02},
    {"clip_value": 0.02, "clip_norm": 0.05, "penalty": "l1", "alpha": 0.1, "learning_rate": 0.1},
    {"average": True},
    {"average": 60},
    {"average": "ema"},
    {"average": EMA(decay=0.5), "learning_rate": 0.1},
    {"average": EMA(decay=0.0)},
    {"average": Polynomial(power=2.5, after=30)},
    {"average": 60, "penalty": "l1", "alpha": 0.1},
    {"learning_rate": 0.01},
    {"learning_rate": 0.01, "optimizer": "lion", "alpha": 0.3},
    {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 3, "tol": 0.1},
    {"early_stopping": True, "shuffle": False},
    {"early_stopping": True, "batch_size": None},
    {"tol": 1e-2, "n_iter_no_change": 3, "max_iter": 200},
    {"shuffle": False},
    {"batch_size": None},
    {"batch_size": 1},
    {"batch_size": 7},
    {"batch_size": 0.3},
    {"batch_size": 1000},
    {"batch_size": 1000, "shuffle": False},
]


def name_of(options):
    return ",".join(f"{key}={value}" for key, value in options.items())


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("options", PARAMETERS, ids=name_of)
def test_parameters(options, csr):
    for task, n_outputs in (("regression", 1), ("classification", 3)):
        X, y = problem(task, n_outputs, csr=csr)
        for estimator in (LINEAR[task], NETWORK[task]):
            make = lambda estimator=estimator: estimator(**SHORT | options)  # noqa: E731
            assert_alike(make, fits(X, y))


@pytest.mark.parametrize("alpha", [1e-3, 0.3])
@pytest.mark.parametrize("rate", ["auto", 0.01])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalties(penalty, rate, alpha):
    options = {"penalty": penalty, "alpha": alpha, "learning_rate": rate} | SHORT
    for task, n_outputs in (("regression", 2), ("classification", 1)):
        X, y = problem(task, n_outputs)
        one, two = assert_alike(lambda: LINEAR[task](**options), fits(X, y))  # noqa: B023
        assert_alike(lambda: NETWORK[task]((5,), **options), fits(X, y))  # noqa: B023
    if penalty == "l1" and alpha == 0.3:
        assert (one.coef_ == 0).any() and (two.coef_ == 0).any()


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("rate", ["auto", 0.01])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_without_intercept(n_outputs, rate, csr):
    for task, estimator in LINEAR.items():
        X, y = problem(task, n_outputs, csr=csr)
        options = SHORT | {"fit_intercept": False, "learning_rate": rate}
        assert_alike(lambda: estimator(**options), fits(X, y))  # noqa: B023


@pytest.mark.parametrize("batch_size", [8, None])
@both_dtypes
def test_weights(dtype, batch_size):
    weight = np.random.default_rng(1).uniform(0, 3, size=45)
    weight[:3] = 0.0
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    for task, n_outputs in (("regression", 2), ("classification", 1), ("classification", 3)):
        X, y = problem(task, n_outputs, dtype=dtype)
        options = SHORT | {"batch_size": batch_size}
        if task == "classification":
            options |= {"class_weight": {0: 0.3, 1: 2.0}}
        for estimator in (LINEAR[task], NETWORK[task]):
            make = lambda estimator=estimator, options=options: estimator(**options)  # noqa: E731
            assert_alike(make, fits(X, y, sample_weight=weight), rtol=rtol)
            assert_alike(make, fits(X, y), rtol=rtol)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("optimizer", RULES)
def test_float32(optimizer, csr):
    # Rounding of 1e-7 in each of some 24 steps, which the rules divide by small numbers.
    for task, n_outputs in (("regression", 1), ("classification", 3)):
        X, y = problem(task, n_outputs, dtype=np.float32, csr=csr)
        for estimator in (LINEAR[task], NETWORK[task]):
            make = lambda estimator=estimator: estimator(**short(optimizer))  # noqa: E731
            one, _ = assert_alike(make, fits(X, y), rtol=1e-4)
            assert one.parameters_.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 7), (9, 1)])
def test_smallest_shapes(shape):
    X, y = problem(n=shape[0], p=shape[1])
    for estimator in (GDRegressor, MLPBackpropRegressor):
        make = lambda estimator=estimator: estimator(**SHORT | {"learning_rate": 0.1})  # noqa: E731
        assert_alike(make, fits(X, y))


# ------------------------------------------------------------------ one training after the other


def test_warm_start():
    X, y = problem()
    make = lambda: GDRegressor(warm_start=True, optimizer="adam", **SHORT)  # noqa: E731
    once, _ = run("numpy", make, fits(X, y))
    twice, _ = assert_alike(make, fits(X, y), fits(X, y))
    assert np.linalg.norm(twice.parameters_ - once.parameters_) > 1e-3


def parts(X, y, sizes):
    ends = np.cumsum(sizes)
    return [(X[end - size : end], y[end - size : end]) for size, end in zip(sizes, ends)]  # noqa: B905


PASSES = [20, 3, 17, 5]


@pytest.mark.parametrize("rate", ["auto", 0.01])
@pytest.mark.parametrize("optimizer", [*RULES, RMSprop(centered=True, momentum=0.9)], ids=str)
def test_partial_fit(optimizer, rate):
    X, y = problem()
    options = short(optimizer, learning_rate=rate, average=30, batch_size=4)
    make = lambda: GDRegressor(**options)  # noqa: E731
    learn = [lambda m, part=part: m.partial_fit(*part) for part in parts(X, y, PASSES)]
    assert_alike(make, *learn)


@pytest.mark.parametrize("first", ENGINES)
@pytest.mark.parametrize("optimizer", [*RULES, RMSprop(centered=True, momentum=0.9)], ids=str)
def test_engines_take_turns(optimizer, first):
    X, y = problem()
    options = short(optimizer, learning_rate=0.02, batch_size=4, average=30)
    alone, turns = (GDRegressor(**options) for _ in range(2))
    engines = [first, *(engine for engine in ENGINES if engine != first)] * 2
    for engine, part in zip(engines, parts(X, y, PASSES), strict=True):
        with config_context(engine="numpy"):
            alone.partial_fit(*part)
        with config_context(engine=engine):
            turns.partial_fit(*part)
        assert turns.engine_ == engine
        assert_same_parameters(alone, turns, 1e-10)
    assert_same_course(alone, turns, 1e-10)


def test_partial_fit_after_the_average_was_switched_off():
    X, y = problem()
    learn = [
        lambda m: m.set_params(average=True).partial_fit(X, y),
        lambda m: m.set_params(average=False).partial_fit(X, y),
    ]
    assert_alike(lambda: GDRegressor(learning_rate=0.01, random_state=0), *learn)


@pytest.mark.parametrize("rate", [1e3, 1e30, 1e300])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("task", LINEAR)
def test_divergence(task, optimizer, rate):
    X, y = problem(task, 2)
    options = SHORT | {"optimizer": optimizer, "learning_rate": rate, "max_iter": 30}
    for estimator in (LINEAR[task], NETWORK[task]):
        make = lambda estimator=estimator: estimator(**options)  # noqa: E731
        (one, warned), (two, also) = (run(engine, make, fits(X, y)) for engine in ENGINES)
        assert warned == also
        assert warned == [DivergenceWarning] or rate == 1e3
        assert one.stop_reason_ == two.stop_reason_
        assert_same_parameters(one, two, 1e-8)


# ---------------------------------------------------------------------- parts, blocks, stretches


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("batch_size", [40, 31, 5, None])
def test_parts_and_blocks(batch_size, csr, n_threads):
    for task, n_outputs in (("regression", 1), ("classification", 3)):
        X, y = problem(task, n_outputs, n=75, csr=csr)
        for estimator in (LINEAR[task], NETWORK[task]):
            options = SHORT | {"batch_size": batch_size, "penalty": "elasticnet"}
            make = lambda estimator=estimator, options=options: estimator(**options)  # noqa: E731
            with many_parts(n_threads):
                assert_alike(make, fits(X, y, sample_weight=np.linspace(0.1, 2, 75)))


@pytest.mark.parametrize("stretch", [1e-12, 1e-8, 3e-8])
@pytest.mark.parametrize("schedule", ["one_cycle", "plateau"])
def test_length_of_a_stretch_does_not_matter(schedule, stretch):
    X, y = problem()
    options = SHORT | {"optimizer": "nadam", "schedule": schedule, "average": 30}
    whole, _ = run("numba", lambda: GDRegressor(**options), fits(X, y))
    with changed(_STRETCH=stretch):
        split, _ = run("numba", lambda: GDRegressor(**options), fits(X, y))
    assert_array_equal(split.parameters_, whole.parameters_)
    assert split.history_["learning_rate"] == whole.history_["learning_rate"]
    assert_allclose(split.loss_curve_, whole.loss_curve_, rtol=1e-14)


# ------------------------------------------------------------------------------ all at random


@dataclass
class Drawn:
    """A random training."""

    model: object
    small_parts: bool
    stretch: float
    X: object = field(repr=False)
    y: object = field(repr=False)
    weight: object = field(repr=False)


@st.composite
def trainings(draw):
    task = draw(st.sampled_from(list(LINEAR)))
    network, rate = draw(st.booleans()), draw(st.sampled_from(["auto", 0.01]))
    n = draw(st.integers(6, 60))
    loss = draw(st.sampled_from([row() for row in losses_for(task).values()] + [
        Huber(delta=0.3) if task == "regression" else Focal(gamma=0.5)]))  # fmt: skip
    options = {
        "loss": loss,
        "optimizer": draw(st.sampled_from([*variants(RULES), *SPECIAL_RULES])),
        "learning_rate": rate,
        "schedule": draw(st.sampled_from(list(SCHEDULES))),
        "penalty": draw(st.sampled_from(list(PENALTIES))),
        "alpha": draw(st.sampled_from([1e-3, 0.1])),
        "batch_size": draw(st.one_of(st.none(), st.integers(1, 70))),
        "early_stopping": n > 30 and draw(st.booleans()),
        "clip_norm": draw(st.sampled_from([None, 0.1])),
        "average": draw(st.sampled_from([False, True, 40])),
        "shuffle": draw(st.booleans()),
        "max_iter": 3,
        "tol": None,
        "random_state": draw(st.integers(0, 9)),
    }
    if task == "classification":
        # Not "balanced": then the intercepts begin with a gradient of nothing but rounding.
        options["class_weight"] = draw(st.sampled_from([None, {0: 0.3}]))
    options = short(**options)
    if network:
        options["hidden_layer_sizes"] = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
        options["activation"] = draw(st.sampled_from(list(ACTIVATIONS)))
    else:
        options["fit_intercept"] = draw(st.booleans())
    X, y = problem(task, draw(st.integers(1, 4)), n=n, p=draw(st.integers(1, 6)),
                   csr=draw(st.booleans()), seed=options["random_state"])  # fmt: skip
    weight = np.random.default_rng(n).uniform(0.1, 2, n) if draw(st.booleans()) else None
    stretch = draw(st.sampled_from([0.2, 2e-8]))
    model = (NETWORK if network else LINEAR)[task](**options)
    return Drawn(model, draw(st.booleans()), stretch, X, y, weight)


@settings(RANDOM, max_examples=400)
@given(trainings())
def test_random_trainings(drawn):
    inside = many_parts(1, drawn.stretch) if drawn.small_parts else changed(_STRETCH=drawn.stretch)
    with inside:  # steep losses multiply rounding
        fit = fits(drawn.X, drawn.y, sample_weight=drawn.weight)
        assert_alike(lambda: clone(drawn.model), fit, rtol=1e-8)


# ------------------------------------------------------------------------- kernels, by address


def c_function(address, words):
    special = {"n": ctypes.c_ssize_t, "setting": ctypes.c_double}
    kinds = [special.get(word, ctypes.c_void_p) for word in words.split()]
    return ctypes.CFUNCTYPE(None, *kinds)(address)


def pointers(*arrays):
    assert all(array.flags.c_contiguous for array in arrays)
    return [array.ctypes.data for array in arrays]


def by_kernel(loss, y, raw):
    """Values and slopes of a loss by its kernel, for each row."""
    name = next(name for name, row in LOSSES.items() if type(loss) is row)
    call = c_function(compiler.loss_kernel(name, raw.dtype), losses.ARGUMENTS)
    y, values, slopes = y.astype(raw.dtype), np.full_like(raw, np.nan), np.full_like(raw, np.nan)
    numbers_ = [float(getattr(loss, key)) for key in losses.LOSS_KERNELS[name][1]]
    K = 1 if raw.ndim == 1 else raw.shape[1]
    call(*pointers(y, raw, values, slopes), raw.size, K, *(numbers_ or [0.0]))
    return values if raw.ndim == 1 else values.sum(axis=1), slopes


EXTREME = np.array([0.0, -0.0, 1e-300, -1e-300, 1e-8, -1e-3, 0.5, -0.99, 1.0, 2.5, -20.0, 35.0,
                    -80.0, 80.0, -700.0, 700.0, -1e4, 1e4])  # fmt: skip


def extreme_rows(loss, columns, dtype):
    """Targets and raw outputs; the raw outputs hold every number of EXTREME in each column."""
    rng = np.random.default_rng(0)
    raw = np.stack([rng.permutation(EXTREME) for _ in range(20 * columns)]).reshape(-1, columns)
    if loss.task == "classification" and columns > 1:
        y = np.eye(columns)[rng.integers(columns, size=len(raw))]
    elif loss.task == "classification":
        y = rng.integers(2, size=raw.shape).astype(float)
    else:
        y = rng.choice([1e-300, 1e-3, 0.5, 1.0, 2.5, 30.0], size=raw.shape)
        if type(loss) is not LOSSES["gamma"]:
            y[::7] = 0.0
        elif dtype == np.float32:
            y = np.maximum(y, 1e-30)
    raw, y = raw.astype(dtype), y.astype(dtype)
    return (y[:, 0], raw[:, 0]) if columns == 1 else (y, raw)


@pytest.mark.parametrize("columns", [1, 3])
@both_dtypes
@pytest.mark.parametrize("loss", variants(LOSSES), ids=repr)
def test_loss_kernels_at_extreme_outputs(loss, dtype, columns):
    y, raw = extreme_rows(loss, columns, dtype)
    values, slopes = by_kernel(loss, y, raw)
    with np.errstate(all="ignore"):
        # The formulas in float64: kernels compute in it, and round what they return.
        expected = loss.value_and_gradient(y.astype(np.float64), raw.astype(np.float64))
        expected_values, expected_slopes = (np.asarray(part).astype(dtype) for part in expected)
    eps = float(np.finfo(dtype).eps)
    # A sum over the columns may cancel: to the last place of the largest term.
    atol = 4 * eps * (np.abs(raw).max(axis=-1) if columns > 1 else np.abs(raw)) * 30 + 1e-300
    finite = np.isfinite(expected_values)
    assert_array_equal(np.isfinite(values), finite)
    values, expected_values, atol = (part[finite] for part in (values, expected_values, atol))
    assert (np.abs(values - expected_values) <= 16 * eps * np.abs(expected_values) + atol).all()
    assert_allclose(slopes, expected_slopes, rtol=16 * eps, atol=2 * eps)


@both_dtypes
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("loss", variants(LOSSES), ids=repr)
def test_a_loss_of_nan_is_nan(loss, columns, dtype):
    y, raw = extreme_rows(loss, columns, dtype)
    raw = np.clip(raw, -3, 3)
    raw[::2] = np.nan
    values, _ = by_kernel(loss, y, raw)
    assert_array_equal(np.isnan(values), np.arange(len(raw)) % 2 == 0)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("loss", ["log_loss"])
def test_targets_between_the_classes(loss, columns):
    rng = np.random.default_rng(0)
    raw = 5 * rng.normal(size=(50, columns))
    y = rng.dirichlet(np.ones(max(2, columns)), size=50)[:, :columns]
    y, raw = (y, raw) if columns > 1 else (y[:, 0].copy(), raw[:, 0].copy())
    values, slopes = by_kernel(LOSSES[loss](), y, raw)
    expected = LOSSES[loss]().value_and_gradient(y, raw)
    assert_allclose(values, expected[0], rtol=1e-13)
    assert_allclose(slopes, expected[1], rtol=1e-12, atol=1e-15)


def activation_by_kernel(name, z, b):
    """Activations and slopes by the kernels, at z + b for rows z of as many columns as b has."""
    forward, backward = compiler.activation_kernels(name, z.dtype)
    z, a, delta = z.copy(), np.full_like(z, np.nan), np.ones_like(z)
    m, q = z.shape
    c_function(forward, activations.FORWARD_ARGUMENTS)(*pointers(z, b, a), m, q)
    c_function(backward, activations.BACKWARD_ARGUMENTS)(*pointers(delta, z, a), m * q)
    return a, delta


def activation_by_numpy(name, z):
    activation, z = ACTIVATIONS[name](), z.astype(np.float64)
    a, slope = np.empty_like(z), np.ones_like(z)
    with np.errstate(all="ignore"):
        activation.forward(z, a)
        activation.backward(slope, z, a)
        return activation(z), slope


@both_dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_kernels(name, dtype):
    z = np.concatenate([EXTREME, np.linspace(-40, 40, 402)]).reshape(-1, 2).astype(dtype)
    b = np.array([0.25, -1.5], dtype)
    eps = float(np.finfo(dtype).eps)
    for intercept in (b, np.zeros_like(b)):
        a, slope = activation_by_kernel(name, z, intercept)
        expected_a, expected_slope = activation_by_numpy(name, z + intercept)
        assert_allclose(a, expected_a.astype(dtype), rtol=16 * eps, atol=2 * eps)
        assert_allclose(slope, expected_slope.astype(dtype), rtol=16 * eps, atol=8 * eps)


@both_dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_nan_is_nan(name, dtype):
    z = np.array([[np.nan, 1.0]], dtype)
    a, _ = activation_by_kernel(name, z, np.zeros(2, dtype))
    assert_array_equal(np.isnan(a), [[True, False]])


@both_dtypes
@pytest.mark.parametrize("name", RULES)
def test_optimizer_kernels_move_their_slice_alone(name, dtype):
    keys = optimizers.OPTIMIZER_KERNELS[name][1]
    rule, rng = RULES[name](), np.random.default_rng(0)
    theta, grad = rng.normal(size=(2, 9)).astype(dtype)
    memory = np.zeros((3, 9), dtype)
    before, remembered = theta.copy(), memory.copy()
    numbers_ = np.array([float(getattr(rule, key)) for key in keys] or [0.0])
    call = c_function(compiler.optimizer_kernel(name, np.dtype(dtype)), optimizers.ARGUMENTS)
    arrays = pointers(theta, grad, memory)
    call(*arrays, 9, 2, 6, 5, numbers_.ctypes.data, 1.0, 1, 0.1, np.nan)
    inside = (np.arange(9) >= 2) & (np.arange(9) < 6)
    assert_array_equal(theta != before, inside)
    assert_array_equal(memory[:, ~inside], remembered[:, ~inside])
    expected, state = before[2:6].copy(), rule.init(before[2:6])
    mask = np.array([True, True, True, False])
    rule.update(expected, grad[2:6].copy(), state, 0.1, decay_mask=mask)
    assert_allclose(theta[2:6], expected, rtol=16 * np.finfo(dtype).eps)


# ------------------------------------------------------------------------- elementary functions

LONG = np.longdouble
# Reference, numbers to try, and the largest error in units in the last place.
ELEMENTARY = {
    "exp": (np.exp, (-706.0, 709.7), 2),
    "expm1": (np.expm1, (-706.0, 709.7), 3),
    "log": (np.log, (1e-300, 1e300), 2),
    "log1p": (np.log1p, (-0.999999, 1e300), 3),
    "tanh": (np.tanh, (-400.0, 400.0), 4),
    "expit": (lambda x: 1 / (1 + np.exp(-x)), (-700.0, 700.0), 3),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), (-700.0, 1e300), 4),
}


@cache
def compiled(name):
    function = getattr(numbers, name)

    @numba.njit(**numbers.EXACT)
    def fill(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def on_array(x):
        out = np.empty_like(x)
        fill(x, out)
        return out

    return on_array


def errors(name, x):
    """Errors in units in the last place."""
    with np.errstate(all="ignore"):
        exact = ELEMENTARY[name][0](x.astype(LONG))
    rounded = exact.astype(np.float64)
    return (np.abs(compiled(name)(x) - exact) / np.spacing(np.abs(rounded))).astype(np.float64)


def grid(low, high):
    """Numbers of all sizes from low to high, of both signs, and dense ones about zero."""
    sizes = np.logspace(-300, np.log10(max(abs(low), high)), 40_001)
    x = np.concatenate([sizes, -sizes, np.linspace(-40, 40, 80_001)])
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions(name):
    _, (low, high), bound = ELEMENTARY[name]
    assert errors(name, grid(low, high)).max() <= bound


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_at_random(name):
    _, (low, high), bound = ELEMENTARY[name]

    @settings(RANDOM, max_examples=300)
    @given(st.floats(low, high, allow_subnormal=False))
    def check(x):
        assert errors(name, np.array([x]))[0] <= bound

    check()


def test_elementary_functions_at_their_ends():
    x = np.array([-np.inf, -1e4, -800.0, 800.0, 1e4, np.inf])
    assert_array_equal(compiled("exp")(x), np.repeat([0.0, np.inf], 3))
    assert_array_equal(compiled("expm1")(x), np.repeat([-1.0, np.inf], 3))
    assert_array_equal(compiled("tanh")(x), np.repeat([-1.0, 1.0], 3))
    assert_array_equal(compiled("expit")(x), np.repeat([0.0, 1.0], 3))
    assert_array_equal(compiled("softplus")(x), [0.0, 0.0, 0.0, 800.0, 1e4, np.inf])
    # The tail that is left out is below all that a loss adds it to.
    tail = np.linspace(-745.0, -700.0, 1000)
    assert_allclose(compiled("exp")(tail), np.exp(tail), rtol=1e-12, atol=1.1e-307)
    assert_allclose(compiled("expit")(tail), scipy_special.expit(tail), rtol=1e-12, atol=1.1e-307)


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p", "tanh", "expit", "softplus", "sign"])
def test_elementary_functions_of_nan(name):
    assert np.isnan(compiled(name)(np.array([np.nan])))[0]


def test_sign():
    x = np.array([-3.0, -1e-300, -0.0, 0.0, 5e-324, 2.0, np.inf])
    assert_array_equal(compiled("sign")(x), np.sign(x))
