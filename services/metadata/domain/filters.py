"""What a filter says of records, as a tree, and what that means: every store answers as `holds` does.

- A comparison with a value that is absent is false, except that "!=" is true. An absent key of a document and a JSON
  null are both absent.
- Texts are compared by the numbers of their characters. ":" finds a text in another, whatever the case.
- In documents a number is compared with numbers alone, a text with texts alone, true and false with true and false.
"""

import dataclasses
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

Value: TypeAlias = str | float | bool | datetime | None


class Kind(StrEnum):
    """What can be said of an attribute, and with which values."""

    TEXT = "text"
    WORD = "word"  # one of a fixed set
    NUMBER = "number"
    BOOL = "true or false"
    TIME = "time"
    LIST = "list"
    DOCUMENT = "document"
    METRIC = "metric"  # of a run


class Operator(StrEnum):
    """How a value is compared."""

    EQUALS = "="
    DIFFERS = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    HAS = ":"
    PRESENT = ":*"


COMPARE: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUALS: operator.eq,
    Operator.DIFFERS: operator.ne,
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}


@dataclass(frozen=True)
class Target:
    """What is compared: an attribute, what lies in a document under these keys, or a metric by name and split."""

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Comparison:
    """That a value compares so with another. With None it is equal or different alone."""

    target: Target
    operator: Operator
    value: Value = None


@dataclass(frozen=True)
class Words:
    """That a record's texts have all of these words, which are as an index keeps them."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """That something is not so."""

    part: "Filter"


@dataclass(frozen=True)
class All:
    """That all of it is so."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True)
class Either:
    """That some of it is so."""

    parts: "tuple[Filter, ...]"


Filter: TypeAlias = Comparison | Words | Not | All | Either
MetricOf: TypeAlias = Callable[[str, str], float | None]
"""The value of a run's metric, by name and split, where the empty split stands for the held-out one."""


def metrics_in(part: Filter | None) -> Iterator[Target]:
    """The metrics that a filter compares, each as often as it does."""
    if isinstance(part, Comparison) and part.target.kind is Kind.METRIC:
        yield part.target
    elif isinstance(part, Not):
        yield from metrics_in(part.part)
    elif isinstance(part, All | Either):
        for each in part.parts:
            yield from metrics_in(each)


def needs_metric(part: Filter | None, metric: tuple[str, str]) -> bool:
    """Whether a filter is true only of runs that have a metric."""
    if isinstance(part, All):
        return any(needs_metric(each, metric) for each in part.parts)
    if not isinstance(part, Comparison) or part.target.kind is not Kind.METRIC or part.target.keys != metric:
        return False
    if part.value is None:
        return part.operator is not Operator.EQUALS
    return part.operator is not Operator.DIFFERS


def holds(part: Filter, record: Any, words: Collection[str], metric: MetricOf) -> bool:
    """Whether a filter is true of a record, whose texts have these words."""
    if isinstance(part, Comparison):
        return _compares(part, _held(part.target, record, metric))
    if isinstance(part, Words):
        return all(word in words for word in part.words)
    if isinstance(part, Not):
        return not holds(part.part, record, words, metric)
    some = all if isinstance(part, All) else any
    return some(holds(each, record, words, metric) for each in part.parts)


def _held(target: Target, record: Any, metric: MetricOf) -> Any:
    if target.kind is Kind.METRIC:
        return metric(*target.keys)
    held = getattr(record, target.name)
    if dataclasses.is_dataclass(held) and not isinstance(held, type):
        held = dataclasses.asdict(held)
    for key in target.keys:
        held = held.get(key) if isinstance(held, Mapping) else None
    return held


def _compares(comparison: Comparison, held: Any) -> bool:
    how, value = comparison.operator, comparison.value
    if how is Operator.PRESENT:
        return held is not None and (bool(comparison.target.keys) or held not in ("", []))
    if value is None or held is None:
        return (held is value) if how is Operator.EQUALS else how is Operator.DIFFERS and held is not value
    if how is Operator.HAS:
        return value in held if isinstance(held, list) and not comparison.target.keys else _contains(held, str(value))
    if comparison.target.kind is Kind.DOCUMENT and kind_of(held) is not kind_of(value):
        return how is Operator.DIFFERS
    return bool(COMPARE[how](held, value))


def kind_of(value: Any) -> Kind:
    """What a value in a document is."""
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int | float):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else Kind.DOCUMENT


def _contains(held: Any, value: str) -> bool:
    return isinstance(held, str) and _compiled(pattern(value)).search(held) is not None


@lru_cache(maxsize=256)
def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(text)


def variants(text: str) -> list[str]:
    """For each character all that count as the same: its small and its capital form, where that is one character."""
    return ["".join(sorted({each, *_single(each.lower()), *_single(each.upper())})) for each in text]


def _single(text: str) -> str:
    return text if len(text) == 1 else ""


def pattern(text: str) -> str:
    """A regular expression for a text in any case, in the language that all databases that have one share."""
    return "".join(f"[{each}]" if len(each) > 1 else _escaped(each) for each in variants(text))


def _escaped(character: str) -> str:
    plain = not character.isascii() or character.isalnum() or character.isspace()
    return character if plain else f"\\{character}"
