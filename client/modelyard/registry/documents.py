"""Values of Python to those of messages, and back."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.registry.problems import invalid

Document = dict[str, Any]
LARGEST_WHOLE = 2**53
"""JSON numbers above it are not told apart."""


class HasTimes(Protocol):
    """A message some of whose fields may be absent."""

    def HasField(self, field_name: Any, /) -> bool: ...  # noqa: D102, N802 (protobuf's name)


def struct_of(name: str, given: Mapping[str, Any] | None) -> Struct | None:
    """A document as a message; InvalidInput for what JSON cannot carry without a change."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise invalid(f"{name} is a {type(given).__name__}. Give a dictionary.")
    struct = Struct()
    struct.update(_checked(name, given))
    return struct


def wrapped(given: Any) -> Mapping[str, Any]:
    """A dictionary as it is; anything else as the value of one."""
    return given if isinstance(given, Mapping) else {"value": given}


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(name, key): _checked(f"{name}.{key}", each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_checked(name, each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(f"{name} is {value}, which JSON does not have. Leave it out.")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise invalid(f"{name} is {value}; JSON keeps whole numbers up to {LARGEST_WHOLE}. Give it as text.")
    if value is not None and not isinstance(value, str | int | float | bool):
        raise invalid(f"{name} is a {type(value).__name__}, which JSON does not have. Give text or a number.")
    return value


def _key(name: str, key: Any) -> str:
    if not isinstance(key, str):
        raise invalid(f"{name} has the name {key!r}, a {type(key).__name__}. Names are text.")
    return key


def document_of(struct: Struct) -> Document:
    """A message as a document: whole numbers whole."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return document_of(value.struct_value)
    if kind == "list_value":
        return [_plain(each) for each in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= LARGEST_WHOLE else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def stamp_of(name: str, given: datetime | str | None) -> Timestamp | None:
    """A time, or the text of one in ISO 8601, as a message; one without a zone is UTC."""
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError as error:
        raise invalid(f"{name} is {given!r}, which is no time. Give a datetime, or text like 2030-01-31.") from error
    stamp = Timestamp()
    stamp.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return stamp


def moment_of(message: HasTimes, field: str) -> datetime | None:
    """A time of a message, in UTC; None where it is absent."""
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(UTC) if message.HasField(field) else None
