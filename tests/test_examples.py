"""The examples run without a warning and show what they say."""

import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("gap", [0.1, 0.5])
def test_labels_of_the_picture_keep_their_distance(gap):
    pytest.importorskip("matplotlib")
    compare = module("compare_learners.py")
    heights = [0.0, 0.01, -2.0, 0.01, 0.02]
    placed = compare.spread_labels(heights, gap)
    ordered = sorted(placed)
    closest = min(b - a for a, b in itertools.pairwise(ordered))
    assert closest >= gap - 1e-6
    assert min(placed) == placed[2]
