r"""Schedules: how the learning rate moves while the training goes on.

A schedule multiplies the learning rate. It is asked before each step for a factor:

    rate = learning_rate * schedule(step, n_steps, losses)

``step`` counts the optimizer's steps from 0, ``n_steps`` is how many the whole training plans,
and ``losses`` holds the losses of the epochs that are over. The factor is 1 where the schedule
leaves the rate as the user gave it. A schedule keeps no state: the same arguments give the same
factor, so a training can be resumed, and a schedule can be plotted without training anything.

Some schedules need the horizon ``n_steps``. Where it is unknown (`partial_fit` has no planned
end), it is a parameter of the schedule: ``Cosine(n_steps=10_000)``. After its end they stay at
their last value.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from skgd._component import Component, check_number, resolve

# A period that is a fraction of the horizon may end, by rounding, a hair after the step that
# should begin the next one (3 * 0.1 > 0.3). A nudge of this size brings it back.
_NUDGE = 1e-9


class Schedule(Component, ABC):
    """What a schedule is: a function from the step to a factor on the learning rate."""

    # True when the factor depends on the losses of the epochs so far. It then moves only between
    # epochs, so the training loop needs to ask once per epoch.
    watches_loss: bool = False
    # True when it is told of epochs in place of steps; it too is asked once per epoch.
    counts_epochs: bool = False

    @property
    def has_horizon(self) -> bool:
        """Whether the factor depends on the number of planned steps."""
        return False

    @abstractmethod
    def __call__(self, step: int, n_steps: int | None, losses: Sequence[float] = ()) -> float:
        """Return the factor on the learning rate.

        Parameters
        ----------
        step : int
            The optimizer's step, from 0.
        n_steps : int or None
            Planned steps of the whole training; None where there is no plan.
        losses : sequence of float
            Losses of the epochs that are over, the oldest first.

        Returns
        -------
        factor : float

        Raises
        ------
        ValueError
            The schedule needs a horizon and has none.
        """

    def momentum(self, step: int, n_steps: int | None) -> float | None:
        """Return the momentum for this step, or None to leave the optimizer its own.

        Parameters
        ----------
        step : int
            The optimizer's step, from 0.
        n_steps : int or None
            Planned steps of the whole training; None where there is no plan.

        Returns
        -------
        momentum : float or None
        """
        return None

    def for_training(self) -> Schedule:
        """Return the schedule to use in one training, which may remember what it was asked.

        Returns
        -------
        schedule : Schedule
        """
        return self


class Constant(Schedule):
    """The rate stays as it is: factor 1.

    Examples
    --------
    >>> from skgd.schedules import Constant
    >>> [Constant()(step, 4) for step in range(4)]
    [1.0, 1.0, 1.0, 1.0]
    """

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return 1.0


class InvScaling(Schedule):
    """Falls as a power of time: factor 1 / (1 + step / after)^power_t.

    Parameters
    ----------
    power_t : float, default=0.5
        The power, at least 0. Above 1/2 and up to 1, the rates meet the conditions under which
        stochastic approximation converges: their sum is infinite, that of their squares is not.
    after : float, default=1
        Steps after which the fall begins in earnest, above 0: there the factor is 1 / 2^power_t.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", 1951. The rule is that of
    ``learning_rate="invscaling"`` in scikit-learn's ``SGDClassifier``; there, time is counted in
    samples, here in steps of the optimizer.

    Examples
    --------
    >>> from skgd.schedules import InvScaling
    >>> [InvScaling()(step, None) for step in (0, 3, 99)]
    [1.0, 0.5, 0.1]
    """

    def __init__(self, power_t=0.5, after=1):
        self.power_t = power_t
        self.after = after

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("power_t", self.power_t, low=0)
        check_number("after", self.after, low=0, include="neither")

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return float((1 + step / self.after) ** -self.power_t)


class StepDecay(Schedule):
    """Falls in stairs: factor^k after k periods, as ``torch.optim.lr_scheduler.StepLR``.

    Parameters
    ----------
    every : int or float, default=1/3
        Length of a period: a whole number of steps, or a fraction of the horizon, between 0
        and 1. The default makes three stairs.
    factor : float, default=0.1
        What each stair multiplies the rate by, in (0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own. Beyond it, the stairs go on.

    Examples
    --------
    >>> from skgd.schedules import StepDecay
    >>> [StepDecay(every=2, factor=0.5)(step, None) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, every=1 / 3, factor=0.1, n_steps=None):
        self.every = every
        self.factor = factor
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return not isinstance(self.every, numbers.Integral)

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_period("every", self.every)
        check_number("factor", self.factor, low=0, high=1, include="high")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        periods = step / _period(self, self.every, n_steps)
        return float(self.factor ** math.floor(periods + _NUDGE))


class Exponential(Schedule):
    """Falls by the same ratio each step: factor final^(step / n_steps).

    It is ``torch.optim.lr_scheduler.ExponentialLR`` with gamma = final^(1 / n_steps).

    Parameters
    ----------
    final : float, default=0.01
        The factor when the horizon is reached, in (0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own.

    Examples
    --------
    >>> from skgd.schedules import Exponential
    >>> [round(Exponential(final=0.01)(step, 4), 4) for step in range(5)]
    [1.0, 0.3162, 0.1, 0.0316, 0.01]
    """

    def __init__(self, final=0.01, n_steps=None):
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("final", self.final, low=0, high=1, include="high")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        horizon = _horizon(self, n_steps)
        return float(self.final ** (min(step, horizon) / horizon))


class Cosine(Schedule):
    r"""Falls along half a cosine: slowly, then fast, then slowly again.

    .. math:: f = f_{end} + (1 - f_{end}) (1 + \cos(\pi \, step / n)) / 2

    It is ``torch.optim.lr_scheduler.CosineAnnealingLR`` with T_max = n.

    Parameters
    ----------
    final : float, default=0.0
        The factor when the horizon is reached, in [0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    equation 5, without the restarts.

    Examples
    --------
    >>> from skgd.schedules import Cosine
    >>> [round(Cosine()(step, 4), 4) for step in range(5)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0]
    """

    def __init__(self, final=0.0, n_steps=None):
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("final", self.final, low=0, high=1)
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        horizon = _horizon(self, n_steps)
        return _cosine(1.0, self.final, min(step, horizon) / horizon)


class OneCycle(Schedule):
    """Warms up to the full rate, then falls far below where it began; momentum does the opposite.

    It is ``torch.optim.lr_scheduler.OneCycleLR`` with cosine annealing, max_lr the learning
    rate, div_factor = 1 / start and final_div_factor = start / final. Where the horizon is so
    short that the warm-up is less than one step, the first step is taken at the peak.

    Parameters
    ----------
    warmup : float, default=0.3
        Part of the horizon until the peak, in (0, 1).
    start : float, default=1/25
        The first factor, in (0, 1].
    final : float, default=4e-6
        The last factor, in [0, 1].
    momentum_low, momentum_high : float, default=0.85, 0.95
        Momentum (of Adam: beta_1) at the peak and at both ends; in [0, 1). None for both leaves
        the optimizer its own.
    n_steps : int, default=None
        The horizon, in place of the training's own.

    References
    ----------
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using
    large learning rates", 2019.

    Examples
    --------
    >>> from skgd.schedules import OneCycle
    >>> one_cycle = OneCycle()
    >>> [round(one_cycle(step, 10), 4) for step in range(10)]
    [0.04, 0.52, 1.0, 0.9505, 0.8117, 0.6113, 0.3887, 0.1883, 0.0495, 0.0]
    >>> [round(one_cycle.momentum(step, 10), 4) for step in (0, 2, 9)]
    [0.95, 0.85, 0.95]
    """

    def __init__(
        self,
        warmup=0.3,
        start=1 / 25,
        final=4e-6,
        momentum_low=0.85,
        momentum_high=0.95,
        n_steps=None,
    ):
        self.warmup = warmup
        self.start = start
        self.final = final
        self.momentum_low = momentum_low
        self.momentum_high = momentum_high
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return True

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("warmup", self.warmup, low=0, high=1, include="neither")
        check_number("start", self.start, low=0, high=1, include="high")
        check_number("final", self.final, low=0, high=1)
        if not (self.momentum_low is None and self.momentum_high is None):
            check_number("momentum_low", self.momentum_low, low=0, high=1, include="low")
            check_number("momentum_high", self.momentum_high, low=0, high=1, include="low")
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        return self._cycle(step, n_steps, self.start, 1.0, self.final)

    def momentum(self, step, n_steps):
        """Return the momentum for this step, or None to leave the optimizer its own."""
        if self.momentum_low is None:
            return None
        return self._cycle(step, n_steps, self.momentum_high, self.momentum_low, self.momentum_high)

    def _cycle(self, step, n_steps, first, middle, last):
        """Go from `first` to `middle` while it warms up, then to `last`."""
        horizon = _horizon(self, n_steps)
        end = horizon - 1
        peak = max(self.warmup * horizon - 1, 0.0)
        if step < peak:
            return _cosine(first, middle, step / peak)
        if end <= peak:
            return float(middle)
        return _cosine(middle, last, (min(step, end) - peak) / (end - peak))


class WarmRestarts(Schedule):
    """A row of falling half cosines, each `mult` times as long as the one before.

    It is ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``.

    Parameters
    ----------
    first : int or float, default=1/7
        Length of the first period: a whole number of steps, or a fraction of the horizon,
        between 0 and 1. With the defaults, periods of 1/7, 2/7 and 4/7 fill the horizon, and the
        training ends at the bottom of the third.
    mult : float, default=2
        How much longer each period is than the one before; at least 1.
    final : float, default=0.0
        The factor at the end of each period, in [0, 1].
    n_steps : int, default=None
        The horizon, in place of the training's own. Beyond it, the restarts go on.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017,
    equation 5.

    Examples
    --------
    >>> from skgd.schedules import WarmRestarts
    >>> [round(WarmRestarts(first=2)(step, None), 4) for step in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    def __init__(self, first=1 / 7, mult=2, final=0.0, n_steps=None):
        self.first = first
        self.mult = mult
        self.final = final
        self.n_steps = n_steps

    @property
    def has_horizon(self):
        """Whether the factor depends on the number of planned steps."""
        return not isinstance(self.first, numbers.Integral)

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        _check_period("first", self.first)
        check_number("mult", self.mult, low=1)
        check_number("final", self.final, low=0, high=1)
        _check_horizon(self.n_steps)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        left, length = float(step), _period(self, self.first, n_steps)
        if self.mult == 1:
            left -= length * math.floor(left / length + _NUDGE)
        else:
            while left >= length * (1 - _NUDGE):
                left -= length
                length *= self.mult
        return _cosine(1.0, self.final, left / length)


class Plateau(Schedule):
    """Falls when the loss has stopped falling.

    It is ``torch.optim.lr_scheduler.ReduceLROnPlateau``: more than `patience` epochs in a row
    whose loss is not below the best one by `threshold` of it, and the rate is multiplied by
    `factor`. The factor is replayed from the losses of all epochs, so there is no state; the
    training loop asks once per epoch.

    Parameters
    ----------
    factor : float, default=0.1
        What each fall multiplies the rate by, in (0, 1).
    patience : int, default=5
        Epochs without progress that are waited out.
    threshold : float, default=1e-4
        Progress that counts, relative to the size of the best loss; in [0, 1).
    min_factor : float, default=0.0
        The lowest factor, in [0, 1].

    Examples
    --------
    >>> from skgd.schedules import Plateau
    >>> plateau = Plateau(patience=1, factor=0.5)
    >>> plateau(0, None, losses=[3.0, 2.0, 2.0]), plateau(0, None, losses=[3.0, 2.0, 2.0, 2.5])
    (1.0, 0.5)
    """

    watches_loss = True

    def __init__(self, factor=0.1, patience=5, threshold=1e-4, min_factor=0.0):
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.min_factor = min_factor

    def check(self):
        """Raise an error that names the wrong parameter, if there is one."""
        check_number("factor", self.factor, low=0, high=1, include="neither")
        check_number("patience", self.patience, low=0, integer=True)
        check_number("threshold", self.threshold, low=0, high=1, include="low")
        check_number("min_factor", self.min_factor, low=0, high=1)

    def __call__(self, step, n_steps, losses=()):
        """Return the factor on the learning rate."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses:
            # |best|, not best: a loss may be negative (a likelihood, a callable of the user's).
            margin = self.threshold * abs(best) if math.isfinite(best) else 0.0
            if loss < best - margin:
                best, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                factor, waited = max(factor * self.factor, self.min_factor), 0
        return float(factor)


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


def _cosine(first: float, last: float, part: float) -> float:
    """Go from `first` (part 0) to `last` (part 1) along half a cosine."""
    return float(last + (first - last) * (1 + math.cos(math.pi * part)) / 2)


def _horizon(schedule: Any, n_steps: int | None) -> int:
    horizon = n_steps if schedule.n_steps is None else schedule.n_steps
    if horizon is None:
        name = type(schedule).__name__
        raise ValueError(
            f"schedule {name} needs to know how many steps the whole training takes: "
            f"give {name}(n_steps=...)."
        )
    return max(horizon, 1)


def _period(schedule: Any, length: float, n_steps: int | None) -> float:
    """Length of a period in steps; a fraction is a fraction of the horizon."""
    if isinstance(length, numbers.Integral):
        return int(length)
    return max(float(length) * _horizon(schedule, n_steps), 1.0)


def _check_period(parameter: str, value: Any) -> None:
    if isinstance(value, numbers.Integral):
        check_number(parameter, value, low=1, integer=True)
    else:
        check_number(
            f"{parameter}, if not a whole number,", value, low=0, high=1, include="neither"
        )


def _check_horizon(n_steps: Any) -> None:
    if n_steps is not None:
        check_number("n_steps", n_steps, low=1, integer=True)
