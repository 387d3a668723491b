"""Objects on this machine's disk: the port's methods, each a hop into a thread."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from services.storage.adapters.local.disk import Disk
from services.storage.adapters.local.files import NAME, disk_errors
from services.storage.adapters.local.pending import PendingFile
from services.storage.domain.errors import ObjectDamaged
from services.storage.domain.model import (
    BATCH_BYTES,
    CHUNK_BYTES,
    Batch,
    Draft,
    ObjectName,
    Span,
    StoredObject,
)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def _in_thread(work: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs) -> Result:
    def told() -> Result:
        with disk_errors():
            return work(*given, **named)

    return await asyncio.to_thread(told)


class LocalBackend:
    """Keeps objects below a root folder."""

    name = NAME
    direct = None

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    @asynccontextmanager
    async def create(self, draft: Draft) -> AsyncIterator[PendingFile]:
        """Begin an object in a folder of its own."""
        pending = PendingFile(self._disk, draft)
        try:
            if draft.staged_path:
                await pending.claim()
            yield pending
        finally:
            await pending.close()

    async def stage(self) -> str:
        """Offer an empty file."""
        return str(await _in_thread(self._disk.stage))

    @asynccontextmanager
    async def open(self, name: ObjectName) -> AsyncIterator["OpenFile"]:
        """Begin to read an object; its file stays open, and so readable, until the end of the block."""
        stored, data = await _in_thread(self._disk.open, name)
        try:
            yield OpenFile(stored, data, str(self._disk.data_path(name)))
        finally:
            await asyncio.shield(asyncio.to_thread(data.close))

    async def stat(self, name: ObjectName) -> StoredObject:
        """Describe an object."""
        return await _in_thread(self._disk.stat, name)

    async def page(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        """List objects, as far as a page goes."""
        return await _in_thread(self._disk.page, placement, prefix, after, limit)

    async def delete(self, name: ObjectName) -> int:
        """Delete an object."""
        return await _in_thread(self._disk.delete, name)

    async def sign(self, stored: StoredObject, expires: datetime) -> str:  # noqa: ARG002 — the port's signature
        """A disk has no address that others could read."""
        return ""

    async def probe(self) -> None:
        """Write to the disk, and see that there is space."""
        await _in_thread(self._disk.probe)


@asynccontextmanager
async def local_backend(root: Path) -> AsyncIterator[LocalBackend]:
    """The backend of a root folder, which is ours alone for the length of the block."""
    disk = Disk(root)
    with await asyncio.to_thread(disk.hold):
        yield LocalBackend(disk)


@dataclass(frozen=True)
class OpenFile:
    """An object's record and its open file."""

    stored: StoredObject
    data: BinaryIO
    path: str

    async def batches(self, span: Span) -> AsyncGenerator[Batch, None]:
        """Read on, a batch a hop."""
        await asyncio.to_thread(self.data.seek, span.start)
        left = span.count
        while left:
            batch = await _in_thread(self._read, min(left, BATCH_BYTES))
            left -= sum(map(len, batch))
            yield batch

    def _read(self, wanted: int) -> Batch:
        sizes = [min(CHUNK_BYTES, wanted - start) for start in range(0, wanted, CHUNK_BYTES)]
        batch = [self.data.read(size) for size in sizes]
        if sum(map(len, batch)) != wanted:  # the file became shorter under our hands
            raise ObjectDamaged(key=self.stored.name.key, placement=self.stored.name.placement)
        return batch
