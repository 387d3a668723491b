"""Sends bytes to the storage service as one object."""

import asyncio
from collections.abc import AsyncIterator, Callable

from grpc.aio import AioRpcError, StreamUnaryCall

from gateway.handoff import StagedFile, stage
from gateway.incoming import regrouped
from gateway.peers import BYTES_SECONDS, Peers
from modelyard.storage.v1.storage_pb2 import Object, UploadHeader, UploadRequest, UploadTrailer

Call = StreamUnaryCall[UploadRequest, Object]
Closing = Callable[[int], UploadTrailer]


async def store(peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], closing: Closing) -> Object:
    """Send a stream of chunks; `closing` is told their size. If anything fails on the way, no object exists."""
    return await _send(peers, header, _as_chunks(chunks, closing))


async def store_large(peers: Peers, header: UploadHeader, chunks: AsyncIterator[bytes], closing: Closing) -> Object:
    """As `store`, by way of a shared file where there is one, which spares the bytes a process on their way."""
    staged = await stage(peers, header.placement)
    if staged is None:
        return await store(peers, header, chunks, closing)
    header.staged_path = staged.path
    try:
        return await _send(peers, header, _as_staged(staged, chunks, closing))
    finally:
        staged.discard()


async def _as_chunks(chunks: AsyncIterator[bytes], closing: Closing) -> AsyncIterator[UploadRequest]:
    size = 0
    async for chunk in regrouped(chunks):
        size += len(chunk)
        yield UploadRequest(chunk=chunk)
    yield UploadRequest(trailer=closing(size))


async def _as_staged(
    staged: StagedFile, chunks: AsyncIterator[bytes], closing: Closing
) -> AsyncIterator[UploadRequest]:
    size = 0
    async for count in staged.filled(chunks):
        size += count
        yield UploadRequest(staged=count)
    yield UploadRequest(trailer=closing(size))


async def _send(peers: Peers, header: UploadHeader, parts: AsyncIterator[UploadRequest]) -> Object:
    call = peers.storage.Upload(**peers.within(BYTES_SECONDS))
    try:
        open_still = await _write(call, UploadRequest(header=header))
        async for part in parts:
            if not open_still:
                break
            open_still = await _write(call, part)
        if open_still:
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
