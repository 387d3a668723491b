"""Takes an object in: header, bytes, trailer; verified, then published once."""

import asyncio
from collections.abc import AsyncIterator

from services.storage.domain import errors
from services.storage.domain.model import Batch, Draft, Part, Staged, StoredObject, Tally, Trailer
from services.storage.domain.pipeline import write_behind
from services.storage.domain.placements import Shelves
from services.storage.domain.ports import PendingObject

LARGEST_CHUNK_BYTES = 1024 * 1024
LARGEST_STAGED_BYTES = 8 * 1024 * 1024

_CALLED = {Draft: "a header", bytes: "a chunk", Staged: "staged bytes", Trailer: "a trailer"}


class Uploads:
    """Writes objects."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    async def take(self, parts: AsyncIterator[Part]) -> StoredObject:
        """Store one object. A repeat of its request_id gives the first object, without reading on."""
        draft = await _header(parts)
        if first := await self._first(draft):
            return first
        backend = self._shelves.behind(draft.name.placement)[0]
        async with backend.create(draft) as pending:
            tally = await _received(parts, pending, staged=bool(draft.staged_path))
            try:
                return await pending.commit(tally.size, tally.sha256)
            except errors.ObjectExists:
                if first := await self._first(draft):  # a repeat of this upload was quicker
                    return first
                raise

    async def stage(self, placement: str) -> str:
        """Offer a file for the bytes of an upload; its path. Fails with NoFiles."""
        return await self._shelves.behind(placement)[0].stage()

    async def _first(self, draft: Draft) -> StoredObject | None:
        try:
            stored = await (await self._shelves.holder(draft.name)).stat(draft.name)
        except errors.ObjectNotFound:
            return None
        if stored.draft.request_id != draft.request_id:
            raise errors.ObjectExists(key=draft.name.key, placement=draft.name.placement)
        return stored


async def _header(parts: AsyncIterator[Part]) -> Draft:
    part = await anext(parts, None)
    if isinstance(part, Draft):
        return part
    raise errors.PartsOutOfOrder(got=_called(part), wanted="a header")


async def _received(parts: AsyncIterator[Part], pending: PendingObject, staged: bool) -> Tally:
    tally = Tally()

    async def take(batch: Batch) -> None:
        await asyncio.gather(asyncio.to_thread(tally.add, batch), pending.write(batch))

    async with write_behind(take) as behind:
        async for part in parts:
            if isinstance(part, Trailer):
                break
            if isinstance(part, Staged) and staged:
                await asyncio.to_thread(tally.add, await pending.staged(_within_limit(part.count)))
            else:
                await behind.put(_chunk(part, staged))
        else:
            raise errors.UploadIncomplete
        await _nothing_after(parts)
        await behind.finish()
    _compare(part, tally)
    return tally


def _compare(trailer: Trailer, tally: Tally) -> None:
    if trailer.size != tally.size:
        raise errors.SizeMismatch(told=trailer.size, received=tally.size)
    if trailer.sha256 and trailer.sha256.lower() != tally.sha256:
        raise errors.ChecksumMismatch


def _chunk(part: Part, staged: bool) -> bytes:
    if staged or not isinstance(part, bytes):
        wanted = "staged bytes" if staged else "a chunk"
        raise errors.PartsOutOfOrder(got=_called(part), wanted=f"{wanted} or the trailer")
    if len(part) > LARGEST_CHUNK_BYTES:
        raise errors.ChunkTooLarge(size=len(part), limit=LARGEST_CHUNK_BYTES)
    return part


def _within_limit(count: int) -> int:
    if not 0 < count <= LARGEST_STAGED_BYTES:
        raise errors.ChunkTooLarge(size=count, limit=LARGEST_STAGED_BYTES)
    return count


async def _nothing_after(parts: AsyncIterator[Part]) -> None:
    async for part in parts:
        raise errors.PartsOutOfOrder(got=_called(part), wanted="the end")


def _called(part: Part | None) -> str:
    return _CALLED[type(part)] if part is not None else "nothing"
