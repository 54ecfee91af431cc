"""The documentation site has a page for all that is public, and links lead to these pages."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

import skgd
from skgd._documentation import SITE
from skgd.losses import Huber
from skgd.optimizers import LBFGS, Adam

DOCS = Path(__file__).parents[1] / "docs"
ESTIMATORS = ["GDClassifier", "GDRegressor", "MLPBackpropClassifier", "MLPBackpropRegressor"]


@pytest.fixture(scope="module")
def site():
    """The modules that make the site's pages."""
    sys.path.insert(0, str(DOCS / "_sphinx"))
    try:
        names = ("public", "pages", "github_markdown")
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(DOCS / "_sphinx"))


@pytest.fixture(scope="module")
def generated(site):
    return dict(site["pages"].texts(pictures=set()))


def test_everything_public_has_a_page(site, generated):
    assert set(ESTIMATORS) < set(skgd.__all__)
    for name in set(skgd.__all__) - {"__version__"}:
        assert f"api/skgd.{name}.rst" in generated
    for module, table in site["public"].TABLES.items():
        for key, row in table.items():
            assert f"api/skgd.{module}.{row.__name__}.rst" in generated
            shown = "None" if key is None else f'"{key}"'
            assert f"``{shown}``" in generated[f"api/skgd.{module}.rst"]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_html_of_a_fitted_estimator_links_to_its_page(name, generated):
    X, y = load_iris(return_X_y=True)
    shown = getattr(skgd, name)(max_iter=2, tol=None).fit(X, y)._repr_html_()
    links = re.findall(rf'href="{SITE}/generated/([^"#]+)\.html', shown)
    assert f"api/skgd.{name}" in links
    assert all(f"{link}.rst" in generated for link in links)


@pytest.mark.parametrize("component", [Huber(), Adam(), LBFGS()])
def test_html_of_a_component_links_to_its_page(component, generated):
    (page,) = re.findall(rf"{SITE}/generated/(.+)\.html", component._get_doc_link())
    assert f".. autoclass:: {type(component).__name__}\n" in generated[f"{page}.rst"]


def test_a_class_of_the_users_has_no_link():
    class Mine(Adam):
        pass

    assert Mine()._get_doc_link() == ""


def test_links_to_files_become_links_to_pages(site):
    text = "[a](../CONTRIBUTING.md) [b](../examples/x.py) [c](speed.md#here) [d](https://e.org/f)"
    assert site["github_markdown"].for_site(text, "docs/any-loss.md", "any-loss.md") == (
        "[a](generated/contributing.md) [b](generated/examples/x.rst) [c](speed.md#here) "
        "[d](https://e.org/f)"
    )
    text = "[a](docs/speed.md) [b](CHANGELOG.md) [c](#here)"
    copy = site["github_markdown"].for_site(text, "CONTRIBUTING.md", "generated/contributing.md")
    assert copy == "[a](../speed.md) [b](changes.md) [c](#here)"


def test_the_guide_begins_with_the_three_parts_and_has_every_page(site):
    pages = site["github_markdown"].guide_pages(DOCS)
    assert pages[0] == "three-parts"
    assert {*pages, "index", "guide"} == {path.stem for path in DOCS.glob("*.md")}
    assert len(pages) == len(set(pages))


@pytest.mark.parametrize("theirs", [SGDClassifier, SGDRegressor, MLPClassifier, MLPRegressor])
def test_every_documented_attribute_of_scikit_learn_is_on_the_page(theirs):
    documented = {attribute.name for attribute in ClassDoc(theirs)["Attributes"]}
    assert {"coef_", "coefs_"} & documented
    text = (DOCS / "from-scikit-learn.md").read_text(encoding="utf-8")
    attributes = text.split("\n## Attributes\n")[1].split("\n## ")[0]
    assert not {name for name in documented if f"\n| `{name}` |" not in attributes}


def test_modules_are_found_without_importing_them():
    code = (
        "import sys, skgd\n"
        "late = ('skgd.callbacks', 'skgd.datasets', 'skgd.plotting')\n"
        "assert not {'skgd.datasets', 'skgd.plotting', 'matplotlib'} & set(sys.modules)\n"
        "assert {name.removeprefix('skgd.') for name in late} <= set(dir(skgd))\n"
        "for name in late:\n"
        "    assert getattr(skgd, name.removeprefix('skgd.')).__name__ == name\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert not hasattr(skgd, 'plots')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
