"""Uploads whose bytes do not pass through this service: a client is told where to send them, and says when it has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from services.storage.domain import errors
from services.storage.domain.model import Access, Batch, Draft, Header, Kept, ObjectName, Tally, Ticket, Trailer
from services.storage.domain.ports import SentObject
from services.storage.domain.shelves import Shelf, Shelves
from services.storage.domain.signing import Seal
from services.storage.domain.turns import Turns
from services.storage.domain.uploads import Uploads, compare, first_of


@dataclass(frozen=True)
class Issued:
    """A ticket, the token that completes it, and when both stop working."""

    ticket: Ticket
    token: str
    expire_time: datetime


@dataclass(frozen=True)
class Sent:
    """Bytes at a backend that were read back and are those that were meant."""

    shelf: Shelf
    sent: SentObject

    async def commit(self, size: int, sha256: str) -> Kept:
        """Make them an object."""
        return self.shelf.kept([await self.sent.commit(size, sha256)])


class Tickets:
    """Gives tickets, and makes objects of what came by them."""

    def __init__(self, shelves: Shelves, uploads: Uploads, seal: Seal) -> None:
        self._shelves = shelves
        self._uploads = uploads
        self._seal = seal
        self._completing = Turns()

    async def issue(self, header: Header, ttl: timedelta | None) -> Issued:
        """A ticket for an object to come: to its home where that takes bytes from outside, else to the gateway."""
        draft = replace(self._uploads.under_policy(header), staged_path="")
        expires = self._seal.expiry(ttl)
        shelf = self._shelves.of(draft.name.placement)
        await first_of(shelf, draft)
        token = self._seal.token(_packed(draft), expires)
        if (direct := shelf.home.direct) is None:
            return Issued(Ticket("PUT", f"/uploads/{token}"), token, expires)
        sent_by = min(expires, self._seal.expiry(direct.longest))
        return Issued(await direct.ticket(draft, sent_by), token, sent_by)

    def draft_in(self, token: str) -> Draft:
        """The object that a token is for, whose bytes this service takes itself."""
        draft = self._draft(token)
        home = self._shelves.of(draft.name.placement).home
        if home.direct is not None:
            raise errors.TicketBelongsElsewhere(backend=home.name)
        return draft

    async def complete(self, token: str, trailer: Trailer) -> Kept:
        """Make what was sent an object. Fails with NothingSent, SizeMismatch and ChecksumMismatch."""
        draft = self._draft(token)
        async with self._completing.of(draft.name):  # of two, the second finds what the first has made
            return await self._complete(draft, trailer)

    async def _complete(self, draft: Draft, trailer: Trailer) -> Kept:
        shelf = self._shelves.of(draft.name.placement)
        if first := await first_of(shelf, draft):
            return first
        if (direct := shelf.home.direct) is None:
            raise errors.NothingSent
        try:
            async with direct.sent(draft) as sent:
                tally = await _read_back(sent.batches())
                compare(trailer, tally)
                return await self._uploads.publish(shelf, draft, Sent(shelf, sent), tally.size, tally.sha256)
        except errors.ObjectNotFound as error:
            raise errors.NothingSent from error

    def _draft(self, token: str) -> Draft:
        return _unpacked(self._seal.content(token))


async def _read_back(batches: AsyncGenerator[Batch, None]) -> Tally:
    tally = Tally()
    async with aclosing(batches):
        async for batch in batches:
            await asyncio.to_thread(tally.add, batch)
    return tally


def _packed(draft: Draft) -> dict[str, Any]:
    fields = asdict(draft)
    fields["expire_time"] = draft.expire_time and draft.expire_time.isoformat()
    return fields


def _unpacked(fields: dict[str, Any]) -> Draft:
    expire_time = fields["expire_time"]
    return Draft(
        **{
            **fields,
            "name": ObjectName(**fields["name"]),
            "access": Access(fields["access"]),
            "tags": tuple(fields["tags"]),
            "expire_time": datetime.fromisoformat(expire_time) if expire_time else None,
        }
    )
