"""What a running training has told so far, for any number of readers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace

from services.training.domain.model import Metric, Progress

KEPT_EVENTS = 10_000


class Journal:
    """An ordered, bounded log of events. A reader that falls too far behind misses the oldest, never the newest."""

    def __init__(self, kept: int = KEPT_EVENTS) -> None:
        self._events: deque[Progress | Metric] = deque(maxlen=kept)
        self._told = 0
        self._newest: Progress | None = None
        self._closed = False
        self._changed = asyncio.Event()

    def add(self, event: Progress | Metric) -> None:
        """Append an event. This is the one place that keeps progress from going down."""
        if isinstance(event, Progress):
            event = self._newest = self._never_less(event)
        self._events.append(event)
        self._told += 1
        self._wake()

    def metrics(self) -> list[Metric]:
        """Those that are kept, the oldest first."""
        return [event for event in self._events if isinstance(event, Metric)]

    def close(self) -> None:
        """Nothing more will be told; readers end."""
        self._closed = True
        self._wake()

    async def follow(self, joining: bool) -> AsyncIterator[Progress | Metric]:
        """All events from the first or, for one who joins, the newest progress, the metrics kept, and what comes after.

        Nobody knows which metrics one who joins again has heard: of a metric told twice, the second replaces the first.
        """
        position = 0
        if joining:
            position = self._told
            for event in self._so_far():
                yield event
        while True:
            while position < self._told:
                position = max(position, self._told - len(self._events))
                event = self._events[position - self._told]
                position += 1
                yield event
            if self._closed:
                return
            await self._changed.wait()

    def _so_far(self) -> list[Progress | Metric]:
        return [self._newest, *self.metrics()] if self._newest else [*self.metrics()]

    def _never_less(self, progress: Progress) -> Progress:
        before = self._newest.fraction if self._newest else 0.0
        return replace(progress, fraction=max(before, min(progress.fraction, 1.0)))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
