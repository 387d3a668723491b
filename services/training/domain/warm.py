"""A bounded number of models that are kept loaded; the least recently used makes room for the next."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from servicekit.logging import get_logger
from services.training.domain.answers import PackageSource
from services.training.domain.errors import PredictionsFull
from services.training.domain.ports import WarmModel

log = get_logger()

Load = Callable[[PackageSource], AbstractAsyncContextManager[WarmModel]]


class Place:
    """One model, from the first call for it to its end."""

    def __init__(self, package: PackageSource, load: Load) -> None:
        self.package = package
        self.users = 0
        self.used_at = time.monotonic()
        self._turn = asyncio.Lock()
        self._was_asked = False
        self._stack = AsyncExitStack()
        # A task of its own: who waits for it may leave, and others wait for it, too.
        self._loading = asyncio.create_task(self._stack.enter_async_context(load(package)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[WarmModel | None]:
        """The model for the block, alone, once it is loaded and those before have their answers; None where one of them
        was its last. Raises what kept it from being loaded."""
        async with self._turn:
            model = await asyncio.shield(self._loading)
            first, self._was_asked = not self._was_asked, True
            # That it died before anybody asked is for the first to hear, or it would be loaded again without end.
            yield model if first or model.alive else None

    @property
    def lost(self) -> bool:
        """Whether it will never answer again. One that is being asked says so itself: it cannot take another call, and
        is not dead for that."""
        if self._turn.locked() or not self._loading.done():
            return False
        return self._loading.cancelled() or self._loading.exception() is not None or not self._loading.result().alive

    async def close(self) -> None:
        """End the model's process, and remove its files."""
        self._loading.cancel()
        await asyncio.wait([self._loading])
        await self._stack.aclose()


@dataclass(frozen=True)
class Bounds:
    """How much is kept loaded, and for how long."""

    models: int
    idle_seconds: float
    queue_limit: int


class WarmModels:
    """Models by the SHA-256 of their packages."""

    def __init__(self, load: Load, bounds: Bounds) -> None:
        self._load = load
        self._bounds = bounds
        self._places: dict[str, Place] = {}  # the least recently used first
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def using(self, package: PackageSource) -> AsyncIterator[WarmModel]:
        """A loaded model for the block, alone. Raises PredictionsFull and what loading raises."""
        while True:
            async with self._place(package) as place, place.turn() as model:
                if model:
                    yield model
                    return

    async def keep_sweeping(self) -> None:
        """End now and then what nobody has used for a while, and what has died meanwhile."""
        while True:
            await asyncio.sleep(min(self._bounds.idle_seconds / 2, 10.0))
            oldest = time.monotonic() - self._bounds.idle_seconds
            for place in [place for place in self._places.values() if not place.users]:
                if place.lost:
                    self._end(place, "it has died")
                elif place.used_at < oldest:
                    self._end(place, "nobody asked for it")
            self._wake()

    async def close(self) -> None:
        """End them all."""
        for place in list(self._places.values()):
            self._end(place, "the service stops")
        await asyncio.gather(*self._closing, return_exceptions=True)  # what went wrong is logged

    @asynccontextmanager
    async def _place(self, package: PackageSource) -> AsyncIterator[Place]:
        place = await self._found(package)
        place.users += 1
        try:
            yield place
        finally:
            place.users -= 1
            place.used_at = time.monotonic()
            if place.lost:
                self._end(place, "it has died")
            self._wake()

    async def _found(self, package: PackageSource) -> Place:
        """The place of a model, a new one where it has none, as the most recently used."""
        while True:
            place = self._places.get(package.sha256)
            if place and place.lost:
                self._end(place, "it has died")
                place = None
            if place is None and self._has_room():
                place = Place(package, self._load)
            if place:
                self._places.pop(package.sha256, None)
                self._places[package.sha256] = place
                return place
            await self._wait()

    def _has_room(self) -> bool:
        idle = next((place for place in self._places.values() if not place.users), None)
        if idle and len(self._places) >= self._bounds.models:
            self._end(idle, "another one needs its place")
        # One that is ending still has its memory.
        return len(self._places) + len(self._closing) < self._bounds.models

    async def _wait(self) -> None:
        # Of those that wait, as many are not in the queue as places are becoming free.
        if self._waiting >= self._bounds.queue_limit + len(self._closing):
            raise PredictionsFull(waiting=self._waiting)
        self._waiting += 1
        try:
            await self._freed.wait()
        finally:
            self._waiting -= 1

    def _end(self, place: Place, why: str) -> None:
        """End a model, unless somebody has ended it already."""
        if self._places.get(place.package.sha256) is not place:
            return
        del self._places[place.package.sha256]
        log.info("model ends", sha256=place.package.sha256, why=why)
        ending = asyncio.create_task(place.close())
        self._closing.add(ending)
        ending.add_done_callback(self._ended)

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._closing.discard(ending)
        if not ending.cancelled() and ending.exception():
            log.error("a model did not end well", exc_info=ending.exception())
        self._wake()

    def _wake(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()
