"""Settles what was left in the middle: uploads that never finished, and deletions that were broken off."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from grpc import StatusCode
from grpc.aio import AioRpcError

from gateway.flows.engine import as_timestamp
from gateway.flows.storing import forget
from gateway.peers import Peers, pages
from modelyard.metadata.v1.artifact_pb2 import (
    ARTIFACT_STATE_DELETING,
    ARTIFACT_STATE_PENDING,
    Artifact,
    ArtifactState,
    ListArtifactsRequest,
)
from modelyard.metadata.v1.job_pb2 import JOB_STATUS_QUEUED, JOB_STATUS_RUNNING, GetJobRequest
from servicekit.logging import get_logger

log = get_logger()

SWEEP_SECONDS = 300.0
PAGE_SIZE = 1000
UNDER_WAY = frozenset({JOB_STATUS_QUEUED, JOB_STATUS_RUNNING})


class Leftovers:
    """Artifacts whose upload or deletion is too old to be still on its way."""

    def __init__(self, peers: Peers, seconds: float) -> None:
        self._peers = peers
        self._age = timedelta(seconds=seconds)

    async def keep_settling(self) -> None:
        """Settle them now and every few minutes, until cancelled."""
        while True:
            try:
                await self.settle()
            except AioRpcError as error:
                log.warning("sweep put off", code=error.code().name, detail=error.details())
            await asyncio.sleep(SWEEP_SECONDS)

    async def settle(self) -> None:
        """Settle all that there are: the object goes first, then the record, or what of it may go."""
        before = datetime.now(UTC) - self._age
        async for artifact in self._unchanged(ARTIFACT_STATE_DELETING, before):
            await self._forget(artifact, "finishing a deletion that was broken off")
        async for artifact in self._unchanged(ARTIFACT_STATE_PENDING, before):
            if not await self._under_way(artifact.job_id):
                await self._forget(artifact, "forgetting an upload that never finished")

    async def _unchanged(self, state: ArtifactState.ValueType, before: datetime) -> AsyncIterator[Artifact]:
        request = ListArtifactsRequest(state=state, updated_before=as_timestamp(before), page_size=PAGE_SIZE)
        async for page in pages(self._peers.artifacts.ListArtifacts, request, self._peers.quick):
            for artifact in page.artifacts:
                yield artifact

    async def _under_way(self, job_id: str) -> bool:
        """Whether a job is there to see to its artifact itself."""
        if not job_id:
            return False
        try:
            job = await self._peers.jobs.GetJob(GetJobRequest(id=job_id), **self._peers.quick)
        except AioRpcError as error:
            if error.code() is StatusCode.NOT_FOUND:
                return False
            raise
        return job.status in UNDER_WAY

    async def _forget(self, artifact: Artifact, what: str) -> None:
        log.info(f"[CLEANUP] {what}", artifact=artifact.id)
        try:
            await forget(self._peers, artifact)
        except AioRpcError as error:  # the others are swept all the same
            log.warning("sweep put off", artifact=artifact.id, code=error.code().name, detail=error.details())
