"""Workers that carry jobs, with real records."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.flows import workers
from gateway.flows.claim import Claim
from gateway.flows.engine import Flow, State, Step
from gateway.peers import Peers
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.job_pb2 import (
    JOB_STATUS_CANCELLED,
    CancelJobRequest,
    CreateJobRequest,
    GetJobRequest,
    Job,
)
from tests.contract.gateway.standing import standing

LEASE_SECONDS = 90
"""With a sign of life every thirty."""
SOON_SECONDS = 15


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    async with standing(tmp_path) as services:
        yield services.peers


async def test_a_cancel_does_not_wait_for_the_next_sign_of_life(peers: Peers, monkeypatch: pytest.MonkeyPatch):
    """M.8: who cancels at the gateway that carries the job stops it at once."""
    begun = asyncio.Event()

    async def last(_: Claim, __: State) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def undo(_: Claim, __: State) -> None:
        pass

    flow = Flow("trial", [Step("last", last, undo)], result=lambda state: state)
    monkeypatch.setattr(workers, "FLOWS", {"trial": flow})
    busy = workers.Workers(peers, GatewaySettings(lease_seconds=LEASE_SECONDS))
    working = asyncio.create_task(busy.run())
    try:
        job = await peers.jobs.CreateJob(
            CreateJobRequest(job=Job(user_id="ada", kind="trial"), request_id="1"), **peers.quick
        )
        await begun.wait()
        await peers.jobs.CancelJob(CancelJobRequest(id=job.id), **peers.quick)
        busy.look_at(job.id)
        busy.look_at("another")
        async with asyncio.timeout(SOON_SECONDS):
            while job.status != JOB_STATUS_CANCELLED:
                await asyncio.sleep(0.05)
                job = await peers.jobs.GetJob(GetJobRequest(id=job.id), **peers.quick)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    assert job.status == JOB_STATUS_CANCELLED
