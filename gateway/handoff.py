"""Hands files over by the disk, where the gateway and the storage service share one; by the wire where they do not.

The storage service stays master of what is stored: it offers the file, reads it again to compute the checksum, and
publishes it. Only the bytes are spared the way through a second process.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.peers import Peers
from gateway.sendfile import SLICE_BYTES, FileSlice
from modelyard.storage.v1.storage_pb2 import DownloadHeader, StageUploadRequest
from servicekit import errors
from servicekit.durability import full_disk_as

Piece = bytes | FileSlice
"""A part of a body."""

BATCH_BYTES = 4 * 1024 * 1024
READ_BYTES = 256 * 1024
MOST_PIECES = 1000  # of one system call


class StagedFile:
    """A file that the storage service offered. Bytes are written in a thread while the next are awaited."""

    def __init__(self, path: str) -> None:
        """Open the file. Fails with OSError where it is another machine's path, or another user's file."""
        self.path = path
        self._file = FileIO(path, "r+", opener=_without_links)

    async def filled(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[int]:
        """Write a stream of chunks; how many more bytes are in the file, each time that some are."""
        writing: asyncio.Future[int] | None = None
        try:
            async for batch in batches(chunks):
                if writing is not None:
                    yield await writing
                writing = asyncio.ensure_future(asyncio.to_thread(_write, self._file.fileno(), batch))
            if writing is not None:
                yield await writing
        finally:
            if writing is not None:
                await asyncio.wait([writing])  # the file is closed only when nobody writes to it
            self._file.close()

    def discard(self) -> None:
        """Remove the file if it is still there, as when the upload met its first object and did not need it."""
        with suppress(FileNotFoundError):
            Path(self.path).unlink()


async def stage(peers: Peers, placement: str) -> StagedFile | None:
    """A file to write an upload to; None where there is none, or none that we can open."""
    try:
        offered = await peers.storage.StageUpload(StageUploadRequest(placement=placement), **peers.quick)
    except AioRpcError as error:
        if error.code() in {StatusCode.FAILED_PRECONDITION, StatusCode.UNIMPLEMENTED}:
            return None
        raise
    try:
        return StagedFile(offered.path)
    except OSError:
        return None


async def batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Chunks in lists that one system call can write."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES or len(held) >= MOST_PIECES:
            yield held
            held, size = [], 0
    if held:
        yield held


class DiskFull(errors.Exhausted):
    """There is no space left for the file. Free some, or ask whoever runs this Modelyard to."""


def _write(descriptor: int, batch: list[bytes]) -> int:
    with full_disk_as(DiskFull):
        return _write_all(descriptor, batch)


def _write_all(descriptor: int, batch: list[bytes]) -> int:
    written = os.writev(descriptor, batch)
    total = sum(map(len, batch))
    if written < total:  # a signal, or a full disk, of which the next call tells
        rest = memoryview(b"".join(batch))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return total


def opened(header: DownloadHeader, by_slices: bool = False) -> AsyncGenerator[Piece, None] | None:
    """The bytes that a header announces, out of the file it names; None where that file is not here to read.

    They come as bytes, or as slices of the file for a server that takes those.
    """
    try:
        file = FileIO(header.path, opener=_without_links)
    except OSError:  # another machine's path, or another user's file
        return None
    if os.fstat(file.fileno()).st_size != header.object.size:
        file.close()
        return None
    pieces = _slices if by_slices else _pieces
    return pieces(file, header.offset, header.length)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


async def _slices(file: FileIO, offset: int, length: int) -> AsyncGenerator[Piece, None]:
    """A span of a file in slices, each sent before the next; ends early when nobody is there to receive it."""
    with file:
        for start in range(offset, offset + length, SLICE_BYTES):
            piece = FileSlice(file.fileno(), start, min(SLICE_BYTES, offset + length - start))
            try:
                yield piece
            finally:
                sent = await piece.finished()
            if not sent:
                return


async def _pieces(file: FileIO, offset: int, length: int) -> AsyncGenerator[Piece, None]:
    """A span of a file, each piece read in a thread while the one before is sent."""
    end = offset + length

    def next_piece() -> asyncio.Future[bytes]:
        wanted = min(READ_BYTES, end - offset)
        return asyncio.ensure_future(asyncio.to_thread(os.pread, file.fileno(), wanted, offset))

    with file:
        coming = next_piece()
        try:
            while piece := await coming:
                offset += len(piece)
                coming = next_piece()
                yield piece
        finally:
            await asyncio.wait([coming])  # the file is closed only when nobody reads it
