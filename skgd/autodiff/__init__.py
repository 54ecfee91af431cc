"""The computation graph: reverse-mode derivatives of functions written in plain NumPy.

A function is run once, on `Traced` values. Each NumPy function that meets one writes a node on
the tape of its trace: the numbers it was given, the number it returned, and where its arguments
came from. The backward pass reads the tape from its end to its beginning and applies the chain
rule to each node, with the formulas of the table in `skgd.autodiff.derivatives`. That is
back-propagation; what is done with the gradient is no concern of this module.

Derivatives nest. An operation is recorded on the newest trace among its arguments, and calls the
same function on what these wrap, which older traces record in turn.

The tape refers to the arrays that went into the operations. An array of the user's that is
overwritten between its use and the backward pass spoils the derivative.
"""

from skgd.autodiff.functions import grad, value_and_grad, value_and_gradients, value_and_vjp
from skgd.autodiff.graph import Traced

__all__ = ["Traced", "grad", "value_and_grad", "value_and_gradients", "value_and_vjp"]
