"""Workers that claim jobs and carry them through, and the sweep of uploads that never finished."""

import asyncio
import os
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError

from gateway.flows import training
from gateway.flows.claim import Claim, LeaseLost
from gateway.flows.datasets import forget
from gateway.flows.engine import Flow, as_timestamp, carry
from gateway.peers import Peers
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.artifact_pb2 import ARTIFACT_STATE_PENDING, Artifact, ListArtifactsRequest
from modelyard.metadata.v1.job_pb2 import ClaimJobRequest, Job
from servicekit.logging import get_logger

log = get_logger()

FLOWS: Mapping[str, Flow] = {flow.kind: flow for flow in (training.FLOW,)}
POLL_SECONDS = 1.0
SWEEP_SECONDS = 300.0


class Workers:
    """Claims jobs, as many at a time as there are slots."""

    def __init__(self, peers: Peers, settings: GatewaySettings) -> None:
        self._peers = peers
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._work_waits = asyncio.Event()

    def wake(self) -> None:
        """Look for a job now rather than with the next poll."""
        self._work_waits.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.job_slots):
                tasks.create_task(self._work())
            tasks.create_task(self._sweep())

    async def _work(self) -> None:
        while True:
            try:
                job = await self._claim()
                if job is not None:
                    await self._carry(job)
                    continue
            except AioRpcError as error:
                log.warning("jobs cannot be reached", code=error.code().name, detail=error.details())
                await asyncio.sleep(POLL_SECONDS)
            await self._wait()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._work_waits.wait()
        self._work_waits.clear()

    async def _claim(self) -> Job | None:
        lease = Duration(seconds=round(self._settings.lease_seconds))
        request = ClaimJobRequest(worker=self._name, kinds=list(FLOWS), lease=lease)
        response = await self._peers.jobs.ClaimJob(request, **self._peers.quick)
        return response.job if response.HasField("job") else None

    async def _carry(self, job: Job) -> None:
        log.info("job claimed", job=job.id, kind=job.kind, step=job.step, fencing_token=job.fencing_token)
        claim = Claim(self._peers, job, self._settings.lease_seconds)
        try:
            async with claim.kept_alive():
                await carry(FLOWS[job.kind], claim)
        except LeaseLost:
            log.warning("job lost to another worker", job=job.id)

    async def _sweep(self) -> None:
        while True:
            try:
                for artifact in await self._stale_uploads():
                    log.info("[CLEANUP] forgetting an upload that never finished", artifact=artifact.id)
                    await forget(self._peers, artifact)
            except AioRpcError as error:
                log.warning("sweep put off", code=error.code().name, detail=error.details())
            await asyncio.sleep(SWEEP_SECONDS)

    async def _stale_uploads(self) -> list[Artifact]:
        """Pending artifacts, too old to be on their way. Those of jobs are left to their jobs."""
        before = datetime.now(UTC) - timedelta(seconds=self._settings.pending_upload_seconds)
        request = ListArtifactsRequest(
            state=ARTIFACT_STATE_PENDING, updated_before=as_timestamp(before), page_size=1000
        )
        page = await self._peers.artifacts.ListArtifacts(request, **self._peers.quick)
        return [artifact for artifact in page.artifacts if not artifact.job_id]
