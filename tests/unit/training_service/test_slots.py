"""Slots: so many at once, the others in the order in which they came."""

import asyncio

import pytest

from services.training.domain.errors import QueueFull
from services.training.domain.slots import Slots


async def test_no_more_than_the_slots_work_at_once_and_in_order():
    slots, working, most, order = Slots(2, 100), 0, 0, []

    async def work(number: int) -> None:
        nonlocal working, most
        async with slots.turn():
            order.append(number)
            working += 1
            most = max(most, working)
            await asyncio.sleep(0.001)
            working -= 1

    await asyncio.gather(*(work(number) for number in range(20)))

    assert most == 2
    assert order == list(range(20))


async def test_positions_are_announced_as_they_change():
    slots, heard = Slots(1, 2), []

    async def wait() -> None:
        async with slots.turn(heard.append):
            pass

    async with slots.turn():
        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 requests are waiting") as refused:
            await wait()
    await asyncio.gather(*waiting)

    assert heard == [1, 1, 2, 1]
    assert "training" not in refused.value.message  # it may be a look at a dataset, or an import


@pytest.mark.parametrize(
    ("took", "asked"), [(0.1, 2), (45.5, 23), (86_400.0, 600)], ids=["a moment", "its share of the last", "ten minutes"]
)
async def test_who_is_refused_is_told_when_a_place_may_be_free(monkeypatch, took: float, asked: int):
    """As long as the last one took, shared by all places; neither at once nor after hours."""
    slots, now = Slots(2, 0), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    async with slots.turn():
        now += took
    async with slots.turn(), slots.turn():
        with pytest.raises(QueueFull, match=f"in {asked} seconds") as refused:
            await slots.turn().__aenter__()

    assert refused.value.after_seconds == asked


@pytest.mark.parametrize("called_first", [False, True])
async def test_one_who_gives_up_does_not_take_a_slot_along(called_first: bool):
    """Also when the turn comes in the same moment in which it gives up."""
    slots = Slots(1, 10)

    async def wait() -> None:
        async with slots.turn():
            await asyncio.sleep(10)

    async with slots.turn():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        if not called_first:
            waiting.cancel()
    waiting.cancel()
    await asyncio.wait([waiting])
    async with asyncio.timeout(1), slots.turn():
        reached = True

    assert reached
