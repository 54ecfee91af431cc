"""Targets: how y becomes what a loss takes, and how raw outputs become predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, compute_class_weight, gen_batches
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skgd.estimators.labels import ONE, SEVERAL, SHARES, as_columns, has_columns, kind_of, loss_for
from skgd.estimators.parameters import loss_of
from skgd.losses import Loss
from skgd.optimizers import LBFGS

_CHUNK = 2**14  # rows
_COUNTABLE = 2**10  # values between the smallest and the largest label


def _loss_of(estimator: Any) -> Loss:
    """Loss that the estimator was fitted with; before that, the one it will be."""
    fitted = getattr(estimator, "_loss_", None)
    if fitted is not None:
        return fitted
    return loss_of(estimator)


def _checked_classes(classes: Any) -> np.ndarray:
    try:
        found = np.unique(column_or_1d(classes))
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError("nan and inf are no classes.")
    except (TypeError, ValueError) as error:
        raise ValueError(f"classes takes a flat list of labels; got {classes!r}: {error}") from None
    return found


def _has_proba(estimator: Any) -> bool:
    if not _loss_of(estimator).has_proba:
        raise AttributeError(
            f"predict_proba needs a loss that gives probabilities; loss={estimator.loss!r} "
            'does not. Use loss="log_loss", "modified_huber" or "focal", or wrap the '
            "classifier in CalibratedClassifierCV."
        )
    return True


def _has_partial_fit(estimator: Any) -> bool:
    optimizer = estimator.optimizer
    if optimizer == "lbfgs" or isinstance(optimizer, LBFGS):
        raise AttributeError(
            'optimizer="lbfgs" is a solver over all data and has no partial_fit; take another '
            "optimizer, or call fit."
        )
    return True


class RegressorTarget(RegressorMixin):
    """Targets of regressors: numbers, one column or several."""

    _task = "regression"

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target for each row of X.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        raw = self._raw(X)
        with np.errstate(over="ignore"):
            return _loss_of(self).inverse_link(raw)

    @available_if(_has_partial_fit)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Learn one pass over X and y; the parameters and the optimizer's state live on.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Scales the step: there is no mean over all rows to divide by.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows to judge this pass by. With early_stopping, a pass after which the score has not
            improved for `n_iter_no_change` passes brings the best parameters back, and
            `stop_reason_` says so.

        Returns
        -------
        self : estimator
        """
        return self._learn_one_pass(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _takes_columns(self, y: Any) -> bool:
        return True

    def _loss_for_targets(self, loss: Loss) -> Loss:
        return loss

    def _check_target_shape(self, y: np.ndarray) -> np.ndarray:
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _encode(
        self, y: np.ndarray, dtype: Any, *, reset: bool, classes: Any, partial: bool
    ) -> np.ndarray:
        y = np.ascontiguousarray(y, dtype=dtype)
        assert_all_finite(y, input_name="y")
        return y

    def _labels_of(self, y: np.ndarray) -> np.ndarray:
        return y

    def _strata(self, y: np.ndarray) -> None:
        return None

    def _class_weighted(
        self, y: np.ndarray, weight: np.ndarray | None, partial: bool
    ) -> np.ndarray | None:
        return weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


def _unique(y: np.ndarray) -> np.ndarray:
    """``np.unique(y)``; whole numbers that lie close together are counted, not sorted."""
    if y.dtype.kind in "iu" and y.dtype != np.uint64 and y.size:
        lowest, highest = int(y.min()), int(y.max())
        if highest - lowest < _COUNTABLE:
            counts = np.zeros(highest - lowest + 1, dtype=np.int64)
            for rows in gen_batches(len(y), _CHUNK):  # no further array as long as y
                near = y[rows].astype(np.int64) - lowest
                counts += np.bincount(near, minlength=len(counts))
            return (np.flatnonzero(counts) + lowest).astype(y.dtype)
    return np.unique(y)


class ClassifierTarget(ClassifierMixin):
    """Targets of classifiers: two classes as {0, 1}, more as one-hot rows.

    A y of several columns holds what the loss takes already: see `skgd.estimators.labels`.
    """

    _task = "classification"
    classes_: np.ndarray
    _kind_ = ONE

    def decision_function(self, X: Any) -> np.ndarray:
        """Raw outputs of the model, before the link.

        With an output activation, the outputs after it, less 1/2 where they are compared with
        targets of {0, 1}.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        raw : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one number; above 0 it speaks for ``classes_[1]``.
        """
        return _loss_of(self).decision(self._raw(X))

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each row of X.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The latter, of 0 and 1, where y was such a matrix.
        """
        return self._decode(self.decision_function(X))

    @available_if(_has_proba)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, in the order of `classes_`.

        With several labels for each row, of each label by itself: a row's sum may be any.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
        """
        p = _loss_of(self).inverse_link(self._raw(X))
        return np.column_stack([1 - p, p]) if p.ndim == 1 else p

    @available_if(_has_proba)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_has_partial_fit)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        *,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Learn one pass over X and y; the parameters and the optimizer's state live on.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed at the first call, unless y has a column
            for each.
        sample_weight : array-like of shape (n_samples,), default=None
            Scales the step: there is no mean over all rows to divide by.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows to judge this pass by. With early_stopping, a pass after which the score has not
            improved for `n_iter_no_change` passes brings the best parameters back, and
            `stop_reason_` says so.

        Returns
        -------
        self : estimator
        """
        return self._learn_one_pass(
            X, y, sample_weight, (X_val, y_val, sample_weight_val), classes=classes
        )

    def _takes_columns(self, y: Any) -> bool:
        return has_columns(y)

    def _loss_for_targets(self, loss: Loss) -> Loss:
        return loss_for(loss, self._kind_)

    def _check_target_shape(self, y: Any) -> np.ndarray:
        if has_columns(y):
            return as_columns(y)
        y = column_or_1d(y, warn=True)
        if y.dtype.kind not in "biu":  # whole numbers can be nothing else
            check_classification_targets(y)
        return y

    def _encode(
        self, y: np.ndarray, dtype: Any, *, reset: bool, classes: Any, partial: bool
    ) -> np.ndarray:
        known = None if reset else self._kind_
        if y.ndim == 2:
            return self._encode_columns(y, dtype, kind_of(y, known), classes, reset)
        if known not in (None, ONE):
            raise ValueError(f"y has one column, and the model was fitted with {known}.")
        self._kind_ = ONE
        self._settle_classes(y, reset, classes, partial)
        two = len(self.classes_) == 2
        encoded = np.zeros(len(y) if two else (len(y), len(self.classes_)), dtype=dtype)
        for rows in gen_batches(len(y), _CHUNK):  # no further array as long as y
            codes = self._codes(y[rows])
            if two:
                encoded[rows] = codes
            else:
                encoded[rows][np.arange(len(codes)), codes] = 1
        return encoded

    def _encode_columns(
        self, y: np.ndarray, dtype: Any, kind: str, classes: Any, reset: bool
    ) -> np.ndarray:
        labels = np.arange(y.shape[1])
        if classes is not None and not np.array_equal(classes, labels):
            raise ValueError(
                f"classes={classes!r}: where y has a column for each label, the classes are "
                f"their numbers, 0 to {labels[-1]}."
            )
        if not reset and len(labels) != len(self.classes_):
            raise ValueError(
                f"y has {len(labels)} columns; the model was fitted with {len(self.classes_)}."
            )
        self._kind_, self.classes_ = kind, labels
        if kind == SHARES:
            y = y / y.sum(axis=1, keepdims=True)
            y = y[:, 1] if y.shape[1] == 2 else y
        return np.ascontiguousarray(y, dtype=dtype)

    def _codes(self, y: np.ndarray) -> np.ndarray:
        """Places of the labels y in `classes_`."""
        if len(self.classes_) == 2:
            codes = y == self.classes_[1]
            known = codes | (y == self.classes_[0])
        else:
            codes = np.searchsorted(self.classes_, y)
            codes[codes == len(self.classes_)] = 0
            known = self.classes_[codes] == y
        if not np.all(known):
            raise ValueError(
                f"y holds classes {np.unique(y[~known])!r} that are not among the classes "
                f"{self.classes_!r} of the model."
            )
        return codes

    def _settle_classes(self, y: np.ndarray, reset: bool, classes: Any, partial: bool) -> None:
        """Set `classes_` at a first call; check what a later call brings."""
        if not reset:
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes={classes!r} is not the same as at the first call of partial_fit: "
                    f"{self.classes_!r}."
                )
            return
        if partial and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        found = _unique(y) if classes is None else _checked_classes(classes)
        if len(found) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 classes in y; the data contain only "
                f"one class: {found!r}."
            )
        self.classes_ = found

    def _decode(self, decision: np.ndarray) -> np.ndarray:
        """Class of a decision: above 0, or the largest; or all labels that are above 0."""
        if self._kind_ == SEVERAL:
            return (decision > 0).astype(int)
        if decision.ndim == 1:
            return self.classes_[(decision > 0).astype(int)]
        return self.classes_[decision.argmax(axis=1)]

    def _labels_of(self, y: np.ndarray) -> np.ndarray:
        """Classes of encoded targets."""
        return self._decode(y - 0.5)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        if self._kind_ != ONE:
            return None
        return self._places(y)

    def _places(self, y: np.ndarray) -> np.ndarray:
        return y if y.ndim == 1 else y.argmax(axis=1)

    def _class_weighted(
        self, y: np.ndarray, weight: np.ndarray | None, partial: bool
    ) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        if partial and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all rows, and partial_fit sees one "
                "part: give a dict of weights, from compute_class_weight('balanced', ...)."
            )
        if self._kind_ != ONE:
            raise ValueError(
                f"class_weight={self.class_weight!r} has no meaning for y with {self._kind_}: use "
                "sample_weight."
            )
        labels = self._labels_of(y)
        factors = compute_class_weight(
            self.class_weight, classes=self.classes_, y=labels, sample_weight=weight
        )
        if np.count_nonzero(factors) < 2:
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves fewer than two classes with a weight."
            )
        factors = factors[self._places(y).astype(int)]
        return factors if weight is None else factors * weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
