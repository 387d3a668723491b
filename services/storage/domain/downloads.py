"""Gives an object out: whole and verified, or a range of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from servicekit.errors import Problem
from services.storage.domain.errors import BackendFailure, ObjectDamaged, ObjectNotFound
from services.storage.domain.model import Batch, ObjectName, Span, StoredObject, Tally
from services.storage.domain.pipeline import read_ahead
from services.storage.domain.ports import Backend, OpenObject
from services.storage.domain.shelves import Shelves

MOST_DAMAGED = 1000


@dataclass(frozen=True)
class Download:
    """One object that is being read, and which bytes of it."""

    source: OpenObject
    span: Span
    tell_damage: Callable[[StoredObject], None]

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
        async with aclosing(read_ahead(self.batches())) as batches:
            async for batch in batches:
                for chunk in batch:
                    yield chunk

    def batches(self) -> AsyncGenerator[Batch, None]:
        """The same, by the batch."""
        whole = self.span.count == self.stored.size
        return self._verified() if whole else self.source.batches(self.span)

    async def _verified(self) -> AsyncGenerator[Batch, None]:
        tally = Tally()
        async with aclosing(self.source.batches(self.span)) as batches:
            async for batch in batches:
                await asyncio.to_thread(tally.add, batch)
                yield batch
        if tally.sha256 != self.stored.sha256:
            self.tell_damage(self.stored)
            raise ObjectDamaged(key=self.stored.name.key, placement=self.stored.name.placement)


class Downloads:
    """Reads objects. A copy whose bytes were found to be wrong is read again only where there is no other."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._damaged: set[tuple[ObjectName, str]] = set()

    @asynccontextmanager
    async def open(self, name: ObjectName, offset: int = 0, length: int = 0) -> AsyncIterator[Download]:
        """Begin to read. Offset and length as Span.of takes them; fails with ObjectNotFound and RangeBeyondEnd."""
        async with AsyncExitStack() as stack:
            source = await self._opened(name, stack)
            yield Download(source, Span.of(source.stored.size, offset, length), self._remember)

    def _remember(self, damaged: StoredObject) -> None:
        if len(self._damaged) >= MOST_DAMAGED:
            self._damaged.clear()
        self._damaged.add((damaged.name, damaged.backend))

    async def _opened(self, name: ObjectName, stack: AsyncExitStack) -> OpenObject:
        """The copy that is nearest: on this service's own disk, else in the order of preference."""
        failures: list[Problem] = []
        shelf = self._shelves.of(name.placement)

        def order(backend: Backend) -> tuple[bool, bool]:
            return (name, backend.name) in self._damaged, backend is not shelf.local

        for backend in sorted(shelf.readers, key=order):
            try:
                return await stack.enter_async_context(backend.open(name))
            except (BackendFailure, ObjectNotFound, ObjectDamaged) as failure:
                failures.append(failure)
        raise min(failures, key=lambda failure: isinstance(failure, ObjectNotFound))
