"""Every row of SCHEDULES goes through the generic tests; a new row needs no test of its own."""

import doctest
import math
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from skgd.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    FromCallable,
    InvScaling,
    OneCycle,
    PerEpoch,
    Plateau,
    Schedule,
    StepDecay,
    WarmRestarts,
    Warmup,
    resolve_schedule,
)

every_row = pytest.mark.parametrize("name", SCHEDULES)


def factors(schedule, n_steps, count=None):
    return [schedule(step, n_steps) for step in range(count or n_steps)]


# ---------------------------------------------------------------- what holds for all schedules


@every_row
def test_documentation_has_numbers(name):
    examples = doctest.DocTestParser().get_examples(SCHEDULES[name].__doc__)
    wants = "".join(example.want for example in examples)
    assert len(re.findall(r"-?\d+\.\d*", wants)) >= 2


@every_row
def test_clones_pickles_and_prints(name):
    row = SCHEDULES[name]
    schedule = row()
    schedule.check()
    assert repr(schedule) == f"{row.__name__}()"
    for copy in (clone(schedule), pickle.loads(pickle.dumps(schedule))):
        assert type(copy) is row
        assert copy.get_params() == schedule.get_params()


@every_row
def test_bad_setting_is_named(name):
    row = SCHEDULES[name]
    for key, value in row().get_params().items():
        if isinstance(value, (int, float)) or key == "n_steps":
            with pytest.raises(ValueError, match=key):
                row(**{key: -1}).check()
            for bad in (math.nan, "soon", True, math.inf):
                with pytest.raises((ValueError, TypeError), match=key):
                    row(**{key: bad}).check()


@every_row
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 100])
def test_factor_is_a_float_between_zero_and_one(name, n_steps):
    schedule = SCHEDULES[name]()
    for step in range(n_steps + 5):
        factor = schedule(np.int64(step), n_steps, losses=[1.0, 0.5])
        assert type(factor) is float
        assert 0 <= factor <= 1
        momentum = schedule.momentum(step, n_steps)
        assert momentum is None or (type(momentum) is float and 0 <= momentum < 1)


@every_row
def test_horizon(name):
    row = SCHEDULES[name]
    if row().has_horizon:
        with pytest.raises(ValueError, match=rf"schedule .*{row.__name__}\(n_steps=\.\.\.\)"):
            row()(3, None)
        own = row(n_steps=20)
        for step in (0, 7, 19):
            assert own(step, None) == own(step, 999) == row()(step, 20)
            assert own.momentum(step, None) == row().momentum(step, 20)
    else:
        assert row()(3, None) == row()(3, 10)


@every_row
def test_has_no_state(name):
    schedule = SCHEDULES[name]()
    before = dict(vars(schedule))
    forwards = [schedule(step, 30, [1.0] * step) for step in range(30)]
    backwards = [schedule(step, 30, [1.0] * step) for step in reversed(range(30))]
    assert forwards == backwards[::-1]
    assert vars(schedule) == before


@every_row
def test_watches_loss_means_what_it_says(name):
    schedule = SCHEDULES[name]()
    moved = schedule(3, 10, [1.0] * 100) != schedule(3, 10, [])
    assert moved == schedule.watches_loss


# ---------------------------------------------------------------- numbers from elsewhere

# From torch.optim.lr_scheduler in torch 2.13: the rates of SGD(lr=1.0) before each step, with
# scheduler.step() after it. The comment is the scheduler.
FROM_TORCH = [
    # StepLR(optimizer, 3, 0.5)
    (StepDecay(every=3, factor=0.5), 8, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]),
    # ExponentialLR(optimizer, 0.01 ** (1 / 8))
    (
        Exponential(final=0.01),
        8,
        [
            *(1.0, 0.56234132519, 0.316227766017, 0.177827941004),
            *(0.1, 0.056234132519, 0.0316227766017, 0.0177827941004),
        ],
    ),
    # CosineAnnealingLR(optimizer, 8, 0.1)
    (
        Cosine(final=0.1),
        8,
        [
            *(1.0, 0.96574578963, 0.868198051534, 0.722207544564, 0.55),
            *(0.377792455436, 0.231801948466, 0.13425421037, 0.1),
        ],
    ),
    # OneCycleLR(optimizer, 1.0, total_steps=10)
    (
        OneCycle(),
        10,
        [
            *(0.04, 0.52, 1.0, 0.950484632013, 0.81174565395),
            *(0.611262021936, 0.388741978064, 0.18825834605, 0.0495193679865, 4e-06),
        ],
    ),
    # OneCycleLR(optimizer, 1.0, total_steps=12, pct_start=0.4, div_factor=10,
    #            final_div_factor=100, base_momentum=0.8, max_momentum=0.9)
    (
        OneCycle(warmup=0.4, start=0.1, final=1e-3),
        12,
        [
            *(0.1, 0.245223292768, 0.587160705463, 0.905113229228, 0.998099251697, 0.93307968919),
            *(0.787001429957, 0.587237264745, 0.371219886971, 0.179427588962, 0.0477992603752),
            0.001,
        ],
    ),
    # CosineAnnealingWarmRestarts(optimizer, 3, 2, 0.1)
    (
        WarmRestarts(first=3, mult=2, final=0.1),
        12,
        [
            *(1.0, 0.775, 0.325, 1.0, 0.939711431703, 0.775, 0.55, 0.325, 0.160288568297),
            *(1.0, 0.98466662183, 0.939711431703),
        ],
    ),
    # CosineAnnealingWarmRestarts(optimizer, 4, 1)
    (
        WarmRestarts(first=4, mult=1),
        10,
        [
            *(1.0, 0.853553390593, 0.5, 0.146446609407) * 2,
            *(1.0, 0.853553390593),
        ],
    ),
]


@pytest.mark.parametrize(("schedule", "n_steps", "expected"), FROM_TORCH, ids=str)
def test_factors(schedule, n_steps, expected):
    assert_allclose(factors(schedule, n_steps, len(expected)), expected, rtol=1e-9, atol=1e-13)


def test_one_cycle_momentum():
    # The momenta of the same two runs.
    expected = [
        *(0.95, 0.9, 0.85, 0.854951556605, 0.868825509907, 0.888873953302),
        *(0.911126046698, 0.931174490093, 0.945048443395, 0.95),
    ]
    assert_allclose([OneCycle().momentum(step, 10) for step in range(10)], expected, rtol=1e-9)
    expected = [
        *(0.9, 0.883864078581, 0.845871032726, 0.81054297453, 0.800190265095, 0.806698729811),
        *(0.821321178182, 0.841317591117, 0.862940952255, 0.882139380484, 0.895315389352, 0.9),
    ]
    schedule = OneCycle(warmup=0.4, momentum_low=0.8, momentum_high=0.9)
    assert_allclose([schedule.momentum(step, 12) for step in range(12)], expected, rtol=1e-9)


def test_one_cycle_can_leave_momentum_alone():
    schedule = OneCycle(momentum_low=None, momentum_high=None)
    schedule.check()
    assert schedule.momentum(3, 10) is None
    with pytest.raises(TypeError, match="momentum_high"):
        OneCycle(momentum_high=None).check()


def test_plateau():
    # ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.1): the rate after each loss.
    losses = [1, 0.5, 0.5, 0.49999, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4, 0.39, *[0.39] * 5]
    expected = [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, *[0.1] * 4]
    schedule = Plateau(factor=0.5, patience=1, min_factor=0.1)
    assert schedule(0, None) == 1.0
    assert [schedule(0, None, losses[: n + 1]) for n in range(len(losses))] == expected


def test_plateau_of_negative_and_broken_losses():
    schedule = Plateau(factor=0.5, patience=1)
    assert schedule(0, None, [-1.0, -1.00001, -1.00002]) == 0.5  # Less than 1e-4 of it.
    assert schedule(0, None, [-1.0, -2.0, -3.0, -4.0]) == 1.0
    assert schedule(0, None, [1.0, math.nan, math.inf]) == 0.5


def test_inv_scaling():
    assert factors(InvScaling(power_t=1.0), 4) == [1, 1 / 2, 1 / 3, 1 / 4]
    assert factors(InvScaling(power_t=0), 3) == factors(Constant(), 3) == [1, 1, 1]


@pytest.mark.parametrize("n_steps", [10, 30, 70, 300, 12345])
@pytest.mark.parametrize("parts", [2, 3, 7, 10])
def test_fraction_of_the_horizon_makes_whole_stairs(n_steps, parts):
    # As many stairs as parts, and each begins at the first step that is not before its time.
    stairs = np.log2(factors(StepDecay(every=1 / parts, factor=0.5), n_steps))
    expected = [-(step * parts // n_steps) for step in range(n_steps)]
    assert_allclose(stairs, expected)


@pytest.mark.parametrize("n_steps", [70, 100, 300, 12345])
def test_warm_restarts_fill_the_horizon(n_steps):
    got = np.array(factors(WarmRestarts(), n_steps))
    assert (np.diff(got) > 0).sum() == 2  # Three periods by default.
    assert got[-1] < 0.01
    periods = np.array(factors(WarmRestarts(first=0.1, mult=1), n_steps))
    assert (np.diff(periods) > 0).sum() == 9


@pytest.mark.parametrize("schedule", [Exponential(0.3), Cosine(0.2), OneCycle(final=0.1)], ids=str)
def test_stays_at_its_last_value(schedule):
    assert_allclose([schedule(step, 10) for step in (10, 11, 1000)], schedule.final)


def test_whole_periods_need_no_horizon():
    for schedule in (StepDecay(every=5), WarmRestarts(first=np.int64(5))):
        assert not schedule.has_horizon
        assert schedule(5, None) == schedule(5, 7)


def test_one_cycle_so_short_that_there_is_no_warm_up():
    assert factors(OneCycle(), 1) == [1.0]
    assert_allclose(factors(OneCycle(), 2), [1.0, 4e-6])


# ---------------------------------------------------------------- what a user may give


def test_resolve():
    own = Cosine(final=0.1)
    assert resolve_schedule(own) is own
    assert isinstance(resolve_schedule("one_cycle"), OneCycle)
    assert resolve_schedule(lambda step, n_steps: 0.5)(0, 10) == 0.5
    with pytest.raises(ValueError, match=r"schedule='cosin' .* Did you mean 'cosine'"):
        resolve_schedule("cosin")
    with pytest.raises(TypeError, match=r"give an object: Cosine\(\)"):
        resolve_schedule(Cosine)
    for value in (None, 0.5, ["cosine"], int):
        with pytest.raises(TypeError, match="schedule"):
            resolve_schedule(value)
    with pytest.raises(ValueError, match="final"):
        resolve_schedule(Cosine(final=2))


@pytest.mark.parametrize("factor", [-0.1, math.nan, math.inf, "1", None, np.ones(2), True])
def test_callable_that_returns_no_factor(factor):
    schedule = resolve_schedule(lambda step, n_steps: factor)
    with pytest.raises((ValueError, TypeError), match="schedule"):
        schedule(0, 10)


def halved(step, n_steps):
    return np.float32(0.5) if n_steps == 10 else 2


def test_callable():
    schedule = FromCallable(halved)
    assert type(schedule(0, 10)) is float
    assert schedule(0, 10, losses=[1.0]) == 0.5
    assert schedule(0, 9) == 2.0  # Above one is the user's affair.
    assert FromCallable(halved, n_steps=10)(0, None) == 0.5
    assert clone(schedule).function is halved
    assert pickle.loads(pickle.dumps(schedule))(0, 10) == 0.5
    with pytest.raises(TypeError, match="schedule"):
        FromCallable("cosine").check()


def test_table_holds_schedules():
    assert all(issubclass(row, Schedule) for row in SCHEDULES.values())


# -------------------------------------------------------------------------- wrapped schedules


# From torch 2.14: SequentialLR of LinearLR(start_factor=.1, total_iters=8), then
# CosineAnnealingLR(T_max=12).
TORCH_WARMUP = [
    0.1, 0.2125, 0.325, 0.4375, 0.55, 0.6625, 0.775, 0.8875, 1.0, 0.982962913145, 0.933012701892,
    0.853553390593, 0.75, 0.629409522551, 0.5, 0.370590477449, 0.25, 0.146446609407,
    0.0669872981078, 0.0170370868555,
]  # fmt: skip


def test_warmup_is_torchs_linear_warmup_then_cosine():
    schedule = Warmup("cosine", steps=8, start=0.1)
    assert_allclose(factors(schedule, 20), TORCH_WARMUP, rtol=1e-10)


def test_warmup_of_a_share_rises_for_that_share():
    schedule = Warmup(steps=0.25, start=0.0)
    assert [schedule(step, 8) for step in (0, 1, 2, 7)] == [0.0, 0.5, 1.0, 1.0]
    assert schedule.has_horizon and not Warmup(steps=3).has_horizon
    assert Warmup("cosine", steps=3).has_horizon


def test_warmup_hands_losses_and_momentum_on():
    losses = [1.0, 1.0, 1.0]
    assert Warmup(Plateau(factor=0.5, patience=1), steps=2)(5, None, losses) == 0.5
    cycle = OneCycle()
    assert Warmup(cycle, steps=4).momentum(10, 20) == cycle.momentum(6, 16)


@pytest.mark.parametrize(
    "wrong",
    [PerEpoch(PerEpoch("cosine")), Warmup(PerEpoch("cosine")), PerEpoch("cosin"), Warmup(steps=0)],
)
def test_wrong_wraps_are_refused(wrong):
    with pytest.raises(ValueError, match=r"PerEpoch|cosin|steps"):
        resolve_schedule(wrong)


def test_inner_schedules_are_searched_and_cloned():
    schedule = clone(PerEpoch(Warmup(StepDecay(every=2), steps=3)))
    schedule.set_params(schedule__schedule__factor=0.5)
    assert schedule.get_params()["schedule__schedule__factor"] == 0.5
    assert schedule(7, None) == 0.25
