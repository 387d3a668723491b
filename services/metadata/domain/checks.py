"""Holds a record against what its entity declares."""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from services.metadata.domain import declarations
from services.metadata.domain.declarations import Attribute
from services.metadata.domain.errors import FieldMalformed, FieldMissing, FieldNotOneOf, FieldTooLong

NUL = "\x00"
NAMES = frozenset({"name", "user_id"})
LARGEST_DEPTH = 100
EARLIEST_YEAR = 1000  # what every database can tell apart from text


def check(record: Any, names: Iterable[str] | None = None) -> None:
    """Raise an InvalidInput for the first attribute, of all or of those named, whose value breaks a rule."""
    attributes = declarations.of(type(record)).attributes
    for name in attributes if names is None else names:
        _check_value(attributes[name], getattr(record, name))


def _check_value(attribute: Attribute, value: Any) -> None:
    rules = attribute.rules
    if rules.required and not value:
        raise FieldMissing(attribute.name)
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(attribute, value)
    elif isinstance(value, int | float):
        _check_number(attribute, value)
    elif isinstance(value, datetime) and value.year < EARLIEST_YEAR:
        raise FieldMalformed(attribute.name, problem=f"in the year {value.year}", advice="Give a time of this age")
    else:
        _check_document(attribute.name, value)


def _check_number(attribute: Attribute, value: float) -> None:
    least, most = attribute.rules.minimum, attribute.rules.maximum
    if math.isnan(value):
        raise FieldMalformed(attribute.name, problem="NaN", advice="Give a number")
    if (least is not None and value < least) or (most is not None and value > most):
        allowed = f"{least:g} or more" if most is None else f"{least or 0:g} to {most:g}"
        raise FieldMalformed(attribute.name, problem=f"{value}", advice=f"It is {allowed}")


def _check_text(attribute: Attribute, value: str) -> None:
    rules = attribute.rules
    if rules.max_length is not None and len(value) > rules.max_length:
        raise FieldTooLong(attribute.name, length=len(value), limit=rules.max_length)
    if rules.one_of and value not in rules.one_of:
        raise FieldNotOneOf(attribute.name, value=value, choices=", ".join(filter(None, rules.one_of)))
    if value and rules.pattern and not _compiled(rules.pattern).fullmatch(value):
        advice = f"It is made of {rules.pattern}"
        raise FieldMalformed(attribute.name, problem="not in the right form", advice=advice)
    if NUL in value:
        raise FieldMalformed(attribute.name, problem="text with a NUL character", advice="Leave that out")
    if attribute.name in NAMES and value:
        _check_name(attribute.name, value)


def _check_name(name: str, value: str) -> None:
    if not value.strip() or any(unicodedata.category(each) == "Cc" for each in value):
        raise FieldMalformed(name, problem="not fit to be shown", advice="Give one line of text that can be seen")


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _check_document(name: str, value: Any, depth: int = 0) -> None:
    """What JSON cannot carry everywhere: NaN, infinities and NUL characters."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if depth > LARGEST_DEPTH:
        raise FieldMalformed(name, problem="nested too deeply", advice=f"{LARGEST_DEPTH} levels are kept")
    if isinstance(value, dict):
        _check_document(name, [*value.keys(), *value.values()], depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_document(name, each, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise FieldMalformed(
            name, problem="a document with NaN or an infinity", advice="JSON has neither: leave it out"
        )
    elif isinstance(value, str) and NUL in value:
        raise FieldMalformed(name, problem="a document with a NUL character", advice="Leave that out")
