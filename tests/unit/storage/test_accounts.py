"""What every owner keeps: the counts themselves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from services.storage.domain.accounts import MOST_DOUBTS, Accounts
from services.storage.domain.errors import BackendUnreachable, ObjectNotFound
from services.storage.domain.model import Draft, Kept, ObjectName, StoredObject


def stored(number: int, owner: str = "") -> StoredObject:
    draft = Draft(ObjectName("models", f"a/{number}"), owner or f"owner {number}", "text/plain", "b", "r")
    return StoredObject(draft, 10, "", datetime.now(UTC), "local", "models", "")


class Backends:
    """What there is, and how often somebody looked."""

    def __init__(self) -> None:
        self.objects: dict[ObjectName, StoredObject] = {}
        self.lists = 0

    async def everything(self, placement: str) -> AsyncIterator[StoredObject]:
        self.lists += 1
        for each in self.objects.values():
            yield each

    async def find(self, name: ObjectName) -> Kept:
        if name not in self.objects:
            raise ObjectNotFound(key=name.key, placement=name.placement)
        return Kept((self.objects[name],), fallback=False)


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
def accounts(backends: Backends) -> Accounts:
    return Accounts(["models"], backends.everything, backends.find, quota=100)


async def test_owners_who_keep_nothing_any_more_take_no_room(accounts):
    await accounts.usages()
    for number in range(100):
        each = stored(number)
        async with accounts.claim(each.draft, each.size):
            pass
        async with accounts.release(each):
            pass

    assert await accounts.usages() == []
    assert [len(kept) for kept in (accounts._kept, accounts._claimed, accounts._doubts)] == [0, 0, 0]


async def test_doubts_without_end_become_one_new_count(accounts, backends):
    await accounts.usages()
    for number in range(MOST_DOUBTS + 5):
        each = stored(number)
        with pytest.raises(BackendUnreachable):
            async with accounts.claim(each.draft, each.size):
                backends.objects[each.name] = each
                raise BackendUnreachable(backend="local", why="the answer was lost")

    assert len(accounts._doubts) < MOST_DOUBTS
    assert sum(usage.count for usage in await accounts.usages()) == MOST_DOUBTS + 5
    assert backends.lists == 2


async def test_a_first_count_sees_what_is_stored_meanwhile_once(accounts, backends):
    each = stored(1)

    async def store() -> None:
        async with accounts.claim(each.draft, each.size):
            await asyncio.sleep(0.01)
            backends.objects[each.name] = each

    await asyncio.gather(store(), accounts.usages(), accounts.usages())

    assert [(usage.count, usage.size) for usage in await accounts.usages()] == [(1, 10)]
