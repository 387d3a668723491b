"""Overlaps the work on one batch of bytes with the arrival of the next. At most two batches are held."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

from services.storage.domain.model import BATCH_BYTES, Batch

Taker = Callable[[Batch], Coroutine[Any, Any, None]]


class WriteBehind:
    """Collects chunks into batches and hands each to a taker while the next is being collected."""

    def __init__(self, take: Taker) -> None:
        self._take = take
        self._chunks: list[bytes] = []
        self._size = 0
        self.running: asyncio.Task[None] | None = None

    async def put(self, chunk: bytes) -> None:
        """Add a chunk. Waits, and fails, with the batch before."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= BATCH_BYTES:
            await self._hand_over()

    async def finish(self) -> None:
        """Hand over what is left and wait until all of it is taken."""
        await self._hand_over()
        await self._settle()

    async def _hand_over(self) -> None:
        batch, self._chunks, self._size = self._chunks, [], 0
        await self._settle()
        if batch:
            self.running = asyncio.create_task(self._take(batch))

    async def _settle(self) -> None:
        if self.running is not None:
            await self.running
            self.running = None


@asynccontextmanager
async def write_behind(take: Taker) -> AsyncIterator[WriteBehind]:
    """A WriteBehind; what runs at the end of the block, because the block failed, is cancelled."""
    behind = WriteBehind(take)
    try:
        yield behind
    finally:
        if behind.running is not None:
            await _cancelled(behind.running)


async def read_ahead(batches: AsyncGenerator[Batch, None]) -> AsyncGenerator[Batch, None]:
    """The same batches, each fetched while the one before is being used."""
    async with aclosing(batches):
        coming = asyncio.ensure_future(_next(batches))
        try:
            while (batch := await coming) is not None:
                coming = asyncio.ensure_future(_next(batches))
                yield batch
        finally:
            await _cancelled(coming)


async def _next(batches: AsyncGenerator[Batch, None]) -> Batch | None:
    return await anext(batches, None)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen: the failure that ended the block is the one to tell
