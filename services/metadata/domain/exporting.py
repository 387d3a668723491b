"""All records as streams of batches, and as hashes, in one order and form whichever database holds them."""

import hashlib
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.metadata.domain.canonical import form_of
from services.metadata.domain.declarations import Declaration
from services.metadata.domain.entities import Session
from services.metadata.domain.errors import FieldMalformed, RecordTooLarge
from services.metadata.domain.ports import Reader
from services.metadata.domain.records import Clock, utc_now
from services.metadata.domain.transfers import (
    CARRIED,
    LARGEST_RECORD,
    MOST_BYTES,
    MOST_RECORDS,
    PLACES,
    Batch,
    carried,
    hash_of,
    key_at,
)

FIRST_PAGE = 20
LARGEST_PAGE = 4_000
PAGE_BYTES = 2 << 20
"""How much is read at once: about so many bytes of JSON, found out by reading little first."""

Written = tuple[Any, bytes]
"""A record, and the same as JSON."""


@dataclass(frozen=True)
class Digest:
    """The records of one kind, as a number and a hash."""

    entity: str
    count: int
    sha256: str


@dataclass(frozen=True)
class Wish:
    """What to export."""

    entities: Sequence[str] = ()
    after_entity: str = ""
    after_position: str = ""
    batch_size: int = 0


class Exports:
    """Exports what a store holds. What is written meanwhile may be in it or not."""

    def __init__(self, store: Reader, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    async def batches(self, wish: Wish) -> AsyncIterator[Batch]:
        """Batches of all records, or of those after a position. RecordTooLarge for one that no message carries."""
        size = _size(wish.batch_size)
        for declaration, after in _parts(wish):
            packer = Packer(declaration, size)
            async for page in self._pages(declaration, after):
                for batch in packer.pack(page):
                    yield batch
            for batch in packer.rest():
                yield batch

    async def digests(self, entities: Collection[str]) -> AsyncIterator[Digest]:
        """How many records there are of each kind, and their hash."""
        for declaration, _ in _parts(Wish(tuple(entities))):
            count, sha256 = 0, hashlib.sha256()
            async for page in self._pages(declaration, None):
                count += len(page)
                sha256.update(b"".join([b"%b\n" % written for _, written in page]))
            yield Digest(declaration.name, count, sha256.hexdigest())

    async def _pages(self, declaration: Declaration, after: tuple[Any, ...] | None) -> AsyncIterator[list[Written]]:
        form, limit = form_of(declaration.kind), FIRST_PAGE
        while True:
            found = await self._store.scan(declaration.kind, after, limit)
            page = [(record, form.encode(record)) for record in found if not self._is_over(record)]
            if page:
                yield page
            if len(found) < limit:
                return
            after = form.key(found[-1])
            limit = _next_limit(limit, page)

    def _is_over(self, record: Any) -> bool:
        """Whether a record counts as gone: some databases remove ended sessions by themselves, at any time."""
        return isinstance(record, Session) and record.expire_time <= self._now()


def _next_limit(limit: int, page: Sequence[Written]) -> int:
    """At most twice as many, so that a kind whose records grow is found out in time."""
    average = sum(len(written) for _, written in page) // (len(page) or 1)
    return max(1, min(2 * limit, LARGEST_PAGE, PAGE_BYTES // (average or 1)))


def _size(asked: int) -> int:
    if not 0 <= asked <= MOST_RECORDS:
        raise FieldMalformed("batch_size", problem=str(asked), advice=f"It is 0 to {MOST_RECORDS}")
    return asked or MOST_RECORDS


def _parts(wish: Wish) -> list[tuple[Declaration, tuple[Any, ...] | None]]:
    """The kinds to export, each with the key to go on after."""
    wanted = [carried(name, "entities").name for name in wish.entities] or PLACES
    if not wish.after_entity:
        if wish.after_position:
            raise FieldMalformed("after_position", problem="of no kind", advice="Give after_entity too")
        return [(each, None) for each in CARRIED if each.name in wanted]
    first = carried(wish.after_entity, "after_entity")
    after = key_at(first, wish.after_position, "after_position") if wish.after_position else None
    later = [each for each in CARRIED[PLACES[first.name] :] if each.name in wanted]
    return [(each, after if each is first else None) for each in later]


class Packer:
    """Packs records into batches that are as large as they may be."""

    def __init__(self, declaration: Declaration, most: int) -> None:
        self._declaration = declaration
        self._form = form_of(declaration.kind)
        self._most = most
        self._records: list[bytes] = []
        self._bytes = 0
        self._last: Any = None

    def pack(self, page: Sequence[Written]) -> Iterator[Batch]:
        """Add records; the batches that became full by that."""
        for record, written in page:
            if len(written) > LARGEST_RECORD:
                key, size = self._form.position(record), len(written)
                raise RecordTooLarge(label=self._declaration.label, key=key, size=size, limit=LARGEST_RECORD)
            if len(self._records) == self._most or self._bytes + len(written) > MOST_BYTES:
                yield from self.rest()
            self._records.append(written)
            self._bytes += len(written)
            self._last = record

    def rest(self) -> Iterator[Batch]:
        """What has been added since the last batch."""
        if self._records:
            yield Batch(self._declaration.name, self._records, self._form.position(self._last), hash_of(self._records))
            self._records, self._bytes = [], 0
