"""Workers that carry jobs, with real records."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.flows import workers
from gateway.flows.claim import Claim
from gateway.flows.engine import Flow, State, Step
from gateway.flows.workers import Workers
from gateway.peers import Peers
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_CANCELLED,
    JOB_STATUS_RUNNING,
    CancelJobRequest,
    CreateJobRequest,
    GetJobRequest,
    Job,
)
from servicekit import errors
from tests.contract.gateway.standing import standing

LEASE_SECONDS = 90
"""With a sign of life every thirty."""
SOON_SECONDS = 15


class Away(errors.Unavailable):
    """What the job needs is away. Repeat the request."""


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    async with standing(tmp_path) as services:
        yield services.peers


@asynccontextmanager
async def working(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, work: Callable[[Claim, State], Coroutine[Any, Any, None]]
) -> AsyncIterator[Workers]:
    """One worker, for the block, of jobs with one step."""

    async def undo(_: Claim, __: State) -> None:
        pass

    flow = Flow("trial", [Step("last", work, undo)], result=lambda state: state)
    monkeypatch.setattr(workers, "FLOWS", {"trial": flow})
    busy = Workers(peers, GatewaySettings(lease_seconds=LEASE_SECONDS, job_slots=1))
    running = asyncio.create_task(busy.run())
    try:
        yield busy
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def created(peers: Peers, name: str) -> Job:
    request = CreateJobRequest(job=Job(user_id="ada", kind="trial", input={"name": name}), request_id=name)
    return await peers.jobs.CreateJob(request, **peers.quick)


async def becomes(peers: Peers, job: Job, wanted: Callable[[Job], bool]) -> Job:
    """The job, once it is as it is wanted."""
    async with asyncio.timeout(SOON_SECONDS):
        while not wanted(job):
            await asyncio.sleep(0.05)
            job = await peers.jobs.GetJob(GetJobRequest(id=job.id), **peers.quick)
    return job


async def test_a_cancel_does_not_wait_for_the_next_sign_of_life(peers: Peers, monkeypatch: pytest.MonkeyPatch):
    """M.8: who cancels at the gateway that carries the job stops it at once."""
    begun = asyncio.Event()

    async def last(_: Claim, __: State) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with working(peers, monkeypatch, last) as busy:
        job = await created(peers, "1")
        await begun.wait()
        await peers.jobs.CancelJob(CancelJobRequest(id=job.id), **peers.quick)
        busy.look_at(job.id)
        busy.look_at("another")
        job = await becomes(peers, job, lambda job: job.status == JOB_STATUS_CANCELLED)

    assert job.status == JOB_STATUS_CANCELLED


async def test_a_cancel_does_not_wait_for_a_free_slot(peers: Peers, monkeypatch: pytest.MonkeyPatch):
    """M.8: a job that waits for its next attempt is undone, however long those run that have the slots."""
    begun = asyncio.Event()

    async def last(claim: Claim, _: State) -> None:
        if claim.job.input["name"] == "put off":
            raise Away
        begun.set()
        await asyncio.Event().wait()

    async with working(peers, monkeypatch, last) as busy:
        job = await created(peers, "put off")
        job = await becomes(peers, job, lambda job: job.attempt == 1)
        other = await created(peers, "long")
        await begun.wait()
        await peers.jobs.CancelJob(CancelJobRequest(id=job.id), **peers.quick)
        busy.look_at(job.id)
        job = await becomes(peers, job, lambda job: job.status == JOB_STATUS_CANCELLED)
        other = await peers.jobs.GetJob(GetJobRequest(id=other.id), **peers.quick)

    assert job.status == JOB_STATUS_CANCELLED
    assert other.status == JOB_STATUS_RUNNING
