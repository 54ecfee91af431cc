"""Which engine is chosen, and what a compiled training leaves: threads, memory, files."""

import ctypes
import gc
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from threadpoolctl import threadpool_limits

import skgd
from skgd import (
    GDClassifier,
    GDRegressor,
    MLPBackpropClassifier,
    MLPBackpropRegressor,
    config_context,
    engine,
    set_config,
)
from skgd.activations import ReLU
from skgd.gradients import Numeric
from skgd.losses import SquaredError
from skgd.optimizers import LBFGS, Adam

pytest.importorskip("numba")

PACKAGE = Path(skgd.__file__).parent
SHORT = {"max_iter": 3, "tol": None, "random_state": 0}


def untimed(history):
    return {name: values for name, values in history.items() if name != "seconds"}


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    """Begin without a choice, whatever the tests are run with."""
    monkeypatch.delenv("SKGD_ENGINE", raising=False)
    monkeypatch.setattr(engine, "_default", None)


def rows(n=60, p=4, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)).astype(dtype)
    return X, X @ rng.normal(size=p) + rng.normal(size=n)


def engine_of(X=None, estimator=GDRegressor, **options):
    X, y = rows() if X is None else (X, rows(X.shape[0])[1])
    y = (y > 0).astype(int) if "Classifier" in estimator.__name__ else y
    return estimator(**SHORT | options).fit(X, y).engine_


# ------------------------------------------------------------------------------------- the choice


def test_variable_chooses(monkeypatch):
    for name in ("numba", "numpy"):
        monkeypatch.setenv("SKGD_ENGINE", name)
        assert engine_of() == name
    monkeypatch.setenv("SKGD_ENGINE", "")
    assert engine_of() == "numpy"  # as "auto" has it for so little
    monkeypatch.setenv("SKGD_ENGINE", "fast")
    with pytest.raises(ValueError, match=r"SKGD_ENGINE.*auto, numpy, numba.*'fast'"):
        engine_of()


def test_context_goes_before_config_and_config_before_the_variable(monkeypatch):
    monkeypatch.setenv("SKGD_ENGINE", "numba")
    set_config(engine="numpy")
    assert engine_of() == "numpy"
    set_config()  # changes nothing
    assert engine_of() == "numpy"
    with config_context(engine="numba"):
        assert engine_of() == "numba"
        with config_context(engine="numpy"):
            assert engine_of() == "numpy"
            with config_context():
                assert engine_of() == "numpy"
        assert engine_of() == "numba"
        set_config(engine="auto")
        assert engine_of() == "numba"
    assert engine.wanted() == "auto"


def test_context_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), config_context(engine="numba"):
        raise ZeroDivisionError
    assert engine.wanted() == "auto"


def test_context_is_of_its_thread_alone():
    with config_context(engine="numba"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(engine.wanted).result() == "auto"


class MyError(SquaredError):
    pass


class MyAdam(Adam):
    pass


class MyReLU(ReLU):
    pass


class MySolver(LBFGS):
    pass


def mean_square(y, raw):
    return (raw - y) ** 2


def with_long_indices(X):
    X = sparse.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


@pytest.mark.parametrize(
    ("estimator", "options", "expected"),
    [
        (GDRegressor, {}, "numba"),
        (GDRegressor, {"gradient": "backprop"}, "numba"),
        (GDRegressor, {"gradient": "numeric"}, "numba"),
        (GDRegressor, {"gradient": Numeric(method="cs")}, "numpy"),
        (GDRegressor, {"loss": MyError(), "gradient": "analytic"}, "numpy"),
        (GDRegressor, {"loss": mean_square, "learning_rate": 0.01}, "numpy"),
        (GDRegressor, {"optimizer": MyAdam()}, "numpy"),
        (GDRegressor, {"optimizer": "lbfgs"}, "numba"),
        (GDRegressor, {"schedule": lambda step, n_steps: 1.0}, "numba"),
        (MLPBackpropRegressor, {"activation": MyReLU()}, "numpy"),
        (MLPBackpropRegressor, {"activation": ["tanh", MyReLU()]}, "numpy"),
        (MLPBackpropRegressor, {"activation": ["tanh", "relu"]}, "numba"),
    ],
)
def test_only_rows_of_the_tables_are_compiled(estimator, options, expected):
    if estimator is MLPBackpropRegressor:
        options = {"hidden_layer_sizes": (4, 3)} | options
    with config_context(engine="numba"):
        assert engine_of(estimator=estimator, **options) == expected


def test_indices_of_64_bits_are_left_to_numpy():
    X, _ = rows()
    with config_context(engine="numba"):
        assert engine_of(sparse.csr_matrix(X)) == "numba"
        assert engine_of(with_long_indices(X)) == "numpy"


def test_auto_goes_by_sizes_alone():
    X, y = rows(n=100)
    for values in (X, 1e9 * X, np.zeros_like(X)):
        for max_iter, expected in ((9_000, "numpy"), (11_000, "numba")):
            model = GDRegressor(max_iter=max_iter, tol=1e9, n_iter_no_change=1, random_state=0)
            assert model.fit(values, y).engine_ == expected
    part = GDRegressor(max_iter=10**9).partial_fit(X, y)
    assert part.engine_ == "numpy"  # one pass, whatever max_iter says


def test_initialize_takes_no_steps_but_tells_the_engine():
    with config_context(engine="numba"):
        assert GDRegressor().initialize(*rows()).engine_ == "numba"


# --------------------------------------------------------------------------- threads and their end


def many_rows(task="regression", n=40_000, p=30):
    X, y = rows(n, p)
    return X, (y > 0).astype(int) if task == "classification" else y


@contextmanager
def no_thread_is_left(seconds=2.0):
    """Threads end when they are told to; that takes them a moment."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + seconds
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.001)
    assert not set(threading.enumerate()) - before


BIG = [
    (GDRegressor, {}),
    (GDRegressor, {"batch_size": None}),
    (GDRegressor, {"optimizer": "lbfgs"}),
    (GDClassifier, {"optimizer": "adam", "penalty": "l1", "clip_norm": 1.0}),
    (MLPBackpropRegressor, {"batch_size": 20_000}),
    (MLPBackpropClassifier, {"batch_size": 2_000, "average": True}),
]


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("estimator", "options"), BIG)
def test_same_bits_for_any_number_of_threads(estimator, options, csr, monkeypatch):
    from skgd.compiled import training

    parts, count = [], training._n_parts
    monkeypatch.setattr(training, "_n_parts", lambda *a: parts.append(count(*a)) or parts[-1])
    X, y = many_rows("classification" if "Classifier" in estimator.__name__ else "regression")
    X = sparse.csr_matrix(X * (X > 0.5)) if csr else X
    options = SHORT | {"max_iter": 2} | options
    found = []
    for threads in (1, 2, 3, 1):
        monkeypatch.setattr(training, "allowed_threads", lambda threads=threads: threads)
        with config_context(engine="numba"):
            found.append(estimator(**options).fit(X, y))
    if "hidden_layer_sizes" in found[0].get_params() or options.get("batch_size", 1) is None:
        assert min(parts) > 1
    for model in found[1:]:
        assert_array_equal(model.parameters_, found[0].parameters_)
        assert untimed(model.history_) == untimed(found[0].history_)


def test_limits_of_blas_are_obeyed(monkeypatch):
    from skgd.compiled import training

    seen = []
    team = training.Team
    monkeypatch.setattr(training, "Team", lambda n, *rest: seen.append(n) or team(n, *rest))
    X, y = many_rows()
    found = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"), config_context(engine="numba"):
            found.append(MLPBackpropRegressor(batch_size=20_000, **SHORT).fit(X, y).parameters_)
    assert seen[0] == 1 and seen[1] == min(2, len(os.sched_getaffinity(0)))
    assert_array_equal(*found)


def test_parts_agree_with_numpy():
    X, y = many_rows()
    found = []
    for name in ("numpy", "numba"):
        with config_context(engine=name):
            model = MLPBackpropRegressor(batch_size=20_000, activation="tanh", **SHORT)
            found.append(model.fit(X, y).parameters_)
    assert_allclose(found[1], found[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_no_thread_and_no_buffer_is_left(optimizer, monkeypatch):
    monkeypatch.setattr("skgd.compiled.training.allowed_threads", lambda: 2)
    X, y = many_rows()
    data = weakref.ref(X)
    with config_context(engine="numba"), no_thread_is_left():
        model = MLPBackpropRegressor((10,), optimizer=optimizer, **SHORT).fit(X, y)
    size_of_theta = model.parameters_.nbytes
    assert len(pickle.dumps(model)) < 10 * size_of_theta + 20_000
    del X
    gc.collect()
    assert data() is None


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_error_in_a_schedule_keeps_the_model_and_ends_the_threads(error, monkeypatch):
    monkeypatch.setattr("skgd.compiled.training.allowed_threads", lambda: 2)
    X, y = many_rows()

    def schedule(step, n_steps):
        if step >= 5:
            raise error
        return 1.0

    # Four steps for each epoch: it is raised in the middle of the second.
    settings = {"schedule": schedule, "batch_size": 10_000, "learning_rate": 0.01}
    model = MLPBackpropRegressor((10,), **SHORT | settings)
    with config_context(engine="numba"), no_thread_is_left(), pytest.raises(error):
        model.fit(X, y)
    assert model.engine_ == "numba" and model.n_iter_ == 1
    interrupted = model.stop_reason_.startswith("interrupted")
    assert interrupted == (error is KeyboardInterrupt)
    assert np.isfinite(model.parameters_).all() and model.score(X, y) > -1
    model.set_params(schedule="constant")
    with config_context(engine="numba"):
        model.partial_fit(X, y)
    assert np.isfinite(model.parameters_).all()


def test_ctrl_c_while_the_threads_are_called(monkeypatch):
    monkeypatch.setattr("skgd.compiled.training.allowed_threads", lambda: 2)
    from skgd.compiled.team import Team

    ring, rings = Team._ring, []

    def interrupted(self):
        ring(self)
        rings.append(1)
        if len(rings) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Team, "_ring", interrupted)
    X, y = many_rows()
    model = MLPBackpropRegressor(batch_size=20_000, **SHORT)
    with config_context(engine="numba"), no_thread_is_left(), pytest.raises(KeyboardInterrupt):
        model.fit(X, y)


def test_fits_at_the_same_time():
    X, y = many_rows(n=5_000)

    def fit(seed):
        with config_context(engine="numba"):
            return GDRegressor(**SHORT | {"random_state": seed}).fit(X, y).parameters_

    alone = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert_array_equal(other, one)


# --------------------------------------------------------------------------------- data, pickles


@pytest.mark.parametrize("estimator", [GDRegressor, MLPBackpropRegressor])
def test_data_that_cannot_be_written(estimator, tmp_path):
    X, y = rows()
    np.save(tmp_path / "X.npy", X)
    csr = sparse.csr_matrix(X)
    frozen = X.copy(), csr.copy(), y.copy(), np.ones(len(y))
    for array in (frozen[0], frozen[1].data, frozen[1].indices, frozen[1].indptr, *frozen[2:]):
        array.flags.writeable = False
    with config_context(engine="numba"):
        expected = estimator(**SHORT).fit(X, y).parameters_
        expected_csr = estimator(**SHORT).fit(csr, y).parameters_
        for given in (frozen[0], np.load(tmp_path / "X.npy", mmap_mode="r")):
            model = estimator(**SHORT).fit(given, frozen[2])
            assert model.engine_ == "numba"
            assert_array_equal(model.parameters_, expected)
        model = estimator(**SHORT).fit(frozen[1], frozen[2], sample_weight=frozen[3])
    assert_allclose(model.parameters_, expected_csr, rtol=1e-12)
    assert_array_equal(frozen[0], X)


def test_the_rows_are_not_changed():
    X, y = rows()
    kept = X.copy(), y.copy()
    with config_context(engine="numba"):
        MLPBackpropRegressor(**SHORT).fit(X, y)
    assert_array_equal(X, kept[0])
    assert_array_equal(y, kept[1])


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_pickle_goes_on(name):
    X, y = rows()
    with config_context(engine="numba"):
        model = GDRegressor(optimizer="adam", random_state=0).partial_fit(X, y)
        copy = pickle.loads(pickle.dumps(model))
        model.partial_fit(X, y)
    with config_context(engine=name):
        copy.partial_fit(X, y)
    assert_allclose(copy.parameters_, model.parameters_, rtol=1e-12)
    assert_array_equal(copy.predict(X).shape, y.shape)


# ------------------------------------------------------------------------------- other processes


def python(code, path=PACKAGE.parent, expect=0, **options):
    environment = {key: value for key, value in os.environ.items() if "NUMBA_CACHE" not in key}
    environment |= {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= options.pop("env", {})
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment, cwd="/", capture_output=True, text=True, timeout=300, **options,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr
    return done.stdout.split()


FIT = """
    import numpy as np, skgd, sys
    X = np.random.default_rng(0).normal(size=(40_000, 30))
    y = X @ np.arange(30.0)
    skgd.set_config(engine="numba")

    def fit():
        model = skgd.MLPBackpropRegressor(max_iter=2, tol=None, random_state=0).fit(X, y)
        assert model.engine_ == "numba"
        return float(np.abs(model.parameters_).sum()).hex()

"""


def test_fork_after_a_fit():
    code = (
        FIT
        + """
    import multiprocessing, warnings
    from threadpoolctl import threadpool_limits
    warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
    first = fit()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(fit).get(60) == first == fit()
    print("done")
    """
    )
    assert python(code) == ["done"]


@pytest.mark.slow
def test_same_bits_for_one_and_two_jobs():
    code = """
    import numpy as np, skgd
    from sklearn.model_selection import GridSearchCV
    X = np.random.default_rng(0).normal(size=(20_000, 30))
    y = X @ np.arange(30.0)
    model = skgd.MLPBackpropRegressor((50,), max_iter=2, tol=None, random_state=0)
    for n_jobs in (1, 2):
        search = GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs).fit(X, y)
        assert search.best_estimator_.engine_ == "numba"
        print(*[float(s).hex() for s in search.cv_results_["mean_test_score"]], sep=",")
        print(float(np.abs(search.best_estimator_.parameters_).sum()).hex())
    """
    one, best, two, also_best = python(code, env={"SKGD_ENGINE": "numba"})
    assert (one, best) == (two, also_best)


# --------------------------------------------------------------------------------------- the cache

FEW = """
    import numpy as np, skgd
    skgd.set_config(engine="numba")
    X = np.linspace(0.0, 1.0, 20)[:, None] ** [1.0, 2.0]
    model = skgd.GDRegressor(max_iter=5, tol=None, random_state=0).fit(X, X.sum(axis=1))
    assert model.engine_ == "numba"
    from skgd.compiled import compiler
    driver = compiler.driver(np.dtype(np.float64))
    hits = sum(driver.stats.cache_hits.values()) + sum(k.cache_hits for k in compiler._KEPT)
    print(float(np.abs(model.parameters_).sum()).hex(), hits)
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A folder whose contents may have been made read-only."""
    yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755)


def give_up_rights():
    """Let permissions hold for root, too: drop CAP_DAC_OVERRIDE, before the new program begins."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def unprivileged(folder):
    """Options for a process that may not write into `folder`, which is read-only."""
    options = {"preexec_fn": give_up_rights} if sys.platform == "linux" else {}
    (writable,) = python(f"import os; print(os.access({str(folder)!r}, os.W_OK))", **options)
    if writable == "True":
        pytest.skip("this user writes even where it is forbidden")
    return options


def read_only_copy(folder, with_cache):
    ignored = None if with_cache else shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(PACKAGE, folder / "skgd", ignore=ignored)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return copy


def fit_here():
    X = np.linspace(0.0, 1.0, 20)[:, None] ** [1.0, 2.0]
    with config_context(engine="numba"):
        model = GDRegressor(max_iter=5, tol=None, random_state=0).fit(X, X.sum(axis=1))
    return float(np.abs(model.parameters_).sum()).hex()


def nowhere(folder):
    """Environment in which nothing can be written at home."""
    home = folder / "home"
    home.mkdir(mode=0o555)
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


def test_kernels_beside_a_package_that_cannot_be_written_are_found(elsewhere):
    expected = fit_here()
    copy = read_only_copy(elsewhere, with_cache=True)
    if not list(copy.rglob("*.nbi")):
        pytest.skip("this package has its kernels in the user's cache")
    found, hits = python(FEW, elsewhere, env=nowhere(elsewhere), **unprivileged(copy))
    assert found == expected
    assert int(hits) >= 3  # the driver, a loss and an optimizer


@pytest.mark.slow
def test_kernels_are_kept_for_the_user_where_the_package_cannot_be_written(elsewhere):
    options = unprivileged(read_only_copy(elsewhere, with_cache=False))
    environment = {"HOME": str(elsewhere), "XDG_CACHE_HOME": str(elsewhere / "cache")}
    for at_least in (0, 3):
        found, hits = python(FEW, elsewhere, env=environment, **options)
        assert found == fit_here() and int(hits) >= at_least


@pytest.mark.slow
def test_kernels_are_kept_in_the_directory_that_is_given(elsewhere):
    """It may be read-only once it holds them; the package, writable here, gets none."""
    expected, given = fit_here(), elsewhere / "given"
    copy = shutil.copytree(
        PACKAGE, elsewhere / "skgd", ignore=shutil.ignore_patterns("__pycache__")
    )
    environment = nowhere(elsewhere) | {"NUMBA_CACHE_DIR": str(given)}
    found, hits = python(FEW, elsewhere, env=environment)
    assert (found, hits) == (expected, "0")
    kept = {path.name.split("-")[0] for path in given.rglob("*.nbi")}
    assert {"steps.take_part", "losses.squared_error"} <= kept
    for path in [given, *given.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    found, hits = python(FEW, elsewhere, env=environment, **unprivileged(given))
    assert found == expected and int(hits) >= 3
    assert not list(copy.rglob("*.nbi"))


def test_the_directory_that_is_given_goes_first(tmp_path, monkeypatch):
    from numba import config

    from skgd.compiled import compiler, steps

    def place():
        return Path(compiler._cache_of(steps.take_part.py_func).cache_path)

    beside = place()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "given"))
    assert place().parent == tmp_path / "given"
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "file"))  # where nothing can be kept
    assert place() == beside


@pytest.mark.slow
def test_nothing_can_be_written(elsewhere):
    options = unprivileged(read_only_copy(elsewhere, with_cache=False))
    found, hits = python(FEW, elsewhere, env=nowhere(elsewhere), **options)
    assert (found, hits) == (fit_here(), "0")


@pytest.mark.slow
def test_a_changed_source_is_compiled_again(tmp_path):
    fit_here()
    copy = shutil.copytree(PACKAGE, tmp_path / "skgd")
    source = copy / "compiled" / "optimizers.py"
    text = source.read_text()
    assert "theta[i] -= rate_ * (g + mu * b)" in text
    source.write_text(text.replace("theta[i] -= rate_ * (g + mu * b)", "theta[i] -= 0 * g"))
    found, hits = python(FEW, tmp_path)
    assert found != fit_here() and hits == "0"
