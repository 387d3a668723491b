"""Sends bytes to the storage service as one object."""

import asyncio
from collections.abc import AsyncIterator, Callable

from modelyard.storage.v1.storage_pb2 import Object, UploadHeader, UploadRequest, UploadTrailer

from gateway.peers import BYTES_SECONDS, Peers


async def store(
    peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], trailer: Callable[[int], UploadTrailer]
) -> Object:
    """Store a stream of chunks; `trailer` is told their size. If anything fails on the way, no object exists."""
    call = peers.storage.Upload(**peers.within(BYTES_SECONDS))
    try:
        await call.write(UploadRequest(header=header))
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            await call.write(UploadRequest(chunk=chunk))
        await call.write(UploadRequest(trailer=trailer(size)))
        await call.done_writing()
        return await call
    except asyncio.InvalidStateError:
        return await call  # it ended before we did: raises why, or gives the object that a repeat had met
    finally:
        call.cancel()  # of no effect once it has ended
