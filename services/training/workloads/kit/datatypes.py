"""Datatypes of columns, as the Open Inference Protocol (version 2) names them, and what their values may be in JSON."""

from types import NoneType
from typing import Any

RANGES = {f"INT{bits}": range(-(2 ** (bits - 1)), 2 ** (bits - 1)) for bits in (8, 16, 32, 64)} | {
    f"UINT{bits}": range(2**bits) for bits in (8, 16, 32, 64)
}
FLOATS = ("FP16", "FP32", "FP64")
TYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    **dict.fromkeys(RANGES, frozenset({int})),
    **dict.fromkeys(FLOATS, frozenset({int, float})),
    "BYTES": frozenset({str, bool, int, float}),
}
"""Every table comes as text, so text may be a number."""


def trouble_with(values: list[Any], datatype: str) -> str | None:
    """Why values are not of a datatype; None where all are, or are null."""
    if datatype not in TYPES:
        return f"{datatype} is no datatype of the protocol"
    fitting = TYPES[datatype] >= set(map(type, values)) - {NoneType}
    if fitting and datatype in RANGES:
        fitting = _within(RANGES[datatype], [value for value in values if value is not None])
    return None if fitting else f"not all of its values are {datatype}"


def _within(whole: range, values: list[int]) -> bool:
    return not values or (min(values) in whole and max(values) in whole)
