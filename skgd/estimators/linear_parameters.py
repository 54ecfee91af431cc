"""Theta of a linear model, as `coef_` and `intercept_`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skgd.objective import FeedForward
from skgd.objective.coordinates import Coordinates

_OFF_THE_MEAN = 0.01  # spreads of y between the first intercept and the mean


class LinearParameters:
    """Theta as `coef_` and `intercept_`; the start is zero."""

    _task: str
    coef_: Any
    intercept_: np.ndarray
    fit_intercept: bool
    _model_: FeedForward
    _default_gradient = "analytic"

    def sparsify(self) -> Any:
        """Turn `coef_` into a CSR matrix: worth it where most of it is zero.

        Returns
        -------
        self : estimator
        """
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Any:
        """Turn `coef_` back into an array.

        Returns
        -------
        self : estimator
        """
        self.coef_ = self._dense_coef()
        return self

    def _model(self, n_features: int, n_outputs: int) -> FeedForward:
        flat = self._task == "regression" and n_outputs == 1
        return FeedForward(
            n_features,
            n_outputs,
            fit_intercept=bool(self.fit_intercept),
            linear_shape=(n_features,) if flat else (n_outputs, n_features),
        )

    def _dropout_rates(self) -> tuple[float, ...]:
        return ()

    def _initial_u(self, coordinates: Coordinates, rng: np.random.Generator) -> np.ndarray:
        """Theta = 0; where the output is centred, an intercept just off the mean of y.

        Not the mean itself: there the intercept's gradient under squared loss is rounding
        noise, which Adam and its kin would divide by its own size.
        """
        u = coordinates.to_u(np.zeros(coordinates.model.n_parameters))
        u = np.clip(u, -_OFF_THE_MEAN, _OFF_THE_MEAN)
        if coordinates.spread is not None:
            for _, b in coordinates.model.layers(u):
                if b is not None:
                    b[np.abs(b) < _OFF_THE_MEAN] = _OFF_THE_MEAN
        return u

    def _unpack(self, theta: np.ndarray) -> None:
        model = self._model_
        arrays = model.unpack(theta)
        self.coef_ = arrays["coef"].copy()
        if model.fit_intercept:
            self.intercept_ = arrays["intercept"].copy()
        else:
            self.intercept_ = np.zeros(model.n_outputs, dtype=theta.dtype)

    def _pack(self) -> np.ndarray:
        coef = self._dense_coef().ravel()
        return (
            np.concatenate([coef, self.intercept_]) if self._model_.fit_intercept else coef.copy()
        )

    def _dense_coef(self) -> np.ndarray:
        if not sparse.issparse(self.coef_):
            return self.coef_
        dense = self.coef_.toarray()
        return dense.ravel() if self._task == "regression" and len(dense) == 1 else dense

    def _n_outputs(self) -> int:
        return len(self.intercept_)
