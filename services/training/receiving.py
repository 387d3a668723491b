"""The rows of a Predict call on their way in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from modelyard.training.v1.training_pb2 import PredictHeader, PredictRequest
from services.training.domain.errors import TooMuchToPredict

ROWS_BYTES = 64 * 1024 * 1024
AHEAD_BYTES = 4 * ROWS_BYTES


async def opened(requests: AsyncIterator[PredictRequest]) -> tuple[PredictHeader, AsyncIterator[bytes]]:
    """The header of a call, and its rows piece by piece; they end with TooMuchToPredict where there are too many."""
    first = await anext(requests, PredictRequest())
    return first.header, _pieces(first.header.first_chunk, requests)


async def _pieces(first: bytes, requests: AsyncIterator[PredictRequest]) -> AsyncIterator[bytes]:
    yield first
    size = len(first)
    async for request in requests:
        size += len(request.chunk)
        if size > ROWS_BYTES:
            raise TooMuchToPredict(limit=ROWS_BYTES)
        yield request.chunk


class Antechamber:
    """Receives rows before their turn, up to so many bytes of all calls together; what is beyond stays with the
    senders until its turn comes."""

    def __init__(self, limit: int = AHEAD_BYTES) -> None:
        self._limit = limit
        self._held = 0

    @asynccontextmanager
    async def ahead(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The same pieces, received for the block, whether or not they are taken yet: a call waits for its turn, and
        when it comes, nobody should wait for rows."""
        arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        its_turn = asyncio.Event()

        async def receive() -> None:
            try:
                async for piece in pieces:
                    arrived.put_nowait(piece)
                    self._held += len(piece)
                    if self._held > self._limit:
                        await its_turn.wait()
            finally:
                arrived.put_nowait(None)

        receiving = asyncio.create_task(receive())

        async def taken() -> AsyncIterator[bytes]:
            its_turn.set()
            while (piece := await arrived.get()) is not None:
                self._held -= len(piece)
                yield piece
            await receiving

        try:
            yield taken()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)  # who takes the pieces has heard what went wrong
            while not arrived.empty():
                self._held -= len(arrived.get_nowait() or b"")
