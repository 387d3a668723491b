"""Sends bytes to the storage service as one object."""

import asyncio
from collections.abc import AsyncIterator, Callable

from grpc.aio import AioRpcError, StreamUnaryCall

from gateway.peers import BYTES_SECONDS, Peers
from modelyard.storage.v1.storage_pb2 import Object, UploadHeader, UploadRequest, UploadTrailer

Call = StreamUnaryCall[UploadRequest, Object]


async def store(
    peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], trailer: Callable[[int], UploadTrailer]
) -> Object:
    """Store a stream of chunks; `trailer` is told their size. If anything fails on the way, no object exists."""
    call = peers.storage.Upload(**peers.within(BYTES_SECONDS))
    size = 0
    try:
        open_still = await _write(call, UploadRequest(header=header))
        async for chunk in chunks:
            if not open_still:
                break
            size += len(chunk)
            open_still = await _write(call, UploadRequest(chunk=chunk))
        if open_still and await _write(call, UploadRequest(trailer=trailer(size))):
            await call.done_writing()
        return await call
    finally:
        call.cancel()  # of no effect once it has ended


async def _write(call: Call, message: UploadRequest) -> bool:
    """Send a message; False when the service has answered already, and awaiting the call tells what."""
    try:
        await call.write(message)
    except (AioRpcError, asyncio.InvalidStateError):
        return False
    return True
