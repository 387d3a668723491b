"""Describes, lists and deletes objects, and tells how the backends are."""

import asyncio
import base64
import binascii

from servicekit.errors import Problem
from services.storage.domain import errors, keys
from services.storage.domain.model import BackendStatus, Deleted, ObjectName, Page, StoredObject
from services.storage.domain.placements import Shelves
from services.storage.domain.ports import Backend

PAGE_SIZE = 100
LARGEST_PAGE = 1000
PROBE_SECONDS = 5.0


class Catalog:
    """What there is."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    async def describe(self, name: ObjectName) -> StoredObject:
        """One object. Fails with ObjectNotFound."""
        return await (await self._shelves.holder(name)).stat(name)

    async def page(self, placement: str, prefix: str, page_size: int, page_token: str) -> Page:
        """One page of the objects whose keys start with a prefix; page size 0 takes 100."""
        if not 0 <= page_size <= LARGEST_PAGE:
            raise errors.InvalidPageSize(limit=LARGEST_PAGE)
        if why := keys.wrong_with_prefix(prefix):
            raise errors.InvalidPrefix(why=why)
        limit = page_size or PAGE_SIZE
        found = await self._after(placement, prefix, _key_of(page_token, prefix), limit + 1)
        more = len(found) > limit
        return Page(found[:limit], _token_of(found[limit - 1].name.key) if more else "")

    async def _after(self, placement: str, prefix: str, after: str, limit: int) -> list[StoredObject]:
        backends = self._shelves.behind(placement)
        pages = await asyncio.gather(*(backend.page(placement, prefix, after, limit) for backend in backends))
        # Where two backends have a key, the preferred one is that which is read: it is put in last.
        by_key = {stored.name.key: stored for page in reversed(pages) for stored in page}
        return [by_key[key] for key in sorted(by_key)][:limit]

    async def delete(self, name: ObjectName, allow_missing: bool) -> int:
        """Delete one object; the bytes freed. Fails with ObjectNotFound unless a missing one is allowed."""
        try:
            return await (await self._shelves.holder(name)).delete(name)
        except errors.ObjectNotFound:
            if allow_missing:
                return 0
            raise

    async def delete_all(self, placement: str, prefix: str) -> Deleted:
        """Delete every object whose key starts with a prefix of whole segments; what this call alone deleted."""
        if not prefix.endswith("/"):
            raise errors.PrefixNotWhole
        if why := keys.wrong_with_prefix(prefix):
            raise errors.InvalidPrefix(why=why)
        backends = self._shelves.behind(placement)
        parts = await asyncio.gather(*(_delete_all(backend, placement, prefix) for backend in backends))
        return Deleted(sum(part.count for part in parts), sum(part.size for part in parts))

    async def backends(self) -> list[BackendStatus]:
        """How every backend is just now."""
        return list(await asyncio.gather(*(_status(backend) for backend in self._shelves.backends.values())))


async def _delete_all(backend: Backend, placement: str, prefix: str) -> Deleted:
    count = size = 0
    after = ""
    while page := await backend.page(placement, prefix, after, LARGEST_PAGE):
        after = page[-1].name.key
        for stored in page:
            try:
                size += await backend.delete(stored.name)
            except errors.ObjectNotFound:  # somebody else deleted it, and counts it
                continue
            count += 1
    return Deleted(count, size)


async def _status(backend: Backend) -> BackendStatus:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await backend.probe()
    except TimeoutError:
        return BackendStatus(backend.name, False, f"It did not answer within {PROBE_SECONDS:g} seconds.")
    except Problem as problem:
        return BackendStatus(backend.name, False, problem.message)
    return BackendStatus(backend.name, True, "")


def _token_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(token: str, prefix: str) -> str:
    try:
        key = base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise errors.InvalidPageToken from error
    if token and (keys.wrong_with_key(key) or not key.startswith(prefix)):
        raise errors.InvalidPageToken
    return key
