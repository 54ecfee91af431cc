"""
Back-propagation does not learn: it computes a gradient. Gradient descent learns
================================================================================

Four steps on the exclusive or, the problem that made back-propagation known:

1. A network with random weights.
2. Back-propagation without gradient descent: nothing is learned.
3. Back-propagation with somebody else's optimizer: learned, without skgd's gradient descent.
4. Gradient descent without back-propagation: learned, with a gradient that was measured.
"""

import numpy as np
from scipy.optimize import minimize

from skgd import MLPBackpropClassifier

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0, 1, 1, 0])


def report(what, network):
    value, gradient = network.loss_and_gradient(X, y)
    print(what)
    print(f"   J = {value:.4f}, norm of the gradient {np.linalg.norm(gradient):.4f}")
    print(f"   predicts {network.predict(X).tolist()}, wanted {y.tolist()}\n")


def main():
    network = MLPBackpropClassifier(
        (6,),
        "tanh",
        optimizer="sgd",
        learning_rate=1.0,
        batch_size=None,
        max_iter=300,
        tol=None,
        penalty=None,
        random_state=0,
    )

    network.initialize(X, y)
    start = network.parameters_
    report("1. Random weights", network)

    # The gradient says which way is uphill, as often as one asks. Nobody takes a step.
    for _ in range(1000):
        network.loss_and_gradient(X, y)
    unchanged = np.array_equal(network.parameters_, start)
    report(f"2. After 1000 back-propagations (same parameters: {unchanged})", network)

    # The same gradient, handed to SciPy, whose optimizer moves the parameters.
    objective = network.objective(X, y)
    solution = minimize(objective, objective.x0, jac=True, method="BFGS", options={"gtol": 1e-3})
    network.initialize(X, y, parameters=solution.x)
    report(f"3. After {solution.nit} steps of SciPy's BFGS, by back-propagation", network)

    # No chain rule at all: each parameter is moved a little, and the change of J is measured.
    # `fit` starts from the random weights of step 1.
    network.set_params(gradient="numeric").fit(X, y)
    report(f"4. After {network.n_iter_} steps of gradient descent, by measurement", network)

    by_measurement = network.parameters_
    network.set_params(gradient="backprop").fit(X, y)
    difference = np.abs(network.parameters_ - by_measurement).max()
    print(f"The same descent by back-propagation ends {difference:.0e} from there.")


if __name__ == "__main__":
    main()
