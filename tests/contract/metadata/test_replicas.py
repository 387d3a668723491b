"""Two replicas of the service over one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from services.metadata.adapters.sqlite import sqlite_store
from services.metadata.domain.entities import Job, JobStatus
from services.metadata.domain.jobs import Jobs, Watchers


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[Jobs, Jobs]]:
    url = f"sqlite+aiosqlite:///{tmp_path}/metadata.db"
    async with AsyncExitStack() as stack:
        stores = await asyncio.gather(*(stack.enter_async_context(sqlite_store(url)) for _ in range(2)))
        yield Jobs(stores[0], Watchers()), Jobs(stores[1], Watchers())


async def test_watcher_sees_what_another_replica_changes(replicas: tuple[Jobs, Jobs]):
    here, there = replicas
    job = await here.create(Job(user_id="ada", kind="train"), "one")

    seen: list[JobStatus] = []

    async def watch() -> None:
        async for update in here.watch(job.id):
            seen.append(update.status)

    async with asyncio.timeout(10), asyncio.TaskGroup() as watching:
        watching.create_task(watch())
        while not seen:
            await asyncio.sleep(0.01)
        claimed = await there.claim("w", ["train"], timedelta(seconds=30))
        while len(seen) < 2:
            await asyncio.sleep(0.01)
        await there.complete(job.id, claimed.fencing_token, {})

    assert seen == [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.COMPLETED]


async def test_caller_who_gives_up_leaves_the_store_usable(replicas: tuple[Jobs, Jobs]):
    here, _ = replicas
    calls = [asyncio.create_task(here.create(Job(user_id="ada", kind="train"), f"r{n}")) for n in range(30)]
    for _ in range(3):  # until they are being written
        await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    kept = await asyncio.gather(*calls, return_exceptions=True)
    after = await here.create(Job(user_id="ada", kind="train"), "after")

    assert sum(isinstance(each, asyncio.CancelledError) for each in kept) > 0
    assert all([await here.get(job.id) for job in kept if isinstance(job, Job)])
    assert (await here.get(after.id)) == after
