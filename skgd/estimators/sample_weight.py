"""The weights of rows, as they are given: checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight


def checked_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Return one weight for each row of X, in float64.

    Raises
    ------
    ValueError, TypeError
        It is something else, such as rows to validate on, which other libraries take third.
    """
    try:
        return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    except (ValueError, TypeError) as error:
        if not (isinstance(sample_weight, tuple) or np.ndim(sample_weight) > 1):
            raise
        raise ValueError(
            f"sample_weight, the third argument of fit, takes one number for each of the "
            f"{X.shape[0]} rows: {error} Rows to validate on are given by name: "
            "fit(X, y, X_val=..., y_val=...)."
        ) from None
