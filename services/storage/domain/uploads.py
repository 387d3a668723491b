"""Takes an object in: header, bytes, trailer; verified, then published once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from services.storage.domain import errors
from services.storage.domain.accounts import Accounts
from services.storage.domain.model import Batch, ByTicket, Draft, Header, Kept, Part, Staged, Tally, Trailer
from services.storage.domain.pipeline import write_behind
from services.storage.domain.placements import OnError
from services.storage.domain.shelves import Shelf, Shelves, Silent
from services.storage.domain.targets import Targets, begun

LARGEST_CHUNK_BYTES = 1024 * 1024
LARGEST_STAGED_BYTES = 8 * 1024 * 1024

_CALLED = {Header: "a header", ByTicket: "a header", bytes: "a chunk", Staged: "staged bytes", Trailer: "a trailer"}


class Arrived(Protocol):
    """Bytes that have all come."""

    async def commit(self, size: int, sha256: str) -> Kept:
        """Make them an object. Fails with ObjectExists."""


class Uploads:
    """Writes objects."""

    def __init__(self, shelves: Shelves, accounts: Accounts, now: Callable[[], datetime]) -> None:
        self._shelves = shelves
        self._accounts = accounts
        self._now = now

    async def take(self, parts: AsyncIterator[Part], of_token: Callable[[str], Draft]) -> Kept:
        """Store one object. A repeat of its request_id gives the first object, without reading on."""
        first = await _beginning(parts)
        draft = of_token(first.token) if isinstance(first, ByTicket) else self.under_policy(first)
        shelf = self._shelves.of(draft.name.placement)
        silent: Silent = {}
        if known := await first_of(shelf, draft, silent):
            return known
        try:
            async with begun(shelf, draft, silent) as targets:
                tally = await self._received(parts, targets, draft)
                return await self.publish(shelf, draft, targets, tally.size, tally.sha256, silent)
        except errors.QuotaExceeded:
            async with self._shelves.turns.of(draft.name):  # an attempt that is just being published holds its room
                known = await first_of(shelf, draft)
            if known:  # what leaves no room is this very object
                return known
            raise

    async def publish(
        self, shelf: Shelf, draft: Draft, arrived: Arrived, size: int, sha256: str, silent: Silent | None = None
    ) -> Kept:
        """Make what was received an object, within its owner's quota and unless another has its name."""
        async with self._shelves.turns.of(draft.name):
            if first := await first_of(shelf, draft, silent):  # a repeat of this upload was quicker
                return first
            try:
                async with self._accounts.claim(draft, size):
                    return await arrived.commit(size, sha256)
            except errors.ObjectExists:
                if first := await first_of(shelf, draft):  # another process was quicker with it
                    return first
                raise

    def under_policy(self, header: Header) -> Draft:
        """A draft with what its placement says of access and expiry."""
        policy = self._shelves.of(header.draft.name.placement).policy
        kept_for = policy.expires_after if header.expires_after is None else header.expires_after
        if kept_for is not None and kept_for <= timedelta():
            raise errors.InvalidExpiry
        return replace(header.draft, access=policy.access, expire_time=expiry(self._now(), kept_for))

    async def stage(self, placement: str) -> str:
        """Offer a file for the bytes of an upload; its path. Fails with NoFiles."""
        shelf = self._shelves.of(placement)
        if len(shelf.targets) > 1:
            raise errors.NoFiles(backend=shelf.home.name)
        return await shelf.home.stage()

    async def _received(self, parts: AsyncIterator[Part], targets: Targets, draft: Draft) -> Tally:
        tally = Tally()
        staged = bool(draft.staged_path)

        async def take(batch: Batch) -> None:
            await asyncio.gather(asyncio.to_thread(tally.add, batch), targets.write(batch))
            self._accounts.check(draft.owner, tally.size)  # what cannot fit need not come whole

        async with write_behind(take) as behind:
            async for part in parts:
                if isinstance(part, Trailer):
                    break
                if isinstance(part, Staged) and staged:
                    await asyncio.to_thread(tally.add, await targets.staged(_within_limit(part.count)))
                else:
                    await behind.put(_chunk(part, staged))
            else:
                raise errors.UploadIncomplete
            await _nothing_after(parts)
            await behind.finish()
        compare(part, tally)
        return tally


async def first_of(shelf: Shelf, draft: Draft, silent: Silent | None = None) -> Kept | None:
    """The object that an earlier attempt at the same upload stored. Fails with ObjectExists for another's."""
    try:
        kept = await shelf.find(draft.name, silent=silent)
    except errors.ObjectNotFound:
        return None
    except errors.BackendFailure:
        if shelf.policy.on_error is OnError.FAIL:
            raise
        return None  # nobody who can be asked has it
    if kept.stored.draft.request_id != draft.request_id:
        raise errors.ObjectExists(key=draft.name.key, placement=draft.name.placement)
    return kept


def expiry(now: datetime, kept_for: timedelta | None) -> datetime | None:
    """When what is stored now may be swept; None for never, as what lasts beyond the calendar does."""
    try:
        return None if kept_for is None else now + kept_for
    except OverflowError:
        return None


def compare(trailer: Trailer, tally: Tally) -> None:
    """Fail with SizeMismatch or ChecksumMismatch where what arrived is not what was sent."""
    if trailer.size != tally.size:
        raise errors.SizeMismatch(told=trailer.size, received=tally.size)
    if trailer.sha256 and trailer.sha256.lower() != tally.sha256:
        raise errors.ChecksumMismatch


async def _beginning(parts: AsyncIterator[Part]) -> Header | ByTicket:
    part = await anext(parts, None)
    if isinstance(part, Header | ByTicket):
        return part
    raise errors.PartsOutOfOrder(got=_called(part), wanted="a header")


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
