"""What holds with and without numba: the names of engines, the errors, the weight of an import."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import skgd
from skgd import GDRegressor, config_context, engine, set_config

DATA = [[0.0], [1.0]], [0.0, 1.0]


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    """Begin without a choice, whatever the tests are run with."""
    monkeypatch.delenv("SKGD_ENGINE", raising=False)
    monkeypatch.setattr(engine, "_default", None)


def engine_of():
    return GDRegressor(max_iter=3, tol=None).fit(*DATA).engine_


@pytest.mark.parametrize("wrong", ["fast", "Numba", ""])
def test_wrong_names(wrong):
    with pytest.raises(ValueError, match=r"engine takes one of auto, numpy, numba"):
        set_config(engine=wrong)
    with pytest.raises(ValueError, match="engine takes one of"), config_context(engine=wrong):
        pass
    assert engine.wanted() == "auto"


def test_without_numba(monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    for choose in (set_config, lambda engine: config_context(engine).__enter__()):
        with pytest.raises(ImportError, match=r"numba.*pip install \"skgd\[fast\]\""):
            choose(engine="numba")
    with pytest.raises(ImportError, match="not installed"):
        skgd.compile_kernels()
    monkeypatch.setenv("SKGD_ENGINE", "numba")
    with pytest.raises(ImportError, match="SKGD_ENGINE"):
        engine_of()
    monkeypatch.setenv("SKGD_ENGINE", "auto")
    monkeypatch.setattr(engine, "_WORTH_LOADING", 0.0)
    assert engine_of() == "numpy"


def test_import_is_light():
    code = """
        import sklearn.model_selection, sys
        before = set(sys.modules)  # scikit-learn may load pandas where it is there
        import skgd
        skgd.GDRegressor(max_iter=2, tol=None).fit([[0.0], [1.0]], [0.0, 1.0])
        print(*({"numba", "llvmlite", "matplotlib", "pandas"} & (set(sys.modules) - before)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, cwd=Path(skgd.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
