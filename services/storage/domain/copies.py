"""Copies objects: to another name, to another backend, and to wherever policy wants a copy that is missing."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime

from servicekit.errors import Problem
from services.storage.domain import errors
from services.storage.domain.catalog import Catalog
from services.storage.domain.downloads import Downloads
from services.storage.domain.model import HOME, Batch, Header, Kept, ObjectName, StoredObject, Unsettled, Upkeep
from services.storage.domain.ports import Backend
from services.storage.domain.shelves import Shelf, Shelves
from services.storage.domain.targets import away, begun, failure_of
from services.storage.domain.uploads import Uploads, first_of


class Copies:
    """Makes copies; each is verified by its checksum before anybody sees it."""

    def __init__(self, shelves: Shelves, downloads: Downloads, uploads: Uploads) -> None:
        self._shelves = shelves
        self._downloads = downloads
        self._uploads = uploads

    async def copy(self, source: ObjectName, to: ObjectName | None, backend: str, request_id: str) -> Kept:
        """Copy to another name under its policy, or, under its own, to another backend."""
        if to is None or to == source:
            if not backend:
                raise errors.CopyOverItself
            shelf = self._shelves.of(source.placement)
            return await self.copy_to(shelf, source, shelf.backend(backend))
        if backend:
            raise errors.CopyOverItself
        return await self._rename(source, to, request_id)

    async def copy_to(self, shelf: Shelf, name: ObjectName, backend: Backend) -> Kept:
        """Make a backend hold an object as well; nothing happens where it does."""
        kept = await shelf.find(name)
        if backend.name in kept.backends:
            return kept
        async with backend.create(away(kept.stored.draft, shelf, backend)) as pending:
            await self._bring(kept.stored, pending.write)
            async with self._shelves.turns.of(name):  # what was deleted meanwhile does not come back
                _same(kept.stored, (await shelf.find(name)).stored)
                with suppress(errors.ObjectExists):  # somebody else copied it meanwhile, or what is there is damaged
                    await pending.commit(kept.stored.size, kept.stored.sha256)
        copied = await shelf.find(name)
        if backend.name not in copied.backends:
            raise errors.ObjectDamaged(key=name.key, placement=name.placement)
        return copied

    async def _rename(self, source: ObjectName, to: ObjectName, request_id: str) -> Kept:
        stored = (await self._shelves.of(source.placement).find(source)).stored
        context = {name: value for name, value in stored.draft.context.items() if name != HOME}
        draft = replace(stored.draft, name=to, request_id=request_id, context=context)
        draft = self._uploads.under_policy(Header(draft))
        shelf = self._shelves.of(to.placement)
        if first := await first_of(shelf, draft):
            return first
        async with begun(shelf, draft) as targets:
            await self._bring(stored, targets.write)
            return await self._uploads.publish(shelf, draft, targets, stored.size, stored.sha256)

    async def _bring(self, source: StoredObject, write: Callable[[Batch], Awaitable[None]]) -> None:
        async with self._downloads.open(source.name) as download, aclosing(download.batches()) as batches:
            _same(source, download.stored)
            async for batch in batches:
                await write(batch)


def _same(wanted: StoredObject, found: StoredObject) -> None:
    """Fail with ObjectChanged where an object is no longer the one that was seen before."""
    if (found.sha256, found.draft.request_id) != (wanted.sha256, wanted.draft.request_id):
        raise errors.ObjectChanged(key=wanted.name.key, placement=wanted.name.placement)


class Keeper:
    """Looks after what is kept: sweeps what has expired, and replicates what lacks a copy."""

    def __init__(self, shelves: Shelves, catalog: Catalog, copies: Copies, now: Callable[[], datetime]) -> None:
        self._shelves = shelves
        self._catalog = catalog
        self._copies = copies
        self._now = now

    async def sweep(self, placement: str, page_size: int, page_token: str, dry_run: bool) -> Upkeep:
        """Delete what has expired of one page of objects, or only tell."""

        async def delete(kept: Kept) -> Kept:
            await self._catalog.delete(kept.name, provided=self._expired)
            return kept

        return await self._upkeep(placement, page_size, page_token, self._expired, None if dry_run else delete)

    async def replicate(self, placement: str, page_size: int, page_token: str, dry_run: bool) -> Upkeep:
        """Make the copies that one page of objects lack, or only tell."""
        mend = None if dry_run else self._mend
        return await self._upkeep(placement, page_size, page_token, lambda kept: bool(self._missing(kept)), mend)

    async def _upkeep(
        self,
        placement: str,
        page_size: int,
        page_token: str,
        concerns: Callable[[Kept], bool],
        settle: Callable[[Kept], Awaitable[Kept]] | None,
    ) -> Upkeep:
        page = await self._catalog.walk(placement, page_size, page_token)
        done = Upkeep([], list(page.failures), page.next_token)
        for kept in filter(concerns, page.objects):
            try:
                done.objects.append(await settle(kept) if settle else kept)
            except errors.ObjectNotFound:  # somebody else has deleted it
                continue
            except Problem as problem:
                done.failures.append(Unsettled(kept.name.placement, kept.name.key, failure_of(problem)))
        return done

    def _expired(self, kept: Kept) -> bool:
        expires = kept.stored.draft.expire_time
        return expires is not None and expires <= self._now()

    def _missing(self, kept: Kept) -> list[Backend]:
        """The backends that should hold it and do not.

        Home is one of them only for what fell back: what was kept here before its home was configured is moved there
        when an operator wants it, not behind their back.
        """
        shelf = self._shelves.of(kept.name.placement)
        lacking = [backend for backend in shelf.wanted if backend.name not in kept.backends]
        return [backend for backend in lacking if kept.fallback or backend is not shelf.home]

    async def _mend(self, kept: Kept) -> Kept:
        shelf = self._shelves.of(kept.name.placement)
        for backend in self._missing(kept):
            await self._copies.copy_to(shelf, kept.name, backend)
        wanted = {backend.name for backend in shelf.wanted}
        for copy in kept.copies if kept.fallback else ():
            if copy.backend not in wanted:
                # Not where it is all there is: another object may have come by the name, and have fallen back as well.
                await self._catalog.delete(kept.name, True, copy.backend, lambda now: shelf.home.name in now.backends)
        return await shelf.find(kept.name)
