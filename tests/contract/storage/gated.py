"""A backend that stands still at a moment of the test's choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.storage.domain.model import Batch, Draft, ObjectName, StoredObject
from tests.contract.storage.faulty import FaultyBackend, FaultyPending


class GatedBackend(FaultyBackend):
    """Waits before, or after, it publishes or deletes, until the test lets it go on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.waits = ""
        self.there = asyncio.Event()
        self.go_on = asyncio.Event()

    async def gate(self, moment: str) -> None:
        if moment == self.waits:
            self.there.set()
            await self.go_on.wait()

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator["GatedPending"]:
        self.check("create")
        yield GatedPending(self, draft)

    async def stat(self, name: ObjectName) -> StoredObject:
        await self.gate("when it is asked")
        return await super().stat(name)

    async def delete(self, name: ObjectName) -> int:
        await self.gate("before it deletes")
        size = await super().delete(name)
        await self.gate("after it deletes")
        return size


class GatedPending(FaultyPending):
    def __init__(self, backend: GatedBackend, draft: Draft) -> None:
        super().__init__(backend, draft)
        self._gated = backend

    async def write(self, batch: Batch) -> None:
        await super().write(batch)
        await self._gated.gate("after it writes")

    async def commit(self, size: int, sha256: str) -> StoredObject:
        await self._gated.gate("before it publishes")
        stored = await super().commit(size, sha256)
        await self._gated.gate("after it publishes")
        return stored
