"""Rows whose values are what they stand for already: a few of them are prepared before pandas would have begun."""

from types import NoneType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Columns: TypeAlias = dict[str, npt.NDArray[Any]]
"""A column a feature, of numbers or texts; NaN where nothing is."""

TYPES: dict[str, set[type]] = {
    "number": {int, float, NoneType},
    "boolean": {bool, NoneType},
    "category": {str, NoneType},
}


def plain_columns(rows: list[dict[str, Any]], features: list[dict[str, Any]]) -> Columns | None:
    """Rows as `prepare` would make them; None where some value has to be looked at more closely."""
    columns = {}
    for feature in features:
        kind, values = feature["kind"], [row[feature["name"]] for row in rows]
        if not TYPES.get(kind, set()).issuperset(map(type, values)):
            return None
        made = _texts(values) if kind == "category" else _numbers(values)
        if made is None:
            return None
        columns[feature["name"]] = made
    return columns


def _texts(values: list[Any]) -> npt.NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = [np.nan if value is None else value for value in values]
    return column


def _numbers(values: list[Any]) -> npt.NDArray[np.float64] | None:
    numbers = np.array(values, "float64")
    return None if np.isinf(numbers).any() else numbers
