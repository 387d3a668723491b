"""What storage is about, in plain values."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.storage.domain import errors, keys

Batch = Sequence[bytes]
"""Consecutive bytes in a few pieces, of which the largest is one chunk."""

CHUNK_BYTES = 256 * 1024
BATCH_BYTES = 8 * CHUNK_BYTES
"""What one hop into a thread reads, writes or hashes: large enough not to feel the hop, small enough to stay flat."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ATTRIBUTE_BYTES = {"owner": 200, "content_type": 255, "file_name": 255, "request_id": 200}


@dataclass(frozen=True, order=True)
class ObjectName:
    """Names one object: the placement is known, or will be refused; the key is valid."""

    placement: str
    key: str

    def __post_init__(self) -> None:
        if why := keys.wrong_with_key(self.key):
            raise errors.InvalidKey(why=why)


@dataclass(frozen=True)
class Draft:
    """What is known of an object before its first byte."""

    name: ObjectName
    owner: str
    content_type: str
    file_name: str
    request_id: str
    staged_path: str = ""
    """The file that holds the bytes already; empty where they are sent."""

    def __post_init__(self) -> None:
        if not self.request_id:
            raise errors.RequestIdMissing
        for attribute, limit in _ATTRIBUTE_BYTES.items():
            text = getattr(self, attribute)
            if _CONTROL.search(text) or len(text.encode()) > limit:
                raise errors.InvalidAttribute(attribute, limit)


@dataclass(frozen=True)
class Trailer:
    """What the sender says of all the bytes it sent; sha256 is empty when it does not say."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Staged:
    """So many more bytes are in the staged file."""

    count: int


Part = Draft | bytes | Staged | Trailer
"""One message of an upload."""


@dataclass(frozen=True)
class StoredObject:
    """One stored object: what was known before, and what its bytes turned out to be."""

    draft: Draft
    size: int
    """Bytes."""
    sha256: str
    create_time: datetime
    backend: str
    bucket: str
    uri: str

    @property
    def name(self) -> ObjectName:
        """Placement and key."""
        return self.draft.name


@dataclass(frozen=True)
class Span:
    """Consecutive bytes of an object."""

    start: int
    count: int

    @classmethod
    def of(cls, size: int, offset: int, length: int) -> "Span":
        """The bytes that a request means: a negative offset counts from the end, length 0 reads to the end."""
        if length < 0:
            raise errors.InvalidLength
        start = offset if offset >= 0 else max(0, size + offset)
        if start >= size and start > 0:
            raise errors.RangeBeyondEnd(size=size, start=start)
        rest = size - start
        return cls(start, min(length, rest) if length else rest)


class Tally:
    """Size and SHA-256 of the bytes seen so far. Adding takes time: do it in a thread."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, batch: Batch) -> None:
        """Count the next bytes."""
        for piece in batch:
            self._hash.update(piece)
            self.size += len(piece)

    @property
    def sha256(self) -> str:
        """64 lower-case hexadecimal digits."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class BackendStatus:
    """How a backend is just now; the reason is empty when it is well."""

    name: str
    reachable: bool
    reason: str


@dataclass(frozen=True)
class Page:
    """One page of a list, and the token of the next; empty on the last."""

    objects: list[StoredObject]
    next_token: str


@dataclass(frozen=True)
class Deleted:
    """How many objects a call deleted, and how many bytes that freed."""

    count: int
    size: int


@dataclass(frozen=True)
class SignedAddress:
    """An address from which anyone may download until it expires."""

    uri: str
    expire_time: datetime
