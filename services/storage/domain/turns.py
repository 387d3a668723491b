"""Changes of one object, one after the other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.storage.domain.model import ObjectName


class Turns:
    """One at a time for each name."""

    def __init__(self) -> None:
        self._locks: dict[ObjectName, asyncio.Lock] = {}
        self._waiting: Counter[ObjectName] = Counter()

    @asynccontextmanager
    async def of(self, name: ObjectName) -> AsyncIterator[None]:
        """Wait for the others of this name."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._waiting[name] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._locks[name], self._waiting[name]
