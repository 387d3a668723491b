"""What every owner keeps, counted as it changes; the counts begin with what the backends hold."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.storage.domain.errors import QuotaExceeded
from services.storage.domain.model import Draft, StoredObject, Usage

Everything = Callable[[], AsyncIterator[StoredObject]]
NO_QUOTA = 0


class Accounts:
    """Counts objects and bytes by owner and placement, and holds owners to their quota.

    An upload is held to it when all its bytes have come, in one step without a wait between: of uploads that together
    do not fit, as many succeed as fit. It counts from then on, and no more when it fails after all.
    """

    def __init__(self, everything: Everything, quota: int = NO_QUOTA) -> None:
        self.quota = quota
        self._everything = everything
        self._kept: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._claimed: defaultdict[str, int] = defaultdict(int)
        self._counted = False
        self._changing = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._counting = asyncio.Lock()

    async def usages(self, owner: str = "", placement: str = "") -> list[Usage]:
        """What is kept, by owner, then placement; only one owner's or one placement's where given."""
        await self._count()
        return sorted(
            Usage(who, where, count, size)
            for (who, where), (count, size) in self._kept.items()
            if count and owner in {"", who} and placement in {"", where}
        )

    @asynccontextmanager
    async def claim(self, draft: Draft, size: int) -> AsyncIterator[None]:
        """Hold an owner to the quota while an object is published. Fails with QuotaExceeded."""
        if self.quota:
            await self._count()
        self.check(draft.owner, size)
        self._claimed[draft.owner] += size
        published = False
        try:
            async with self._change():
                yield
                published = True
        finally:  # in one step, so that nobody sees it twice or not at all
            self._claimed[draft.owner] -= size
            if published:
                self._add(draft, 1, size)

    def check(self, owner: str, size: int) -> None:
        """Fail with QuotaExceeded where so many more bytes would not fit."""
        if not self.quota:
            return
        used = self._claimed[owner] + sum(kept[1] for (who, _), kept in self._kept.items() if who == owner)
        if used + size > self.quota:
            raise QuotaExceeded(owner=owner or "The nameless user", used=used, quota=self.quota, size=size)

    @asynccontextmanager
    async def release(self, gone: StoredObject) -> AsyncIterator[None]:
        """Count an object that is deleted within the block."""
        async with self._change():
            yield
            self._add(gone.draft, -1, -gone.size)

    def _add(self, draft: Draft, count: int, size: int) -> None:
        if self._counted:
            kept = self._kept[draft.owner, draft.name.placement]
            kept[0] += count
            kept[1] += size

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        """What changes the counts waits while the first count is taken, and is waited for before."""
        if not self._counted:
            async with self._counting:
                pass
        self._changing += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._changing -= 1
            if not self._changing:
                self._idle.set()

    async def _count(self) -> None:
        """Count what there is, once."""
        if self._counted:
            return
        async with self._counting:
            if self._counted:
                return
            await self._idle.wait()
            kept: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
            async for stored in self._everything():
                counts = kept[stored.draft.owner, stored.name.placement]
                counts[0] += 1
                counts[1] += stored.size
            self._kept, self._counted = kept, True
