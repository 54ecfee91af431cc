"""Theta of a network, as `coefs_` and `intercepts_`."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skgd._component import check_bool, check_number
from skgd.activations import Activation, resolve_activation
from skgd.estimators.flat_activations import warn_of_a_flat_activation
from skgd.estimators.parameters import Components, check_parameters
from skgd.gradients import Analytic
from skgd.initialisers import INITIALIZERS, draw, resolve_init
from skgd.losses import Loss
from skgd.objective import FeedForward
from skgd.objective.coordinates import Coordinates
from skgd.objective.dropout import dropout_rates


class NetworkParameters(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Theta as `coefs_` and `intercepts_`; the start is random.

    A network is a transformer, too: its last hidden layer is a representation that was learned.
    """

    _default_gradient = "backprop"

    _checked_rows: Callable[[Any], Any]
    _task: str
    _model_: FeedForward
    _loss_: Loss
    hidden_layer_sizes: Any
    activation: Any
    dropout: Any
    direct_links: bool
    init: Any

    def hidden_activations(self, X: Any) -> list[np.ndarray]:
        """Return the activations of all hidden layers.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        activations : list of ndarray of shape (n_samples, units)
            One for each hidden layer.
        """
        X = self._checked_rows(X)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._model_.hidden(self._model_.layers(self._pack()), X)

    def transform(self, X: Any) -> np.ndarray:
        """Compute the activations of the last hidden layer: the features it has learned.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        activations : ndarray of shape (n_samples, units)

        Raises
        ------
        ValueError
            There is no hidden layer.
        """
        activations = self.hidden_activations(X)
        if not activations:
            raise ValueError(
                "transform gives the activations of the last hidden layer, and "
                "hidden_layer_sizes=() has none."
            )
        return activations[-1]

    @property
    def _n_features_out(self) -> int:
        return self.coefs_[-1].shape[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _components(self) -> Components:
        activations = self._check_activations(len(self._check_hidden()))
        check_bool("direct_links", self.direct_links)
        if self.direct_links and not activations:
            raise ValueError(
                "direct_links=True needs a hidden layer to pass by: with hidden_layer_sizes=() all "
                "links are direct."
            )
        resolve_init(self.init)
        self._dropout_rates()
        components = check_parameters(self)
        if isinstance(components.source, Analytic):
            for activation in activations:
                if not activation.has_derivative:
                    raise ValueError(
                        f'gradient="analytic" needs derivatives written by hand, and '
                        f'{activation!r} has none: use gradient="backprop" or "numeric", or an '
                        "Activation object with a method backward(delta, z, a)."
                    )
        for activation in activations:
            warn_of_a_flat_activation(activation, components.source)
        return components

    def _check_hidden(self) -> tuple[int, ...]:
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, Integral):
            sizes = (sizes,)
        if not isinstance(sizes, (list, tuple)) and not (
            isinstance(sizes, np.ndarray) and sizes.ndim == 1
        ):
            raise TypeError(
                "hidden_layer_sizes takes a whole number or a tuple of them, one for each hidden "
                f"layer, such as (100, 50); got {sizes!r}."
            )
        for size in sizes:
            check_number("hidden_layer_sizes", size, low=1, integer=True)
        return tuple(int(size) for size in sizes)

    def _check_activations(self, n_hidden: int) -> tuple[Activation, ...]:
        given = self.activation
        if not isinstance(given, (list, tuple)):
            return (resolve_activation("activation", given),) * n_hidden
        if len(given) != n_hidden:
            raise ValueError(
                f"activation takes one name, or one for each of the {n_hidden} hidden layers; "
                f"got {len(given)}."
            )
        return tuple(resolve_activation("activation", a) for a in given)

    def _dropout_rates(self) -> tuple[float, ...]:
        return dropout_rates(self.dropout, len(self._check_hidden()))

    def _model(self, n_features: int, n_outputs: int) -> FeedForward:
        hidden = self._check_hidden()
        return FeedForward(
            n_features,
            n_outputs,
            hidden,
            self._check_activations(len(hidden)),
            direct_links=bool(self.direct_links),
        )

    def _initial_u(self, coordinates: Coordinates, rng: np.random.Generator) -> np.ndarray:
        """Random weights, by the activations unless `init` says how; intercepts start at 0.

        The output of a regressor starts near the mean of y: else it would first have to
        unlearn noise of y's own size.
        """
        model = coordinates.model
        u = np.zeros(model.n_parameters)
        layers = model.layers(u)
        given = resolve_init(self.init)
        if given is None:
            names = [activation.init for activation in model.activations]
            fillings: list[Any] = [INITIALIZERS[name]() for name in (*names, "glorot")]
        else:
            fillings = [given] * model.n_layers
        for (W, b), filling in zip(layers, fillings, strict=True):
            W[...] = draw(filling, W.shape, rng)
            if getattr(filling, "intercepts", False):
                b[...] = draw(filling, b.shape, rng)
        if layers.direct is not None:
            layers.direct[...] = draw(fillings[-1], layers.direct.shape, rng)
        if given is None and coordinates.spread is not None and model.hidden_layer_sizes:
            for W in (layers[-1][0], layers.direct):
                if W is not None:
                    W *= _REGRESSOR_OUTPUT
        return u

    def _unpack(self, theta: np.ndarray) -> None:
        model = self._model_
        layers = model.layers(theta)
        self.coefs_ = [W.copy() for W, _ in layers]
        self.intercepts_ = [b.copy() for _, b in layers]
        self.direct_coef_ = None if layers.direct is None else layers.direct.copy()
        self.n_layers_ = len(layers) + 1
        self.n_outputs_ = model.n_outputs
        self.out_activation_ = self._loss_.link_name(model.n_outputs)

    def _pack(self) -> np.ndarray:
        direct = [] if self.direct_coef_ is None else [self.direct_coef_]
        return np.concatenate([a.ravel() for a in (*self.coefs_, *direct, *self.intercepts_)])

    def _n_outputs(self) -> int:
        return self.coefs_[-1].shape[1]


_REGRESSOR_OUTPUT = 0.1  # factor on its first weights, by benchmarks/defaults.py
