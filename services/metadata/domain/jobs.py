"""Durable jobs: claimed for a time, fenced against workers thought dead, watched until they end."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from services.metadata.domain import lifecycle
from services.metadata.domain.checks import check
from services.metadata.domain.entities import ENDED, NAME, Job, JobError
from services.metadata.domain.errors import FieldMissing, FieldTooLong, Stopping
from services.metadata.domain.lifecycle import Change
from services.metadata.domain.ports import Store, Transaction
from services.metadata.domain.records import Clock, Records, get_from, save, utc_now

POLL_SECONDS = 0.5
"""How soon a watcher sees what another replica changed."""
WRITTEN = ("step", "stage", "message", "state", "result", "error")


class Watchers:
    """Who waits for news of which job."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}
        self.stopping = False

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set by every change of a job, for the length of the block."""
        event = asyncio.Event()
        self._events.setdefault(job_id, set()).add(event)
        try:
            yield event
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]

    def tell(self, job_id: str) -> None:
        """Wake those who watch this job."""
        for event in self._events.get(job_id, ()):
            event.set()

    def stop(self) -> None:
        """Send everyone home: the service is stopping."""
        self.stopping = True
        for job_id in self._events:
            self.tell(job_id)


class Jobs(Records[Job]):
    """All jobs."""

    def __init__(self, store: Store, watchers: Watchers, now: Clock = utc_now) -> None:
        super().__init__(Job, store, now)
        self._watchers = watchers

    async def claim(self, worker: str, kinds: Collection[str], lease: timedelta, job_id: str = "") -> Job | None:
        """Take the oldest job that is due, or the one of an id if it is, of the kinds that a worker can do; None when
        none is."""
        lifecycle.check_lease(lease)
        _check_claimer(worker, kinds)
        if not job_id and await self._store.due_job(kinds, self._now()) is None:
            return None  # asked often: no transaction for nothing

        async def unit(transaction: Transaction) -> Job | None:
            now = self._now()
            due = await (_if_due(transaction, job_id, kinds, now) if job_id else transaction.due_job(kinds, now))
            return due and await save(transaction, due, lifecycle.claim(worker, lease)(due, now), now)

        job = await self._store.write(unit)
        if job:
            self._watchers.tell(job.id)
        return job

    async def heartbeat(
        self, job_id: str, token: int, lease: timedelta, progress: float, stage: str, message: str
    ) -> Job:
        """Extend the lease and record how far the job is."""
        lifecycle.check_lease(lease)
        lifecycle.check_progress(progress)
        return await self._change(job_id, lifecycle.heartbeat(token, lease, progress, stage, message))

    async def advance(self, job_id: str, token: int, step: str, state: dict[str, Any] | None, progress: float) -> Job:
        """Record that a step is done, with what the later ones need."""
        lifecycle.check_progress(progress)
        return await self._change(job_id, lifecycle.advance(token, step, state, progress))

    async def complete(self, job_id: str, token: int, result: dict[str, Any] | None) -> Job:
        """End a job with its result."""
        return await self._change(job_id, lifecycle.complete(token, result or {}))

    async def fail(self, job_id: str, token: int, error: JobError, retry_time: datetime | None) -> Job:
        """End a job with an error, or queue it again for a time."""
        if not error.code:
            raise FieldMissing("error.code")
        return await self._change(job_id, lifecycle.fail(token, error, retry_time))

    async def cancel(self, job_id: str, token: int) -> Job:
        """Ask for a job to be cancelled, or, under its token, record that it is."""
        return await self._change(job_id, lifecycle.cancel(token))

    async def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again."""
        return await self._change(job_id, lifecycle.retry)

    async def _change(self, job_id: str, change: Change) -> Job:
        async def unit(transaction: Transaction) -> Job:
            job, now = await get_from(transaction, Job, job_id), self._now()
            changed = change(job, now)
            if changed is job:
                return job
            check(changed, WRITTEN)
            return await save(transaction, job, changed, now)

        job = await self._store.write(unit)
        self._watchers.tell(job_id)
        return job

    async def watch(self, job_id: str) -> AsyncIterator[Job]:
        """The job now and after every change, until it has ended; Stopping when the service does first."""
        seen = ""
        with self._watchers.watching(job_id) as news:
            while True:
                news.clear()  # before it is read, so that no change falls between
                job = await self.get(job_id)
                if job.etag != seen:
                    seen = job.etag
                    yield job
                if job.status in ENDED:
                    return
                if self._watchers.stopping:
                    raise Stopping
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), POLL_SECONDS)


async def _if_due(transaction: Transaction, job_id: str, kinds: Collection[str], now: datetime) -> Job | None:
    job = await transaction.get(Job, job_id)
    return job if job and job.kind in kinds and lifecycle.is_due(job, now) else None


def _check_claimer(worker: str, kinds: Collection[str]) -> None:
    if not worker:
        raise FieldMissing("worker")
    if len(worker) > NAME:
        raise FieldTooLong("worker", length=len(worker), limit=NAME)
    if not kinds:
        raise FieldMissing("kinds")
