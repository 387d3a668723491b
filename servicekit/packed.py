"""Many numbers in a protobuf message, without an object for each of them.

A repeated double is on the wire what it is in memory: a tag and a length, then 8 bytes for each number, the lowest
first (Protocol Buffers, "Encoding": packed repeated fields). To a reader it is a field of bytes under another tag.
"""

import sys
from array import array

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

_BYTES_TAG = BytesValue(value=b"-").SerializeToString()[:1]
_ONE_NUMBER_BYTES = 1 + 8  # with the length of the field


def add_doubles(message: Message, field: str, numbers: "array[float]") -> None:
    """Add numbers to a repeated double of a message."""
    if numbers:
        written = BytesValue(value=_lowest_first(numbers).tobytes()).SerializeToString()
        message.MergeFromString(_tag(message, field) + written.removeprefix(_BYTES_TAG))


def doubles_of(message: Message, field: str) -> "array[float]":
    """The numbers of a repeated double of a message."""
    alone = type(message)()
    getattr(alone, field).MergeFrom(getattr(message, field))
    written = alone.SerializeToString().removeprefix(_tag(message, field))
    return _lowest_first(array("d", BytesValue.FromString(_BYTES_TAG + written).value if written else b""))


def _tag(message: Message, field: str) -> bytes:
    """What comes before the length of a field, as protobuf writes it where the field has one number."""
    return type(message)(**{field: [0.0]}).SerializeToString()[:-_ONE_NUMBER_BYTES]


def _lowest_first(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "little":
        return numbers
    turned = numbers[:]
    turned.byteswap()
    return turned
