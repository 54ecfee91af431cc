"""scikit-learn's callbacks and ours: alone, in pipelines and searches; stops, checkpoints, cost."""

import pickle
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgd
from skgd import GDClassifier, GDRegressor, MLPBackpropClassifier, MLPBackpropRegressor
from skgd.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    GradientNorms,
    PrintLog,
    RecordPath,
    TimeLimit,
)
from skgd.callbacks._same import same
from skgd.descent.growing import FirstEntries
from skgd.optimizers import Adam

X, y = load_iris(return_X_y=True)
MODELS = [
    GDClassifier(),
    GDRegressor(),
    MLPBackpropClassifier((5,)),
    MLPBackpropRegressor((5,)),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
every_optimizer = pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])


def made(model, **settings):
    return clone(model).set_params(**{"max_iter": 6, "tol": None, "random_state": 0} | settings)


class Spy:
    """Writes down what the protocol gives it."""

    def __init__(self, stop_after=None):
        self.stop_after, self.calls, self.models = stop_after, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, fitted_estimator=None):
        self.calls.append(f"begin {context.task_name} {context.task_id}")
        assert X is not None

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(f"end {context.task_name} {context.task_id}")
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)
        return len(self.models) == self.stop_after


# ----------------------------------------------------------------------- scikit-learn's protocol


@every_model
@every_optimizer
def test_hooks_come_in_order(model, optimizer):
    spy = Spy()
    model = made(model, optimizer=optimizer, max_iter=2).set_callbacks(spy).fit(X, y)
    of_epochs = [f"{when} epoch {i}" for i in range(model.n_iter_) for when in ("begin", "end")]
    assert spy.calls == ["setup", "begin fit 0", *of_epochs, "end fit 0", "teardown"]


@every_model
@every_optimizer
def test_callbacks_see_what_a_shorter_fit_would_be_and_change_nothing(model, optimizer):
    spy = Spy()
    settings = {"optimizer": optimizer, "schedule": "constant", "max_iter": 4}
    watched = made(model, **settings).set_callbacks(spy).fit(X, y)
    assert_array_equal(watched.parameters_, made(model, **settings).fit(X, y).parameters_)
    for n, seen in enumerate(spy.models, start=1):
        shorter = made(model, **settings | {"max_iter": n}).fit(X, y)
        assert_array_equal(seen.parameters_, shorter.parameters_)
        assert_array_equal(seen.predict(X), shorter.predict(X))
        assert seen.n_iter_ == n and len(seen.history_["loss"]) == n


@every_model
@every_optimizer
def test_a_stop_is_obeyed(model, optimizer):
    model = made(model, optimizer=optimizer, max_iter=50).set_callbacks(Spy(stop_after=3))
    model.fit(X, y)
    assert model.n_iter_ == 3 and model.stop_reason_ == "stopped by a callback: Spy"


def test_teardown_follows_a_failure_and_the_earlier_fit_stays():
    class Fails(Spy):
        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                raise RuntimeError("no")

    model = made(GDClassifier()).fit(X, y)
    before, spy = model.parameters_, Fails()
    with pytest.raises(RuntimeError, match="no"):
        model.set_callbacks(spy).fit(X, y)
    assert spy.calls[-1] == "teardown"
    assert_array_equal(model.parameters_, before)
    assert not hasattr(model, "_callback_fit_ctx")


def test_scoring_monitor_scores_each_epoch():
    monitor = ScoringMonitor(scoring="accuracy")
    GDClassifier(max_iter=3, tol=None, random_state=0).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    expected = [
        accuracy_score(y, GDClassifier(max_iter=n, tol=None, random_state=0).fit(X, y).predict(X))
        for n in (1, 2, 3)
    ]
    assert [row["accuracy"] for row in rows] == expected


def test_monitors_work_inside_a_pipeline_and_a_search(capsys):
    monitor = ScoringMonitor(scoring="accuracy")
    last = GDClassifier(max_iter=3, tol=None).set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), last), {"gdclassifier__alpha": [0.1, 1.0]}, cv=2
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 3  # candidates x folds, and the refit
    assert "GDClassifier" in capsys.readouterr().out


def test_progress_bar_alone(capsys):
    GDClassifier(max_iter=3, tol=None).set_callbacks(ProgressBar()).fit(X, y)
    assert "100%" in capsys.readouterr().out


def test_no_callback_no_work(monkeypatch):
    """Without a callback nothing is called between the epochs: no copy is made of anything."""
    called = []
    monkeypatch.setattr(GDClassifier, "_as_if_over", lambda *_: called.append(1), raising=True)
    made(GDClassifier()).fit(X, y)
    assert not called


def test_a_time_limit_asks_for_no_model(monkeypatch):
    called = []
    monkeypatch.setattr(GDClassifier, "_as_if_over", lambda *_: called.append(1), raising=True)
    made(GDClassifier()).set_callbacks(TimeLimit(60)).fit(X, y)
    assert not called


# ------------------------------------------------------------------------------------ our own


@every_model
def test_record_path_holds_start_and_every_epoch(model):
    record, bare = RecordPath(), clone(model)  # a clone has the same callbacks
    model = made(model).set_callbacks(record).fit(X, y)
    assert record.path_.shape == (7, model.parameters_.size)
    assert_array_equal(record.path_[-1], model.parameters_)
    for n in (1, 4):
        shorter = made(bare, max_iter=n).fit(X, y)
        assert_array_equal(record.path_[n], shorter.parameters_)
    start = made(bare).initialize(X, y).parameters_
    assert_allclose(record.path_[0], start, rtol=1e-12, atol=1e-15)
    model.set_params(max_iter=2).fit(X, y)
    assert [len(path) for path in record.paths_] == [7, 3]


def test_early_stopping_counts_epochs_without_improvement():
    model = made(GDClassifier(), max_iter=500, alpha=0.1)
    model.set_callbacks(EarlyStopping(patience=4, min_delta=1e-3)).fit(X, y)
    curve = model.loss_curve_
    assert model.n_iter_ < 500 and "loss did not improve for 4 epochs" in model.stop_reason_
    assert min(curve[-4:]) >= min(curve[:-4]) - 1e-3
    stopped, best, waited = None, np.inf, 0  # the rule written once more
    for n, loss in enumerate(curve, start=1):
        best, waited = (loss, 0) if loss < best - 1e-3 else (best, waited + 1)
        if waited == 4 and stopped is None:
            stopped = n
    assert stopped == model.n_iter_


def test_early_stopping_by_a_score_wants_it_high():
    model = made(GDClassifier(), max_iter=50, scoring="accuracy")
    model.set_callbacks(EarlyStopping("validation_score", patience=5))
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    scores = model.validation_scores_
    assert max(scores[-5:]) <= max(scores[:-5]) and model.n_iter_ < 50


def test_early_stopping_names_what_it_may_watch():
    model = made(GDClassifier()).set_callbacks(EarlyStopping("learning_rate"))
    with pytest.raises(ValueError, match="'loss', 'validation_loss'"):
        model.fit(X, y)
    model.set_callbacks(EarlyStopping("validation_loss"))
    with pytest.raises(ValueError, match="X_val and y_val, or set early_stopping=True"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")  # it was found before any training
    assert model.set_params(early_stopping=True).fit(X, y).n_iter_ == 6


def test_settings_on_what_does_not_descend_are_refused():
    for other in (
        make_pipeline(StandardScaler(), GDClassifier()),
        GridSearchCV(GDClassifier(), {"alpha": [0.1]}),
    ):
        with pytest.raises(TypeError, match=r"GDClassifier\(\).set_callbacks\(TimeLimit"):
            other.set_callbacks(TimeLimit(9.0)).fit(X, y)


class Misspelt(Callback):
    def after_epochs(self, state, model, X, y, metadata):
        return True


class Returns(Callback):
    def __init__(self, result):
        self.result = result

    def after_epoch(self, state, model, X, y, metadata):
        return self.result


def test_a_callback_that_does_nothing_is_refused():
    with pytest.raises(TypeError, match=r"overrides none of after_epoch.*misspelt"):
        made(GDClassifier()).set_callbacks(Misspelt()).fit(X, y)


@pytest.mark.parametrize(
    ("result", "n_epochs"), [(None, 6), (False, 6), (np.False_, 6), (True, 1), (np.True_, 1)]
)
def test_after_epoch_returns_yes_no_or_nothing(result, n_epochs):
    assert made(GDClassifier()).set_callbacks(Returns(result)).fit(X, y).n_iter_ == n_epochs


@pytest.mark.parametrize("result", [0.3, 0, "stop", np.array([True])])
def test_after_epoch_returns_nothing_else(result):
    with pytest.raises(TypeError, match="after_epoch returns True"):
        made(GDClassifier()).set_callbacks(Returns(result)).fit(X, y)


class Keeps(Callback):
    """Keeps what it is given, and fits a clone of it."""

    def begin(self, estimator, context):
        self.models, self.refitted = [], []
        return {}

    def after_epoch(self, state, model, X, y, metadata):
        self.models.append(model)
        self.refitted.append(clone(model).set_params(max_iter=1).fit(X, y).n_iter_)


@every_model
def test_what_callbacks_are_given_has_no_callbacks_and_does_not_change(model):
    keeps = Keeps()
    fitted = made(model).set_callbacks(keeps).fit(X, y, X_val=X, y_val=y)
    assert keeps.refitted == [1] * 6
    for n, seen in enumerate(keeps.models, start=1):
        shorter = made(model, max_iter=n).fit(X, y, X_val=X, y_val=y)
        for name in ("loss", "validation_loss", "validation_score", "epoch", "learning_rate"):
            assert seen.history_[name] == shorter.history_[name], name
            assert pickle.loads(pickle.dumps(seen)).history_[name] == shorter.history_[name]
        assert seen.loss_curve_ == shorter.loss_curve_ and seen.loss_curve_[-1] == seen.loss_
        assert_array_equal(seen.parameters_, shorter.parameters_)
        assert not np.shares_memory(seen.parameters_, fitted.parameters_)
        if hasattr(fitted, "classes_"):
            assert not np.shares_memory(seen.classes_, fitted.classes_)
    # It goes on from its own epoch, whatever the training did meanwhile.
    assert keeps.models[2].partial_fit(X, y).n_iter_ == 4
    assert len(keeps.models[2].history_["loss"]) == 4 and len(fitted.history_["loss"]) == 6


def test_snapshots_cost_the_same_in_every_epoch():
    """Entries of the history are read as often in a late epoch as in an early one: not at all."""
    growing = Growing(range(1000))
    first = FirstEntries(growing, 900)
    assert growing.read == 0 and len(first) == 900
    assert first[-1] == 899 and first[895:] == [895, 896, 897, 898, 899]
    assert growing.read == 6
    assert first == list(range(900)) and first != list(range(901))
    with pytest.raises(IndexError):
        first[900]
    assert pickle.loads(pickle.dumps(FirstEntries([1, 2, 3], 2))) == [1, 2]


class Growing(list):
    read = 0

    def __getitem__(self, index):
        self.read += 1
        return super().__getitem__(index)


def test_time_limit():
    start = time.perf_counter()
    with skgd.config_context(engine="numpy"):  # nothing to compile
        model = made(GDClassifier(), max_iter=10**7).set_callbacks(TimeLimit(0.2)).fit(X, y)
    assert 0.2 <= time.perf_counter() - start < 20
    assert model.stop_reason_.endswith("0.2 seconds are over")


def test_print_log_shows_the_history(capsys):
    model = made(GDClassifier()).set_callbacks(PrintLog(every=2))
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "epoch", "loss", "valid", "loss", "score", "rate", "gradient", "seconds",
    ]  # fmt: skip
    assert [int(row.split()[0]) for row in rows] == [1, 2, 4, 6]
    shown = np.array([[float(number) for number in row.split()] for row in rows])
    assert_allclose(shown[:, 1], np.array(model.loss_curve_)[[0, 1, 3, 5]], rtol=1e-5)
    assert_allclose(shown[:, 2], np.array(model.validation_loss_curve_)[[0, 1, 3, 5]], rtol=1e-5)
    assert len({len(row) for row in [head, *rows]}) == 1  # columns stand under each other


def tables(lines):
    """Lines above the tables, each with the loss of its table's last row."""
    heads = [i for i, line in enumerate(lines) if line.split()[:2] == ["epoch", "loss"]]
    ends = [*(i - 1 for i in heads[1:]), len(lines)]
    return [(lines[i - 1], lines[end - 1].split()[1]) for i, end in zip(heads, ends, strict=True)]


@pytest.mark.parametrize("piped", [False, True])
def test_print_log_names_the_trainings_of_a_search(piped):
    """Evaluation c * n_splits + s is candidate c on split s: its loss is that of such a fit."""
    lines, grid = [], [0.1, 1.0]
    learner = made(GDClassifier(), max_iter=2)
    model, name = clone(learner).set_callbacks(PrintLog(sink=lines.append)), "alpha"
    if piped:
        model, name = make_pipeline("passthrough", model), "gdclassifier__alpha"
    cv = StratifiedKFold(3)
    search = GridSearchCV(model, {name: grid}, cv=cv, scoring="accuracy").fit(X, y)
    step = ", fit-final-estimator #1" if piped else ""
    expected = []
    for c, alpha in enumerate(grid):
        for s, (train, _) in enumerate(cv.split(X, y)):
            fitted = clone(learner).set_params(alpha=alpha).fit(X[train], y[train])
            task = f"GridSearchCV, search #0, candidate-split-evaluation #{3 * c + s}{step}: "
            expected.append((task + " ".join(repr(fitted).split()), f"{fitted.loss_:.6g}"))
    fitted = clone(learner).set_params(alpha=search.best_params_[name]).fit(X, y)
    task = f"GridSearchCV, refit-with-best-params #1{step}: "
    expected.append((task + " ".join(repr(fitted).split()), f"{fitted.loss_:.6g}"))
    assert tables(lines) == expected


def test_print_log_in_a_pipeline_and_where_no_task_is_told():
    lines = []
    model = made(GDClassifier(), max_iter=2).set_callbacks(PrintLog(sink=lines.append))
    make_pipeline(StandardScaler(), model).fit(X, y)
    assert lines[0].startswith("Pipeline, fit-final-estimator #1: GDClassifier(max_iter=2, ")
    assert len(lines) == 4
    lines.clear()
    cross_validate(model, X, y, cv=2)
    assert [line.split()[0] for line in lines] == ["epoch", "1", "2"] * 2


@pytest.mark.parametrize("model", MODELS[2:], ids=lambda model: type(model).__name__)
def test_gradient_norms_are_those_of_each_layer(model):
    norms, record, bare = GradientNorms(), RecordPath(), clone(model)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=len(y))
    model = made(model).set_callbacks(norms, record).fit(X, y, sample_weight=weight)
    for n in (1, 6):
        objective = made(bare, max_iter=n).fit(X, y, sample_weight=weight).objective(X, y, weight)
        gradient = objective.unpack(objective.gradient(objective.x0, source="numeric"))
        moved = objective.unpack(record.path_[n] - record.path_[n - 1])
        for name, block in objective.unpack(record.path_[n]).items():
            assert_allclose(norms.norms_[name][n - 1], np.linalg.norm(gradient[name]), rtol=1e-5)
            ratio = np.linalg.norm(moved[name]) / np.linalg.norm(block)
            assert_allclose(norms.update_ratios_[name][n - 1], ratio, rtol=1e-9)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (EarlyStopping(patience=0), "patience"),
        (EarlyStopping(min_delta=-1), "min_delta"),
        (TimeLimit(0), "seconds"),
        (PrintLog(every=0), "every"),
        (PrintLog(sink=3), "sink"),
        (GradientNorms(every=1.5), "every"),
        (Checkpoint("/no/such/folder/x"), "folder"),
        (Checkpoint(3), "path"),
    ],
)
def test_errors_name_the_parameter_before_any_training(callback, message):
    model = made(GDClassifier()).set_callbacks(callback)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


def test_callbacks_are_components():
    for callback in (EarlyStopping(patience=3), TimeLimit(2.0), PrintLog(), Checkpoint("x")):
        copied = pickle.loads(pickle.dumps(callback))
        assert repr(copied) == repr(callback) == repr(clone(callback))


# -------------------------------------------------------------------------------- checkpoints

SETTINGS = {
    "adam": {"optimizer": "adam"},
    "average": {"optimizer": "nesterov", "average": 50},
    "nadam": {"optimizer": "nadam", "schedule": "cosine"},
    "plateau": {"schedule": "plateau", "learning_rate": 0.05},
    "l1": {"penalty": "l1", "alpha": 0.01},
    "early": {"early_stopping": True, "n_iter_no_change": 50},
    "rprop": {"optimizer": "rprop"},
    "ema": {"average": "ema"},
    "dropout": {"dropout": 0.2},
}


@every_model
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_resumed_training_ends_at_the_same_bits(model, name, engine, tmp_path):
    if engine == "numba":
        pytest.importorskip("numba")
    path = tmp_path / "run.ckpt"
    if name == "dropout" and "dropout" not in model.get_params():
        model = MLPBackpropClassifier((5,))
    model = made(model, max_iter=11, **SETTINGS[name])
    if name != "rprop":
        model.set_params(batch_size=16)
    with skgd.config_context(engine=engine):
        whole = clone(model).fit(X, y)
        # A horizon is part of the settings: what is stopped here has the same one.
        first = clone(model).set_callbacks(Checkpoint(path, every=2), Spy(stop_after=5)).fit(X, y)
        assert first.n_iter_ == 5
        second = clone(model).set_callbacks(Checkpoint(path, resume=True)).fit(X, y)
    assert_array_equal(second.parameters_, whole.parameters_)
    assert second.loss_curve_ == whole.loss_curve_
    assert second.n_iter_ == whole.n_iter_ and second.t_ == whole.t_
    assert second.stop_reason_ == whole.stop_reason_
    assert second.validation_loss_curve_ == whole.validation_loss_curve_


SCRIPT = """
    import sys, time
    from sklearn.datasets import load_digits
    from skgd import MLPBackpropClassifier
    from skgd.callbacks import Checkpoint

    class Slowly:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch":
                time.sleep({pause})

    X, y = load_digits(return_X_y=True)
    model = MLPBackpropClassifier((20,), max_iter=40, tol=None, random_state=3)
    model.set_callbacks(Checkpoint({path!r}, resume=True), Slowly()).fit(X, y)
    model.parameters_.tofile({out!r})
"""


def test_training_goes_on_after_a_kill(tmp_path):
    """Kill -9 in the middle, run the same lines again: the parameters are those of one run."""
    path, out = tmp_path / "run.ckpt", tmp_path / "theta"

    def script(pause, where):
        code = SCRIPT.format(pause=pause, path=str(path), out=str(where))
        return [sys.executable, "-c", textwrap.dedent(code)]

    process = subprocess.Popen(script(0.05, out))
    deadline = time.monotonic() + 60
    while not path.exists() or Checkpoint.load(path).n_iter_ < 5:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not out.exists()
    reached = Checkpoint.load(path).n_iter_
    assert 5 <= reached < 40
    subprocess.run(script(0, out), check=True)
    path.unlink()
    whole = tmp_path / "whole"
    subprocess.run(script(0, whole), check=True)
    assert_array_equal(np.fromfile(out), np.fromfile(whole))


def test_checkpoint_predicts_and_goes_on(tmp_path):
    path = tmp_path / "run.ckpt"
    model = made(GDClassifier()).set_callbacks(Checkpoint(path)).fit(X, y)
    loaded = Checkpoint.load(path)
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert not hasattr(loaded, "_skl_callbacks")
    assert_array_equal(
        loaded.partial_fit(X, y).parameters_, clone(model).fit(X, y).partial_fit(X, y).parameters_
    )


def test_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    made(GDClassifier()).set_callbacks(Checkpoint(path)).fit(X, y)
    kept = path.read_bytes()
    again = Checkpoint(path, resume=True)
    with pytest.raises(ValueError, match=r"alpha was 0.001, is 0.5"):
        made(GDClassifier(), alpha=0.5).set_callbacks(again).fit(X, y)
    with pytest.raises(ValueError, match="other data"):
        made(GDClassifier()).set_callbacks(again).fit(X[1:], y[1:])
    weight = np.linspace(1, 2, len(y))
    for other in (
        {"X": X + (X.max() == X)},
        {"sample_weight": weight},
        {"X_val": X[::2], "y_val": y[::2]},
        {"X": sparse.csr_matrix(X) * 2},
    ):
        with pytest.raises(ValueError, match="other data"):
            made(GDClassifier()).set_callbacks(again).fit(**{"X": X, "y": y} | other)
    with pytest.raises(ValueError, match="random_state was 0, is 1"):
        made(GDClassifier(), random_state=1).set_callbacks(again).fit(X, y)
    with pytest.raises(ValueError, match="has done 6 epochs, and max_iter=5"):
        made(GDClassifier(), max_iter=5).set_callbacks(again).fit(X, y)
    assert path.read_bytes() == kept


@every_model
def test_lbfgs_cannot_go_on_but_begins_anew_where_it_was_stopped(model, tmp_path):
    path, record = tmp_path / "run.ckpt", RecordPath()
    model = made(model, optimizer="lbfgs")
    stopped = clone(model).set_callbacks(Checkpoint(path), Spy(stop_after=3)).fit(X, y)
    kept = path.read_bytes()
    again = clone(model).set_callbacks(Checkpoint(path, resume=True))
    with pytest.raises(
        ValueError, match=r"lbfgs.* cannot go on .*Checkpoint.load.*warm_start=True"
    ):
        again.fit(X, y)
    assert not hasattr(again, "n_iter_") and path.read_bytes() == kept
    loaded = Checkpoint.load(path)
    assert_array_equal(loaded.parameters_, stopped.parameters_)
    loaded.set_params(warm_start=True).set_callbacks(record).fit(X, y)
    assert_allclose(record.path_[0], stopped.parameters_, rtol=1e-12)
    assert loaded.loss_ < stopped.loss_


VAL = {"X_val": X[1::5], "y_val": y[1::5], "sample_weight_val": np.linspace(1, 2, 30)}


@pytest.mark.parametrize("changed", VAL)
def test_other_validation_rows_are_other_data(changed, tmp_path):
    model = made(GDClassifier()).set_callbacks(Checkpoint(tmp_path / "run", resume=True))
    model.fit(X, y, **VAL)
    model.set_params(max_iter=7).fit(X, y, **VAL)
    other = {**VAL, changed: VAL[changed][::-1].copy()}
    with pytest.raises(ValueError, match="other data"):
        model.fit(X, y, **other)


@pytest.mark.parametrize(
    "kind", [np.asfortranarray, sparse.csr_matrix, np.ndarray.tolist, pd.DataFrame]
)
def test_the_same_data_resume_in_every_container(kind, tmp_path):
    first = made(GDClassifier(), max_iter=3).set_callbacks(Checkpoint(tmp_path / "run"))
    first.fit(kind(X), list(np.array(["a", "b", "c"])[y]))
    model = made(GDClassifier()).set_callbacks(Checkpoint(tmp_path / "run", resume=True))
    assert model.fit(kind(X), list(np.array(["a", "b", "c"])[y])).n_iter_ == 6
    with pytest.raises(ValueError, match="other data"):
        model.fit(kind(X[:, ::-1]), list(np.array(["a", "b", "c"])[y]))


def test_folds_that_share_a_file_are_told_apart(tmp_path):
    """cross_validate takes no callbacks: the second fold must not get the model of the first."""
    model = made(GDClassifier()).set_callbacks(Checkpoint(tmp_path / "run", resume=True))
    with pytest.raises(ValueError, match="resume=False, as under cross_validate"):
        cross_validate(model, X, y, cv=3, error_score="raise")
    model.set_callbacks(Checkpoint(tmp_path / "run"))
    bare = made(GDClassifier())
    assert_array_equal(
        cross_validate(model, X, y, cv=3)["test_score"],
        cross_validate(bare, X, y, cv=3)["test_score"],
    )


def test_settings_that_mean_the_same_resume(tmp_path):
    path = tmp_path / "run"
    one = {"alpha": 0.1, "optimizer": Adam(beta_1=0.8), "class_weight": {0: 1, 1: 2, 2: 3}}
    two = {"alpha": np.float64(0.1), "optimizer": Adam(beta_1=np.float64(0.8)),
           "class_weight": {2: 3.0, 1: 2.0, 0: 1.0}, "random_state": None}  # fmt: skip
    made(GDClassifier(), max_iter=3, **one).set_callbacks(Checkpoint(path)).fit(X, y)
    resumed = made(GDClassifier(), **two).set_callbacks(Checkpoint(path, resume=True)).fit(X, y)
    assert_array_equal(resumed.parameters_, made(GDClassifier(), **one).fit(X, y).parameters_)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0.1, np.float64(0.1), True),
        ({"a": 1, "b": [2, 3]}, {"b": (2.0, 3), "a": 1}, True),
        (np.arange(3), np.arange(3.0), True),
        (np.arange(3), np.arange(4), False),
        (Adam(), Adam(beta_1=0.8), False),
        (float("nan"), float("nan"), True),
        ((5,), (5, 5), False),
        (None, 0, False),
        (pd.Series([1, 2]), pd.Series([1, 2]), True),
        (pd.Series([1, 2]), pd.Series([1, 3]), False),
    ],
)
def test_same(a, b, expected):
    assert same(a, b) is expected


@every_model
@pytest.mark.parametrize(
    "settings",
    [
        {"tol": 1e-2, "n_iter_no_change": 3},
        {"early_stopping": True, "tol": 0.01, "n_iter_no_change": 3},
        {"step_tol": 0.05},
        {"gradient_tol": 0.2, "batch_size": None},
        {"learning_rate": 1e9, "optimizer": "sgd"},
        {"max_evals": 9},
        {"average": "ema", "tol": 1e-2, "n_iter_no_change": 3},
    ],
    ids=lambda settings: "-".join(settings),
)
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.filterwarnings("ignore::skgd.exceptions.DivergenceWarning")
def test_a_training_that_was_over_is_not_trained_further(model, settings, every, tmp_path):
    model = made(model, max_iter=400, **settings)
    whole = clone(model).fit(X, y)
    assert whole.n_iter_ < 400 and "max_iter" not in whole.stop_reason_
    model.set_callbacks(Checkpoint(tmp_path / "run", every=every, resume=True))
    for _ in range(4):
        again = clone(model).fit(X, y)
        assert again.n_iter_ == whole.n_iter_ and again.stop_reason_ == whole.stop_reason_
        assert again.loss_curve_ == whole.loss_curve_
        assert_array_equal(again.parameters_, whole.parameters_)
    if "max_evals" in settings:  # a limit may be raised
        assert model.set_params(max_evals=18).fit(X, y).n_iter_ > whole.n_iter_


def test_a_training_that_our_callback_ended_is_not_trained_further(tmp_path):
    early = EarlyStopping(patience=4, min_delta=1e-3)
    model = made(GDClassifier(), max_iter=500, alpha=0.1)
    whole = clone(model).set_callbacks(early).fit(X, y)
    assert 10 < whole.n_iter_ < 500
    path = tmp_path / "run"
    stop = Spy(stop_after=whole.n_iter_ - 2)  # in the midst of the patience
    clone(model).set_callbacks(Checkpoint(path), early, stop).fit(X, y)
    for _ in range(3):
        again = clone(model).set_callbacks(early, Checkpoint(path, resume=True)).fit(X, y)
        assert again.n_iter_ == whole.n_iter_ and again.stop_reason_ == whole.stop_reason_
        assert_array_equal(again.parameters_, whole.parameters_)


def test_resumed_training_warns_of_the_max_iter_that_was_set(tmp_path):
    callbacks = Checkpoint(tmp_path / "run", resume=True)
    for n in (5, 7, 7):
        model = GDClassifier(max_iter=n, random_state=0).set_callbacks(callbacks)
        with pytest.warns(ConvergenceWarning, match=f"reached max_iter={n} "):
            model.fit(X, y)
        assert model.n_iter_ == n


@pytest.mark.parametrize("content", [b"", b"half of", pickle.dumps({"data": 1}), pickle.dumps(3)])
def test_a_broken_file_is_named(content, tmp_path):
    path = tmp_path / "run.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run.ckpt' cannot be read .*resume=False"):
        made(GDClassifier()).set_callbacks(Checkpoint(path, resume=True)).fit(X, y)
    with pytest.raises(ValueError, match=r"run.ckpt' cannot be read"):
        Checkpoint.load(path)
    made(GDClassifier()).set_callbacks(Checkpoint(path)).fit(X, y)
    assert Checkpoint.load(path).n_iter_ == 6


def test_checkpoint_says_before_training_that_it_cannot_be_written(tmp_path):
    model = made(GDClassifier(), loss=lambda y, raw: (y - raw) ** 2)
    with pytest.raises(TypeError, match="lambda"):
        model.set_callbacks(Checkpoint(tmp_path / "run")).fit(X, y)


def test_checkpoints_of_a_search_have_files_of_their_own(tmp_path):
    model = made(GDClassifier()).set_callbacks(Checkpoint(tmp_path / "run.ckpt", every=3))
    GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2).fit(X, y)
    assert len(list(tmp_path.glob("run-*.ckpt"))) == 2 * 2 + 1
    assert {Checkpoint.load(path).alpha for path in tmp_path.glob("*.ckpt")} == {0.1, 1.0}


def test_a_failing_disk_leaves_the_last_file(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    made(GDClassifier(), max_iter=3).set_callbacks(Checkpoint(path)).fit(X, y)
    kept = path.read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("skgd.callbacks._checkpoint.os.fsync", full)
    model = made(GDClassifier(), max_iter=9).set_callbacks(Checkpoint(path))
    with pytest.raises(OSError, match="disk full"):
        model.fit(X, y)
    assert path.read_bytes() == kept and list(tmp_path.iterdir()) == [path]
    assert model.n_iter_ == 1 and model.predict(X).shape == y.shape  # what was learned is kept
