"""Antechamber: rows that are received before their turn."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.training.receiving import Antechamber

PIECE = b"x" * 10


class Sender:
    """Sends pieces, and counts those that were received."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces
        self.received = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._pieces):
            self.received += 1
            yield PIECE


async def rest() -> None:
    """Let all that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_calls_that_wait_hold_together_no_more_than_they_may():
    """M.2: however many wait for one model; each still hears all its rows when its turn comes."""
    room, first, second = Antechamber(limit=45), Sender(10), Sender(10)
    async with room.ahead(first) as one, room.ahead(second) as other:
        await rest()
        waiting = first.received + second.received
        rows = [[piece async for piece in content] for content in (one, other)]

    assert waiting == 6, "one piece more than the limit, and one that each had begun to receive"
    assert rows == [[PIECE] * 10] * 2


async def test_one_that_leaves_makes_room():
    """M.2: whether or not its rows were taken."""
    room, later = Antechamber(limit=45), Sender(4)
    async with room.ahead(Sender(10)):
        await rest()
    async with room.ahead(later):
        await rest()

    assert later.received == 4


async def test_what_goes_wrong_on_the_way_is_heard_by_who_takes_the_rows():
    """M.2: not by who waits for a turn."""

    async def broken() -> AsyncIterator[bytes]:
        yield PIECE
        raise ValueError("too many")

    async with Antechamber().ahead(broken()) as content:
        await rest()
        with pytest.raises(ValueError, match="too many"):
            _ = [piece async for piece in content]
