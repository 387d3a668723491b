"""A bounded number of places to work, and a first-come queue in front of them."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.training.domain.errors import QueueFull

SOONEST_SECONDS, LATEST_SECONDS = 2, 600


@dataclass(frozen=True, eq=False)
class _Ticket:
    called: asyncio.Future[None]
    announce: Callable[[int], None]


class Slots:
    """So many at once; so many more may wait, in the order in which they came."""

    def __init__(self, count: int, queue_limit: int) -> None:
        self._count = self._free = count
        self._queue_limit = queue_limit
        self._waiting: deque[_Ticket] = deque()
        self._last_took = 0.0

    @asynccontextmanager
    async def turn(self, announce: Callable[[int], None] = lambda _: None) -> AsyncIterator[None]:
        """Wait for a place and hold it for the block; announce is told our position, from 1, whenever it changes.

        Raises QueueFull when too many wait.
        """
        if not self._free and len(self._waiting) >= self._queue_limit:
            raise QueueFull(waiting=len(self._waiting), after_seconds=self._until_one_leaves())
        ticket = _Ticket(asyncio.get_running_loop().create_future(), announce)
        self._waiting.append(ticket)
        self._advance()
        try:
            await ticket.called
            began = time.monotonic()
            try:
                yield
            finally:
                self._last_took = time.monotonic() - began
        finally:
            self._leave(ticket)

    def _until_one_leaves(self) -> int:
        """Seconds, if all take as long as the last one did."""
        return min(max(SOONEST_SECONDS, math.ceil(self._last_took / self._count)), LATEST_SECONDS)

    def _leave(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:  # cancelled before its turn came
            self._waiting.remove(ticket)
        else:
            self._free += 1
        self._advance()

    def _advance(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            called = self._waiting.popleft().called
            if not called.done():
                called.set_result(None)
        for position, ticket in enumerate(self._waiting, start=1):
            ticket.announce(position)
