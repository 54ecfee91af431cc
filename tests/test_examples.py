"""The examples run without a warning and show what they say."""

import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skgd.datasets import make_tc

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *arguments, cwd):
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def module(script):
    spec = importlib.util.spec_from_file_location(Path(script).stem, EXAMPLES / script)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_compare_learners(tmp_path):
    picture = tmp_path / "curves.png"
    out = run("compare_learners.py", "--quick", "--output", picture, cwd=tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert out.rstrip().endswith(str(picture))
    for word in ("numeric", "adagrad", "LogisticRegression", "MLPClassifier", "digits"):
        assert word in out
    differences = re.findall(r"^  (?:backprop|numeric) +(\S+)", out, re.MULTILINE)
    assert len(differences) == 4  # two models, two sources beside the analytic one
    assert max(map(float, differences)) < 1e-8


def test_backprop_is_not_learning(tmp_path):
    out = run("backprop_is_not_learning.py", cwd=tmp_path)
    losses = [float(value) for value in re.findall(r"J = (\d\.\d+)", out)]
    assert len(losses) == 4
    assert losses[0] == losses[1]  # back-propagation alone
    assert max(losses[2:]) < 0.1 * losses[0]  # both ways of learning
    assert "same parameters: True" in out
    assert out.count("predicts [0, 1, 1, 0]") == 2


def numbers(out, label):
    """Numbers in the line that begins with the label, percent as they stand."""
    (line,) = [line for line in out.splitlines() if line.strip().startswith(label)]
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", line.split(label, 1)[1])]


def test_business_cost(tmp_path):
    out = run("business_cost.py", cwd=tmp_path)
    blind = numbers(out, "log loss, threshold 0")[0]
    assert blind == pytest.approx(numbers(out, "LogisticRegression, threshold 0")[0], rel=0.02)
    theirs = numbers(out, "with class_weight")[0]
    assert theirs == pytest.approx(numbers(out, "in TunedThresholdClassifierCV")[0], rel=0.06)
    for own in ("expected cost", "true cost, smoothed"):
        cost, _ = numbers(out, own)
        assert cost < 0.7 * blind
        assert cost == pytest.approx(theirs, rel=0.06)  # no better, no worse


def test_asymmetric_loss(tmp_path):
    out = run("asymmetric_loss.py", cwd=tmp_path)
    cost = numbers(out, "the cost")[0]
    levels = [numbers(out, f'"quantile", {level}%')[0] for level in (80, 85, 90, 95)]
    assert cost < min(levels)
    assert max(levels) < numbers(out, '"squared_error"')[0]
    assert cost < 0.5 * numbers(out, "Ridge")[0]


def test_mape_with_l2(tmp_path):
    out = run("mape_with_l2.py", cwd=tmp_path)
    error, _ = numbers(out, "GDRegressor")[:2]
    ridge = [float(share) for share in re.findall(r"^Ridge.*?(\d+\.\d)% \+-", out, re.MULTILINE)]
    assert len(ridge) == 2
    assert error < min(ridge) - 2.0
    assert re.search(r"^GDRegressor.* (rounded_)?percentage, alpha=", out, re.MULTILINE)


@pytest.mark.slow
def test_f1_directly(tmp_path):
    out = run("f1_directly.py", cwd=tmp_path)
    for table, gain in (("Default", 0.05), ("Caravan", 0.15)):
        *_, log_loss, _, own, _, threshold, _ = numbers(out, table)
        assert own > log_loss + gain
        assert own == pytest.approx(threshold, abs=0.04)  # as good as a threshold, not better


def test_black_box_simulator(tmp_path):
    out = run("black_box_simulator.py", cwd=tmp_path)
    assert float(re.search(r"start differ by (\S+) of", out)[1]) < 1e-7
    spaces = ("parameters", "predictions")
    (_, by_parameters, _), (_, by_predictions, _) = (numbers(out, space) for space in spaces)
    assert by_predictions < 0.15 * by_parameters
    measured = [numbers(out, f"trained, measured in {space}")[0] for space in spaces]
    assert measured[0] == pytest.approx(measured[1], rel=0.002)
    assert max(measured) < numbers(out, "Ridge, times a factor  ")[0]
    assert max(measured) < 1.02 * numbers(out, "Ridge, times a factor for each shift")[0]


def test_fit_physics(tmp_path):
    out = run("fit_physics.py", cwd=tmp_path)
    assert "Both sources agree" in out
    *parameters, heat, pressure = numbers(out, "curve_fit")
    rows = re.findall(r"^(?:momentum|adam|lbfgs)  .*$", out, re.MULTILINE)
    assert len(rows) == 6  # three optimizers, two gradient sources
    for row in rows:
        found = [float(n) for n in row.split()[-5:]]
        assert found[:3] == pytest.approx(parameters, abs=1e-4)
    # Handbooks: mercury boils at 629.88 K, where the pressure is 760 mm, and takes 59.1 kJ / mol.
    assert heat == pytest.approx(59.1, rel=0.01)
    assert pressure == pytest.approx(760, rel=0.002)


def test_loss_curves(tmp_path):
    picture = tmp_path / "curves.png"
    out = run("loss_curves.py", "--output", picture, cwd=tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    for optimizer in ("sgd", "momentum", "adagrad", "adam"):
        _, first, last, _, epoch, score = numbers(out, optimizer)
        assert last < 0.15 * first
        assert 1 <= epoch <= 60
        assert score > 0.94


def test_paths_of_descent(tmp_path):
    picture = tmp_path / "paths.png"
    out = run("paths_of_descent.py", "--output", picture, cwd=tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    line, valley = out.split("Rosenbrock")
    least_squares = numbers(line, "A line; least squares:")
    for optimizer in ("sgd", "momentum", "adagrad", "adam"):
        steps, length, _, *end = numbers(line, optimizer)
        assert steps == 100
        assert end == pytest.approx(least_squares, abs=0.03)
        assert length > 5.25  # the straight way from (-1.5, -3)
    ends = {name: numbers(valley, name)[2:] for name in ("sgd", "momentum", "adam", "lbfgs")}
    assert ends["lbfgs"] == pytest.approx([0.0, 1.0, 1.0], abs=1e-4)
    for J, x, y in ends.values():
        assert pytest.approx(J, abs=0.02) == 100.0 * (y - x**2) ** 2 + (1.0 - x) ** 2
    assert ends["sgd"][0] > ends["adam"][0]


def test_historical(tmp_path):
    out = run("historical/experiments.py", "--quick", cwd=tmp_path)
    table, codes, mirror, answers = out.split("\n\n")
    assert table.splitlines()[0] == "3 seeds, at most 1,500 sweeps"
    assert "stuck" not in answers  # nobody knows yet
    rows = {}
    for line in table.splitlines()[2:]:
        succeeded, runs = map(int, re.search(r" (\d+)/(3) ", line).groups())
        rows.setdefault(tuple(re.split(r"  +", line)[:2]), []).append(succeeded)
        assert runs == 3
    # The delta rule learns neither; a threshold unit has at most 57 of 64 right.
    assert rows["XOR", "2-1"] == rows["symmetry", "6-1"] == [0]
    assert max(rows["XOR", "2-2-1"]) == 3
    assert max(rows["addition", "4-3-3 + direct"]) > max(rows["addition", "4-3-3"])
    assert max(rows["negation", "4-6-3"]) > max(rows["negation", "4-3-3"])
    assert codes.rstrip().endswith("8 different codes")
    # Nature 323: equal and opposite about the middle, in the ratio 1 : 2 : 4.
    ratios = re.findall(r"sizes 1\.00 : (\S+) : (\S+), mirror .* to (\S+)%", mirror)
    assert len(ratios) == 2
    for two, four, imbalance in (map(float, ratio) for ratio in ratios):
        assert two == pytest.approx(2.0, rel=0.1)
        assert four == pytest.approx(4.0, rel=0.1)
        assert imbalance < 1.0


def logistic(z):
    return 1.0 / (1.0 + np.exp(-z))


@pytest.mark.parametrize("net", ["2-1-1 + direct", "8-3-8", "4-3-3 + direct"])
def test_sweeps_are_steps_on_the_sum_of_errors(net, monkeypatch):
    """The rule of PDP vol. 1, chapter 8 (eq. 13, 14 and 16), written down again."""
    monkeypatch.syspath_prepend(EXAMPLES / "historical")
    runner, settings = (importlib.import_module(name) for name in ("runner", "settings"))
    experiment = next(row for row in settings.EXPERIMENTS if row.net() == net)
    X, y = experiment.cases()
    model = experiment.estimator(seed=3).initialize(X, y)
    (V, W), (a, b) = model.coefs_, model.intercepts_
    links = [] if model.direct_coef_ is None else [model.direct_coef_]
    theta = [np.array(part) for part in (V, a, W, b, *links)]
    change = [np.zeros_like(part) for part in theta]
    targets = y.reshape(len(y), -1)
    for _ in range(30):
        V, a, W, b, *links = theta
        hidden = logistic(X @ V + a)
        output = logistic(hidden @ W + b + sum(X @ link for link in links))
        delta = (targets - output) * output * (1 - output)
        below = delta @ W.T * hidden * (1 - hidden)
        slopes = [X.T @ below, below.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]
        for i, slope in enumerate([*slopes, X.T @ delta][: len(theta)]):
            change[i] = experiment.eta * slope + experiment.momentum * change[i]
            theta[i] += change[i]
    model = experiment.estimator(seed=3)
    runner.learn(model, X, y, 30, stop=False)
    (V, W), (a, b) = model.coefs_, model.intercepts_
    links = [] if model.direct_coef_ is None else [model.direct_coef_]
    for learned, by_hand in zip((V, a, W, b, *links), theta, strict=True):
        np.testing.assert_allclose(learned, by_hand, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_detectors", [1, 4])
def test_shared_fields_see_the_same_everywhere(n_detectors):
    shared = module("historical/shared_fields.py")
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(shared.PARTS * n_detectors + 1, 5))
    theta[10 * n_detectors : -1] /= 64  # by the number of fields: the output is not saturated
    X, _ = make_tc(6)
    answers = shared.outputs(theta, shared.fields(X))
    ts, cs = answers[:64].reshape(4, 16, 5), answers[64:].reshape(4, 20, 5)  # by rotation
    for letter in (ts, cs):
        assert np.ptp(letter, axis=1).max() < 1e-12  # wherever it is
        assert np.ptp(letter[:, 0], axis=0).min() > 1e-8  # turned, it is another


@pytest.mark.parametrize("gap", [0.1, 0.5])
def test_labels_of_the_picture_keep_their_distance(gap):
    compare = module("compare_learners.py")
    heights = [0.0, 0.01, -2.0, 0.01, 0.02]
    placed = compare.spread_labels(heights, gap)
    ordered = sorted(placed)
    closest = min(b - a for a, b in itertools.pairwise(ordered))
    assert closest >= gap - 1e-6
    assert min(placed) == placed[2]
