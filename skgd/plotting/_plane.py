"""The plane in which an error surface is drawn: two parameters, or two principal directions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Plane:
    """The points ``origin + a directions[0] + b directions[1]``, with axes along which to read.

    Attributes
    ----------
    origin : ndarray of shape (n_parameters,)
    directions : ndarray of shape (2, n_parameters)
        Orthonormal.
    labels : tuple of two str
    """

    origin: np.ndarray
    directions: np.ndarray
    labels: tuple[str, str]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Coordinates of the nearest points in the plane, of shape (n_points, 2)."""
        return (points - self.origin) @ self.directions.T

    def at(self, a: float, b: float) -> np.ndarray:
        """Point with these coordinates, of shape (n_parameters,)."""
        return self.origin + a * self.directions[0] + b * self.directions[1]


def plane_of_parameters(origin: np.ndarray, pair: Any, names: Mapping[str, np.ndarray]) -> Plane:
    """Return the plane in which two parameters change and all others are those of `origin`.

    Parameters
    ----------
    origin : ndarray of shape (n_parameters,)
    pair : two of int or str
        Numbers, or names such as ``"coef[0]"`` or ``"coefs[1][2, 0]"``.
    names : mapping of str to ndarray of int
        The numbers of the parameters in each named array.
    """
    if isinstance(pair, str) or np.shape(pair) != (2,):
        raise ValueError(
            f'parameters takes two numbers or names, such as (0, 1) or ("coef[0]", "intercept[0]")'
            f", or None for the principal directions of the paths; got {pair!r}."
        )
    numbers = [_number_of(parameter, names, origin.size) for parameter in pair]
    if numbers[0] == numbers[1]:
        raise ValueError(f"parameters takes two different ones; got {pair!r}.")
    directions = np.zeros((2, origin.size))
    directions[[0, 1], numbers] = 1.0
    origin = origin.copy()
    origin[numbers] = 0.0  # so that coordinates in the plane are the parameters themselves
    return Plane(origin, directions, (_name_of(numbers[0], names), _name_of(numbers[1], names)))


def plane_of_paths(origin: np.ndarray, paths: Any) -> Plane:
    """Return the plane through `origin` in which the paths go furthest.

    The directions are the principal components of all points as seen from the origin, as in Li,
    Xu, Taylor, Studer and Goldstein, "Visualizing the loss landscape of neural nets", 2018,
    section 7.
    """
    away = np.concatenate([*paths, np.zeros((2, origin.size)) + origin]) - origin
    _, sizes, directions = np.linalg.svd(away, full_matrices=False)
    if not sizes[0] > 0.0:
        raise ValueError(
            "The paths do not leave their end, so they have no principal directions: train for "
            "more epochs, or name two parameters."
        )
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[[0, 1], largest])[:, None]  # the sign says nothing: fix it
    shares = sizes[:2] ** 2 / (sizes**2).sum()
    first, second = (
        f"principal direction {number} ({share:.0%} of the way)"
        for number, share in enumerate(shares, start=1)
    )
    return Plane(origin, directions, (first, second))


def _number_of(parameter: Any, names: Mapping[str, np.ndarray], n: int) -> int:
    if isinstance(parameter, Integral) and not isinstance(parameter, (bool, np.bool_)):
        number = int(parameter)
        if not -n <= number < n:
            raise ValueError(f"parameters: there is no parameter {number}; there are {n}.")
        return number % n
    text = str(parameter).replace(" ", "")
    for name, numbers in names.items():
        if text == name and numbers.size == 1:
            return int(numbers.flat[0])
        index = re.fullmatch(rf"{re.escape(name)}\[([\d,]+)\]", text)
        if index:
            place = tuple(int(part) for part in index[1].split(",") if part)
            if len(place) == numbers.ndim and all(np.less(place, numbers.shape)):
                return int(numbers[place])
    shapes = ", ".join(f"{name} of shape {numbers.shape}" for name, numbers in names.items())
    raise ValueError(
        f"parameters: there is no {parameter!r}. There are {shapes}; one of them is called "
        f"{_name_of(n - 1, names)!r}, or {n - 1}."
    )


def _name_of(number: int, names: Mapping[str, np.ndarray]) -> str:
    for name, numbers in names.items():
        place = np.argwhere(numbers == number)
        if len(place):
            return f"{name}[{', '.join(map(str, place[0]))}]"
    return f"parameter {number}"
