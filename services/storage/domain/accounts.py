"""What every owner keeps, counted as it changes; the counts begin with what the backends hold."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from servicekit.errors import Problem
from servicekit.logging import get_logger
from services.storage.domain.errors import BackendFailure, ObjectNotFound, QuotaExceeded
from services.storage.domain.model import Draft, Kept, ObjectName, StoredObject, Usage

Everything = Callable[[str], AsyncIterator[StoredObject]]
"""All objects of a placement."""
Find = Callable[[ObjectName], Awaitable[Kept]]
KeptSizes = dict[str, dict[str, list[int]]]
"""Objects and bytes, by owner and placement."""

NO_QUOTA = 0
MOST_DOUBTS = 1000
RETRY_SECONDS = 60.0
"""After a placement could not be counted, uploads do not wait for another try for so long."""

log = get_logger()


@dataclass(frozen=True, eq=False)
class Doubt:
    """An object of which we do not know whether it is there: its upload, or its deletion, ended without an answer."""

    draft: Draft
    size: int
    counted: bool
    """Whether it counts as kept until we know; otherwise its size stays claimed."""


class Accounts:
    """Counts objects and bytes by owner and placement, and holds owners to their quota.

    An upload is held to it when all its bytes have come, in one step without a wait between: of uploads that together
    do not fit, as many succeed as fit. It counts from then on, and no more when it fails after all. What a cut-off
    call left in doubt weighs on its owner until somebody wants to know; then we look.

    Each placement is counted when that is first needed. While one cannot be, because a backend is down, owners are
    held to the quota with what came since; a quota makes nobody wait for a backend that they do not need.
    """

    def __init__(self, placements: Iterable[str], everything: Everything, find: Find, quota: int = NO_QUOTA) -> None:
        self.quota = quota
        self._everything = everything
        self._find = find
        self._kept: KeptSizes = {}
        self._claimed: defaultdict[str, int] = defaultdict(int)
        self._doubts: dict[ObjectName, Doubt] = {}
        self._uncounted = set(placements)
        self._not_before: dict[str, float] = {}
        self._changing = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._counting = asyncio.Lock()

    async def usages(self, owner: str = "", placement: str = "") -> list[Usage]:
        """What is kept, by owner, then placement; only one owner's or one placement's where given."""
        for each in [placement] if placement else sorted(self._uncounted):
            await self._count(each)
        await self._look(owner)
        return sorted(
            Usage(who, where, count, size)
            for who, places in self._kept.items()
            for where, (count, size) in places.items()
            if owner in {"", who} and placement in {"", where}
        )

    @asynccontextmanager
    async def claim(self, draft: Draft, size: int) -> AsyncIterator[None]:
        """Hold an owner to the quota while an object is published. Fails with QuotaExceeded."""
        if self.quota:
            await self._count_what_can_be()
            if self._used(draft.owner) + size > self.quota:
                await self._look(draft.owner)
        self.check(draft.owner, size)
        self._claimed[draft.owner] += size
        try:
            async with self._change(draft.name.placement):
                yield
        except BaseException as error:
            if not self._doubted(error, Doubt(draft, size, counted=False)):
                self._unclaim(draft.owner, size)
            raise
        self._settle(draft.name, there=False)  # whatever was in doubt: this is what has the name
        self._unclaim(draft.owner, size)
        self._add(draft, 1, size)

    def check(self, owner: str, size: int) -> None:
        """Fail with QuotaExceeded where so many more bytes would not fit."""
        if not self.quota:
            return
        if (used := self._used(owner)) + size > self.quota:
            raise QuotaExceeded(owner=owner or "The nameless user", used=used, quota=self.quota, size=size)

    @asynccontextmanager
    async def release(self, gone: StoredObject) -> AsyncIterator[None]:
        """Count an object that is deleted within the block."""
        self._settle(gone.name, there=True)  # it was just seen
        try:
            async with self._change(gone.name.placement):
                yield
        except BaseException as error:
            self._doubted(error, Doubt(gone.draft, gone.size, counted=True))
            raise
        self._add(gone.draft, -1, -gone.size)

    def recount(self, placement: str) -> None:
        """Begin anew with what the backends hold, when somebody next needs to know."""
        for name in [name for name in self._doubts if name.placement == placement]:
            self._settle(name, there=False)
        self._uncounted.add(placement)
        self._not_before.pop(placement, None)

    def _used(self, owner: str) -> int:
        return self._claimed.get(owner, 0) + sum(size for _, size in self._kept.get(owner, {}).values())

    def _unclaim(self, owner: str, size: int) -> None:
        self._claimed[owner] -= size
        if not self._claimed[owner]:
            del self._claimed[owner]

    def _add(self, draft: Draft, count: int, size: int) -> None:
        uncounted = draft.name.placement in self._uncounted
        if uncounted and count < 0 and draft.name.placement not in self._kept.get(draft.owner, {}):
            return  # it was there before we began to count
        _note(self._kept, draft, count, size)

    def _doubted(self, error: BaseException, doubt: Doubt) -> bool:
        """Whether nobody can say what a failed call did; what is not counted yet need not be remembered."""
        certain = isinstance(error, Problem) and not isinstance(error, BackendFailure)
        if certain or doubt.draft.name.placement in self._uncounted:
            return False
        if len(self._doubts) >= MOST_DOUBTS:
            self.recount(doubt.draft.name.placement)
            return False
        self._settle(doubt.draft.name, there=False)
        self._doubts[doubt.draft.name] = doubt
        return True

    def _settle(self, name: ObjectName, there: bool) -> None:
        """End a doubt, if there is one."""
        if (doubt := self._doubts.pop(name, None)) is None:
            return
        if not doubt.counted:
            self._unclaim(doubt.draft.owner, doubt.size)
        if doubt.counted != there:
            self._add(doubt.draft, 1 if there else -1, doubt.size if there else -doubt.size)

    async def _look(self, owner: str) -> None:
        """End an owner's doubts, or everybody's, as far as the backends answer."""
        doubts = [doubt for doubt in self._doubts.values() if owner in {"", doubt.draft.owner}]
        await asyncio.gather(*map(self._look_at, doubts))

    async def _look_at(self, doubt: Doubt) -> None:
        name = doubt.draft.name
        try:
            there = (await self._find(name)).stored.draft.request_id == doubt.draft.request_id
        except ObjectNotFound:
            there = False
        except Problem:  # it stays in doubt
            return
        if self._doubts.get(name) is doubt:
            self._settle(name, there)

    @asynccontextmanager
    async def _change(self, placement: str) -> AsyncIterator[None]:
        """What changes the counts waits while the first count is taken, and is waited for before."""
        if placement in self._uncounted:
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

    async def _count_what_can_be(self) -> None:
        """Count what is not counted yet, and go on without it where that cannot be done just now."""
        for placement in sorted(self._uncounted):
            try:
                await self._count(placement, patient=False)
            except BackendFailure as failure:
                self._not_before[placement] = time.monotonic() + RETRY_SECONDS
                log.warning("a quota is held without what is not counted", placement=placement, why=failure.message)

    async def _count(self, placement: str, patient: bool = True) -> None:
        """Count what there is in a placement, once."""
        if placement not in self._uncounted:
            return
        async with self._counting:
            tired = not patient and time.monotonic() < self._not_before.get(placement, 0.0)
            if placement not in self._uncounted or tired:
                return
            await self._idle.wait()
            kept: KeptSizes = {}
            async for stored in self._everything(placement):
                _note(kept, stored.draft, 1, stored.size)
            self._uncounted.discard(placement)
            self._replace(placement, kept)

    def _replace(self, placement: str, kept: KeptSizes) -> None:
        for owner in [owner for owner, places in self._kept.items() if placement in places]:
            del self._kept[owner][placement]
            if not self._kept[owner]:
                del self._kept[owner]
        for owner, places in kept.items():
            self._kept.setdefault(owner, {}).update(places)


def _note(kept: KeptSizes, draft: Draft, count: int, size: int) -> None:
    places = kept.setdefault(draft.owner, {})
    counts = places.setdefault(draft.name.placement, [0, 0])
    counts[0] += count
    counts[1] = max(0, counts[1] + size)
    if counts[0] <= 0:  # an owner who is long gone takes no room
        del places[draft.name.placement]
    if not places:
        del kept[draft.owner]
