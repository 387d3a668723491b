"""An object that is being written: its bytes go to Azure in blocks, a few at the same time."""

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from services.storage.adapters.azure import names
from services.storage.adapters.azure.publishing import publish
from services.storage.adapters.azure.service import BlobService
from services.storage.domain.errors import SizeMismatch, StagedFileUnknown
from services.storage.domain.model import Batch, Draft, StoredObject

BLOCK_BYTES = 4 * 1024 * 1024
IN_FLIGHT_BYTES = 4 * BLOCK_BYTES
BLOCKS_OF_A_SIZE = 8000
"""After so many blocks their size doubles: the 50,000 that Azure allows hold 2.4 TiB."""


def block_bytes(number: int) -> int:
    """Size of the block with a number, counted from 0."""
    return BLOCK_BYTES << (number // BLOCKS_OF_A_SIZE)


class Line:
    """Work that goes on while more is prepared. Whoever adds to it waits when it is full, and hears what failed."""

    def __init__(self) -> None:
        self._running: deque[asyncio.Task[None]] = deque()

    async def add(self, work: Coroutine[Any, Any, None], most: int) -> None:
        """Begin some work; at most so many run at the same time."""
        try:
            await self.settle(most - 1)
        except BaseException:
            work.close()
            raise
        self._running.append(asyncio.create_task(work))

    async def settle(self, leave: int = 0) -> None:
        """Wait until only so many are left."""
        while len(self._running) > leave:
            await self._running.popleft()

    async def stop(self) -> None:
        """End all that runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class PendingBlocks:
    """Blocks that Azure holds but shows to nobody. What is not committed it drops by itself, after a week."""

    def __init__(self, service: BlobService, draft: Draft) -> None:
        self._service = service
        self._draft = draft
        self._blob = service.blob(draft.name)
        self._upload = names.upload_id()
        self._ids: list[str] = []
        self._line = Line()
        self._pieces: list[bytes] = []
        self._held = 0
        self._size = 0

    async def write(self, batch: Batch) -> None:
        """Take the next bytes; waits while enough of them are on their way."""
        for piece in batch:
            self._pieces.append(piece)
            self._held += len(piece)
            if self._held >= block_bytes(len(self._ids)):
                await self._send()

    async def staged(self, count: int) -> Batch:  # noqa: ARG002 — the port's signature
        """Azure offers no file."""
        raise StagedFileUnknown

    async def commit(self, size: int, sha256: str) -> StoredObject:
        """Publish, once everything has arrived."""
        if self._held:
            await self._send()
        if self._size != size:
            raise SizeMismatch(told=size, received=self._size)
        await self._line.settle()
        stored = self._service.stored(self._draft, size, sha256, datetime.now(UTC))
        return await publish(self._service, stored, self._ids)

    async def close(self) -> None:
        """Stop what is still being sent."""
        await self._line.stop()

    async def _send(self) -> None:
        most = max(1, IN_FLIGHT_BYTES // block_bytes(len(self._ids)))
        block_id = names.block_id(self._upload, len(self._ids))
        pieces, self._pieces = self._pieces, []
        self._ids.append(block_id)
        self._size += self._held
        self._held = 0
        await self._line.add(self._stage(block_id, pieces), most)

    async def _stage(self, block_id: str, pieces: list[bytes]) -> None:
        data, md5 = await asyncio.to_thread(_sealed, pieces)
        pieces.clear()

        async def stage() -> None:
            async with self._service.calling(self._service.place(self._draft.name)):
                await self._blob.stage_block(block_id, data, len(data), headers={"Content-MD5": md5})

        await self._service.in_container(self._blob.container_name, stage)


def _sealed(pieces: list[bytes]) -> tuple[bytes, str]:
    """A block, and the MD5 by which Azure sees that all of it arrived as it was."""
    data = b"".join(pieces)
    md5 = hashlib.md5(data, usedforsecurity=False)
    return data, base64.b64encode(md5.digest()).decode()
