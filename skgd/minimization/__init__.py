"""`minimize`: the same loop for any function of an array, without data and without an estimator."""

from skgd.minimization.minimizer import minimize

__all__ = ["minimize"]
