"""Gives an object out: whole and verified, or a range of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from services.storage.domain.errors import ObjectDamaged
from services.storage.domain.model import Batch, ObjectName, Span, StoredObject, Tally
from services.storage.domain.pipeline import read_ahead
from services.storage.domain.placements import Shelves
from services.storage.domain.ports import OpenObject


@dataclass(frozen=True)
class Download:
    """One object that is being read, and which bytes of it."""

    source: OpenObject
    span: Span

    @property
    def stored(self) -> StoredObject:
        """The object."""
        return self.source.stored

    @property
    def path(self) -> str:
        """Where a reader on this machine finds the object as a file; empty where there is none."""
        return self.source.path

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes. A whole read that does not match the object's checksum ends in ObjectDamaged."""
        async with aclosing(read_ahead(self._batches())) as batches:
            async for batch in batches:
                for chunk in batch:
                    yield chunk

    def _batches(self) -> AsyncGenerator[Batch, None]:
        whole = self.span.count == self.stored.size
        return self._verified() if whole else self.source.batches(self.span)

    async def _verified(self) -> AsyncGenerator[Batch, None]:
        tally = Tally()
        async with aclosing(self.source.batches(self.span)) as batches:
            async for batch in batches:
                await asyncio.to_thread(tally.add, batch)
                yield batch
        if tally.sha256 != self.stored.sha256:
            raise ObjectDamaged(key=self.stored.name.key, placement=self.stored.name.placement)


class Downloads:
    """Reads objects."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    @asynccontextmanager
    async def open(self, name: ObjectName, offset: int, length: int) -> AsyncIterator[Download]:
        """Begin to read. Offset and length as Span.of takes them; fails with ObjectNotFound and RangeBeyondEnd."""
        backend = await self._shelves.holder(name)
        async with backend.open(name) as source:
            yield Download(source, Span.of(source.stored.size, offset, length))
