"""The table of schedules, and those that are made of another one or of a function."""

from __future__ import annotations

import numbers
from collections.abc import Callable

from skgd._component import Component, check_number, resolve
from skgd.schedules.base import Schedule, _check_horizon, _check_period, _period
from skgd.schedules.cycles import OneCycle, WarmRestarts
from skgd.schedules.falling import Constant, Cosine, Exponential, InvScaling, StepDecay
from skgd.schedules.plateau import Plateau


class Warmup(Schedule):
    """Rises along a line to the full rate, then follows another schedule.

    Adam and its kin know little of the gradients' size in their first steps, and momentum has
    not built up: a slow start keeps these steps from doing harm.

    Parameters
    ----------
    schedule : str, Schedule or callable, default="constant"
        What follows; its step 0 is the first step after the rise.
    steps : int or float, default=0.05
        Steps of the rise; a float is a share of the whole training.
    start : float, default=0.01
        The factor of the first step, from 0 to 1.
    n_steps : int, default=None
        The horizon, in place of the training's own.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section
    2.2. The rise is that of ``torch.optim.lr_scheduler.LinearLR``.

    Examples
    --------
    >>> from skgd.schedules import Warmup
    >>> schedule = Warmup("cosine", steps=4, start=0.0)
    >>> [round(schedule(step, 12), 2) for step in (0, 2, 4, 8, 12)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, schedule="constant", steps=0.05, start=0.01, n_steps=None):
        self.schedule = schedule
        self.steps = steps
        self.start = start
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        of_steps = not isinstance(self.steps, numbers.Integral)
        return of_steps or resolve_schedule(self.schedule).has_horizon

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_period("steps", self.steps)
        check_number("start", self.start, low=0, high=1)
        _check_horizon(self.n_steps)
        if resolve_schedule(self.schedule).counts_epochs:
            raise ValueError(
                "Warmup(schedule=PerEpoch(...)) would count steps and epochs at once: use "
                "PerEpoch(Warmup(...)), which counts epochs in both."
            )

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        rise = _period(self, self.steps, n_steps)
        if step < rise:
            return float(self.start + (1 - self.start) * step / rise)
        step, n_steps = self._after(rise, step, n_steps)
        return resolve_schedule(self.schedule)(step, n_steps, losses)

    def for_training(self):
        """Return the schedule to use in one training: what watches the loss is asked once a loss.

        The rise moves with every step, so the training asks at every step.
        """
        schedule = resolve_schedule(self.schedule)
        if not schedule.watches_loss:
            return self
        return Warmup(_AskedOnce(schedule), self.steps, self.start, self.n_steps)

    def momentum(self, step, n_steps):
        """Return the momentum for this step, or None to leave the optimizer its own."""
        rise = _period(self, self.steps, n_steps)
        step, n_steps = self._after(rise, max(step, rise), n_steps)
        return resolve_schedule(self.schedule).momentum(step, n_steps)

    def _after(self, rise, step, n_steps):
        """Step and horizon of the schedule that follows."""
        horizon = n_steps if self.n_steps is None else self.n_steps
        return step - rise, None if horizon is None else max(horizon - rise, 1)


class _AskedOnce(Schedule):
    """In one training, the factor of a schedule that reads all losses, as long as none is new."""

    def __init__(self, schedule):
        self.schedule = schedule
        self._n_losses = -1
        self._factor = 1.0

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        if len(losses) != self._n_losses:
            self._n_losses = len(losses)
            self._factor = self.schedule(step, n_steps, losses)
        return self._factor

    def momentum(self, step, n_steps):
        """Return the momentum for this step, or None to leave the optimizer its own."""
        return self.schedule.momentum(step, n_steps)


class PerEpoch(Schedule):
    """Another schedule in which an epoch counts as a step: the rate stays the same within one.

    Parameters
    ----------
    schedule : str, Schedule or callable
        Its "steps" are epochs; a callable is ``function(epoch, n_epochs) -> factor``.

    Examples
    --------
    The rate falls to half every ten epochs, however many batches an epoch has:

    >>> from skgd import GDClassifier
    >>> from skgd.schedules import PerEpoch, StepDecay
    >>> schedule = PerEpoch(StepDecay(every=10, factor=0.5))
    >>> model = GDClassifier(schedule=schedule, learning_rate=0.1, max_iter=20, tol=None)
    >>> _ = model.set_params(batch_size=1).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    >>> model.history_["learning_rate"][8:12]
    [0.1, 0.1, 0.05, 0.05]
    """

    counts_epochs = True

    def __init__(self, schedule):
        self.schedule = schedule

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned epochs."""
        return resolve_schedule(self.schedule).has_horizon

    @property
    def n_steps(self):
        """The horizon that the schedule was given, in epochs."""
        return getattr(resolve_schedule(self.schedule), "n_steps", None)

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        if resolve_schedule(self.schedule).counts_epochs:
            raise ValueError(
                "PerEpoch(PerEpoch(...)) counts epochs twice: give the inner schedule."
            )

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate; `step` and `n_steps` count epochs."""
        return resolve_schedule(self.schedule)(step, n_steps, losses)

    def momentum(self, step, n_steps):
        """Return the momentum for this epoch, or None to leave the optimizer its own."""
        return resolve_schedule(self.schedule).momentum(step, n_steps)


class FromCallable(Schedule):
    """A function of the user's as a schedule.

    Parameters
    ----------
    function : callable
        ``function(step, n_steps) -> factor``, a finite number, 0 or more.
    n_steps : int, default=None
        The horizon to hand to the function, in place of the training's own. In `partial_fit`,
        which has none, the function gets None otherwise.

    Examples
    --------
    >>> from skgd.schedules import FromCallable
    >>> linear = FromCallable(lambda step, n_steps: 1 - step / n_steps)
    >>> [linear(step, 4) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """

    def __init__(self, function, n_steps=None):
        self.function = function
        self.n_steps = n_steps

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        if not callable(self.function):
            raise TypeError(f"schedule takes a callable as function; got {self.function!r}.")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        factor = self.function(step, n_steps if self.n_steps is None else self.n_steps)
        check_number(f"schedule: the factor that it returns for step {step}", factor, low=0)
        return float(factor)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "invscaling": InvScaling,
    "step": StepDecay,
    "exponential": Exponential,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "warm_restarts": WarmRestarts,
    "plateau": Plateau,
    "warmup": Warmup,
}


def resolve_schedule(
    value: str | Schedule | Callable[[int, int], float], extra: tuple[str, ...] = ()
) -> Schedule:
    """Turn what the user gave as `schedule` into a schedule whose settings are checked.

    Parameters
    ----------
    value : str, Schedule or callable
        The name of a row of `SCHEDULES`, an object, or a function (step, n_steps) -> factor.
    extra : tuple of str, default=()
        Further words that the caller takes, for its error message.

    Returns
    -------
    schedule : Schedule

    Raises
    ------
    TypeError
        `value` is none of these.
    ValueError
        No row has that name, or a setting is out of its range.

    Examples
    --------
    >>> from skgd.schedules import resolve_schedule
    >>> resolve_schedule("cosine")
    Cosine()
    """
    # A class is callable too, but calling it with (step, n_steps) is not what its user meant.
    if not isinstance(value, (str, Schedule, type)):
        if not callable(value) or isinstance(value, Component):
            raise TypeError(
                f"schedule takes one of {', '.join(map(repr, SCHEDULES))}, a Schedule object or a "
                f"callable (step, n_steps) -> factor; got {value!r} of type "
                f"{type(value).__name__}."
            )
        value = FromCallable(value)
    return resolve("schedule", value, SCHEDULES, Schedule, extra=extra)
