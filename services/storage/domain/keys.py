"""Keys: which are allowed, and how a key is written where only plain file names are."""

import re
from collections.abc import Callable

KEY_BYTES = 900
SEGMENT_BYTES = 200
PORTABLE_BYTES = 250
"""A file system takes 255 bytes in a name; the rest is for what a backend appends."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_TO_ESCAPE = re.compile(r"^\.|[^A-Za-z0-9._\-\u0080-\U0010ffff]")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def portable(segment: str) -> str:
    """A segment as a file name: ASCII beyond letters, digits, "_", "-" and inner "." becomes %XX; "@" is never left."""
    return _TO_ESCAPE.sub(lambda found: f"%{ord(found[0]):02X}", segment)


def original(name: str) -> str:
    """The segment that a portable name was made from."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


_WRONG_WITH_TEXT: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda text: _size(text) > KEY_BYTES, f"it is longer than {KEY_BYTES} bytes"),
    (lambda text: _FORBIDDEN.search(text) is not None, "it holds a control character or a backslash"),
)

_WRONG_WITH_SEGMENT: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda segment: not segment, 'a segment between "/" is empty'),
    (lambda segment: segment in {".", ".."}, 'a segment is "." or ".."'),
    (lambda segment: _size(segment) > SEGMENT_BYTES, f"a segment is longer than {SEGMENT_BYTES} bytes"),
    (lambda segment: _size(portable(segment)) > PORTABLE_BYTES, "a segment holds too many special characters"),
)


def wrong_with_key(key: str) -> str:
    """Why a text is no key; empty when it is one."""
    return _wrong(key, key.split("/"))


def wrong_with_prefix(prefix: str) -> str:
    """Why no key can start with a text; empty when one can. Its last segment need not be whole."""
    return _wrong(prefix, prefix.split("/")[:-1])


def _wrong(text: str, segments: list[str]) -> str:
    reasons = [reason for is_wrong, reason in _WRONG_WITH_TEXT if is_wrong(text)]
    reasons += [reason for is_wrong, reason in _WRONG_WITH_SEGMENT if any(map(is_wrong, segments))]
    return reasons[0] if reasons else ""
