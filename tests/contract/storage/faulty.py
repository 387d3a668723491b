"""A backend that fails when it is told to: what a cloud does to policy, without a cloud."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.storage.adapters.memory import MemoryBackend, PendingBytes
from services.storage.domain.errors import BackendUnreachable
from services.storage.domain.model import Batch, Draft, ObjectName, StoredObject


class FaultyBackend(MemoryBackend):
    """A dictionary behind a wire that breaks: at `create`, after some bytes, at `commit`, or altogether."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.breaks_at = ""

    def check(self, *moments: str) -> None:
        if self.breaks_at in {"always", *moments}:
            raise BackendUnreachable(backend=self.name, why="the test says so")

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator["FaultyPending"]:
        self.check("create")
        yield FaultyPending(self, draft)

    async def stat(self, name: ObjectName) -> StoredObject:
        self.check("stat")
        return await super().stat(name)

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        self.check("page")
        return await super().page(placement, prefix, after, limit)

    async def delete(self, name: ObjectName) -> int:
        self.check("delete")
        return await super().delete(name)

    async def probe(self) -> None:
        self.check("probe")


class FaultyPending(PendingBytes):
    def __init__(self, backend: FaultyBackend, draft: Draft) -> None:
        super().__init__(backend, draft)
        self._faulty = backend

    async def write(self, batch: Batch) -> None:
        await super().write(batch)
        self._faulty.check("write")

    async def commit(self, size: int, sha256: str) -> StoredObject:
        self._faulty.check("commit")
        return await super().commit(size, sha256)
