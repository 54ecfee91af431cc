"""The pages say what is true: every block of Python on them is run, and its output compared."""

import doctest
import re
import warnings
from pathlib import Path

import pytest

from skgd.activations import ACTIVATIONS
from skgd.gradients import GRADIENTS
from skgd.losses import LOSSES
from skgd.optimizers import OPTIMIZERS
from skgd.penalties import PENALTIES
from skgd.schedules import SCHEDULES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLES = [ACTIVATIONS, GRADIENTS, LOSSES, OPTIMIZERS, PENALTIES, SCHEDULES]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def tables_restored():
    """CONTRIBUTING.md adds rows; the other tests must not see them."""
    before = [dict(table) for table in TABLES]
    yield
    for table, rows in zip(TABLES, before, strict=True):
        table.clear()
        table.update(rows)


def python_blocks(page):
    """Each block of Python: its code and the line that it begins on, from 0."""
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield block[1], text[: block.start(1)].count("\n")


def docstrings(objects):
    """Doctests of the classes that a page defines."""
    for value in objects:
        if isinstance(value, type) and not value.__module__.startswith(("skgd", "sklearn")):
            yield from doctest.DocTestFinder(recurse=False).find(value, module=False, globs={})


@every_page
@pytest.mark.usefixtures("tables_restored")
def test_code_runs_and_output_is_right(page):
    """The blocks of a page share one namespace; those that begin with >>> are doctests."""
    namespace = {"__name__": page.stem}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failures = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # ConvergenceWarning too: readers would see it
        for code, line in python_blocks(page):
            if code.startswith(">>>"):
                tests = [doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)]
            else:
                before = set(namespace)
                exec(compile("\n" * line + code, str(page), "exec"), namespace)
                tests = docstrings(namespace[name] for name in set(namespace) - before)
            for test in tests:
                test.globs = namespace  # DocTest made a copy
                runner.run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)


@every_page
def test_relative_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in target or (page.parent / target).exists(), target


def test_first_screen_of_the_readme_is_the_main_job():
    code, line = next(python_blocks(ROOT / "README.md"))
    assert line < 10
    for word in ("Pipeline", "GridSearchCV", "gradient", "optimizer", "learning_rate"):
        assert word in code


def test_every_parameter_of_scikit_learn_is_on_the_page():
    from sklearn.linear_model import SGDClassifier, SGDRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    text = (ROOT / "docs" / "from-scikit-learn.md").read_text(encoding="utf-8")
    for estimator in (SGDClassifier, SGDRegressor, MLPClassifier, MLPRegressor):
        title = rf"^## .*`{estimator.__name__}`.*\n"
        section = re.split(r"^## ", re.split(title, text, flags=re.MULTILINE)[1], flags=re.M)[0]
        for name in estimator().get_params():
            assert f"\n| `{name}`" in section, f"{estimator.__name__}: {name}"


def test_every_module_has_a_line_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for module in (ROOT / "skgd").rglob("*.py"):
        name = module.relative_to(ROOT / "skgd").as_posix()
        assert module.name == "__init__.py" or f"\n| `{name}` |" in text, name
