"""What the names and values in a filter or an order mean for a kind of record, and which of them may stand there."""

import dataclasses
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from services.metadata.domain.declarations import Attribute, Declaration
from services.metadata.domain.entities import SPLITS
from services.metadata.domain.filters import Comparison, Filter, Kind, Operator, Target, Value, Words
from services.metadata.domain.words import MOST_IN_A_QUERY, kept_word, words_of

HIDDEN = frozenset({"password_hash", "token_hash", "request_id", "etag", "words"})
"""Attributes that no filter and no order may name."""
RUNS, METRICS = "runs", "metrics"
FORBIDDEN_IN_KEYS = re.compile(r"[\"\\\x00-\x1f]")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf")
WHOLE = re.compile(r"[+-]?\d{1,18}")
TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?")
ORDERED = frozenset({"<", "<=", ">", ">="})
ALLOWED: dict[Kind, frozenset[str]] = {
    Kind.TEXT: frozenset({"=", "!=", ":"}) | ORDERED,
    Kind.WORD: frozenset({"=", "!="}),
    Kind.NUMBER: frozenset({"=", "!="}) | ORDERED,
    Kind.BOOL: frozenset({"=", "!="}),
    Kind.TIME: frozenset({"=", "!="}) | ORDERED,
    Kind.LIST: frozenset({":"}),
    Kind.DOCUMENT: frozenset({"=", "!=", ":"}) | ORDERED,
    Kind.METRIC: frozenset({"=", "!="}) | ORDERED,
}


@dataclass(frozen=True)
class Literal:
    """A value as it is written."""

    text: str
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value."""
        return not self.quoted and self.text == "null"

    @property
    def is_any(self) -> bool:
        """Whether it stands for any value."""
        return not self.quoted and self.text == "*"


def kind_of(attribute: Attribute) -> Kind | None:
    """What can be said of an attribute; None when nothing can."""
    kind: Any = attribute.type
    if kind is list:
        return Kind.LIST if attribute.item is str else None
    if kind is dict or dataclasses.is_dataclass(kind):
        return Kind.DOCUMENT
    if issubclass(kind, StrEnum):
        return Kind.WORD
    return {str: Kind.TEXT, bool: Kind.BOOL, int: Kind.NUMBER, float: Kind.NUMBER, datetime: Kind.TIME}.get(kind)


def names_of(declaration: Declaration) -> list[str]:
    """The names that a filter may begin with."""
    told = (each.name for each in declaration.attributes.values() if each.name not in HIDDEN and kind_of(each))
    return sorted([*told, *([f"{METRICS}.NAME"] if declaration.name == RUNS else [])])


def searched(declaration: Declaration, text: str) -> Filter:
    """That records have the words of a text; ValueError with what is wrong."""
    if not declaration.texts:
        raise ValueError(f"{declaration.label}s are not searched for words; compare one of {_listed(declaration)}")
    words = words_of(text)
    if not words:
        raise ValueError("there is no word in it: a word has letters or digits")
    if len(words) > MOST_IN_A_QUERY:
        raise ValueError(f"there are more than {MOST_IN_A_QUERY} words")
    return Words(tuple(map(kept_word, words)))


def _listed(declaration: Declaration) -> str:
    return ", ".join(names_of(declaration))


def target_of(declaration: Declaration, path: list[str]) -> Target:
    """What a path leads to; ValueError with what is wrong."""
    name, *keys = path
    if name == METRICS and declaration.name == RUNS:
        return Target(METRICS, Kind.METRIC, _metric(keys), optional=True)
    attribute = declaration.attributes.get(name)
    kind = kind_of(attribute) if attribute and name not in HIDDEN else None
    if attribute is None or kind is None:
        raise ValueError(f"there is no attribute {name[:100]} to compare; take one of {_listed(declaration)}")
    if keys and kind is not Kind.DOCUMENT:
        raise ValueError(f"{name} is a {kind} and has nothing inside")
    _check_keys(attribute, keys)
    return Target(name, kind, tuple(keys), attribute.optional)


def _metric(keys: list[str]) -> tuple[str, str]:
    if len(keys) == 1:
        return keys[0], ""
    if len(keys) == 2 and keys[0] in SPLITS:
        return keys[1], keys[0]
    raise ValueError(
        'a metric is metrics.NAME or metrics.SPLIT.NAME; write a name with dots in quotation marks: metrics."a.b"'
    )


def _check_keys(attribute: Attribute, keys: list[str]) -> None:
    if any(FORBIDDEN_IN_KEYS.search(key) for key in keys):
        raise ValueError("a name inside a document has no quotation marks, backslashes or control characters here")
    if keys and dataclasses.is_dataclass(attribute.type):
        choices = [each.name for each in dataclasses.fields(attribute.type)]
        if len(keys) > 1 or keys[0] not in choices:
            raise ValueError(f"inside {attribute.name} there are {', '.join(choices)}")


def compared(declaration: Declaration, path: list[str], comparator: str, literal: Literal) -> Filter:
    """A comparison as it is written; ValueError with what is wrong."""
    target = target_of(declaration, path)
    if target.kind is Kind.DOCUMENT and not target.keys:
        target, literal = _of_whole(declaration, target, comparator, literal)
    if comparator == ":" and literal.is_any:
        return Comparison(target, Operator.PRESENT)
    shown = ".".join(path)
    if comparator not in ALLOWED[target.kind]:
        raise ValueError(f"{shown} is a {target.kind}, which is compared by {' '.join(sorted(ALLOWED[target.kind]))}")
    value = _value(declaration, target, literal, shown)
    how = Operator(comparator)
    if value is None and how not in (Operator.EQUALS, Operator.DIFFERS):
        raise ValueError(f"{shown} is compared with null by = and != alone")
    if isinstance(value, bool) and how not in (Operator.EQUALS, Operator.DIFFERS):
        raise ValueError("true and false are compared by = and != alone")
    if how is Operator.HAS and not (isinstance(value, str) and value):
        raise ValueError(f"what {shown} is to have is a text that is not empty, or *")
    return Comparison(target, how, value)


def _of_whole(declaration: Declaration, target: Target, comparator: str, literal: Literal) -> tuple[Target, Literal]:
    """tags:team is tags.team:*"""
    if comparator != ":":
        raise ValueError(f"{target.name} is a document: compare what is in it, as {target.name}.key = 1")
    if literal.is_any:
        return target, literal
    keys = [literal.text]
    _check_keys(declaration.attributes[target.name], keys)
    return dataclasses.replace(target, keys=tuple(keys)), Literal("*")


def _value(declaration: Declaration, target: Target, literal: Literal, shown: str) -> Value:
    if literal.is_null:
        if not (target.optional or target.keys):
            raise ValueError(f"{shown} is never null")
        return None
    if target.kind is Kind.DOCUMENT:
        return _in_document(literal)
    if target.kind is Kind.WORD:
        return _word(declaration.attributes[target.name].type, literal.text, shown)
    if target.kind is Kind.BOOL:
        return _bool(literal.text, shown)
    if target.kind in (Kind.NUMBER, Kind.METRIC):
        return _number(literal, shown)
    if target.kind is Kind.TIME:
        return moment(literal.text, shown)
    return (literal.text or None) if target.optional else literal.text  # an id that is not there is shown as empty


def _in_document(literal: Literal) -> Value:
    if literal.quoted:
        return literal.text
    if literal.text in ("true", "false"):
        return literal.text == "true"
    return _number(literal, "") if NUMBER.fullmatch(literal.text) else literal.text


def _word(kind: type[StrEnum], text: str, shown: str) -> StrEnum:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{shown} is one of {', '.join(kind)}, not {text[:100]}") from None


def _bool(text: str, shown: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{shown} is true or false")
    return text == "true"


def _number(literal: Literal, shown: str) -> float:
    if literal.quoted or not NUMBER.fullmatch(literal.text):
        raise ValueError(f"{shown} is compared with a number, as 5, -0.1 or 1e-3")
    number = float(literal.text)
    if math.isinf(number) and "inf" not in literal.text:
        raise ValueError("the number is too large")
    return int(literal.text) if WHOLE.fullmatch(literal.text) else number


def moment(text: str, shown: str) -> datetime:
    """A time as it is written, UTC where it does not say otherwise; ValueError with what is wrong."""
    problem = f"{shown} is compared with a time, as 2026-11-05 or 2026-11-05T10:00:00Z"
    if not TIME.fullmatch(text):
        raise ValueError(problem)
    try:
        told = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(problem) from None
