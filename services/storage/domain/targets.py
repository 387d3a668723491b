"""Brings the bytes of one object to several backends at once, and lets policy decide when one of them fails."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from servicekit.errors import Problem
from servicekit.logging import get_logger
from services.storage.domain.errors import BackendFailure
from services.storage.domain.model import HOME, Batch, Draft, Failure, Kept, StoredObject
from services.storage.domain.placements import OnError
from services.storage.domain.ports import Backend, PendingObject
from services.storage.domain.shelves import Shelf, Silent

log = get_logger()


@asynccontextmanager
async def begun(shelf: Shelf, draft: Draft, silent: Silent | None = None) -> AsyncIterator["Targets"]:
    """An object that is begun wherever its bytes go; what is not committed at the end of the block is gone.

    Who is silent already counts as failed: nobody waits for it once more.
    """
    async with AsyncExitStack() as stack:
        targets = Targets(shelf)
        for backend in shelf.targets:
            await targets.begin(backend, draft, stack, (silent or {}).get(backend))
        targets.check()
        yield targets


class Targets:
    """The backends that still follow an upload."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._pending: dict[Backend, PendingObject] = {}
        self._failures: list[BackendFailure] = []

    async def begin(
        self, backend: Backend, draft: Draft, stack: AsyncExitStack, failed: BackendFailure | None = None
    ) -> None:
        """Begin it at one backend, unless that has failed before."""

        async def enter() -> None:
            if failed:
                raise failed
            self._pending[backend] = await stack.enter_async_context(backend.create(away(draft, self._shelf, backend)))

        await self._carried(backend, enter())

    async def write(self, batch: Batch) -> None:
        """Send the next bytes to all."""
        writes = [self._carried(backend, pending.write(batch)) for backend, pending in self._pending.items()]
        if len(writes) == 1:  # nothing to spread
            await writes[0]
        else:
            await _all(writes)
        self.check()

    async def staged(self, count: int) -> Batch:
        """The next bytes of a staged file; there is one only where one backend alone is written to."""
        (pending,) = self._pending.values()
        return await pending.staged(count)

    async def commit(self, size: int, sha256: str) -> Kept:
        """Publish it where it is wanted, or, where policy allows, at the next backend that can."""
        copies: list[StoredObject] = []

        async def publish(pending: PendingObject) -> None:
            copies.append(await pending.commit(size, sha256))

        for backend, pending in list(self._pending.items()):
            if not copies or backend in self._shelf.wanted:
                await self._carried(backend, publish(pending))
        self.check()
        kept = self._shelf.kept(copies)
        return replace(kept, failures=tuple(self._told(kept)))

    def check(self) -> None:
        """Fail as the last backend did when none is left."""
        if not self._pending:
            raise self._failures[-1]

    async def _carried(self, backend: Backend, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except BackendFailure as failure:
            self._pending.pop(backend, None)
            self._failures.append(failure)
            if backend is self._shelf.home and self._shelf.policy.on_error is OnError.FAIL:
                raise
            log.warning("a backend failed", backend=backend.name, reason=failure.reason, why=failure.message)

    def _told(self, kept: Kept) -> list[Failure]:
        """The failures that made a difference: not those of a backend that was only asked in case."""
        wanted = {backend.name for backend in self._shelf.wanted}
        failures = [failure_of(failure) for failure in self._failures]
        return [failure for failure in failures if kept.fallback or failure.backend in wanted]


def away(draft: Draft, shelf: Shelf, backend: Backend) -> Draft:
    """What a backend is told of an object: one that is not its home remembers which is."""
    if backend is shelf.home:
        return replace(draft, context={name: value for name, value in draft.context.items() if name != HOME})
    return replace(draft, context={**draft.context, HOME: shelf.home.name})


def failure_of(problem: Problem) -> Failure:
    """A failure as it is told."""
    return Failure(str(problem.facts.get("backend", "")), problem.reason, problem.message)


async def _all(works: list[Coroutine[Any, Any, None]]) -> None:
    """Wait for all, though one fails, so that none goes on behind our back."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
