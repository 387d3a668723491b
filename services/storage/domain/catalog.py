"""Describes, lists and deletes objects, and tells how the backends are."""

import asyncio
import base64
import binascii
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from servicekit.errors import Problem
from services.storage.domain import errors, keys
from services.storage.domain.accounts import Accounts
from services.storage.domain.model import BackendStatus, Deleted, Kept, ObjectName, Page, StoredObject, Unsettled, Usage
from services.storage.domain.ports import Backend
from services.storage.domain.shelves import Shelf, Shelves
from services.storage.domain.targets import failure_of

PAGE_SIZE = 100
LARGEST_PAGE = 1000
PROBE_SECONDS = 5.0


class Catalog:
    """What there is."""

    def __init__(self, shelves: Shelves, quota: int = 0) -> None:
        self._shelves = shelves
        self.accounts = Accounts([shelf.policy.name for shelf in shelves], self._everything, self.describe, quota)

    async def describe(self, name: ObjectName) -> Kept:
        """One object. Fails with ObjectNotFound."""
        return await self._shelves.of(name.placement).find(name)

    async def page(self, placement: str, prefix: str, page_size: int, page_token: str) -> Page:
        """One page of the objects whose keys start with a prefix; page size 0 takes 100."""
        if why := keys.wrong_with_prefix(prefix):
            raise errors.InvalidPrefix(why=why)
        limit = _limit(page_size)
        after = _key_of(page_token, prefix)
        found = await _after(self._shelves.of(placement), prefix, after, limit + 1)
        more = len(found) > limit
        return Page(found[:limit], _token_of(found[limit - 1].name.key) if more else "")

    async def walk(self, placement: str, page_size: int, page_token: str) -> Page:
        """One page of all objects of a placement, or, where that is empty, of all placements, one after the other.

        Of all placements, one that cannot be listed is told of and passed over.
        """
        placements = [placement] if placement else [shelf.policy.name for shelf in self._shelves]
        now, token = _place_of(page_token) if page_token else (placements[0], "")
        if now not in placements:
            raise errors.InvalidPageToken
        try:
            page = await self.page(now, "", page_size, token)
        except errors.BackendFailure as failure:
            if placement:
                raise
            page = Page([], "", (Unsettled(now, "", failure_of(failure)),))
        following = placements[placements.index(now) + 1 :]
        if page.next_token:
            return replace(page, next_token=_token_of(json.dumps([now, page.next_token])))
        return replace(page, next_token=_token_of(json.dumps([following[0], ""])) if following else "")

    async def usages(self, owner: str, placement: str) -> list[Usage]:
        """What is kept, by owner, then placement; only one owner's or one placement's where given."""
        if placement:
            self._shelves.of(placement)
        return await self.accounts.usages(owner, placement)

    async def delete(
        self,
        name: ObjectName,
        allow_missing: bool = False,
        backend: str = "",
        provided: Callable[[Kept], bool] = lambda _: True,
    ) -> int:
        """Delete an object, or its copy at one backend; its bytes.

        Fails with ObjectNotFound unless that is allowed, also when the object is not such as is provided. Of many
        callers one succeeds: who takes away the copy at the most preferred backend, which goes last.
        """
        shelf = self._shelves.of(name.placement)
        at = [shelf.backend(backend)] if backend else shelf.readers
        try:
            async with self._shelves.turns.of(name):
                return await self._delete_now(shelf, at, name, provided)
        except errors.ObjectNotFound:
            if allow_missing:
                return 0
            raise

    async def _delete_now(
        self, shelf: Shelf, at: Sequence[Backend], name: ObjectName, provided: Callable[[Kept], bool]
    ) -> int:
        try:
            kept = await shelf.find(name, everywhere=True)
        except errors.ObjectDamaged:
            self.accounts.recount(name.placement)
            return await _delete_damaged(at, name)
        if not provided(kept):
            raise errors.ObjectNotFound(key=name.key, placement=name.placement)
        if at != shelf.readers:
            return await self._delete_at(at[0], kept)
        async with self.accounts.release(kept.stored):
            return await _delete(shelf, kept)

    async def _delete_at(self, backend: Backend, kept: Kept) -> int:
        if kept.backends != {backend.name}:
            return await backend.delete(kept.name)
        async with self.accounts.release(kept.stored):
            return await backend.delete(kept.name)

    async def delete_all(self, placement: str, prefix: str) -> Deleted:
        """Delete every object whose key starts with a prefix of whole segments; what this call alone deleted."""
        if not prefix.endswith("/"):
            raise errors.PrefixNotWhole
        if why := keys.wrong_with_prefix(prefix):
            raise errors.InvalidPrefix(why=why)
        count = size = 0
        async for kept in self._all(self._shelves.of(placement), prefix):
            try:
                size += await self.delete(kept.name)
            except errors.ObjectNotFound:  # somebody else deleted it, and counts it
                continue
            count += 1
        return Deleted(count, size)

    async def backends(self) -> list[BackendStatus]:
        """How every backend is just now."""
        known = {**self._shelves.backends, **self._shelves.off}
        return list(await asyncio.gather(*(_status(backend) for backend in known.values())))

    async def _everything(self, placement: str) -> AsyncIterator[StoredObject]:
        async for kept in self._all(self._shelves.of(placement), ""):
            yield kept.stored

    async def _all(self, shelf: Shelf, prefix: str) -> AsyncIterator[Kept]:
        after = ""
        while page := await _after(shelf, prefix, after, LARGEST_PAGE):
            after = page[-1].name.key
            for kept in page:
                yield kept


async def _after(shelf: Shelf, prefix: str, after: str, limit: int) -> list[Kept]:
    pages = await asyncio.gather(*(backend.page(shelf.policy.name, prefix, after, limit) for backend in shelf.readers))
    copies: defaultdict[str, list[StoredObject]] = defaultdict(list)
    for page in pages:
        for stored in page:
            copies[stored.name.key].append(stored)
    return [shelf.kept(copies[key]) for key in sorted(copies)[:limit]]


async def _delete(shelf: Shelf, kept: Kept) -> int:
    for copy in reversed(kept.copies[1:]):
        try:
            await shelf.backend(copy.backend).delete(kept.name)
        except errors.ObjectNotFound:  # somebody else is at it; who takes the last copy is the one who counts
            continue
    return await shelf.backend(kept.stored.backend).delete(kept.name)


async def _delete_damaged(backends: Sequence[Backend], name: ObjectName) -> int:
    """Delete what cannot even be described."""
    size = 0
    for backend in reversed(backends):
        try:
            size = await backend.delete(name)
        except errors.ObjectNotFound:
            continue
    return size


async def _status(backend: Backend) -> BackendStatus:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await backend.probe()
    except TimeoutError:
        return BackendStatus(backend.name, True, False, f"It did not answer within {PROBE_SECONDS:g} seconds.")
    except Problem as problem:
        configured = not isinstance(problem, errors.BackendNotConfigured)
        return BackendStatus(backend.name, configured, False, problem.message)
    return BackendStatus(backend.name, True, True, "")


def _limit(page_size: int) -> int:
    if not 0 <= page_size <= LARGEST_PAGE:
        raise errors.InvalidPageSize(limit=LARGEST_PAGE)
    return page_size or PAGE_SIZE


def _token_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _text_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise errors.InvalidPageToken from error


def _key_of(token: str, prefix: str) -> str:
    key = _text_of(token)
    if token and (keys.wrong_with_key(key) or not key.startswith(prefix)):
        raise errors.InvalidPageToken
    return key


def _place_of(token: str) -> tuple[str, str]:
    try:
        placement, inner = json.loads(_text_of(token))
    except (ValueError, TypeError, RecursionError) as error:
        raise errors.InvalidPageToken from error
    if not (isinstance(placement, str) and isinstance(inner, str)):
        raise errors.InvalidPageToken
    return placement, inner
