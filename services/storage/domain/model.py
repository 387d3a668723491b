"""What storage is about, in plain values."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.storage.domain import errors, keys

Batch = Sequence[bytes]
"""Consecutive bytes in a few pieces, of which the largest is one chunk."""

CHUNK_BYTES = 256 * 1024
BATCH_BYTES = 8 * CHUNK_BYTES
"""What one hop into a thread reads, writes or hashes: large enough not to feel the hop, small enough to stay flat."""

HOME = "home"
"""In the context of a copy away from home: the backend that was home when it was made. No writer can set it."""

MOST_LABELS = 10
TAG_BYTES = 100
CONTEXT_BYTES = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTEXT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ATTRIBUTE_BYTES = {"owner": 200, "content_type": 255, "file_name": 255, "request_id": 200}


class Access(StrEnum):
    """Who may read an object at the address its backend gives it."""

    SIGNED = "signed"
    PUBLIC = "public"


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
    access: Access = Access.SIGNED
    expire_time: datetime | None = None
    """When it may be swept, UTC; None for never."""
    tags: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.request_id:
            raise errors.RequestIdMissing
        for attribute, limit in _ATTRIBUTE_BYTES.items():
            if _unfit(getattr(self, attribute), limit):
                raise errors.InvalidAttribute(attribute, limit)
        if len(self.tags) > MOST_LABELS or any(not tag or "," in tag or _unfit(tag, TAG_BYTES) for tag in self.tags):
            raise errors.InvalidTags
        if len(self.context.keys() - {HOME}) > MOST_LABELS or not all(
            _fits_context(*entry) for entry in self.context.items()
        ):
            raise errors.InvalidContext


def _unfit(text: str, limit: int) -> bool:
    return _CONTROL.search(text) is not None or len(text.encode()) > limit


def _fits_context(name: str, value: str) -> bool:
    return _CONTEXT_NAME.fullmatch(name) is not None and not _unfit(value, CONTEXT_BYTES)


@dataclass(frozen=True)
class Header:
    """What begins an upload."""

    draft: Draft
    """Access and expiry are still to be set, by policy."""
    expires_after: timedelta | None = None
    """How long to keep it; None for what policy says."""


@dataclass(frozen=True)
class ByTicket:
    """What begins an upload for which a ticket was given."""

    token: str


@dataclass(frozen=True)
class Trailer:
    """What the sender says of all the bytes it sent; sha256 is empty when it does not say."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Staged:
    """So many more bytes are in the staged file."""

    count: int


Part = Header | ByTicket | bytes | Staged | Trailer
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
class Failure:
    """A backend that failed while another carried the call."""

    backend: str
    reason: str
    message: str


@dataclass(frozen=True)
class Kept:
    """A stored object and what really became of it."""

    copies: tuple[StoredObject, ...]
    """At least one; the first is that of the most preferred backend."""
    fallback: bool
    """Whether its home, having failed, does not hold it."""
    failures: tuple[Failure, ...] = ()

    @property
    def stored(self) -> StoredObject:
        """The object as its most preferred backend holds it."""
        return self.copies[0]

    @property
    def name(self) -> ObjectName:
        """Placement and key."""
        return self.stored.name

    @property
    def backends(self) -> frozenset[str]:
        """Names of those that hold it."""
        return frozenset(copy.backend for copy in self.copies)


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
class Ticket:
    """How a client sends bytes straight to a backend: PUT with the bytes as body, or POST of a form with "file"."""

    method: str
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BackendStatus:
    """How a backend is just now; the reason is empty when it is well."""

    name: str
    configured: bool
    reachable: bool
    reason: str


@dataclass(frozen=True)
class Unsettled:
    """An object that something could not be done to, and why; without a key, a placement that cannot be listed."""

    placement: str
    key: str
    failure: Failure


@dataclass(frozen=True)
class Page:
    """One page of a list, and the token of the next; empty on the last."""

    objects: list[Kept]
    next_token: str
    failures: tuple[Unsettled, ...] = ()


@dataclass(frozen=True, order=True)
class Usage:
    """What one owner keeps in one placement."""

    owner: str
    placement: str
    count: int
    size: int
    """Bytes; an object with several copies counts once."""


@dataclass(frozen=True)
class Upkeep:
    """What one page of a sweep or of a replication did."""

    objects: list[Kept]
    failures: list[Unsettled]
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
