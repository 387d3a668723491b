"""Records as JSON in one form: the same record is the same bytes, whichever database it comes from.

- Attributes are sorted, nothing is left out, no space is added, and text is UTF-8.
- Times are RFC 3339 in UTC, to the microsecond.
- Numbers of type float, and all numbers in free documents, are written as the shortest text that means them; whole ones
  below 2^53 without a point, so that it does not matter which databases tell 1 from 1.0. Zero has no sign.
- Infinities are the texts "Infinity" and "-Infinity"; the largest finite number is written as the one before it, which
  is what MySQL keeps of it.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from json.encoder import encode_basestring as text
from operator import attrgetter
from typing import Any, Generic, TypeVar

from services.metadata.domain import declarations
from services.metadata.domain.checks import EARLIEST_YEAR, LARGEST_DEPTH, NUL
from services.metadata.domain.declarations import Attribute, Declaration

E = TypeVar("E")
Write = Callable[[Any], str]
Read = Callable[[Any], Any]

EXACT = 2**53
"""Whole numbers below are the same as int and as float."""
LARGEST_INT = 2**63 - 1
LARGEST = sys.float_info.max
LARGEST_BUT_ONE = math.nextafter(LARGEST, 0)
INFINITY = "Infinity"
INFINITIES = {INFINITY: math.inf, f"-{INFINITY}": -math.inf}


class Malformed(Exception):
    """What is wrong with a text that should be a record."""


def number(value: float) -> str:
    """A number that may be whole or not."""
    if isinstance(value, int):
        return repr(value) if -EXACT < value < EXACT else _large(value)
    if value.is_integer() and abs(value) < EXACT:
        return repr(int(value))
    return repr(value)


def _large(value: int) -> str:
    """As a float, where that means the same: some databases make whole floats ints, and some the other way around."""
    near = float(value)
    same = near == value or int(Decimal(repr(near))) == value
    return repr(near) if same or abs(value) > LARGEST_INT else repr(value)


def _float(value: float) -> str:
    if abs(value) >= LARGEST:
        sign = "-" if value < 0 else ""
        return f'"{sign}{INFINITY}"' if math.isinf(value) else f"{sign}{LARGEST_BUT_ONE!r}"
    return number(value)


def moment(value: datetime) -> str:
    """A time, in quotes."""
    told = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f'"{told.isoformat("T", "microseconds")[:-6]}Z"'


def document(value: Any) -> str:
    """A free document, or a part of it."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else ("true" if value else "false")
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{text(name)}:{document(value[name])}" for name in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(document, value)) + "]"
    return moment(value) if isinstance(value, datetime) else text(str(value))  # other programs write such to MongoDB


def _text_of(limit: int | None, value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("no text")
    if limit is not None and len(value) > limit:
        raise Malformed(f"text of {len(value)} characters, where {limit} at most are kept")
    if NUL in value or not (value.isascii() or _is_unicode(value)):
        raise Malformed("text with characters that cannot be kept")
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
    return True


def _word_of(kind: type[StrEnum], value: Any) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise Malformed(f"none of {', '.join(kind)}") from None


def _int_of(value: Any) -> int:
    if type(value) is not int or not -LARGEST_INT <= value <= LARGEST_INT:
        raise Malformed("no whole number of 64 bits")
    return value


def _float_of(value: Any) -> float:
    if type(value) not in (int, float):
        if isinstance(value, str) and value in INFINITIES:
            return INFINITIES[value]
        raise Malformed("no number")
    if not abs(value) <= LARGEST:
        raise Malformed("a number that is too large")
    return float(value) + 0.0


def _bool_of(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Malformed("neither true nor false")
    return value


def _moment_of(value: Any) -> datetime:
    try:
        told = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Malformed("no time") from None
    if told.tzinfo is None or told.year < EARLIEST_YEAR:
        raise Malformed("a time without its zone, or from before all records")
    return told if told.tzinfo is UTC else told.astimezone(UTC)


def _document_of(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise Malformed("no object" if kind is dict else "no list")
    return _free(value)


def _free(value: Any, depth: int = 0) -> Any:
    """A free document as every database can keep it."""
    if depth > LARGEST_DEPTH:
        raise Malformed(f"nested in more than {LARGEST_DEPTH} levels")
    if isinstance(value, dict):
        return {_text_of(None, name): _free(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_free(each, depth + 1) for each in value]
    if isinstance(value, str):
        return _text_of(None, value)
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        return _float_of(value)
    return _float_of(value) if isinstance(value, float) else value


def _list_of(read: Read, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed("no list")
    return [read(each) for each in value]


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


PLAIN: dict[Any, tuple[Write, Read]] = {
    int: (int.__repr__, _int_of),
    float: (_float, _float_of),
    bool: (document, _bool_of),
    datetime: (moment, _moment_of),
    dict: (document, partial(_document_of, dict)),
    str: (text, partial(_text_of, None)),
}
DECODER = json.JSONDecoder(parse_constant=_refused)


class Message:
    """A nested message."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self._fields = {
            each.name: PLAIN[each.type] for each in sorted(dataclasses.fields(kind), key=attrgetter("name"))
        }

    def write(self, value: Any) -> str:
        """As JSON."""
        told = (f'"{name}":{write(getattr(value, name))}' for name, (write, _) in self._fields.items())
        return "{" + ",".join(told) + "}"

    def read(self, value: Any) -> Any:
        """From what JSON says."""
        if not isinstance(value, dict) or value.keys() != self._fields.keys():
            raise Malformed(f"no object of {', '.join(self._fields)}")
        return self._kind(**{name: read(value[name]) for name, (_, read) in self._fields.items()})


def _ways(attribute: Attribute) -> tuple[Write, Read]:
    """How a value that is not None is written and read."""
    kind, item = attribute.type, attribute.item
    if item is not None:
        write, read = _of_item(item)
        return lambda value: "[" + ",".join(map(write, value)) + "]", partial(_list_of, read)
    if dataclasses.is_dataclass(kind):
        return _of_message(kind)
    if issubclass(kind, StrEnum):
        return text, partial(_word_of, kind)
    return (text, partial(_text_of, attribute.rules.max_length)) if kind is str else PLAIN[kind]


def _of_item(kind: type[Any]) -> tuple[Write, Read]:
    return _of_message(kind) if dataclasses.is_dataclass(kind) else PLAIN[getattr(kind, "__origin__", kind)]


def _of_message(kind: Any) -> tuple[Write, Read]:
    message = Message(kind)
    return message.write, message.read


class Form(Generic[E]):
    """How the records of one entity are written and read."""

    def __init__(self, declaration: Declaration) -> None:
        attributes = declaration.attributes
        ways = {name: _ways(each) for name, each in attributes.items()}
        names = sorted(attributes)
        self._kind: type[E] = declaration.kind
        self._values = attrgetter(*names)
        self._writes = [ways[name][0] for name in names]
        self._frame = "{" + ",".join(f'"{name}":%s' for name in names) + "}"
        self._reads = [(name, ways[name][1], attributes[name].optional) for name in attributes]
        self._names = attributes.keys()
        self._key = declaration.key
        self._keys = [ways[name] for name in declaration.key]

    def encode(self, record: E) -> bytes:
        """A record as JSON."""
        written = zip(self._writes, self._values(record), strict=True)
        return (self._frame % tuple(["null" if value is None else write(value) for write, value in written])).encode()

    def decode(self, given: bytes) -> E:
        """A record from JSON; Malformed when it is none."""
        told = self._object(given)
        name = ""
        values = []
        try:
            for name, read, optional in self._reads:
                value = told[name]
                values.append(None if value is None and optional else read(value))
        except Malformed as problem:
            raise Malformed(f"its {name} is {problem}") from None
        if not told[self._key[0]]:
            raise Malformed(f"its {self._key[0]} is empty")
        return self._kind(*values)

    def _object(self, given: bytes) -> dict[str, Any]:
        try:
            told, end = DECODER.raw_decode(written := given.decode())
        except (ValueError, RecursionError) as error:
            raise Malformed("it is not JSON") from error
        if not isinstance(told, dict) or end != len(written):
            raise Malformed("it is no JSON object")
        if told.keys() != self._names:
            missing, unknown = self._names - told.keys(), told.keys() - self._names
            raise Malformed(f"it lacks {_listed(missing)}" if missing else f"nothing is called {_listed(unknown)}")
        return told

    def key(self, record: E) -> tuple[Any, ...]:
        """What a record is known by, and ordered by."""
        return tuple([getattr(record, name) for name in self._key])

    def position(self, record: E) -> str:
        """The key as text."""
        return (
            "[" + ",".join([write(value) for (write, _), value in zip(self._keys, self.key(record), strict=True)]) + "]"
        )

    def key_at(self, position: str) -> tuple[Any, ...]:
        """The key that a text says; Malformed when it says none."""
        try:
            told = DECODER.decode(position)
        except (ValueError, RecursionError) as error:
            raise Malformed("no JSON") from error
        if not isinstance(told, list) or len(told) != len(self._keys):
            raise Malformed(f"no list of {', '.join(self._key)}")
        return tuple(read(value) for (_, read), value in zip(self._keys, told, strict=True))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(name[:50] for name in names)[:5])


_FORMS: dict[type[Any], Form[Any]] = {}


def form_of(kind: type[E]) -> Form[E]:
    """How records of a kind are written and read."""
    if kind not in _FORMS:
        _FORMS[kind] = Form(declarations.of(kind))
    return _FORMS[kind]
