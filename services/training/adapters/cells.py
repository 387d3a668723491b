"""A cell as JSON can say it."""

import math
from typing import Any

import numpy as np

EXACT_INTEGERS = 2**53


def plain(value: Any) -> Any:
    """A text, number, truth value or None, exactly; numbers that JSON cannot hold are texts."""
    known = value.item() if isinstance(value, np.generic) else value
    if isinstance(known, float) and not math.isfinite(known):
        return None if math.isnan(known) else str(known)
    if isinstance(known, int) and abs(known) > EXACT_INTEGERS:
        return str(known)
    return known if isinstance(known, str | int | float | bool) else str(known)
