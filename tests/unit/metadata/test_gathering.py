"""Reads that are asked for together are done together."""

import asyncio
from collections.abc import Collection

import pytest

from services.metadata.adapters.gathering import Gathered


class Source:
    """Something slow to read; `values` changes meanwhile."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"a": 1}
        self.reads: list[set[str]] = []
        self.broken = False

    async def read(self, keys: Collection[str]) -> dict[str, int]:
        self.reads.append(set(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        await asyncio.sleep(0.02)
        if self.broken:
            raise OSError("gone")
        return found


async def test_questions_that_come_during_a_read_share_the_next():
    source = Source()
    gathered = Gathered(source.read)
    first = asyncio.create_task(gathered.get("a"))
    await asyncio.sleep(0.01)
    rest = await asyncio.gather(*(gathered.get(key) for key in ("a", "b", "a", "c")))

    assert await first == 1
    assert rest == [1, None, 1, None]
    assert source.reads == [{"a"}, {"a", "b", "c"}]


async def test_question_is_never_answered_by_a_read_that_began_before_it():
    source = Source()
    gathered = Gathered(source.read)
    first = asyncio.create_task(gathered.get("a"))
    await asyncio.sleep(0.01)
    source.values["a"] = 2
    second = await gathered.get("a")

    assert await first == 1
    assert second == 2


async def test_read_that_fails_fails_for_all_who_asked_and_the_next_works():
    source = Source()
    gathered = Gathered(source.read)
    source.broken = True
    failed = await asyncio.gather(gathered.get("a"), gathered.get("b"), return_exceptions=True)
    source.broken = False
    after = await gathered.get("a")

    assert [type(each) for each in failed] == [OSError, OSError]
    assert after == 1


async def test_one_who_gives_up_takes_nobody_along():
    gathered = Gathered(Source().read)
    leaving, staying = asyncio.create_task(gathered.get("a")), asyncio.create_task(gathered.get("a"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert await staying == 1
