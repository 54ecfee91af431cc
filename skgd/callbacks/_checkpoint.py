"""A training in a file, from which it goes on."""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.callback import CallbackContext

from skgd._component import check_bool, check_number
from skgd.callbacks._protocol import Callback, place_of
from skgd.callbacks._same import checksum, same


class Checkpoint(Callback):
    """Writes the training to a file, from which it can go on to bit-identical parameters.

    The file is replaced as a whole (written beside it, then renamed): whatever happens, the last
    complete one is there. It is a pickle, and loading one (as `resume` does) runs what is in it:
    load only what you have written yourself.

    Parameters
    ----------
    path : str or path-like
        The file. Inside a pipeline or a search, the numbers of the tasks that lead to the
        training come before its suffix: ``run-0-3.ckpt``. A meta-estimator that takes no
        callbacks, such as `cross_validate` or ``BaggingClassifier``, tells no such numbers:
        there all trainings share one file, so that `resume` has to stay False.
    every : int, default=1
        Epochs from one file to the next.
    resume : bool, default=False
        Whether `fit` goes on from the file where there is one: parameters, the optimizer's state,
        the order of the rows, the rate and the history, as if the training had never been
        stopped. The same settings and data (weights and validation rows, too) must be given;
        `max_iter`, and the other limits, may be higher. A training that was over by itself, such
        as by `tol`, is not trained further. ``optimizer="lbfgs"`` cannot go on, as its memory is in
        SciPy; it can begin anew where it was stopped:
        ``Checkpoint.load(path).set_params(warm_start=True).fit(X, y)``.

    Raises
    ------
    ValueError
        In `fit` with ``resume=True``, if the file belongs to a training with other settings or
        other data, has more epochs than `max_iter`, is one by "lbfgs", or is broken.
    TypeError
        In `fit`, before the training, if the estimator cannot be pickled.

    Examples
    --------
    The same lines, run again after a crash, go on where it happened:

    >>> import pathlib, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skgd import GDClassifier
    >>> from skgd.callbacks import Checkpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "iris.ckpt"
    >>> model = GDClassifier(max_iter=50, tol=None, random_state=0)
    >>> _ = model.set_callbacks(Checkpoint(path, every=10, resume=True)).fit(X, y)
    >>> Checkpoint.load(path).n_iter_
    50
    """

    def __init__(self, path: Any, every: int = 1, resume: bool = False) -> None:
        self.path = path
        self.every = every
        self.resume = resume

    def check(self) -> None:
        """Raise an error that names the wrong parameter, if there is one."""
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path takes the name of a file; got {self.path!r}.")
        if not Path(self.path).parent.is_dir():
            raise ValueError(f"path={str(self.path)!r}: there is no folder of that name.")
        check_number("every", self.every, low=1, integer=True)
        check_bool("resume", self.resume)

    @staticmethod
    def load(path: Any) -> Any:
        """Load the estimator of a file: fitted, as if its training had ended there.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        estimator : estimator
            It predicts; `partial_fit` goes on with it.
        """
        return _read(Path(path))["estimator"]

    def begin(self, estimator: Any, context: CallbackContext) -> dict[str, Any]:
        """Make sure that the training can be written."""
        try:
            pickle.dumps(estimator.get_params(deep=False))
        except Exception as error:
            raise TypeError(
                f"Checkpoint cannot write this {type(estimator).__name__}: {error}. A function "
                "must be one that a module defines, not a lambda or one inside another function."
            ) from None
        return {"file": self._file(context)}

    def resume_from(self, estimator: Any, context: CallbackContext, data: Mapping[str, Any]) -> Any:
        """Find where a training is to go on.

        Parameters
        ----------
        estimator : estimator
            The one that is being fitted.
        context : CallbackContext
            The training's place in the tree of tasks.
        data : dict of str to array-like or None
            "X", "y", "sample_weight" and the validation rows, as they were given to `fit`.

        Returns
        -------
        estimator : estimator or None
            That of the file; None where there is no file, or `resume` is False.
        """
        state = self._states[place_of(context)]
        path = state["file"]
        state["data"] = checksum(*(data[name] for name in sorted(data)))
        if not (self.resume and path.exists()):
            return None
        saved = _read(path)
        changed = _differences(saved["estimator"], estimator)
        if changed:
            raise ValueError(
                f"Checkpoint: {str(path)!r} belongs to a training with other settings "
                f"({'; '.join(changed)}). Give those, another path, or resume=False."
            )
        if saved["data"] != state["data"]:
            raise ValueError(
                f"Checkpoint: {str(path)!r} belongs to a training on other data. Give the same X, "
                "y, weights and validation rows; or each training a path of its own; or "
                "resume=False, as under cross_validate and other meta-estimators without "
                "callbacks, whose trainings share the path."
            )
        done = saved["estimator"].n_iter_
        if estimator.max_iter < done:
            raise ValueError(
                f"Checkpoint: the training in {str(path)!r} has done {done} epochs, and "
                f"max_iter={estimator.max_iter} is less. Raise max_iter, or set resume=False."
            )
        return saved["estimator"]

    def after_epoch(
        self, state: dict[str, Any], model: Any, X: Any, y: Any, metadata: dict[str, Any]
    ) -> bool:
        """Write the file, where it is time to."""
        if model.n_iter_ % self.every == 0:
            _write(state["file"], {"data": state["data"], "estimator": model})
        return False

    def _file(self, context: CallbackContext) -> Path:
        path, place = Path(self.path), place_of(context)[1:]
        if len(place) == 1:  # no pipeline, no search around it
            return path
        return path.with_name("-".join([path.stem, *map(str, place)]) + path.suffix)


_FREE = {"max_iter", "max_time", "max_evals", "verbose", "random_state"}


def _differences(saved: Any, estimator: Any) -> list[str]:
    """Parameters of the two in which they differ, beside those that may."""
    if type(saved) is not type(estimator):
        return [f"{type(saved).__name__} is not {type(estimator).__name__}"]
    was, now = saved.get_params(), estimator.get_params()
    names = sorted({*was, *now} - _FREE)
    if isinstance(now["random_state"], Integral):  # else the saved seed goes on
        names.append("random_state")
    return [
        f"{name} was {was.get(name)!r}, is {now.get(name)!r}"
        for name in names
        if not same(was.get(name), now.get(name))
    ]


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            saved = pickle.load(file)
            saved["data"], saved["estimator"].n_iter_  # it may be another pickle
        except Exception as error:  # whatever a broken pickle happens to say
            raise ValueError(
                f"Checkpoint: {str(path)!r} cannot be read ({type(error).__name__}: {error}). "
                "Delete it, give another path, or set resume=False."
            ) from error
    return saved


def _write(path: Path, data: dict[str, Any]) -> None:
    """Replace the file as a whole: at no time is there half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pickle.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
