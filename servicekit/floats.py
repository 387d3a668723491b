"""Whole numbers that are floating point, 1.0 and not 1: a Struct does not tell, so JSON pointers (RFC 6901) do."""

from collections.abc import Collection, Iterator
from typing import Any


def pointers_to_floats(values: Any, here: str = "") -> Iterator[str]:
    """Where whole numbers are floating point, in objects and lists however deep."""
    if isinstance(values, float) and values.is_integer():
        yield here
    for where, inner in _inside(values, here):
        yield from pointers_to_floats(inner, where)


def with_integers(values: Any, floats: Collection[str], here: str = "") -> Any:
    """What came out of a Struct, with integers for all whole numbers but those that are pointed to."""
    if isinstance(values, dict):
        return {
            name: with_integers(inner, floats, where)
            for name, (where, inner) in zip(values, _inside(values, here), strict=True)
        }
    if isinstance(values, list):
        return [with_integers(inner, floats, where) for where, inner in _inside(values, here)]
    return int(values) if isinstance(values, float) and values.is_integer() and here not in floats else values


def _inside(values: Any, here: str) -> Iterator[tuple[str, Any]]:
    named = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, inner in named:
        yield f"{here}/{str(name).replace('~', '~0').replace('/', '~1')}", inner
