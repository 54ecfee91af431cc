"""What a callback is: one state for each training that it sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

from skgd._component import Component
from skgd.estimators import GradientLearner
from skgd.estimators.hooks import EPOCH, without_hooks

_HOOKS = ("after_epoch", "on_fit_task_begin", "on_fit_task_end")


class Callback(Component):
    """Base of the callbacks: one state for each training that it sees.

    A subclass overrides `begin`, which makes the state, and `after_epoch`; it reads what it needs
    off the fitted estimator it is given, whose attributes are those of a fit that ended there.
    """

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Get ready for a training (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.

        Raises
        ------
        TypeError
            The estimator does not learn by gradient descent; a Pipeline is such a one.
        """
        name = type(self).__name__
        if not isinstance(estimator, GradientLearner):
            raise TypeError(
                f"{name} looks at a training by gradient descent, and {type(estimator).__name__} "
                "is none: set it on the estimator inside it that learns so, as in "
                f"make_pipeline(StandardScaler(), GDClassifier().set_callbacks({name}(...)))."
            )
        if not any(getattr(type(self), hook) is not getattr(Callback, hook) for hook in _HOOKS):
            raise TypeError(
                f"{name} overrides none of {', '.join(_HOOKS)}, so it would do nothing: is the "
                "name of its method misspelt?"
            )
        self.check()
        state = self.begin(estimator, context)
        self._states = {**self.__dict__.get("_states", {}), place_of(context): state}

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Let go of a training's state (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.
        """
        self.__dict__.get("_states", {}).pop(place_of(context), None)

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext, **_: Any) -> None:
        """Do nothing before a task (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The task's place in the tree of tasks.
        **_ : dict
            What other callbacks may ask for.
        """

    def on_fit_task_end(
        self,
        estimator: Any,
        context: CallbackContext,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Call `after_epoch` after each epoch (scikit-learn's hook).

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The task's place in the tree of tasks.
        X, y : array-like
            As they were given to `fit`.
        metadata : dict or None
            "sample_weight", where `fit` was given one.
        fitted_estimator : estimator
            As if the fit had ended here.

        Returns
        -------
        stop : bool
            Whether to end the training.
        """
        if context.task_name != EPOCH:
            return False
        state = self._states[place_of(context.parent)]
        # Without callbacks: a clone of it can be fitted, and would not call this one again.
        stop = self.after_epoch(state, without_hooks(fitted_estimator), X, y, metadata or {})
        if not (stop is None or isinstance(stop, (bool, np.bool_))):
            raise TypeError(
                f"{type(self).__name__}.after_epoch returns True to end the training, False or "
                f"nothing to let it go on; got {stop!r}."
            )
        return bool(stop)

    def before_training(self, context: CallbackContext, model: Any, validated: bool) -> bool:
        """Look at what a training begins from.

        Parameters
        ----------
        context : CallbackContext
            The training's place in the tree of tasks.
        model : estimator or None
            The one that a resumed training goes on from; None where a training begins.
        validated : bool
            Whether there are validation rows.

        Returns
        -------
        stop : bool
            Whether the resumed training was over.
        """
        return False

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make the state of one training.

        Parameters
        ----------
        estimator : estimator
            Not fitted yet.
        context : CallbackContext
            The training's place in the tree of tasks.

        Returns
        -------
        state : dict
        """
        return {}

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool | None:
        """See an epoch that is over.

        Parameters
        ----------
        state : dict
            What `begin` made; to be changed in place. An entry "reason" says why it stops.
        model : estimator
            As if the fit had ended here, with ``history_``, ``parameters_`` and the rest. It has
            no callbacks, and does not change later.
        X, y : array-like
            As they were given to `fit`.
        metadata : dict
            "sample_weight", where `fit` was given one.

        Returns
        -------
        stop : bool or None
            Whether to end the training; None is False.
        """
        return False

    def stop_reason(self, context: CallbackContext) -> str | None:
        """Say why this callback stopped a training.

        Parameters
        ----------
        context : CallbackContext
            The training's place in the tree of tasks.

        Returns
        -------
        reason : str or None
            None if it did not stop it.
        """
        return self._states.get(place_of(context), {}).get("reason")


def is_first_epoch(context: CallbackContext) -> bool:
    return context.task_name == EPOCH and context.task_id == 0


def place_of(context: CallbackContext) -> tuple[Any, ...]:
    """Place of a training in the tree of tasks: the tree, and the tasks that lead to it."""
    path: list[Any] = []
    node: CallbackContext | None = context
    while node is not None:
        path.append(node.task_id)
        node = node.parent
    return (context.root_uuid, *reversed(path))
